//! Opening: the lock, the schema, the node, the keys, then the writer.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::sync::Arc;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::MigrateError;
use sqlx::pool::PoolOptions;
use sqlx::{Any, AnyConnection, AnyPool, Connection};

use crate::audit::NodeId;
use crate::clock::Clock;
use crate::config;
use crate::crypto::{Key, SigningKey};
use crate::mail::MessageId;
use crate::store::body::{Bodies, broken_disk};
use crate::store::change::Purpose;
use crate::store::dialect::{Dialect, Truncated};
use crate::store::lock::DataDirLock;
use crate::store::vault::{self, Vault};
use crate::store::writer::{Handle, Start};
use crate::store::{Inner, Store, StoreError, failed, read};

/// Connections that read.
const READERS: u32 = 4;

/// The rights of group and others.
const FOR_OTHERS: u32 = 0o077;
/// The sticky bit: everybody may write here.
const FOR_ALL: u32 = 0o1000;

/// This process as a node.
struct Node {
    id: NodeId,
    boot: i64,
    signing: SigningKey,
}

impl Store {
    /// Opens the store in `data_dir`, or makes it. One process holds a data directory at a time.
    pub async fn open(
        config: &config::Database,
        data_dir: &Path,
        master: Key,
        clock: Arc<dyn Clock>,
    ) -> Result<Store, StoreError> {
        sqlx::any::install_default_drivers();
        make_data_dir(data_dir).map_err(|error| broken_disk("making data_dir", &error))?;
        let lock = DataDirLock::take(data_dir)?;
        let (dialect, options) = Dialect::read(&config.url, data_dir)?;
        let file_bytes = if dialect.is_shared() { usize::MAX } else { config.body_file_bytes };
        let bodies = Bodies::open(data_dir.join("bodies"), file_bytes)?;
        flush_folder(data_dir).map_err(|error| broken_disk("flushing data_dir", &error))?;

        let mut connection =
            AnyConnection::connect_with(&options).await.map_err(failed("connecting to the database"))?;
        dialect.prepare(&mut connection).await?;
        empty_log(&mut connection, dialect).await?;
        migrate(&mut connection, dialect).await?;
        let node = start_node(&mut connection, data_dir, (&master, clock.as_ref())).await?;
        free_leases(&mut connection, &node.id).await?;
        give_to_owner(data_dir).map_err(|error| broken_disk("giving the files in data_dir to its owner", &error))?;
        let epochs = read::epochs_kept(&mut connection).await?;
        connection.close().await.map_err(failed("connecting to the database"))?;

        let vault = Vault::new(master, Key::generate().map_err(vault::no_entropy)?, node.signing);
        for epoch in &epochs {
            vault.admit(epoch)?;
        }
        let start =
            Start { options: options.clone(), dialect, node: node.id.clone(), boot: node.boot, clock: clock.clone() };
        let inner = Inner {
            writer: Handle::start(start),
            readers: readers(options, dialect).await?,
            dialect,
            bodies,
            vault,
            clock,
            node: node.id,
            boot: node.boot,
            _lock: lock,
        };
        let store = Store { inner: Arc::new(inner) };
        for purpose in [Purpose::Index, Purpose::Body, Purpose::Evidence] {
            store.renew_epoch(purpose).await?;
        }
        Ok(store)
    }
}

/// Makes the folder, so that it outlasts a power cut that what is in it outlasts.
fn make_data_dir(data_dir: &Path) -> io::Result<()> {
    if data_dir.is_dir() {
        keep_private(data_dir);
        return Ok(());
    }
    // Nobody but the daemon's own user has any business here.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    flush_folder(data_dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// A folder that was there before us may be open to others; one that belongs to others, or is for all as /tmp is, stays as
/// it is, and `check` says so.
fn keep_private(data_dir: &Path) {
    let Ok(about) = fs::metadata(data_dir) else { return };
    let mode = about.mode() & 0o7777;
    let is_ours = about.uid() == nix::unistd::geteuid().as_raw();
    if mode & FOR_OTHERS == 0 || mode & FOR_ALL != 0 || !is_ours {
        return;
    }
    let path = data_dir.display();
    match fs::set_permissions(data_dir, Permissions::from_mode(mode & !FOR_OTHERS)) {
        Ok(()) => {
            tracing::warn!(data_dir = %path, "{path} was open to others (mode {mode:03o}), and is ours alone now");
        }
        Err(error) => tracing::warn!(data_dir = %path, error = %error, "{path} is open to others (mode {mode:03o})"),
    }
}

fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// An earlier process may have ended just when a flush of the log had failed. The kernel shows us what it dropped then, and
/// would call a flush of what we add behind it good; so nothing is added before all that is shown was written again elsewhere.
async fn empty_log(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), StoreError> {
    match dialect.truncate_log(connection).await? {
        Truncated::Done => Ok(()),
        Truncated::ReadersInTheWay => Err(StoreError::Unavailable(
            "another program reads the database, and its write-ahead log cannot be emptied before it ends".to_owned(),
        )),
    }
}

async fn readers(options: AnyConnectOptions, dialect: Dialect) -> Result<AnyPool, StoreError> {
    PoolOptions::<Any>::new()
        .max_connections(READERS)
        // A server may have closed an idle connection; SQLite's lies in this process, and asking costs a read.
        .test_before_acquire(dialect.is_shared())
        .after_connect(move |connection, _| {
            Box::pin(async move {
                dialect.prepare(connection).await.map_err(|error| sqlx::Error::Configuration(Box::new(error)))
            })
        })
        .connect_with(options)
        .await
        .map_err(failed("connecting to the database"))
}

async fn migrate(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), StoreError> {
    let migrator = dialect.migrator();
    let known = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        // What a newer binary has written an older one would misread: it must not touch it.
        MigrateError::VersionMissing(found) => StoreError::NewerSchema { found, known },
        MigrateError::VersionMismatch(at) | MigrateError::Dirty(at) => StoreError::StrangeSchema(at),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed("making the schema")(error),
        // The enum is the library's, and open.
        _ => StoreError::Unavailable("making the schema: the database failed".to_owned()),
    })
}

