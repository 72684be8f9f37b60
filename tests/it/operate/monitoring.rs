//! What machines read: health, readiness, metrics, and the log as text or JSON, all without a word of the mail.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use crate::house::{House, SOON};
use crate::world::behaviour::{Behaviour, Override, Step};
use crate::world::until;

fn get(house: &House, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect((house.address(1), 9465)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_and_metrics_are_answered_on_loopback() {
    let mut house = House::open(66, "").await;
    let lab = house.partner(11, "lab.example", Behaviour::default()).await;
    assert_eq!(house.settled(&house.submit(&["maribel@lab.example"], "Knee").await).await, ["delivered"]);
    assert_eq!(get(&house, "/healthz"), ("HTTP/1.1 200 OK".into(), "alive\n".into()));
    assert_eq!(get(&house, "/readyz"), ("HTTP/1.1 200 OK".into(), "ready\n".into()));
    assert!(get(&house, "/else").0.contains("404"));
    let metrics = get(&house, "/metrics").1;
    for name in [
        "sealpost_delivery_attempts_total{result=\"delivered\"} 1",
        "sealpost_jobs{state=\"queued\"}",
        "sealpost_jobs_balanced 1",
        "sealpost_failed_checks 0",
        "sealpost_delivery_seconds_bucket",
    ] {
        assert!(metrics.contains(name), "{name} is missing in {metrics}");
    }
    for secret in ["maribel", "Knee", "clinic.example", "lab.example"] {
        assert!(!metrics.contains(secret), "{secret} in {metrics}");
    }
    assert_eq!(lab.took().len(), 1);
    house.daemon.stop().unwrap();
    // A disk that is nearly full: not ready, and said so.
    house.daemon.configure("[limits]\ndisk_reserve_bytes = \"900000GiB\"").unwrap();
    house.daemon.start().unwrap();
    let (status, why) = get(&house, "/readyz");
    assert!(status.contains("503") && why.contains("disk"), "{status} {why}");
    assert!(get(&house, "/healthz").0.contains("200"));
    let failed = || get(&house, "/metrics").1.contains("sealpost_failed_checks 1").then_some(());
    until("the failed check in the metrics", SOON, failed).await.unwrap();
    let log = house.daemon.logs().unwrap();
    assert!(log.contains("a self-check fails") && log.contains("check.name=\"free disk\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_json_with_dotted_names_and_without_the_mail() {
    let house = House::open(67, "[log]\nformat = \"json\"\nfilter = \"debug\"").await;
    let refusal = Override::reply(Step::Rcpt, 550, "5.1.1 no maribel here");
    let lab = house.partner(11, "lab.example", Behaviour::but(&[refusal])).await;
    let id = house.submit(&["maribel@lab.example"], "Knee").await;
    assert_eq!(house.settled(&id).await, ["bounced"]);
    house.notice(&id).await;
    let log = house.daemon.logs().unwrap();
    let name = Regex::new(r"^[a-z0-9_]+(\.[a-z0-9_]+)*$").unwrap();
    let mut ours = 0;
    for line in log.lines() {
        let row: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let fields = row.as_object().unwrap();
        assert!(["timestamp", "level", "message", "target"].iter().all(|key| fields.contains_key(*key)), "{line}");
        if fields["target"].as_str().unwrap().starts_with("sealpost") {
            ours += 1;
            let odd: Vec<_> = fields.keys().filter(|key| !name.is_match(key)).collect();
            assert!(odd.is_empty(), "{odd:?} in {line}");
        }
    }
    assert!(ours > 3);
    let queued = log.lines().find(|line| line.contains("queued message")).unwrap();
    for field in ["message.id", "client.name", "size.bytes", "took.ms"] {
        assert!(queued.contains(&format!("\"{field}\":")), "{field} is missing in {queued}");
    }
    let attempt = log.lines().find(|line| line.contains("attempt 1")).unwrap();
    for field in ["job.id", "reply.code", "recipient.domain", "stage", "mx.host"] {
        assert!(attempt.contains(&format!("\"{field}\":")), "{field} is missing in {attempt}");
    }
    for secret in ["maribel", "Knee", "noon", "ann@", &house.login.1] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    assert!(lab.took().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_socket_is_for_its_owner_and_root_only() {
    let house = House::open(68, "").await;
    let socket = house.daemon.folder.join("data/control.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let data = house.daemon.folder.join("data");
    assert_eq!(std::fs::metadata(data).unwrap().permissions().mode() & 0o777, 0o700);
    // What is no request of ours is answered, and ends nothing.
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    stream.write_all(b"{\"command\":\"drop_everything\"}\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("not a request of this version"), "{answer}");
    house.audited();
}
