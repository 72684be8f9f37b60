//! What leaves is what came in, behind the trace header and but for the listed edits, however odd it is.

#![cfg(test)]

use crate::clinic::{Clinic, SOON, behind_trace};
use crate::world::behaviour::Behaviour;
use crate::world::until;

const FROM: &str = "From: ann@clinic.example\r\n";
const REST: &str = "Date: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@clinic.example>\r\n";

/// Every octet that a body may have.
fn every_octet() -> Vec<u8> {
    let mut body: Vec<u8> = (1..=255).filter(|octet| !b"\r\n".contains(octet)).collect();
    body.extend_from_slice(b"\r\n");
    body
}

fn odd() -> Vec<Vec<u8>> {
    let head = |fields: &str| format!("{FROM}{REST}{fields}").into_bytes();
    let whole = |body: &[u8]| [&head("Subject: x\r\n\r\n")[..], body].concat();
    let mut odd = vec![
        head(""),
        head("\r\n"),
        head("\r\n\r\n"),
        head("\r\n\r\n\r\n\r\n"),
        head("Subject:\r\n\r\nno subject\r\n"),
        head("Subject: last line without a body\r\n"),
        head("Subject : a space before the colon\r\n\r\nx\r\n"),
        head("SUBJECT:\t two\ttabs \t \r\n\t and a fold \r\n  and another  \r\n\r\nx\r\n"),
        head("X-Empty:\r\nX-Empty: \r\nX-Twice: 1\r\nX-Twice: 2\r\nno colon here\r\n: no name\r\n\r\nx\r\n"),
        head("X-Fold: a\r\n \r\n\t\r\nX-Next: b\r\n\r\nx\r\n"),
        head(
            "Received: from a by b;\r\n Mon, 23 Nov 2026 08:00:00 +0000\r\nDKIM-Signature: v=1; h=From:Date; b=x\r\n\r\nx\r\n",
        ),
        head("Subject: =?utf-8?Q?=F0=9F=A9=BA?= =?broken?Q?=?= =?utf-8?B?////?=\r\n\r\nx\r\n"),
        head(
            "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\npre\r\n--b\r\n\r\nx\r\n--b \r\n\r\ny\r\n--b--\r\nepi\r\n",
        ),
        head("Content-Type: multipart/mixed\r\n\r\n--\r\n\r\nno boundary\r\n----\r\n"),
        head(
            "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\n!!! no base64\r\n",
        ),
        head("Content-Transfer-Encoding: quoted-printable\r\n\r\nsoft=\r\n=3D=\r\n=zz\r\n"),
        whole(b".\r\n"),
        whole(b"..\r\n...\r\n.\r\n. \r\n.x\r\n\r\n.\r\n"),
        whole(b"\r\n.\r\n\r\n"),
        whole(b"From the start\r\n>From here\r\n"),
        whole(b" \r\n\t\r\n trailing \t\r\n"),
        whole(b"Bcc: in the body\r\nX-Sealpost-Secure: in the body\r\nSubject: [secure]\r\n"),
        whole(&every_octet()),
        whole(&[&[b'x'; 998][..], b"\r\n", &[b'.'; 998], b"\r\n"].concat()),
        // To the limit of a line, with a dot in front that is doubled on the wire.
        whole(&[&vec![b'.'; 100 * 1024 - 2][..], b"\r\n"].concat()),
        whole(&b"0123456789 lines enough for many chunks\r\n.\r\n".repeat(5_000)),
    ];
    let mut eight_bit = head("");
    eight_bit.extend_from_slice(b"Subject: R\xe9sultats \xff\xfe\r\nX-\xc3\xa9: \xc3\xa9\r\n\r\n\x80\x81\r\n");
    odd.push(eight_bit);
    odd
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_message_leaves_as_it_came() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    let mut client = clinic.login("ehr").await;
    let odd = odd();
    for (at, content) in odd.iter().enumerate() {
        let body = ["", " BODY=8BITMIME", " BODY=7BIT"][at % 3];
        let lines =
            [&*format!("MAIL FROM:<ann@clinic.example>{body}"), &*format!("RCPT TO:<m{at}@lab.example>"), "DATA"];
        let replies = client.pipeline(&lines).await.unwrap();
        assert_eq!(replies[2].code, 354);
        client.write(&crate::world::wire::with_dots(content)).await.unwrap();
        let told = client.reply().await.unwrap().text();
        assert!(told.starts_with("250 "), "{at}: {told}: {}", String::from_utf8_lossy(content));
    }
    for at in 0..odd.len() {
        let recipient = [format!("m{at}@lab.example")];
        let taken =
            || clinic.partner("lab.example").deliveries().iter().any(|d| d.recipients == recipient).then_some(());
        until(&format!("message {at}"), SOON, taken).await.unwrap();
    }
    for delivery in clinic.taken("lab.example", odd.len()).await {
        let at: usize = delivery.recipients[0].strip_prefix('m').unwrap().split('@').next().unwrap().parse().unwrap();
        let left = behind_trace(&delivery.content);
        assert!(
            left == odd[at],
            "{at}:\n{:.2000}\n{:.2000}",
            String::from_utf8_lossy(left),
            String::from_utf8_lossy(&odd[at])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_added_at_the_end_of_the_header_and_nothing_else_moves() {
    let clinic = Clinic::open(&[("lab.example", Behaviour::default())], "").await;
    for (at, (header, body)) in [(FROM, "\r\nx\r\n"), (FROM, ""), (FROM, "\r\n")].into_iter().enumerate() {
        let content = format!("{header}{body}");
        let reply = clinic.submit("ehr", &["results@lab.example"], content.as_bytes()).await;
        let id = crate::clinic::queued(&reply);
        let taken = clinic.taken("lab.example", at + 1).await;
        let left = String::from_utf8(behind_trace(&taken[at].content).to_vec()).unwrap();
        let added = left.strip_prefix(header).unwrap().strip_suffix(body).unwrap();
        let (date, message_id) = added.trim_end().split_once("\r\n").unwrap();
        assert!(date.starts_with("Date: ") && date.ends_with(" +0000"), "{date}");
        assert_eq!(message_id, format!("Message-ID: <{id}@relay.clinic.example>"));
    }
}