/// Finds out who this node is, and starts its next boot.
async fn start_node(
    connection: &mut AnyConnection,
    data_dir: &Path,
    (master, clock): (&Key, &dyn Clock),
) -> Result<Node, StoreError> {
    let id = match node_file(data_dir)? {
        Some(id) => id,
        None => {
            let random = crate::crypto::random_u128().map_err(vault::no_entropy)?;
            let id = NodeId(MessageId::from_parts(clock.now(), random).to_string());
            write_node_file(data_dir, &id).map_err(|error| broken_disk("writing data_dir/node", &error))?;
            id
        }
    };
    let Some(sealed) = seed(connection, &id).await? else {
        let fresh = SigningKey::generate_seed().map_err(vault::no_entropy)?;
        let signing = SigningKey::from_seed(&*fresh).map_err(|_| StoreError::StrangeRow("seed"))?;
        let sealed = vault::wrap_seed(master, &id, &*fresh)?;
        insert_node(connection, &id, (sealed, signing.public().to_string())).await?;
        return Ok(Node { id, boot: 1, signing });
    };
    // Before the boot is counted: a wrong key must change nothing.
    let plain = zeroize::Zeroizing::new(vault::unwrap_seed(master, &id, &sealed)?);
    let signing = SigningKey::from_seed(&plain).map_err(|_| StoreError::StrangeRow("seed"))?;
    let boot = next_boot(connection, &id).await?;
    Ok(Node { id, boot, signing })
}

fn node_file(data_dir: &Path) -> Result<Option<NodeId>, StoreError> {
    match fs::read_to_string(data_dir.join("node")) {
        Ok(text) => Ok(Some(NodeId(text.trim().to_owned()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(broken_disk("reading data_dir/node", &error)),
    }
}

fn write_node_file(data_dir: &Path, id: &NodeId) -> io::Result<()> {
    // Under another name first: a power cut would leave an empty file, and so a node without a name.
    let (fresh, path) = (data_dir.join("node.new"), data_dir.join("node"));
    let mut file = File::create(&fresh)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(fresh, path)?;
    flush_folder(data_dir)
}

async fn seed(connection: &mut AnyConnection, id: &NodeId) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar("select seed from node where id = $1")
        .bind(id.0.clone())
        .fetch_optional(connection)
        .await
        .map_err(failed("reading the node"))
}

async fn insert_node(
    connection: &mut AnyConnection,
    id: &NodeId,
    (sealed, public): (Vec<u8>, String),
) -> Result<(), StoreError> {
    sqlx::query("insert into node (id, boot, seed, public_key) values ($1, 1, $2, $3)")
        .bind(id.0.clone())
        .bind(sealed)
        .bind(public)
        .execute(connection)
        .await
        .map_err(failed("making the node"))?;
    Ok(())
}

async fn next_boot(connection: &mut AnyConnection, id: &NodeId) -> Result<i64, StoreError> {
    sqlx::query_scalar("update node set boot = boot + 1 where id = $1 returning boot")
        .bind(id.0.clone())
        .fetch_one(connection)
        .await
        .map_err(failed("starting the node"))
}

/// What earlier boots of this node held is due again: their processes are gone, or the lock would not be ours.
async fn free_leases(connection: &mut AnyConnection, id: &NodeId) -> Result<(), StoreError> {
    sqlx::query(
        "update job set lease_node = '', wake = due, fence = fence + 1 where lease_node = $1 and state = 'queued'",
    )
    .bind(id.0.clone())
    .execute(connection)
    .await
    .map_err(failed("taking back leases"))?;
    Ok(())
}

/// Root may act in the daemon's place, even before its first start; what it makes there must be the daemon's to open.
fn give_to_owner(data_dir: &Path) -> io::Result<()> {
    let owner = fs::metadata(data_dir)?;
    if !nix::unistd::Uid::effective().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        let about = entry.metadata()?;
        // A link of the owner's making could stand for a file elsewhere, which is not to become the owner's.
        let made_here = about.is_dir() || (about.is_file() && about.nlink() == 1);
        if made_here && about.uid() == 0 {
            lchown(entry.path(), Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}
