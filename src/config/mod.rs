//! The config: one typed tree, one type per table, and the mistakes that a text can hold.

mod cases;
mod client;
mod database;
mod delivery;
mod guard;
mod kept;
mod limits;
mod listener;
mod login;
pub mod names;
mod policy;
mod profile;
mod queue;
mod rate;
mod reader;
mod reference;
mod route;
mod server;
#[cfg(test)]
pub(crate) mod tests;
mod trial;
mod value;

use std::path::{Path, PathBuf};

pub use cases::{ActionName, Case, CaseMessage, Expect, parse_cases};
pub use client::{Client, OnRefusal, Permission};
pub use database::{Database, Retention};
pub use delivery::{Delivery, Dns};
pub use guard::{Care, Guard, Response};
pub use kept::{Apart, apart, data_dir, keep_members};
pub use limits::Limits;
pub use listener::{Certificate, Door, Legacy, Listener, RelayTls, Tls, stands_for_all};
pub use login::{Certified, Login, MIN_ITERATIONS, Scram};
pub use policy::{
    Adds, Cannot, Compat, Counted, Group, HeaderIs, Last, Level, OperatingPoint, PhiSubject, Policy, Product, Rule,
    Scope, Then, Verification, When,
};
pub use profile::Profile;
pub use queue::Queue;
pub use rate::{Rate, Rates};
pub use reader::Mistake;
pub use reference::{REFERENCE, page as reference_page};
pub use route::{Onward, Route, RouteLogin};
pub use server::{Http, Log, LogFormat, Notify, Server};
pub use trial::Trial;

use reader::{Reader, Table};

/// A whole config, checked: every value has its type, and what refers to something refers to what exists.
#[derive(Clone, Debug)]
pub struct Config {
    pub server: Server,
    pub notify: Notify,
    pub tls: Tls,
    pub listeners: Vec<Listener>,
    pub clients: Vec<Client>,
    pub routes: Vec<Route>,
    pub policy: Policy,
    pub limits: Limits,
    pub queue: Queue,
    pub delivery: Delivery,
    pub dns: Dns,
    pub database: Database,
    pub retention: Retention,
    pub http: Http,
    pub log: Log,
}

/// Reads a whole config, or says everything that is wrong with it, in the order of its lines.
pub fn parse(text: &str) -> Result<Config, Vec<Mistake>> {
    let mut reader = Reader::new(text);
    let config = reader.read(reference::schema(), read);
    match config {
        Some(Some(config)) if reader.mistakes.is_empty() => Ok(config),
        Some(_) | None => Err(reader.mistakes),
    }
}

/// `None` when something required is missing or wrong; its mistake is then recorded.
fn read(root: &mut Table<'_, '_>) -> Option<Config> {
    let server = root.table("server", Server::read);
    let hostname = server.as_ref().map(|server| &server.hostname);
    let notify = root.table("notify", |table| Notify::read(table, hostname));
    let tls = root.table("tls", Tls::read);
    let listeners = listener::read_all(root);
    let http = root.table("http", |table| Http::read(table, &listeners.all));
    let clients = client::read_all(root, &tls);
    if root.mistakes() == 0 {
        listeners.check_owned(root, &clients.all);
    }
    let routes = route::read_all(root);
    let policy = root.table("policy", |table| Policy::read(table, &clients));
    let limits = root.table("limits", Limits::read);
    let queue = root.table("queue", Queue::read);
    let delivery = root.table("delivery", |table| Delivery::read(table, queue.lease));
    let dns = root.table("dns", Dns::read);
    let database = root.table("database", Database::read);
    let retention = root.table("retention", Retention::read);
    let log = root.table("log", Log::read);
    let (server, notify, clients, listeners) = (server?, notify?, clients.all, listeners.all);
    Some(Config {
        server,
        notify,
        tls,
        listeners,
        clients,
        routes,
        policy,
        limits,
        queue,
        delivery,
        dns,
        database,
        retention,
        http,
        log,
    })
}

impl Config {
    /// With relative paths made to start at the folder that the config lies in.
    pub fn resolve(mut self, folder: &Path) -> Config {
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        resolve(&mut self.server.data_dir);
        resolve(&mut self.server.master_key);
        for certificate in &mut self.tls.certificates {
            resolve(&mut certificate.chain);
            resolve(&mut certificate.key);
        }
        self.tls.client_ca_file.iter_mut().for_each(resolve);
        for route in &mut self.routes {
            route.ca_file.iter_mut().for_each(resolve);
            route.login.iter_mut().for_each(|login| resolve(&mut login.password_file));
            if let Some(certificate) = &mut route.client_certificate {
                resolve(&mut certificate.chain);
                resolve(&mut certificate.key);
            }
        }
        self.delivery.ca_file.iter_mut().for_each(resolve);
        self.policy.trial.tests.iter_mut().for_each(resolve);
        self.policy.groups.iter_mut().filter_map(|group| group.file.as_mut()).for_each(resolve);
        self
    }
}
