//! curl, the SMTP client of many scripts.

use std::process::Command;

use super::{Door, Mechanism, Order, Trust, arrived, clinic, distrusted, messages, orders};
use crate::clinic::{Clinic, PASSWORD};
use crate::world::daemon::{HOSTNAME, Printed};

fn curl(clinic: &Clinic, order: &Order, trust: Trust) -> Printed {
    let (scheme, server) = match order.door {
        Door::StartTls => ("smtp", clinic.submission),
        Door::Tls => ("smtps", clinic.submissions),
    };
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--ssl-reqd"]);
    curl.arg("--resolve").arg(format!("{HOSTNAME}:{}:{}", server.port(), server.ip()));
    curl.arg("--url").arg(format!("{scheme}://{HOSTNAME}:{}/ehr.clinic.example", server.port()));
    if trust == Trust::Ours {
        curl.arg("--cacert").arg(clinic.ca());
    }
    match order.mechanism {
        Mechanism::Plain => curl.args(["--login-options", "AUTH=PLAIN"]),
        Mechanism::Login => curl.args(["--login-options", "AUTH=LOGIN", "--sasl-ir"]),
        Mechanism::Own => &mut curl,
    };
    curl.arg("--user").arg(format!("ehr:{PASSWORD}"));
    curl.args(["--mail-from", "ann@clinic.example", "--mail-rcpt", &order.recipient()]);
    curl.arg("--upload-file").arg(clinic.file("letter.eml", &order.content)).env("LC_ALL", "C.UTF-8");
    clinic.run(curl)
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_submits_by_both_doors() {
    let clinic = clinic().await;
    let mut orders = orders();
    for order in [&orders[0], orders.last().unwrap()] {
        let told = curl(&clinic, order, Trust::Nothing);
        assert!(told.err.contains("certificate"), "{}", told.err);
    }
    distrusted(&clinic).await;
    // An address in UTF-8 makes it ask for SMTPUTF8.
    let (_, content) = messages().pop().unwrap();
    orders.push(Order { door: Door::StartTls, mechanism: Mechanism::Own, name: "größe".into(), content });
    let mut sent = Vec::new();
    for order in orders {
        curl(&clinic, &order, Trust::Ours).good().unwrap();
        sent.push((order.name, order.content));
    }
    arrived(&clinic, &sent).await;
}
