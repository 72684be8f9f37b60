//! What is read of a message, and what hostile ones cost.

use std::fmt::Write;

use super::*;
use crate::mail::WireLimits;

const BUDGET: Budget = Budget { depth: 10, parts: 100, ratio: 4, bytes: 1 << 20 };

fn message(text: impl Into<Vec<u8>>) -> Message {
    let limits = WireLimits { message_bytes: 1 << 26, header_bytes: 1 << 20, line_bytes: 1 << 20 };
    Message::parse(text.into(), &limits).unwrap()
}

fn read(text: impl Into<Vec<u8>>) -> Tree {
    walk(&message(text), &BUDGET).0
}

/// Each part as `path=text` or `path!why`.
fn outline(tree: &Tree) -> Vec<String> {
    let line = |part: &Part| match &part.content {
        Content::Text(text) => format!("{}={}", part.path, text.expose().trim()),
        Content::Unreadable(why) => format!("{}!{why:?}", part.path),
    };
    tree.parts.iter().map(line).collect()
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(outline(&read(text)), expected, "{text}");
}

#[test]
fn a_plain_message_has_a_subject_and_a_text() {
    check("Subject: =?utf-8?Q?R=C3=A9sum=C3=A9?=\r\n\r\nhello\r\n", &["subject=Résumé", "1=hello"]);
    check("", &["1="]);
    check("Subject: only a header\r\n", &["subject=only a header", "1="]);
}

#[test]
fn the_envelope_of_the_header_is_read() {
    let tree = read(
        "From: A <a@clinic.example>\r\nMessage-ID: <1@x.example>\r\nSensitivity: =?utf-8?B?cHJpdmF0ZQ==?=\r\n\r\n",
    );
    assert_eq!(tree.from[0].expose(), "a@clinic.example");
    assert_eq!(tree.message_id.unwrap().expose(), "<1@x.example>");
    assert_eq!(tree.control[0].0, "sensitivity");
    assert_eq!(tree.control[0].1.expose(), "private");
}

#[test]
fn an_author_who_cannot_be_read_leaves_no_author_to_be_believed() {
    for author in
        ["<eve@evil@evil.example>", "<eve @evil.example>", "eve@evil..example", "<eve@[evil>", "eve@evil.example\u{1}"]
    {
        let tree = read(format!("From: {author}, ann@clinic.example\r\n\r\nx\r\n"));
        assert!(tree.from.is_empty(), "{author}: {:?}", tree.from);
    }
    // A comma that should have been quoted makes a word of a name, and hides nobody.
    let tree = read("From: Quist, Ann <ann@clinic.example>\r\n\r\nx\r\n");
    assert_eq!(tree.from.len(), 1);
}

#[test]
fn parts_are_numbered_as_imap_numbers_them() {
    let text = "Content-Type: multipart/mixed; boundary=o\r\n\r\nseen by few\r\n--o\r\n\
        Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\nplain\r\n--i\r\nContent-Type: text/html\r\n\r\n\
        <p>page</p>\r\n--i--\r\n--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nnested\r\n--o\r\n\
        Content-Type: text/csv; name=\"q.csv\"\r\nContent-Transfer-Encoding: base64\r\n\r\nYSxi\r\n--o--\r\n";
    let expected =
        ["preamble=seen by few", "1.1=plain", "1.2=page", "2.subject=inner", "2.1=nested", "3.name=q.csv", "3=a\tb"];
    check(text, &expected);
}

#[test]
fn sealed_content_is_named_as_such() {
    check("Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n", &["1!Encrypted"]);
    check("\r\n-----BEGIN PGP MESSAGE-----\r\n", &["1!Encrypted", "1=-----BEGIN PGP MESSAGE-----"]);
    let signed = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n\
        Content-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\naGVsbG8=\r\n=6Zw8\r\n\
        -----END PGP SIGNATURE-----\r\n--b--\r\n";
    check(signed, &["1=x"]);
}

#[test]
fn a_file_that_only_calls_itself_a_signature_is_read() {
    let types = ["application/pgp-signature", "application/pkcs7-signature", "application/pgp-keys"];
    for media_type in types {
        check(&format!("Content-Type: {media_type}\r\n\r\nhello\r\n"), &["1=hello"]);
        let armor = "-----BEGIN PGP SIGNATURE-----\r\nhello there\r\n-----END PGP SIGNATURE-----";
        check(&format!("Content-Type: {media_type}\r\n\r\n{armor}\r\n"), &[&format!("1={armor}")]);
        check(&format!("Content-Type: {media_type}\r\n\r\n%PDF-\u{1}\r\n"), &["1!NoReader"]);
    }
}

