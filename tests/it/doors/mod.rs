//! Which door is for whom: servers that are known by their network, devices without TLS, proxies in front, and crowds.

#![cfg(test)]

mod behind_a_proxy;
mod crowded;
mod legacy;
mod relay;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::clinic::{Clinic, HASH, free, own_address};
use crate::world::authority::credulous_client;
use crate::world::behaviour::Behaviour;
use crate::world::client::{Client, Entry};
use crate::world::daemon::HOSTNAME;

/// Two ports that nobody has, on an address of this test's own.
fn doors() -> [SocketAddr; 2] {
    free(own_address())
}

/// A clinic with a partner at lab.example, and a config that says what its doors are.
async fn clinic(config: &str) -> Clinic {
    Clinic::open(&[("lab.example", Behaviour::default())], config).await
}

/// A client that logs in, from anywhere.
fn ehr() -> String {
    let hash = HASH.as_str();
    format!(
        "[[client]]\nname = \"ehr\"\nlogin = \"ehr\"\npassword_hash = \"{hash}\"\nsenders = [\"*@clinic.example\"]\n"
    )
}

/// A client that is known by its networks alone.
fn known(name: &str, networks: &str, more: &str) -> String {
    format!("[[client]]\nname = \"{name}\"\nnetworks = [{networks}]\nsenders = [\"*@clinic.example\"]\n{more}\n")
}

fn source(third: u8, last: u8) -> IpAddr {
    Ipv4Addr::new(127, 34, third, last).into()
}

/// Connects from an address, with STARTTLS.
async fn secured(from: IpAddr, to: SocketAddr) -> Client {
    let entry = Entry::StartTls(credulous_client().unwrap(), HOSTNAME.to_owned());
    Client::connect_from(from, to, &entry).await.unwrap()
}

/// Connects from an address, in clear.
async fn clear(from: IpAddr, to: SocketAddr) -> Client {
    Client::connect_from(from, to, &Entry::Clear).await.unwrap()
}
