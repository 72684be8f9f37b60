//! `sealpost client`: who may send. Clients live in the config only; this edits it and keeps what else stands there.

mod list;
mod lockouts;
#[cfg(test)]
mod tests;
mod told;
mod watch;

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use data_encoding::BASE32_NOPAD;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TomlError, value};
use zeroize::Zeroizing;

use crate::accounts::Unlock;
use crate::cli::output::{Failed, Format, print_json, print_line};
use crate::cli::reach;
use crate::config::{self, Client, Config, Login, Mistake, Profile};
use crate::crypto::{self, NoEntropy};
use crate::keyring::{KeyringError, certificate};
use crate::mail::ClientName;
use crate::smtp;

/// What is typed behind `client`.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Let a program send: prints its login and password once
    Add(AddArguments),
    /// Give a client another password
    Passwd {
        /// As `client list` shows it
        name: String,
        /// Read the password from standard input instead of making one
        #[arg(long)]
        password_stdin: bool,
    },
    /// Show who may send
    List,
    /// Show whose logins are not heard now, after too many wrong ones
    Locked,
    /// Hear logins again that were locked after too many wrong ones: of a client, or from a network
    Unlock {
        /// As `client list` shows it
        #[arg(required_unless_present = "network", conflicts_with = "network")]
        name: Option<String>,
        /// An address in the network, as `client locked` shows it
        #[arg(long, value_name = "ADDRESS")]
        network: Option<IpAddr>,
    },
    /// Answer a client's logins 4xx until it is resumed; what is queued goes on
    Suspend {
        /// As `client list` shows it
        name: String,
    },
    /// Let a suspended client send again
    Resume {
        /// As `client list` shows it
        name: String,
    },
    /// Show what a client does as it does it, and what is wrong with it, until Ctrl-C
    ///
    /// Who has not logged in is shown as unknown, or by the networks of its client. Nothing of a message is shown.
    Watch(watch::Arguments),
    /// Take a client out of the config
    Remove {
        /// As `client list` shows it
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// What the client is called in logs and rules
    name: String,
    /// What this kind of program needs: openemr and scanner are answered 250 and held where policy refuses, salesforce may use
    /// return paths of its own
    #[arg(long, value_parser = profile, default_value = "standard", value_name = "standard|openemr|salesforce|scanner")]
    profile: Profile,
    /// The user name; default: the client's name
    #[arg(long, value_name = "NAME")]
    login: Option<String>,
    /// An address that the client may send from, as in '*@clinic.example'; may be given several times; default: all of the
    /// postmaster's domain
    #[arg(long = "sender", value_name = "PATTERN")]
    senders: Vec<String>,
    /// Read the password from standard input instead of making one
    #[arg(long)]
    password_stdin: bool,
    /// A certificate that the client shows: its file in PEM, of which the key is pinned, or key:…, certificate:… or name:… as
    /// the config has it; may be given several times
    #[arg(long = "certificate", value_name = "FILE|PIN")]
    certificates: Vec<String>,
    /// A network that the client is let in from, and from no other; may be given several times
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
    /// Make no login: the client is known by its certificate; without one, by its network alone, at relay listeners
    #[arg(long, conflicts_with_all = ["login", "password_stdin"])]
    no_login: bool,
}

fn profile(text: &str) -> Result<Profile, String> {
    Profile::ALL
        .into_iter()
        .find(|profile| profile.name() == text)
        .ok_or_else(|| format!("not a profile; one of {}", Profile::ALL.map(Profile::name).join(", ")))
}

