//! Where SQLite and PostgreSQL differ: how to connect, what to set, how to begin, and what a flush that failed calls for.

use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, ConnectOptions, SqlSafeStr};

use crate::store::{StoreError, failed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// How long SQLite waits for another process's lock before it says that it is busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl Dialect {
    /// Reads `database.url`, and says how to connect.
    pub(crate) fn read(url: &str, data_dir: &Path) -> Result<(Dialect, AnyConnectOptions), StoreError> {
        let (dialect, options) = match url.split_once("://") {
            None if url == "sqlite" => (Dialect::Sqlite, sqlite(data_dir)?),
            Some(("postgres" | "postgresql", _)) => (Dialect::Postgres, postgres(url)?),
            None | Some(_) => return Err(StoreError::Setting("database.url must be sqlite or postgres://…")),
        };
        Ok((dialect, options.disable_statement_logging()))
    }

    pub(crate) fn begin(self) -> &'static str {
        match self {
            // A deferred transaction could fail in its middle when it first writes.
            Dialect::Sqlite => "begin immediate",
            Dialect::Postgres => "begin",
        }
    }

    /// What keeps two nodes that claim at once from waiting for each other.
    pub(crate) fn skip_locked(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " for update skip locked",
        }
    }

    /// Whether other nodes may work on the same tables. Their bodies cannot lie in files of one machine.
    pub(crate) fn is_shared(self) -> bool {
        match self {
            Dialect::Sqlite => false,
            Dialect::Postgres => true,
        }
    }

    pub(crate) fn migrator(self) -> Migrator {
        let all = match self {
            Dialect::Sqlite => [
                (1, "spine", include_str!("../../migrations/sqlite/0001_spine.sql")),
                (2, "unanswered", include_str!("../../migrations/sqlite/0002_unanswered.sql")),
                (3, "mistakes", include_str!("../../migrations/sqlite/0003_mistakes.sql")),
                (4, "rule_notice", include_str!("../../migrations/sqlite/0004_rule_notice.sql")),
            ],
            Dialect::Postgres => [
                (1, "spine", include_str!("../../migrations/postgres/0001_spine.sql")),
                (2, "unanswered", include_str!("../../migrations/postgres/0002_unanswered.sql")),
                (3, "mistakes", include_str!("../../migrations/postgres/0003_mistakes.sql")),
                (4, "rule_notice", include_str!("../../migrations/postgres/0004_rule_notice.sql")),
            ],
        };
        let migration = |(version, name, text): (i64, &'static str, &'static str)| {
            Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
        };
        Migrator::with_migrations(all.into_iter().map(migration).collect())
    }

    /// Sets what the guarantees need, and reads it back: a setting that a build or a server ignores is an error.
    pub(crate) async fn prepare(self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        match self {
            Dialect::Sqlite => prepare_sqlite(connection).await,
            Dialect::Postgres => prepare_postgres(connection).await,
        }
    }

    /// Moves what the WAL holds into the database file and cuts the WAL to nothing. Says whether it could.
    pub(crate) async fn truncate_log(self, connection: &mut AnyConnection) -> Result<Truncated, StoreError> {
        match self {
            Dialect::Sqlite => {
                let busy: i64 = sqlx::query_scalar("pragma wal_checkpoint(truncate)")
                    .fetch_one(connection)
                    .await
                    .map_err(failed("emptying the write-ahead log"))?;
                Ok(if busy == 0 { Truncated::Done } else { Truncated::ReadersInTheWay })
            }
            // The server recycles its WAL by its own rules; docs say for how long it may hold what was erased.
            Dialect::Postgres => Ok(Truncated::Done),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncated {
    Done,
    ReadersInTheWay,
}

fn sqlite(data_dir: &Path) -> Result<AnyConnectOptions, StoreError> {
    let file = data_dir.join("sealpost.db");
    let path = file.to_str().ok_or(StoreError::Setting("server.data_dir must be UTF-8"))?;
    let mut url = String::from("sqlite://");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url.push_str("?mode=rwc");
    url.parse().map_err(failed("reading the path of the database"))
}

fn postgres(url: &str) -> Result<AnyConnectOptions, StoreError> {
    let mut options: AnyConnectOptions = url.parse().map_err(failed("reading database.url"))?;
    let (mut hosts, mut modes) = (Vec::new(), Vec::new());
    for (name, value) in options.database_url.query_pairs() {
        match &*name {
            "host" | "hostaddr" => hosts.push(value.into_owned()),
            "sslmode" | "ssl-mode" => modes.push(value.into_owned()),
            _ => {}
        }
    }
    let named_local = matches!(options.database_url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let is_local = if hosts.is_empty() { named_local } else { hosts.iter().all(|host| host.starts_with('/')) };
    // 45 CFR 164.312(e)(1): what crosses a network is protected from who is on it.
    if !is_local && modes.iter().any(|mode| mode != "verify-full") {
        return Err(StoreError::Setting("database.url must have sslmode=verify-full"));
    }
    if !is_local && modes.is_empty() {
        options.database_url.query_pairs_mut().append_pair("sslmode", "verify-full");
    }
    Ok(options)
}

async fn prepare_sqlite(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let busy = format!("pragma busy_timeout = {}", BUSY_TIMEOUT.as_millis());
    run(connection, sqlx::AssertSqlSafe(busy)).await?;
    for set in [
        "pragma journal_mode = wal",
        "pragma synchronous = full",
        "pragma secure_delete = on",
        "pragma foreign_keys = on",
        // What a statement would have to take back lies in a file otherwise: made, flushed to nobody, and removed.
        "pragma temp_store = memory",
    ] {
        run(connection, set).await?;
    }
    let mode: String = sqlx::query_scalar("pragma journal_mode")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("reading the journal mode"))?;
    if mode != "wal" {
        return Err(StoreError::Setting("SQLite does not keep a write-ahead log here"));
    }
    let expected = [
        ("pragma synchronous", 2, "SQLite does not flush each commit"),
        ("pragma secure_delete", 1, "SQLite does not overwrite what is deleted"),
        ("pragma foreign_keys", 1, "SQLite does not check references"),
    ];
    for (question, wanted, complaint) in expected {
        let found: i64 = sqlx::query_scalar(question)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed("reading the settings of SQLite"))?;
        if found != wanted {
            return Err(StoreError::Setting(complaint));
        }
    }
    Ok(())
}

async fn prepare_postgres(connection: &mut AnyConnection) -> Result<(), StoreError> {
    run(connection, "set synchronous_commit = on").await?;
    let expected = [
        ("select current_setting('synchronous_commit')", "PostgreSQL does not flush before it answers a commit"),
        ("select current_setting('fsync')", "PostgreSQL runs with fsync = off"),
    ];
    for (question, complaint) in expected {
        let found: String = sqlx::query_scalar(question)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed("reading the settings of PostgreSQL"))?;
        if found != "on" {
            return Err(StoreError::Setting(complaint));
        }
    }
    Ok(())
}

