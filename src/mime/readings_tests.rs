//! Messages that mail programs read differently: each reading is there, and none is missing.

use super::*;
use crate::mail::WireLimits;

const BUDGET: Budget = Budget { depth: 10, parts: 100, ratio: 20, bytes: 1 << 20 };

fn read(text: impl Into<Vec<u8>>) -> Tree {
    let limits = WireLimits { message_bytes: 1 << 26, header_bytes: 1 << 20, line_bytes: 1 << 20 };
    walk(&Message::parse(text.into(), &limits).unwrap(), &BUDGET).0
}

fn check(text: &str, expected: &[&str]) {
    let line = |part: &Part| match &part.content {
        Content::Text(text) => format!("{}={}", part.path, text.expose().trim()),
        Content::Unreadable(why) => format!("{}!{why:?}", part.path),
    };
    assert_eq!(read(text).parts.iter().map(line).collect::<Vec<_>>(), expected, "{text}");
}

#[test]
fn a_field_that_is_there_twice_is_read_in_both_ways() {
    check("Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nMRN<b>7</b>\r\n", &["1=MRN<b>7</b>", "1~2=MRN7"]);
    let encodings = "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n";
    check(&format!("{encodings}\r\nTVJOIDc=\r\n"), &["1=TVJOIDc=", "1~2=MRN 7"]);
    check("Subject: one\r\nSubject: two\r\n\r\nx\r\n", &["subject=one", "subject~2=two", "1=x"]);
    check("From: Ann <a@b.example>\r\nFrom: Bo <c@d.example>\r\n\r\nx\r\n", &["from=Ann\nBo", "1=x"]);
    check("Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nsame\r\n", &["1=same"]);
}

#[test]
fn a_space_before_a_colon_and_a_field_in_a_fold_are_read_in_both_ways() {
    check("Content-Transfer-Encoding : base64\r\n\r\nTVJOIDc=\r\n", &["1=MRN 7", "1~2=TVJOIDc="]);
    check(
        "Comments: x\r\n Content-Transfer-Encoding: base64\r\n\r\nTVJOIDc=\r\n",
        &["headers=Comments: x Content-Transfer-Encoding: base64", "1=TVJOIDc=", "1~2=MRN 7"],
    );
}

#[test]
fn a_header_that_ends_twice_is_read_from_both_ends() {
    check("Comments: a\r\n \r\nMRN 7\r\n\r\nx\r\n", &["headers=Comments: a\nMRN 7", "1=x", "1~2=MRN 7\r\n\r\nx"]);
    let part = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nMRN 7 of Ann\r\nand Bo\r\n--b--\r\n";
    check(part, &["1.headers=MRN 7 of Ann\nand Bo", "1=", "1~2=MRN 7 of Ann\r\nand Bo"]);
}

#[test]
fn each_boundary_cuts_and_so_does_one_that_is_not_named() {
    let body = "--a\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--a--\r\n";
    check(
        &format!("Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n{body}"),
        &["preamble~2=--a\r\n\r\none", "1=one\r\n--b\r\n\r\ntwo", "1~2=two\r\n--a--"],
    );
    for header in ["multipart/mixed", "multipart/mixed; boundary=other", "multipart/mixed; boundary=\"\""] {
        let body = "--q\r\nContent-Transfer-Encoding: base64\r\n\r\nTVJOIDc=\r\n--q--\r\n";
        check(&format!("Content-Type: {header}\r\n\r\n{body}"), &["1=MRN 7"]);
    }
    check("Content-Type: multipart/mixed\r\n\r\nMRN 7\r\n", &["1=MRN 7"]);
    check("Content-Type: multipart/mixed; boundary=b\r\n\r\nMRN 7\r\n", &["1=MRN 7"]);
    let encoded = "Content-Transfer-Encoding: x\r\nTVJOIDc=\r\n";
    let lines = "words\r\nContent-Transfer-Encoding: x\r\nTVJOIDc=";
    check(&format!("Content-Type: multipart/mixed\r\n\r\nwords\r\n{encoded}"), &["1!Broken", &format!("1={lines}")]);
}