pub(super) fn command(path: &Path, command: Command, format: Format) -> Result<ExitCode, Failed> {
    let changed = match command {
        Command::List => {
            let locked = lockouts::known(path);
            let rows = list::list(path, &locked)?;
            match format {
                Format::Json => rows.iter().for_each(print_json),
                Format::Text => print_line((list::tell(&rows) + &lockouts::tell(&locked)).trim_end()),
            }
            return Ok(ExitCode::SUCCESS);
        }
        Command::Locked => return lockouts::list(path, format).map(|()| ExitCode::SUCCESS),
        Command::Unlock { name, network } => {
            let client = || Unlock::Client(ClientName(name.unwrap_or_default()));
            let what = network.map_or_else(client, Unlock::Network);
            return lockouts::unlock(path, what, format).map(|()| ExitCode::SUCCESS);
        }
        Command::Watch(arguments) => return watch::run(path, arguments, format),
        Command::Add(arguments) => {
            let password = password(arguments.password_stdin)?;
            add(path, &arguments.into(), &password)?
        }
        Command::Passwd { name, password_stdin } => passwd(path, &name, &password(password_stdin)?)?,
        Command::Suspend { name } => suspend(path, &name)?,
        Command::Resume { name } => resume(path, &name)?,
        Command::Remove { name } => remove(path, &name)?,
    };
    match format {
        Format::Json => print_json(&changed),
        Format::Text => print_line(changed.tell().trim_end()),
    }
    reach::reload(path)?;
    Ok(ExitCode::SUCCESS)
}

fn password(from_stdin: bool) -> Result<Password, Failed> {
    if !from_stdin {
        return Ok(Password::Made);
    }
    let mut line = Zeroizing::new(String::new());
    io::stdin().read_line(&mut line)?;
    Ok(Password::Given(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())))
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Failed {
        let text = error.to_string();
        match error {
            ClientError::Read { path, error } | ClientError::Write { path, error } => Failed::file(&path, &error),
            ClientError::WrongBefore(_)
            | ClientError::WrongAfter(_)
            | ClientError::NotToml(_)
            | ClientError::NotTables => Failed::Config(text),
            ClientError::Unknown(_) => Failed::NotFound(text),
            ClientError::Taken(_)
            | ClientError::NoLogin(_)
            | ClientError::NoCertificate { .. }
            | ClientError::WeakPassword
            | ClientError::OddPassword => Failed::Data(text),
            ClientError::NoEntropy(_) => Failed::Unavailable(text),
        }
    }
}

/// The shortest password that is taken; those that are made have 24 letters and digits.
const MIN_PASSWORD: usize = 12;

#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("the config has mistakes already; mend them first:\n{}", lines(.0))]
    WrongBefore(Vec<Mistake>),
    #[error("the config would be wrong, and was left as it is:\n{}", lines(.0))]
    WrongAfter(Vec<Mistake>),
    #[error("the config cannot be edited: {0}")]
    NotToml(#[from] TomlError),
    #[error("no client is called {0}: `sealpost client list` shows those that are")]
    Unknown(String),
    #[error("a client is called {0} already: `sealpost client passwd {0}` gives it another password")]
    Taken(String),
    #[error("client {0} has no login that a password could belong to: write login into its [[client]] first")]
    NoLogin(String),
    #[error("write the clients as tables, [[client]], not as a list in one line")]
    NotTables,
    #[error("{}: {error}", path.display())]
    NoCertificate { path: PathBuf, error: KeyringError },
    #[error("a password needs at least {MIN_PASSWORD} characters, none of them a line end")]
    WeakPassword,
    #[error("the password holds a character that programs write in different ways, or not at all: choose another")]
    OddPassword,
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n")
}

/// A client that is to be added.
#[derive(Clone, Debug)]
pub(super) struct NewClient {
    pub name: String,
    pub profile: Profile,
    pub login: NewLogin,
    /// Default: everybody at the postmaster's domain.
    pub senders: Vec<String>,
    /// Files, or pins as the config has them.
    pub certificates: Vec<String>,
    pub networks: Vec<String>,
}

/// The user name of a client that is to be added.
#[derive(Clone, Debug)]
pub(super) enum NewLogin {
    /// The client's own name.
    AsNamed,
    Other(String),
    /// It is known by something else.
    Without,
}

