//! Mistakes of people that are caught, or can be undone, before anybody has read them.

mod answered;
mod misdirected;
mod sent_again;
mod take_back;
mod told_by_a_rule;

use crate::house::{ANN, House, SOON, send, text};
use crate::world::client::Mail;
use crate::world::until;

/// Someone's health, in a few words.
const CHART: &str = "Patient: Maria Quist, MRN 00482913, has asthma. Albuterol 90 mcg.";

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