#[test]
fn a_file_inside_the_text_is_unreadable_too() {
    let text = "see\r\nbegin 644 results.pdf\r\n#86-A\r\n`\r\nend";
    check(&format!("\r\n{text}\r\n"), &["1!NoReader", &format!("1={text}")]);
    check("\r\nbegin 100 metres ahead\r\nand turn\r\n", &["1=begin 100 metres ahead\r\nand turn"]);
}

#[test]
fn a_logo_that_the_page_shows_is_not_counted_and_another_image_is() {
    let message = |id: &str| {
        format!(
            "Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n\
            <img src=\"cid:logo@x\">hi\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <{id}>\r\n\
            Content-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n"
        )
    };
    check(&message("logo@x"), &["1=hi"]);
    check(&message("scan@x"), &["1=hi", "2!NoReader"]);
    let called = |name: &str| message("logo@x").replace("inline", &format!("inline; filename={name}"));
    check(&called("logo.PNG"), &["1=hi", "2.name=logo.PNG"]);
    check(&called("report.pdf"), &["1=hi", "2.name=report.pdf", "2!NoReader"]);
}

#[test]
fn ten_thousand_nested_multiparts_end_at_the_depth() {
    let mut text = String::new();
    for level in 0..10_000 {
        let _ = write!(text, "Content-Type: multipart/mixed; boundary=b{level}x\r\n\r\n--b{level}x\r\n");
    }
    let tree = read(text);
    assert_eq!(outline(&tree).last().unwrap(), "1.1.1.1.1.1.1.1.1.1!TooDeep");
    assert!(tree.parts.len() < 30);
}

#[test]
fn nested_messages_end_at_the_depth() {
    let tree = read("Content-Type: message/rfc822\r\n\r\n".repeat(10_000));
    assert!(outline(&tree).last().unwrap().ends_with("!TooDeep"));
}

#[test]
fn a_hundred_thousand_parts_end_at_the_count_and_the_rest_is_unreadable() {
    let text = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\nx\r\n".repeat(100_000));
    let tree = read(text);
    assert_eq!(outline(&tree)[0], "1!TooManyParts");
    assert!(tree.parts.len() <= BUDGET.parts + 1);
}

#[test]
fn ten_thousand_subjects_do_not_become_as_many_parts() {
    let inner = "Subject: your visit\r\n".repeat(10_000);
    let tree = read(format!("Content-Type: message/rfc822\r\n\r\n{inner}\r\nx\r\n"));
    assert!(tree.parts.len() <= 14, "{} parts", tree.parts.len());
    assert!(outline(&tree).contains(&"1.subject~11!TooManyParts".to_owned()));
}