#[test]
fn a_part_behind_the_last_delimiter_is_read() {
    let text = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n--b\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nTVJOIDc=\r\n--b--\r\n";
    let tree = read(text);
    assert!(tree.parts.iter().any(|part| matches!(&part.content, Content::Text(text) if text.expose() == "MRN 7")));
}

#[test]
fn a_container_in_an_encoding_is_read_as_it_is_and_decoded() {
    let inner = data_encoding::BASE64.encode(b"--b\r\n\r\nMRN 7\r\n--b--\r\n");
    check(
        &format!("Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n{inner}\r\n"),
        &["1=MRN 7"],
    );
    let inner = data_encoding::BASE64.encode(b"Subject: inner\r\r\rMRN 7\r");
    check(
        &format!("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{inner}\r\n"),
        &["1.subject=inner", "1.1=MRN 7"],
    );
}

#[test]
fn an_encoding_that_is_broken_or_not_said_is_read_as_far_as_programs_go() {
    let encoded = "Content-Transfer-Encoding: base64\r\n\r\n";
    check(&format!("{encoded}TV!JO*IDc=\r\n"), &["1=MRN 7"]);
    check("Content-Transfer-Encoding: quoted-printable\r\n\r\nM=52N=ZZ 7\r\n", &["1=MRN=ZZ 7", "1~2=M=52N=ZZ 7"]);
    check("Content-Transfer-Encoding: x-odd\r\n\r\nMRN 7\r\n", &["1=MRN 7"]);
    let body = data_encoding::BASE64.encode(b"Patient: Maribel Quist, MRN 00482913");
    check(&format!("\r\n{body}\r\n"), &[&format!("1={body}"), "1~2=Patient: Maribel Quist, MRN 00482913"]);
}

#[test]
fn a_page_that_calls_itself_plain_is_read_as_a_page_too() {
    check("\r\n<html><b>M</b>RN 7</html>\r\n", &["1=<html><b>M</b>RN 7</html>", "1~2=MRN 7"]);
}

#[test]
fn what_a_page_hides_and_carries_is_a_part_each() {
    check(
        "Content-Type: text/html\r\n\r\nseen<!-- MRN 7 --><img alt='chart' src='https://x.example/?mrn=8'><embed src='data:x/y;base64,AA'>\r\n",
        &["1=seen", "1.hidden=MRN 7", "1.links=https://x.example/ mrn: 8", "1.alt=chart", "1.data!NoReader"],
    );
}

#[test]
fn a_table_in_a_file_says_of_each_cell_what_it_is() {
    let text = "Content-Type: application/vnd.ms-excel; name=q.csv\r\n\r\nName,MRN\r\nAnn,7\r\n";
    check(text, &["1.name=q.csv", "1=Name\tMRN\nName: Ann\tMRN: 7"]);
}

#[test]
fn mail_inside_text_is_read_as_mail() {
    let mail =
        "Subject: =?utf-8?B?TVJO?=\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nTVJOIDc=\r\n";
    check(
        &format!("\r\nIt came back:\r\n\r\n{mail}"),
        &[&format!("1=It came back:\r\n\r\n{}", mail.trim()), "1.mail.subject=MRN", "1.mail.1=MRN 7"],
    );
    let saved = "From: Ann <a@b.example>\r\nSubject: =?utf-8?B?TVJO?=\r\n\r\nx\r\n";
    let text = format!("Content-Type: application/octet-stream; name=a.eml\r\n\r\n{saved}");
    let expected =
        ["1.name=a.eml", &format!("1={}", saved.trim()), "1.mail.subject=MRN", "1.mail.from=Ann", "1.mail.1=x"];
    check(&text, &expected);
    check("\r\nBo wrote:\r\n> type 2\r\n> diabetes\r\n", &["1=Bo wrote:\r\ntype 2\r\ndiabetes"]);
    let report = "Content-Type: text/rfc822-headers\r\n\r\nSubject: =?utf-8?B?TVJO?=\r\n";
    check(report, &["1.subject=MRN", "1.1="]);
}

