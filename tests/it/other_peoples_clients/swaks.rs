//! swaks, which every page of docs/connect tests with.

use std::process::Command;

use super::{Door, Mechanism, Order, Trust, arrived, assert_nothing_taken, clinic, distrusted, orders};
use crate::clinic::{Clinic, PASSWORD};
use crate::world::daemon::Printed;

fn swaks(clinic: &Clinic, order: &Order, trust: Trust) -> Printed {
    let mut swaks = Command::new("swaks");
    swaks.args(["--timeout", "20", "--from", "ann@clinic.example", "--to", &order.recipient()]);
    match order.door {
        Door::StartTls => swaks.args(["--server", &clinic.submission.to_string(), "--tls"]),
        Door::Tls => swaks.args(["--server", &clinic.submissions.to_string(), "--tls-on-connect"]),
    };
    swaks.arg("--tls-verify");
    if trust == Trust::Ours {
        swaks.arg("--tls-ca-path").arg(clinic.ca());
    }
    swaks.args(["--auth-user", "ehr", "--auth-password", PASSWORD]);
    match order.mechanism {
        Mechanism::Plain => swaks.args(["--auth", "PLAIN"]),
        Mechanism::Login => swaks.args(["--auth", "LOGIN"]),
        Mechanism::Own => swaks.arg("--auth"),
    };
    swaks.arg("--data").arg(format!("@{}", clinic.file("letter.eml", &order.content).display()));
    clinic.run(swaks)
}

#[tokio::test(flavor = "multi_thread")]
async fn swaks_submits_by_both_doors() {
    let clinic = clinic().await;
    let orders = orders();
    for order in [&orders[0], orders.last().unwrap()] {
        let told = swaks(&clinic, order, Trust::Nothing);
        assert!(!told.status.success() && told.err.contains("certificate"), "{}{}", told.out, told.err);
    }
    distrusted(&clinic).await;
    let mut sent = Vec::new();
    for order in orders {
        swaks(&clinic, &order, Trust::Ours).good().unwrap();
        // swaks ends its data with a line end and the dot, whether the file had its last line end or not.
        sent.push((order.name, [&order.content[..], b"\r\n"].concat()));
    }
    arrived(&clinic, &sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tls_or_a_login_nothing_goes_through() {
    let clinic = clinic().await;
    let swaks = |arguments: &[&str]| {
        let mut swaks = Command::new("swaks");
        swaks.args(["--timeout", "20", "--from", "ann@clinic.example", "--to", "results@lab.example"]);
        swaks.args(["--server", &clinic.submission.to_string()]).args(arguments);
        clinic.run(swaks)
    };
    let told = swaks(&["--tls"]);
    assert!(!told.status.success() && told.out.contains("530 5.7.0 authentication required"), "{}", told.out);
    let told = swaks(&[]);
    assert!(!told.status.success() && told.out.contains("530 5.7.0 STARTTLS first"), "{}", told.out);
    assert_nothing_taken(&clinic);
}