async fn run(connection: &mut AnyConnection, statement: impl SqlSafeStr) -> Result<(), StoreError> {
    sqlx::raw_sql(statement).execute(connection).await.map_err(failed("setting up the database"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_tables_and_columns() {
        let text = |dialect: Dialect| {
            let all: Vec<_> = dialect.migrator().iter().map(|one| one.sql.as_str().to_owned()).collect();
            all.join("\n")
        };
        assert_eq!(text(Dialect::Sqlite).replace(" blob", " bytea"), text(Dialect::Postgres));
    }

    #[test]
    fn a_server_elsewhere_is_verified_and_a_local_one_need_not_be() {
        let mode = |url: &str| {
            let (_, options) = Dialect::read(url, Path::new("/nowhere"))?;
            let found = options.database_url.query_pairs().find(|(key, _)| key == "sslmode");
            Ok::<_, StoreError>(found.map(|(_, value)| value.into_owned()))
        };
        assert_eq!(mode("postgres://s@db.clinic.example/s"), Ok(Some("verify-full".into())));
        assert_eq!(mode("postgres://s@db.clinic.example/s?sslmode=verify-full"), Ok(Some("verify-full".into())));
        assert_eq!(mode("postgres://s@localhost/s"), Ok(None));
        assert_eq!(mode("postgres://s@localhost/s?host=/run/postgresql"), Ok(None));
        for weak in [
            "postgres://s@db.clinic.example/s?sslmode=require",
            "postgres://s@localhost/s?host=db.clinic.example&sslmode=disable",
            "postgres://s@db.clinic.example/s?sslmode=verify-full&ssl-mode=disable",
            "postgres://s@localhost/s?hostaddr=192.0.2.7&sslmode=prefer",
            "mysql://s@localhost/s",
            "sqlite3",
        ] {
            assert!(matches!(mode(weak), Err(StoreError::Setting(_))), "{weak}");
        }
    }
}
