//! Gives past decisions to whoever tries another policy on them, page by page: mail goes on meanwhile.

use serde_json::json;

use crate::audit::Actor;
use crate::clock::Timestamp;
use crate::control::desk::{Desk, Rows, give, unwritable};
use crate::control::{Failure, Purpose};
use crate::evidence::record::{Origin, Record};
use crate::mail::{ClientName, MessageId};

/// Records that are opened at once.
const PAGE: usize = 200;

pub(super) async fn records(
    desk: &Desk,
    actor: Actor,
    (client, since, purpose): (Option<ClientName>, Timestamp, Purpose),
    rows: &Rows,
) -> Result<(), Failure> {
    desk.note_reading(actor, None, purpose.name()).await?;
    let mut after = MessageId::from_parts(since, 0);
    give(rows, json!({ "messages": desk.store.count_evidence_behind(after).await? })).await?;
    loop {
        let page = desk.evidence.records(after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        for (message, record) in page {
            if !is_from(client.as_ref(), record.as_ref()) {
                continue;
            }
            let record = serde_json::to_value(&record).map_err(unwritable)?;
            give(rows, json!({ "message": message, "record": record })).await?;
        }
    }
}

fn is_from(wanted: Option<&ClientName>, record: Option<&Record>) -> bool {
    let Some(wanted) = wanted else { return true };
    match record.map(|record| &record.origin) {
        Some(Origin::Submitted { client, .. }) => client.as_ref() == Some(wanted),
        Some(Origin::OwnNotice) | None => false,
    }
}