#[test]
fn lines_that_flow_are_read_as_one() {
    let header = "Content-Type: text/plain; format=flowed; DelSp=Yes\r\n\r\n";
    check(&format!("{header}Ann has dia \r\nbetes\r\n> MRN \r\n> 7\r\n"), &["1=Ann has diabetes\nMRN7"]);
    check("Content-Type: text/plain; format=flowed\r\n\r\ntype 2 \r\ndiabetes\r\n", &["1=type 2 diabetes"]);
    check("Content-Type: text/plain\r\n\r\ntype 2 \r\ndiabetes\r\n", &["1=type 2 \r\ndiabetes"]);
}

#[test]
fn words_in_the_headers_of_parts_are_read() {
    let text = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Description: chart of Ann\r\n\
        Content-Type: image/png; name=a.png\r\nContent-Disposition: attachment; filename=ann-quist.png\r\n\r\nGIF89a\r\n--b--\r\n";
    check(
        text,
        &["1.headers=Content-Description: chart of Ann", "1.name=ann-quist.png", "1.name~2=a.png", "1!NoReader"],
    );
}

#[test]
fn readings_of_readings_end_at_the_bound_and_are_unreadable_beyond() {
    let started = std::time::Instant::now();
    let mut text = String::new();
    for level in 0..9 {
        let kind = format!("Content-Type: multipart/mixed; boundary=a{level}; boundary=b{level}\r\n");
        text += &format!("{kind}Content-Transfer-Encoding: base64\r\n\r\n--a{level}\r\n\r\nx\r\n--b{level}\r\n");
    }
    let tree = read(text + &"MRN 7\r\n".repeat(1000));
    assert!(tree.parts.len() <= 1000, "{}", tree.parts.len());
    let twice = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned()
        + &"--b\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\n<b>M</b>RN\r\n".repeat(90);
    let tree = read(twice);
    let broken = |part: &&Part| matches!(part.content, Content::Unreadable(Unreadable::Broken));
    assert_eq!(tree.parts.iter().filter(broken).count(), 90 - MAX_READINGS);
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn any_piece_of_any_torture_is_read_within_its_budget() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/torture");
    let limits = WireLimits { message_bytes: 1 << 26, header_bytes: 1 << 20, line_bytes: 1 << 20 };
    let budget = Budget { depth: 8, parts: 50, ratio: 20, bytes: 1 << 18 };
    for entry in std::fs::read_dir(folder).unwrap() {
        let whole = std::fs::read(entry.unwrap().path()).unwrap();
        for (number, window) in [(1, 1), (1, 2), (1, 3), (2, 3), (0, 1), (3, 7)].into_iter().enumerate() {
            let from = whole.len() * window.0 / (window.1 + 1) * usize::from(number % 2 == 1);
            let to = whole.len() - whole.len() * number / 9;
            let piece: Vec<u8> = whole[from.min(to)..to].iter().copied().filter(|byte| *byte != 0).collect();
            let Ok(message) = Message::parse([&piece[..], b"\r\n"].concat(), &limits) else { continue };
            let (tree, files) = walk(&message, &budget);
            let read: usize = tree
                .parts
                .iter()
                .map(|part| match &part.content {
                    Content::Text(text) => text.expose().len(),
                    Content::Unreadable(_) => 0,
                })
                .sum();
            assert!(read <= 3 * budget.bytes + 8 * piece.len(), "{read}");
            assert!(tree.parts.len() <= 20 * budget.parts, "{}", tree.parts.len());
            assert!(files.iter().all(|file| matches!(tree.parts[file.at].content, Content::Unreadable(_))));
        }
    }
}
