//! How long a client waits for each answer of an idle Sealpost: the greeting, each reply, and the 250 for 10 MiB.
//!
//! Some clients give up after a second (OpenClinica, to connect) or after five (Mirth, to send). The goals are 100 ms for the
//! greeting and each reply, and a second for 10 MiB.

#![allow(unreachable_pub, reason = "a program exports nothing")]

#[path = "../world/mod.rs"]
mod world;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use tokio::net::TcpStream;

use crate::world::Result;
use crate::world::authority::{Authority, credulous_client};
use crate::world::behaviour::Behaviour;
use crate::world::client::{Client, Entry};
use crate::world::daemon::{Daemon, HOSTNAME, binary, free_address};
use crate::world::mx::Mx;
use crate::world::wire::{Wire, with_dots};

const PASSWORD: &str = "invented-for-the-benchmark";
const SIZE: usize = 10 * 1024 * 1024;
const REPEAT: usize = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("answers: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("sealpost-answers-").tempdir()?;
    let authority = Arc::new(Authority::new("Partners' CA")?);
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem)?;
    let mx = Mx::start("mx.lab.example", "127.37.0.1:0", Behaviour::default(), &authority).await?;
    let address = free_address()?;
    let mut daemon = Daemon::init(&binary()?, &folder.path().join("relay"))?;
    let (hash, host, ca) = (sealpost::crypto::hash_password(PASSWORD)?, mx.address, ca.display());
    daemon.configure(&format!(
        "[[listener]]\nrole = \"submission\"\nbind = \"{address}\"\n[[client]]\nname = \"ehr\"\nlogin = \"ehr\"\n\
         password_hash = \"{hash}\"\nsenders = [\"*@clinic.example\"]\n[[route]]\ndomains = [\"lab.example\"]\n\
         host = \"{host}\"\nname = \"mx.lab.example\"\nonward = \"final\"\n[delivery]\nca_file = \"{ca}\"\n\
         [http]\nbind = \"off\"\n"
    ))?;
    daemon.start()?;
    let mut waits = Waits::default();
    for _ in 0..REPEAT {
        let began = Instant::now();
        let mut wire = Wire::plain(TcpStream::connect(address).await?)?;
        wire.reply().await?;
        waits.note("greeting", began);
        for (kind, content) in messages() {
            let entry = Entry::StartTls(credulous_client()?, HOSTNAME.to_owned());
            let mut client = Client::connect(address, &entry).await?;
            send(&mut client, kind, &with_dots(&content), &mut waits).await?;
            client.quit().await?;
        }
    }
    mx.wait_for(REPEAT * messages().len(), Duration::from_secs(120)).await?;
    daemon.stop()?;
    waits.print();
    Ok(())
}

async fn send(client: &mut Client, kind: &'static str, content: &[u8], waits: &mut Waits) -> Result<()> {
    let login = BASE64.encode(format!("\0ehr\0{PASSWORD}").as_bytes());
    for (name, line) in [
        ("EHLO", "EHLO ehr.clinic.example"),
        ("AUTH", &*format!("AUTH PLAIN {login}")),
        ("MAIL", "MAIL FROM:<ann@clinic.example>"),
        ("RCPT", "RCPT TO:<results@lab.example>"),
        ("DATA", "DATA"),
    ] {
        let began = Instant::now();
        let reply = client.command(line).await?;
        waits.note(name, began);
        if !reply.is_positive() {
            return Err(format!("{name}: {}", reply.text()).into());
        }
    }
    let began = Instant::now();
    let dot = content.len() - 3;
    client.write(&content[..dot]).await?;
    waits.note("  10 MiB on their way", began);
    let began = Instant::now();
    client.write(&content[dot..]).await?;
    let reply = client.reply().await?;
    waits.note(kind, began);
    if reply.code == 250 { Ok(()) } else { Err(reply.text().into()) }
}

/// Messages of 10 MiB of the kinds that cost the most to read.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let head = "From: ann@clinic.example\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@x>\r\nMIME-Version: 1.0\r\n";
    let notes =
        "Patient Ann Quist, MRN 4417203, born 02/03/1961, was seen for diabetes mellitus type 2; metformin 500 mg.\r\n";
    let rows = "4417203,Quist,Ann,1961-02-03,E11.9,metformin 500 mg,555-0142,12 Elm Street\r\n";
    let scan: Vec<u8> = (0..SIZE as u64).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let part = |media_type: &str, name: &str, octets: &[u8]| {
        let lines = BASE64.encode(&octets[..SIZE / 78 * 57]);
        let lines: Vec<&str> = (0..lines.len()).step_by(76).map(|at| &lines[at..lines.len().min(at + 76)]).collect();
        format!(
            "{head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsee the file\r\n--b\r\nContent-Type: {media_type}\r\n\
             Content-Disposition: attachment; filename={name}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
            lines.join("\r\n")
        )
    };
    let fill = |text: &str| text.repeat(SIZE / text.len() + 1);
    let page = fill(&format!("<tr><td>{}</td><td>&nbsp;</td></tr>\r\n", notes.trim_end()));
    vec![
        (
            "10 MiB, a scan (PDF)",
            part("application/pdf", "scan.pdf", &[b"%PDF-1.7\n", &scan[..]].concat()).into_bytes(),
        ),
        ("10 MiB, a table (CSV)", part("text/csv", "list.csv", fill(rows).as_bytes()).into_bytes()),
        ("10 MiB, plain text", format!("{head}\r\n{}", fill(notes)).into_bytes()),
        ("10 MiB, a page (HTML)", format!("{head}Content-Type: text/html\r\n\r\n{page}").into_bytes()),
    ]
}

/// How long each thing took, each time.
#[derive(Default)]
struct Waits(BTreeMap<&'static str, Vec<Duration>>);

impl Waits {
    fn note(&mut self, what: &'static str, began: Instant) {
        self.0.entry(what).or_default().push(began.elapsed());
    }

    fn print(mut self) {
        println!("{:24} {:>10} {:>10}", "answer", "median", "longest");
        for (what, waits) in &mut self.0 {
            waits.sort_unstable();
            let millis = |wait: Duration| wait.as_secs_f64() * 1000.0;
            let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
            println!("{what:24} {:>7.1} ms {:>7.1} ms", millis(median), millis(longest));
        }
    }
}