#[test]
fn a_part_whose_header_never_ends_is_unreadable_and_costs_little() {
    let parameters: String = (0..400_000).map(|number| format!(";\r\n name*{number}=a")).collect();
    let part = format!("--b\r\nContent-Type: text/html{parameters}\r\n\r\nx\r\n--b--\r\n");
    let started = std::time::Instant::now();
    let tree = read(format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{part}"));
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    assert_eq!(outline(&tree), ["1.header!TooLarge", "1=x"]);
}

#[test]
fn many_multiparts_of_many_parts_stay_within_the_count() {
    let inner =
        format!("--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n{}--i--\r\n", "--i\r\n\r\nx\r\n".repeat(50));
    let tree = read(format!("Content-Type: multipart/mixed; boundary=o\r\n\r\n{}--o--\r\n", inner.repeat(50)));
    assert!(tree.parts.len() <= 2 * BUDGET.parts + 1);
    assert!(outline(&tree).iter().any(|line| line.ends_with("!TooManyParts")));
}

#[test]
fn octets_over_the_budget_are_unreadable() {
    let body = "QUFB".repeat(BUDGET.bytes / 2 / 3) + "\r\n";
    let part = format!("--b\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}");
    let tree = read(format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n", part.repeat(3)));
    assert!(matches!(tree.parts[1].content, Content::Text(_)));
    assert_eq!(outline(&tree)[2], "3!TooLarge");
}

#[test]
fn text_that_swells_in_its_charset_is_unreadable() {
    let budget = Budget { ratio: 1, ..BUDGET };
    let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
    let text = [&b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n"[..], &[0xe9; 900], b"\r\n"].concat();
    let (tree, _) = walk(&Message::parse(text, &limits).unwrap(), &budget);
    assert_eq!(outline(&tree), ["1!RatioExceeded"]);
}

#[test]
fn calendars_and_cards_are_read_by_their_properties() {
    let card = "BEGIN:VCARD\r\nFN:Ann Quist\r\nNOTE:type 2 dia\r\n betes\r\nEND:VCARD\r\n";
    let shown = "Full name: Ann Quist\nNote: type 2 diabetes";
    let typed = |kind: &str| format!("Content-Type: {kind}\r\n\r\n{card}");
    check(&typed("text/vcard"), &[&format!("1={shown}")]);
    check(&typed("application/octet-stream; name=a.vcf"), &["1.name=a.vcf", &format!("1={shown}")]);
    // Where programs show it as it stands, it is read in both ways.
    check(&typed("text/plain"), &[&format!("1={}", card.trim()), &format!("1~2={shown}")]);
    let none = "Content-Type: text/calendar\r\n\r\njust words\r\n";
    check(none, &["1=just words"]);
}

#[test]
fn files_in_calendars_are_read_as_files() {
    let event = |properties: &str| {
        format!("Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n{properties}\r\nEND:VCALENDAR\r\n")
    };
    let picture = event("PHOTO;ENCODING=b:iVBORw0KGgoAAAAN");
    check(&picture, &["1=", "1.file1!NoReader"]);
    let table = event("ATTACH;FILENAME=q.csv;ENCODING=BASE64:TVJOLE5hbWUKNyxBbm4K");
    check(&table, &["1=", "1.file1.name=q.csv", "1.file1=MRN\tName\nMRN: 7\tName: Ann"]);
    check(&event("X-ALT-DESC;FMTTYPE=text/html:<b>M</b>RN 7"), &["1=", "1.file1=MRN 7"]);
    check(
        &event("ATTACH:data:,BEGIN:VCARD%0AFN:Ann%0A"),
        &["1=", "1.file1=BEGIN:VCARD\nFN:Ann", "1.file1~2=Full name: Ann"],
    );
    check(
        &event("DESCRIPTION:-----BEGIN PGP MESSAGE-----\\nx"),
        &["1!Encrypted", "1=Description:\n-----BEGIN PGP MESSAGE-----\nx"],
    );
    let (_, files) = walk(&message(picture), &BUDGET);
    assert_eq!(files.len(), 1);
}

#[test]
fn files_in_calendars_are_counted_and_go_no_deeper_than_allowed() {
    let many = "BEGIN:VCARD\r\n".to_owned() + &"PHOTO;ENCODING=b:aGVs\r\n".repeat(300);
    let tree = read(format!("Content-Type: text/vcard\r\n\r\n{many}"));
    assert!(tree.parts.len() <= BUDGET.parts + 2, "{}", tree.parts.len());
    assert!(outline(&tree).contains(&"1!TooManyParts".to_owned()));
    let mut deep = "NOTE:x".to_owned();
    for _ in 0..12 {
        deep = format!("PHOTO:data:,BEGIN:VCARD%0A{}", deep.replace('%', "%25").replace('\n', "%0A"));
    }
    let tree = read(format!("Content-Type: text/vcard\r\n\r\nBEGIN:VCARD\r\n{deep}\r\n"));
    assert!(outline(&tree).iter().any(|line| line.ends_with("!TooDeep")), "{:?}", outline(&tree));
}

#[test]
fn words_under_the_label_of_a_picture_are_read() {
    for kind in ["image/png", "application/x-unheard-of", "application/pdf"] {
        check(&format!("Content-Type: {kind}\r\n\r\nMRN 00482913\r\n"), &["1=MRN 00482913"]);
        check(&format!("Content-Type: {kind}\r\n\r\n\r\n%PDF-1.7\r\n1 0 obj\r\n"), &["1!NoReader"]);
    }
    check("Content-Type: image/svg+xml\r\n\r\n<svg/>\r\n", &["1!NoReader"]);
    check("Content-Type: image/png\r\n\r\n<svg/>\r\n", &["1!NoReader"]);
}

#[test]
fn a_table_that_swells_by_the_names_of_its_columns_is_unreadable() {
    let names = ["name of a column that is as long as it may be"; 400].join(",");
    let table = format!("Content-Type: text/csv\r\n\r\n{names}\r\n{}", ("1,".repeat(400) + "\r\n").repeat(375));
    let read = outline(&read(table));
    assert_eq!(read, ["1!TooLarge"]);
}

#[test]
fn a_body_is_not_gone_through_more_often_than_it_may_be() {
    let field = |depth: usize| {
        let name = |letter: &str| format!("; boundary={letter}{depth}");
        let names: String = ["a", "b", "c", "d"].map(name).concat();
        format!("Content-Type: multipart/mixed{names}\r\n\r\n--d{depth}\r\n")
    };
    let words = "Content-Type: text/plain\r\n\r\n".to_owned() + &"words\r\n".repeat(40_000);
    let nested = |depth: usize| outline(&read((0..depth).map(field).collect::<String>() + &words));
    assert!(!nested(1).iter().any(|part| part.ends_with('!') || part.contains("!Broken")));
    let deep = nested(5);
    assert!(deep.iter().any(|part| part.contains("!Broken")), "{:?}", deep.len());
}
