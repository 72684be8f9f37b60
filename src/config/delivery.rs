//! `[delivery]` and `[dns]`: how mail leaves, and who is asked for names.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::reader::{Absent, Table};
use crate::config::value::{self, count, duration};

/// `[delivery]`
#[derive(Clone, Debug)]
pub struct Delivery {
    pub connections: usize,
    pub connections_per_destination: usize,
    pub messages_per_connection: usize,
    pub idle: Duration,
    pub connect: Duration,
    pub command: Duration,
    pub data: Duration,
    /// Private and loopback networks that an MX may lie in.
    pub allow_networks: Vec<IpNet>,
    /// Trusted roots beside the system's.
    pub ca_file: Option<PathBuf>,
}

impl Delivery {
    /// `lease` is that of the queue.
    pub(super) fn read(table: &mut Table<'_, '_>, lease: Duration) -> Delivery {
        let data_line = table.line_of("data");
        let delivery = Delivery {
            connections: table.setting("connections", count),
            connections_per_destination: table.setting("connections_per_destination", count),
            messages_per_connection: table.setting("messages_per_connection", count),
            idle: table.setting("idle", duration),
            connect: table.setting("connect", duration),
            command: table.setting("command", duration),
            data: table.setting("data", duration),
            allow_networks: table.list("allow_networks", Absent::Default, value::network),
            ca_file: table.optional("ca_file", value::path),
        };
        let needs = delivery.command + delivery.data;
        // A lease that is wrong already has its own mistake.
        if !lease.is_zero() && needs > lease * 2 / 3 {
            let text = "an attempt ends after two thirds of queue.lease, and data and command together are longer: raise the lease";
            table.mistake(data_line, "data", text);
        }
        delivery
    }
}

/// `[dns]`
#[derive(Clone, Debug)]
pub struct Dns {
    /// Empty: the system's resolvers.
    pub servers: Vec<SocketAddr>,
    pub timeout: Duration,
}

impl Dns {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Dns {
        Dns {
            servers: table.list("servers", Absent::Default, value::resolver),
            timeout: table.setting("timeout", duration),
        }
    }
}
