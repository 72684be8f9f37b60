//! Mistakes of people that are caught, or can be undone, before anybody has read them.

mod answered;
mod misdirected;
mod sent_again;
mod take_back;
mod told_by_a_rule;

use crate::cluster::Cluster;
use crate::house::{ANN, House, SOON, send, text};
use crate::world::client::Mail;
use crate::world::until;

/// Someone's health, in a few words.
const CHART: &str = "Patient: Maria Quist, MRN 00482913, has asthma. Albuterol 90 mcg.";

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_caught_and_undone_on_postgresql_too() {
    let cluster = Cluster::start();
    let database = |name: &str| format!("[database]\nurl = \"{}\"\n", cluster.database(name));
    take_back::scenario(185, &database("take_back")).await;
    misdirected::scenario(186, &database("misdirected")).await;
    answered::scenario(187, &database("answered")).await;
    sent_again::scenario(188, &database("sent_again")).await;
}

/// Sends what Ann wrote, header and all, to these people; gives the id that the 250 names.
async fn write(house: &House, to: &[&str], text: &str) -> String {
    let mut client = house.client().await;
    let content = format!("From: {ANN}\n{text}\n").replace('\n', "\r\n").into_bytes();
    let recipients = to.iter().map(|&to| to.to_owned()).collect();
    let id = send(&mut client, &Mail { sender: ANN.to_owned(), recipients, content }).await;
    client.quit().await.unwrap();
    id
}

/// What the receipt about something that may be a mistake says, in one line.
async fn warned(house: &House, id: &str) -> String {
    let find = || {
        let told = house.home.took().iter().map(text).find(|told| told.contains(id) && told.contains("Please look at"));
        told.map(|told| told.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    until(&format!("a warning about {id}"), SOON, find)
        .await
        .unwrap_or_else(|error| panic!("{error}: {}", house.told(id)))
}
