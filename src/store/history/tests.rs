//! What is remembered is bounded, and each question about it is about few rows.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::config;
use crate::crypto::{Key, sha256};

const DAY: i64 = 24 * 60 * 60 * 1000;
const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_000);

async fn open(folder: &Path) -> Store {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
    let database = config::Database { url: "sqlite".into(), body_file_bytes: 1 << 16 };
    Store::open(&database, folder, Key::generate().unwrap(), clock).await.unwrap()
}

#[tokio::test]
async fn what_is_remembered_is_bounded_by_time_and_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let (store, now) = (open(folder.path()).await, NOW);
    let written = |client: &str, number: u8| Written {
        client: ClientName(client.into()),
        person: sha256(&[number]),
        domain: Domain::parse(&format!("d{number}.example")).unwrap(),
    };
    let all = [
        (written("ehr", 1), now.millis() - 731 * DAY),
        (written("ehr", 2), now.millis() - 3 * DAY),
        (written("ehr", 3), now.millis() - 2 * DAY),
        (written("ehr", 4), now.millis() - DAY),
        (written("scanner", 2), now.millis() - 9 * DAY),
    ];
    let rows: Vec<(&Written, i64)> = all.iter().map(|(written, at)| (written, *at)).collect();
    let mut connection = store.inner.readers.acquire().await.unwrap();
    count_written(&mut connection, &rows).await.unwrap();
    forget(&mut connection, now, Most { people: 2, domains: 3 }).await.unwrap();
    drop(connection);
    let ehr = ClientName("ehr".into());
    let people: Vec<Digest> = (1..=4).map(|number| sha256(&[number])).collect();
    assert_eq!(store.times_written(&ehr, &people).await.unwrap(), [0, 0, 1, 1]);
    let domains = store.domains_written(&ehr, 9).await.unwrap();
    assert_eq!(
        domains.iter().map(|(domain, _)| domain.as_str()).collect::<Vec<_>>(),
        ["d2.example", "d3.example", "d4.example"]
    );
    assert_eq!(store.times_written(&ClientName("scanner".into()), &people).await.unwrap(), [0, 1, 0, 0]);
    store.close().await;
}

/// How SQLite goes about a statement, in its words.
async fn plan(store: &Store, statement: &str) -> String {
    let rows = sqlx::query(AssertSqlSafe(format!("explain query plan {statement}")))
        .fetch_all(&store.inner.readers)
        .await
        .unwrap();
    rows.iter().map(|row| column::<String>(row, "detail").unwrap()).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn every_question_about_one_message_goes_by_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for (statement, index) in [
        (ALIKE, "SEARCH evidence USING INDEX evidence_likeness (likeness=? AND kept>?)"),
        (SENT, "SEARCH person USING COVERING INDEX sqlite_autoindex_person_1 (hash=? AND message>?)"),
        (PEOPLE, "SEARCH person USING INDEX person_message (message=?)"),
        (DOMAINS, "SEARCH written_domain USING INDEX written_domain_times (client=?)"),
        (&written_to(32), "SEARCH written_to USING INDEX sqlite_autoindex_written_to_1 (client=? AND person=?)"),
        (
            &domains_among(32),
            "SEARCH written_domain USING INDEX sqlite_autoindex_written_domain_1 (client=? AND domain=?)",
        ),
        // As many as were kept within a week, where copies are looked for at all.
        (FORGET_LIKENESS, "SEARCH evidence USING INDEX evidence_likeness (likeness>?)"),
    ] {
        let plan = plan(&store, statement).await;
        assert!(plan.contains(index), "{statement}: {plan}");
        // The rows that were found are counted, and no table is read whole.
        let whole = |step: &str| step.starts_with("SCAN") && !step.contains("VALUES") && step != "SCAN counted";
        assert!(!plan.split("; ").any(whole), "{statement}: {plan}");
    }
    store.close().await;
}
