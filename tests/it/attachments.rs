//! Attachments are read by a child that can reach nothing: what is in them decides, and what they do to the child harms nobody.

#![cfg(test)]

use std::process::Command;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::Value;

use crate::clinic::{Clinic, mail, queued};
use crate::world::behaviour::Behaviour;

const LAB: &str = "results@lab.example";
const CHART: &str = "Patient: Maribel Quist, MRN 00482913, DOB 03/14/1962, has type 2 diabetes and takes metformin.\n";
const MENU: &str = "Monday: soup and bread. Tuesday: rice with vegetables.\n";
/// Makes what the arguments name, as Python's own library does.
const PRODUCER: &str = r#"
import gzip, io, sys, tarfile, zipfile
kind, text = sys.argv[1], sys.argv[2].encode()
out = io.BytesIO()
def zipped(name, octets, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(name, octets)
    return out.getvalue()
if kind == "zip":
    out.write(zipped("list.txt", text))
elif kind == "stored":
    out.write(zipped("list.txt", text, zipfile.ZIP_STORED))
elif kind == "nested":
    out.write(zipped("inner.zip", zipped("list.txt", text)))
elif kind == "tar":
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("list.txt")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
elif kind == "gzip":
    out.write(gzip.compress(text))
elif kind == "cut":
    out.write(zipped("list.txt", text)[:-30])
elif kind == "bomb":
    out.write(gzip.compress(b" " * (90 << 20)))
sys.stdout.buffer.write(out.getvalue())
"#;

fn made(kind: &str, text: &str) -> Vec<u8> {
    let output = Command::new("python3").args(["-c", PRODUCER, kind, text]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn with(name: &str, octets: &[u8]) -> Vec<u8> {
    let lines: Vec<String> = octets.chunks(57).map(|line| BASE64.encode(line) + "\r\n").collect();
    format!(
        "From: ann@clinic.example\r\nTo: {LAB}\r\nSubject: as you asked\r\nMIME-Version: 1.0\r\n\
         Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <{name}@clinic.example>\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee the list.\r\n--b\r\n\
         Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename={name}\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}--b--\r\n",
        lines.concat()
    )
    .into_bytes()
}

async fn classified(clinic: &Clinic, content: &[u8]) -> Value {
    let id = queued(&clinic.submit("ehr", &[LAB], content).await);
    clinic.story(&id)["record"]["classified"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_an_archive_decides_as_what_is_in_the_text() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    for kind in ["zip", "stored", "nested", "tar", "gzip"] {
        let chart = classified(&clinic, &with("list.dat", &made(kind, CHART))).await;
        assert_eq!(chart["phi"], true, "{kind}: {chart}");
        assert!(chart.to_string().contains("MRN"), "{kind}: {chart}");
        assert!(!chart.to_string().contains("UNREADABLE"), "{kind}: {chart}");
        let menu = classified(&clinic, &with("list.dat", &made(kind, MENU))).await;
        assert_eq!(menu["phi"], false, "{kind}: {menu}");
    }
    let cut = classified(&clinic, &with("list.zip", &made("cut", MENU))).await;
    assert_eq!(cut["phi"], true);
    assert!(cut.to_string().contains("UNREADABLE"), "{cut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_packed_into_a_calendar_decides_as_an_attachment_does() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let event = |text: &str| {
        let packed = BASE64.encode(&made("zip", text));
        let attached = format!("ATTACH;FILENAME=list.zip;ENCODING=BASE64;VALUE=BINARY:\r\n {packed}");
        format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Lunch\r\n{attached}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
    };
    let chart = classified(&clinic, &with("visit.ics", event(CHART).as_bytes())).await;
    assert_eq!(chart["phi"], true, "{chart}");
    assert!(chart.to_string().contains("MRN") && !chart.to_string().contains("UNREADABLE"), "{chart}");
    let menu = classified(&clinic, &with("lunch.ics", event(MENU).as_bytes())).await;
    assert_eq!(menu["phi"], false, "{menu}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_asks_for_too_much_memory_ends_and_its_message_does_not() {
    let mut clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    // As much as a child needs to begin, and less than it unpacks here.
    clinic.limits("extract_memory = \"128MiB\"\nmime_ratio = 5000");
    let mut client = clinic.login("ehr").await;
    let bomb = with("list.gz", &made("bomb", ""));
    let began = Instant::now();
    for _ in 0..3 {
        let id = queued(client.send(&mail(&[LAB], &bomb)).await.unwrap().last());
        let read = clinic.story(&id)["record"]["classified"].clone();
        assert_eq!(read["phi"], true);
        assert!(read.to_string().contains("UNREADABLE"), "{read}");
    }
    // The next one is read by another child.
    let id = queued(client.send(&mail(&[LAB], &with("list.zip", &made("zip", MENU)))).await.unwrap().last());
    let read = clinic.story(&id)["record"]["classified"].clone();
    assert_eq!(read["phi"], false, "{read}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
