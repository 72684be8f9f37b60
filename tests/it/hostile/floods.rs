//! More of everything than anybody needs: headers, hops, recipients. What is over a limit is refused as a whole, never cut.

use std::time::Duration;

use crate::clinic::{Clinic, SOON, behind_trace, letter, mail, queued};
use crate::hostile::Memory;
use crate::world::behaviour::Behaviour;

const LAB: &str = "results@lab.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_ends_and_a_long_way_does_not() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let hops = |count: usize| {
        let hop = "Received: from a.example by b.example; Tue, 24 Nov 2026 08:00:00 +0000\r\n";
        [hop.repeat(count).into_bytes(), letter("a long way", "x")].concat()
    };
    let mut client = clinic.login("ehr").await;
    let reply = client.send(&mail(&[LAB], &hops(51))).await.unwrap().last().text();
    assert!(reply.starts_with("554 5.4.6"), "{reply}");
    let odd = hops(51).to_ascii_uppercase();
    let reply = client.send(&mail(&[LAB], &[&odd[..], &letter("x", "x")].concat())).await.unwrap().last().text();
    assert!(reply.starts_with("554 5.4.6"), "a field's name has no case: {reply}");
    let reply = client.send(&mail(&[LAB], &hops(50))).await.unwrap().last().clone();
    queued(&reply);
    assert_eq!(behind_trace(&clinic.taken("lab.example", 1).await[0].content), hops(50));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_fields_arrive_as_they_were_and_a_header_of_a_mebibyte_not_at_all() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let memory = Memory::watch(&clinic);
    let mut client = clinic.login("ehr").await;
    let fields: String = (0..10_000).map(|at| format!("X-F{at}: {at}\r\n")).collect();
    let many = [fields.as_bytes(), &letter("ten thousand", "x")].concat();
    let reply = client.send(&mail(&[LAB], &many)).await.unwrap().last().clone();
    queued(&reply);
    let folded = format!("X-Long: a\r\n{}", " folded and folded and folded\r\n".repeat(40_000));
    for header in [folded, format!("X-Many: a\r\n{}", "X-Y: b\r\n".repeat(150_000)), "Subject:\r\n".repeat(120_000)] {
        let content = [header.as_bytes(), &letter("too much", "x")].concat();
        let reply = client.send(&mail(&[LAB], &content)).await.unwrap().last().text();
        assert!(reply.starts_with("552 5.3.4 the header is over its size limit"), "{reply}");
    }
    let taken = clinic.taken("lab.example", 1).await;
    assert_eq!(behind_trace(&taken[0].content), many);
    memory.check("header floods");
    assert_eq!(clinic.partner("lab.example").deliveries().len(), 1, "none was cut and sent on");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_stops_naming_recipients_is_answered_452_and_then_not_at_all() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "[limits]\nrecipients = 500\n").await;
    let memory = Memory::watch(&clinic);
    for same in [false, true] {
        let mut client = clinic.login("ehr").await;
        client.command("MAIL FROM:<ann@clinic.example>").await.unwrap();
        let mut codes = std::collections::BTreeMap::<u16, usize>::new();
        let mut named = 0;
        while !codes.contains_key(&421) && named < 20_000 {
            let names: Vec<String> =
                (named..named + 100)
                    .map(|at| {
                        if same { "RCPT TO:<a@lab.example>".to_owned() } else { format!("RCPT TO:<a{at}@lab.example>") }
                    })
                    .collect();
            client.write(format!("{}\r\n", names.join("\r\n")).as_bytes()).await.unwrap();
            for _ in 0..100 {
                let code = tokio::time::timeout(SOON, client.reply()).await.unwrap().unwrap().code;
                *codes.entry(code).or_default() += 1;
                named += 1;
                if code == 421 {
                    break;
                }
            }
        }
        let expected = if same { vec![(250, 5_000), (421, 1)] } else { vec![(250, 500), (421, 1), (452, 4_500)] };
        assert_eq!(codes.into_iter().collect::<Vec<_>>(), expected);
        assert!(client.closed().await);
    }
    memory.check("recipients without end");
    let growth = memory.growth();
    assert!(growth < 40, "{growth} MiB for 10,000 names");
    // Whoever stops at the limit sends to those that were taken.
    let many: Vec<String> = (0..510).map(|at| format!("b{at}@lab.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut client = clinic.login("ehr").await;
    let replies = client.send(&mail(&many, &letter("to many", "x"))).await.unwrap();
    assert!(replies.accepted());
    tokio::time::timeout(Duration::from_secs(60), clinic.reached("lab.example", 500)).await.unwrap();
}