impl From<AddArguments> for NewClient {
    fn from(arguments: AddArguments) -> NewClient {
        let AddArguments { name, profile, login, senders, certificates, networks, no_login, .. } = arguments;
        let login = match login {
            _ if no_login => NewLogin::Without,
            Some(login) => NewLogin::Other(login),
            None => NewLogin::AsNamed,
        };
        NewClient { name, profile, login, senders, certificates, networks }
    }
}

/// Where a client's password comes from.
#[derive(Clone)]
pub(super) enum Password {
    /// A strong one is made, and shown once.
    Made,
    /// As it was read from standard input.
    Given(Zeroizing<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Done {
    Added,
    PasswordChanged,
    Suspended,
    Resumed,
    Removed,
}

/// What was changed, to be told once the daemon has been asked to reload.
#[derive(Clone, Serialize)]
pub(super) struct Changed {
    pub client: String,
    /// The user name of a client that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    pub done: Done,
    /// Where a new client connects to, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Of a new client without a login, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_by: Option<String>,
    /// Only when it was made here; shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

pub(super) fn add(path: &Path, new: &NewClient, password: &Password) -> Result<Changed, ClientError> {
    let draft = Draft::open(path)?;
    if draft.config.clients.iter().any(|client| client.name.0 == new.name) {
        return Err(ClientError::Taken(new.name.clone()));
    }
    let login = match &new.login {
        NewLogin::AsNamed => Some(new.name.clone()),
        NewLogin::Other(login) => Some(login.clone()),
        NewLogin::Without => None,
    };
    let secret = login.as_ref().map(|login| Ok::<_, ClientError>((login, secret(password)?))).transpose()?;
    let mut table = written(new, &draft.config)?;
    let shown = secret.and_then(|(login, secret)| {
        table.insert("login", value(login));
        table.insert("password_hash", value(secret.hash));
        table.insert("scram", value(secret.scram));
        secret.shown
    });
    let server = Some(told::server(&draft.config, new));
    draft.save(|document| {
        // What a set-up says above its first client comes before it, and not behind.
        if !document.contains_key("client")
            && let Some(comment) = document.trailing().as_str().filter(|text| !text.is_empty()).map(str::to_owned)
        {
            table.decor_mut().set_prefix(comment);
            document.set_trailing("");
        }
        let clients = document.entry("client").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        clients.as_array_of_tables_mut().ok_or(ClientError::NotTables)?.push(table);
        Ok(())
    })?;
    Ok(Changed {
        client: new.name.clone(),
        login,
        done: Done::Added,
        server,
        known_by: told::known_by(new),
        password: shown,
    })
}

/// The table of a new client, without its login.
fn written(new: &NewClient, config: &Config) -> Result<Table, ClientError> {
    let everybody = [format!("*@{}", config.notify.postmaster.domain())];
    let senders = if new.senders.is_empty() { everybody.as_slice() } else { new.senders.as_slice() };
    let certificates = new.certificates.iter().map(|given| pin(given)).collect::<Result<Array, _>>()?;
    let mut table = Table::new();
    table.insert("name", value(&new.name));
    if new.profile != Profile::default() {
        table.insert("profile", value(new.profile.name()));
    }
    table.insert("senders", value(senders.iter().collect::<Array>()));
    if !certificates.is_empty() {
        table.insert("certificate", value(certificates));
    }
    if !new.networks.is_empty() {
        table.insert("networks", value(new.networks.iter().collect::<Array>()));
    }
    Ok(table)
}

/// A pin as the config has it: of a certificate in a file, that of its key, which outlives a renewal.
fn pin(given: &str) -> Result<String, ClientError> {
    if ["key:", "certificate:", "name:"].iter().any(|kind| given.starts_with(kind)) {
        return Ok(given.to_owned());
    }
    let path = PathBuf::from(given);
    let text = fs::read(&path).map_err(|error| ClientError::Read { path: path.clone(), error })?;
    let read = certificate::read(&text).map_err(|error| ClientError::NoCertificate { path, error })?;
    Ok(format!("key:{}", read.key_sha256))
}

pub(super) fn passwd(path: &Path, name: &str, password: &Password) -> Result<Changed, ClientError> {
    if login(find(&read(path)?.1, name)?).is_none() {
        return Err(ClientError::NoLogin(name.to_owned()));
    }
    let secret = secret(password)?;
    let changed = change(path, name, Done::PasswordChanged, |client| {
        // Who has taken password_hash out lets the client in by SCRAM only, and that is how it stays.
        if client.contains_key("password_hash") {
            client["password_hash"] = value(secret.hash);
        }
        client["scram"] = value(secret.scram);
    })?;
    Ok(Changed { password: secret.shown, ..changed })
}

pub(super) fn suspend(path: &Path, name: &str) -> Result<Changed, ClientError> {
    change(path, name, Done::Suspended, |client| client["suspended"] = value(true))
}

pub(super) fn resume(path: &Path, name: &str) -> Result<Changed, ClientError> {
    change(path, name, Done::Resumed, |client| drop(client.remove("suspended")))
}

/// A rule that names the client would then name nobody, which is a mistake: the config is left as it is.
pub(super) fn remove(path: &Path, name: &str) -> Result<Changed, ClientError> {
    let draft = Draft::open(path)?;
    let login = login(find(&draft.config, name)?);
    draft.save(|document| {
        tables(document)?.retain(|client| !is(client, name));
        Ok(())
    })?;
    Ok(Changed { client: name.to_owned(), login, done: Done::Removed, server: None, known_by: None, password: None })
}

impl Changed {
    /// For people. It shows a password that was made here.
    pub(super) fn tell(&self) -> String {
        let client = &self.client;
        let done = match self.done {
            Done::Added => format!("Client {client} may send."),
            Done::PasswordChanged => format!("Client {client} has a new password; the old one no longer works."),
            Done::Suspended => {
                format!("Client {client} is suspended: what it sends is answered 4xx. Mail that is queued goes on.")
            }
            Done::Resumed => format!("Client {client} may send again."),
            Done::Removed => format!("Client {client} is removed, and is let in no longer."),
        };
        let done = match &self.server {
            Some(server) => format!("{done}\n  Server     {server}"),
            None => done,
        };
        let done = match &self.known_by {
            Some(known_by) => format!("{done}\n  Known by   {known_by}"),
            None => done,
        };
        match &self.password {
            Some(password) => format!(
                "{done}\n  User name  {login}\n  Password   {password}\n\
                 The password is shown this once. A lost one is replaced: sealpost client passwd {client}\n",
                login = self.login.as_deref().unwrap_or("-")
            ),
            None => format!("{done}\n"),
        }
    }
}

/// Replaces a file so that after a crash there is the old one or the new one, whole. Mode and owner stay; a new file
/// is for its owner only.
pub(super) fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    // Behind a link, the file itself is replaced, and not the link.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let before = match fs::metadata(path) {
        Ok(about) => Some(about),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mode = before.as_ref().map_or(0o600, |about| about.mode() & 0o777);
    let temporary = path.with_added_extension("new");
    // Left over from a crash; nobody reads it.
    drop(fs::remove_file(&temporary));
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
    let written = (|| {
        if let Some(about) = &before {
            file.set_permissions(about.permissions())?;
            let mine = file.metadata()?;
            if (mine.uid(), mine.gid()) != (about.uid(), about.gid()) {
                fchown(&file, Some(about.uid()), Some(about.gid()))?;
            }
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // Without this, the rename itself may be lost with the power.
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    })();
    if written.is_err() {
        // Best effort: the error that is reported is the first one.
        drop(fs::remove_file(&temporary));
    }
    written
}

fn read(path: &Path) -> Result<(String, Config), ClientError> {
    let text = fs::read_to_string(path).map_err(|error| ClientError::Read { path: path.to_owned(), error })?;
    let config = config::parse(&text).map_err(ClientError::WrongBefore)?;
    Ok((text, config))
}

/// The config while it is being edited, by one at a time: two edits at once would lose one.
struct Draft {
    _alone: Flock<File>,
    path: PathBuf,
    text: String,
    config: Config,
}

impl Draft {
    fn open(path: &Path) -> Result<Draft, ClientError> {
        let failed = |error| ClientError::Read { path: path.to_owned(), error };
        // The folder, since the file itself is replaced by another one.
        let folder = path.canonicalize().and_then(|path| File::open(path.parent().unwrap_or(Path::new("/"))));
        let alone = Flock::lock(folder.map_err(failed)?, FlockArg::LockExclusive);
        let alone = alone.map_err(|(_, error)| failed(error.into()))?;
        let (text, config) = read(path)?;
        Ok(Draft { _alone: alone, path: path.to_owned(), text, config })
    }

    /// Changes the text, and replaces the file with it only when it is still a config.
    fn save(self, change: impl FnOnce(&mut DocumentMut) -> Result<(), ClientError>) -> Result<(), ClientError> {
        let mut document: DocumentMut = self.text.parse()?;
        change(&mut document)?;
        let text = document.to_string();
        config::parse(&text).map_err(ClientError::WrongAfter)?;
        replace_file(&self.path, &text).map_err(|error| ClientError::Write { path: self.path, error })
    }
}

fn find<'c>(config: &'c Config, name: &str) -> Result<&'c Client, ClientError> {
    let client = config.clients.iter().find(|client| client.name.0 == name);
    client.ok_or_else(|| ClientError::Unknown(name.to_owned()))
}

fn login(client: &Client) -> Option<String> {
    client.login.as_ref().map(|login: &Login| login.name.clone())
}

fn change(path: &Path, name: &str, done: Done, change: impl FnOnce(&mut Table)) -> Result<Changed, ClientError> {
    let draft = Draft::open(path)?;
    let login = login(find(&draft.config, name)?);
    draft.save(|document| {
        let client = tables(document)?.iter_mut().find(|client| is(client, name));
        change(client.ok_or_else(|| ClientError::Unknown(name.to_owned()))?);
        Ok(())
    })?;
    Ok(Changed { client: name.to_owned(), login, done, server: None, known_by: None, password: None })
}

fn tables(document: &mut DocumentMut) -> Result<&mut ArrayOfTables, ClientError> {
    document.get_mut("client").and_then(Item::as_array_of_tables_mut).ok_or(ClientError::NotTables)
}

fn is(client: &Table, name: &str) -> bool {
    client.get("name").and_then(Item::as_str) == Some(name)
}

/// What of a password goes into the config, and the password itself when it has to be shown.
struct Secret {
    hash: String,
    scram: String,
    shown: Option<String>,
}

fn secret(password: &Password) -> Result<Secret, ClientError> {
    let (password, shown) = match password {
        Password::Made => {
            // 120 bits, in letters that survive being typed off a screen.
            let made = BASE32_NOPAD.encode(&crypto::random::<15>()?).to_lowercase();
            (Zeroizing::new(made.clone()), Some(made))
        }
        Password::Given(given) => {
            if given.chars().count() < MIN_PASSWORD || given.chars().any(char::is_control) {
                return Err(ClientError::WeakPassword);
            }
            (given.clone(), None)
        }
    };
    let scram = smtp::verifier(&password)?.ok_or(ClientError::OddPassword)?.to_string();
    Ok(Secret { hash: crypto::hash_password(&password)?, scram, shown })
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[password]")
    }
}

impl std::fmt::Debug for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changed").field("client", &self.client).field("done", &self.done).finish_non_exhaustive()
    }
}
