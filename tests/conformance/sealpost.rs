//! A Sealpost that is asked like any other server, as a submission server whose next hop is the runner's.

use std::net::SocketAddr;
use std::path::Path;

use crate::world::Result;
use crate::world::daemon::{Daemon, binary};

/// What it is given.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub folder: &'a Path,
    /// The port that starts in clear, and the one with TLS from the first octet.
    pub ports: [SocketAddr; 2],
    pub sink: SocketAddr,
    pub sink_ca: &'a Path,
    pub user: &'a str,
    pub password: &'a str,
}

/// Furnished, and not yet started.
pub fn sealpost(wanted: &Wanted<'_>) -> Result<Daemon> {
    let Wanted { folder, ports: [address, implicit], sink, sink_ca, user, password } = wanted;
    let daemon = Daemon::init(&binary()?, folder)?;
    daemon.configure(&format!(
        r#"
[[listener]]
role = "submission"
bind = "{address}"
[[listener]]
role = "submissions"
bind = "{implicit}"
[[route]]
domains = ["lab.example"]
host = "{sink}"
name = "mx.lab.example"
ca_file = "{}"
onward = "final"
[http]
bind = "off"
"#,
        sink_ca.display()
    ))?;
    daemon.add_client(user, password)?;
    may_send_as_nobody(&daemon.config)?;
    Ok(daemon)
}

/// Lets the only client of a config of Sealpost send with the null sender as well (RFC 5321 4.5.5).
fn may_send_as_nobody(config: &Path) -> Result<()> {
    let text = std::fs::read_to_string(config)?;
    let senders = r#"senders = ["*@clinic.example"]"#;
    if !text.contains(senders) {
        return Err("the config has no client of this clinic".into());
    }
    std::fs::write(config, text.replace(senders, r#"senders = ["*@clinic.example", "<>"]"#))?;
    Ok(())
}
