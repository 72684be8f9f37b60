//! What calendars and cards say, and what hostile ones cost.

use super::*;

fn said(source: &str) -> Vec<String> {
    let cards = read(source, 10);
    let lines = cards.text.lines().filter(|line| !line.is_empty()).map(str::to_owned);
    let files = cards.files.iter().map(|file| {
        let kind = if file.is_page { "page" } else { file.name.as_str() };
        format!("[{kind}] {}", String::from_utf8_lossy(&file.octets))
    });
    lines.chain(files).collect()
}

/// The properties of a card of this version.
fn card(version: &str, properties: &str, expected: &[&str]) {
    let source = format!("BEGIN:VCARD\r\nVERSION:{version}\r\n{properties}\r\nEND:VCARD\r\n");
    let said = said(&source);
    assert_eq!(said[0], format!("Version: {version}"));
    assert_eq!(said[1..], *expected, "{properties}");
}

#[test]
fn a_calendar_says_what_is_planned_with_whom() {
    let source = "BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:Here\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\n\
        END:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nSUMMARY:Dialysis follow\r\n -up\\, Ann Quist\r\n\
        DTSTART;TZID=Here:20261124T083000\r\nDTEND;VALUE=DATE:20261124\r\n\
        ATTENDEE;CN=\"Quist; Ann\";ROLE=REQ-PARTICIPANT:MAILTO:ann@clinic.example\r\n\
        DESCRIPTION:MRN: 00482913\\nCome at 8\\;30 \\\\o/\r\nLOCATION;X-TITLE=\"Renal unit\":Floor 2\r\n\
        X-EPIC-MRN:00482913\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let expected = [
        "Tzid: Here",
        "Start: 19701025T030000",
        "Summary: Dialysis follow-up, Ann Quist",
        "Start: 2026-11-24 08:30",
        "End: 2026-11-24",
        "Attendee: Quist; Ann <ann@clinic.example>",
        "Description:",
        "MRN: 00482913",
        "Come at 8;30 \\o/",
        "Location: Floor 2",
        "TITLE: Renal unit",
        "EPIC MRN: 00482913",
    ];
    assert_eq!(said(source), expected);
}

#[test]
fn a_card_says_who_somebody_is() {
    card(
        "4.0",
        "FN:Ann M. Quist\nN:Quist;Ann;M.;Dr.;Jr.\nBDAY:19800102\nitem1.TEL;TYPE=\"voice,home\":+1 555 0100\n\
         TEL;TYPE=FAX:1\nADR;LABEL=\"12 Elm^nMesa\":;;12 Elm St;Mesa;AZ;85201;\nORG:Clinic;Renal\nNOTE:a\n b",
        &[
            "Full name: Ann M. Quist",
            "Name: Dr. Ann M. Quist Jr.",
            "Birthday: 1980-01-02",
            "Phone: +1 555 0100",
            "Fax: 1",
            "Address: 12 Elm St, Mesa, AZ 85201",
            "Address:",
            "12 Elm",
            "Mesa",
            "Organization: Clinic, Renal",
            "Note: ab",
        ],
    );
    card("3.0", "N:Quist;Ann;M.\nBDAY:--0102", &["Name: Ann M. Quist", "Birthday: --0102"]);
}

#[test]
fn old_cards_are_quoted_printable_and_keep_the_blanks_of_their_folds() {
    card(
        "2.1",
        "NOTE;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:Jos=E9=0D=0AMRN =\r\n00482913=\r\n 7\r\n\
         ADR;QUOTED-PRINTABLE:;;12=20Elm;Mesa\r\nTITLE:type 2\r\n diabetes",
        &["Note:", "José", "MRN 00482913 7", "Address: 12 Elm, Mesa", "Title: type 2 diabetes"],
    );
    // A value that ends as if it went on does not take the end of the card with it.
    card("2.1", "NOTE;QUOTED-PRINTABLE:a=", &["Note: a="]);
}

#[test]
fn what_is_packed_is_a_file() {
    card("2.1", "PHOTO;JPEG;BASE64:\r\n  aGVs\r\n  bG8=\r\n\r\nNOTE:x", &["Note: x", "[] hello"]);
    card("2.1", "PHOTO;ENCODING=BASE64:aGVs\r\nbG8=\r\nNOTE:x", &["Note: x", "[] hello"]);
    card("3.0", "ATTACH;FILENAME=\"a b.txt\";ENCODING=b;VALUE=BINARY:aGV\n sbG8=", &["[a b.txt] hello"]);
    card("4.0", "PHOTO:data:image/png;base64,aGVsbG8=", &["[] hello"]);
    card("4.0", "PHOTO:DATA:;base64\\,aGVsbG8=\nNOTE:data:,a%20b%", &["[] hello", "[] a b%"]);
    card("4.0", "X-ALT-DESC;FMTTYPE=text/html:<p>a\\, b</p>", &["[page] <p>a, b</p>"]);
    card("4.0", "ATTACH:https://x.example/a", &["Attachment: https://x.example/a"]);
    let words = read("BEGIN:VCARD\nNOTE;ENCODING=b:no (words)\n", 10);
    assert_eq!((words.text.as_str(), words.files.len()), ("Note: no (words)\n", 1));
}

#[test]
fn a_key_says_nothing() {
    card("3.0", "KEY;ENCODING=b:MIEDYWJj", &[]);
    card("3.0", "PHOTO;ENCODING=b:MIID", &["[] 0\u{fffd}\u{3}"]);
}

#[test]
fn what_is_no_property_stays() {
    let source = "See below:\n  words: more\nBEGIN:VCARD\nwords of many\nNOTE;CN=\"open:kept\nEND:VCARD\n and after\n";
    assert_eq!(said(source), ["See below:", "  words: more", "words of many", "Note: open <kept>", " and after"]);
    assert_eq!(said("begin : vcard\rNOTE:a\rend:VCARD\rb"), ["Note: a", "b"]);
    assert!(!is_any("they begin: vcard"));
}

#[test]
fn a_fold_in_the_middle_of_a_character_is_mended() {
    let torn = b"BEGIN:VCALENDAR\r\nSUMMARY:Jos\xc3\r\n \xa9 a\r\n b\r\n";
    assert_eq!(mended(torn).unwrap(), "BEGIN:VCALENDAR\r\nSUMMARY:José a\r\n b\r\n".as_bytes());
    assert!(mended(b"BEGIN:VCALENDAR\r\nSUMMARY:Jos\xe9\r\n").is_none());
    assert!(mended(b"Jos\xc3\r\n \xa9").is_none());
}

#[test]
fn files_beyond_the_bound_are_told_of() {
    let source = "BEGIN:VCARD\n".to_owned() + &"PHOTO;ENCODING=b:aGVs\n".repeat(11);
    let cards = read(&source, 10);
    assert_eq!((cards.files.len(), cards.more), (10, true));
}

#[test]
fn hostile_cards_are_read_in_one_pass_and_grow_within_bounds() {
    let started = std::time::Instant::now();
    for piece in [
        "BEGIN:VCARD\n",
        "NOTE;QUOTED-PRINTABLE:=\n",
        "NOTE;QUOTED-PRINTABLE:a=\n =\n",
        "=\n",
        " =\n",
        " \t\n",
        "N:;\n",
        "N:;;;;;;;;\\",
        "N:x\n",
        ";A=\"",
        ";A=\";:",
        "A:data:\n",
        "A;BASE64:\n",
        "AAAA\n",
        "BDAY:19800102,\n",
        "\r",
        "\"",
        "^n",
        ";TYPE=fax",
    ] {
        for start in ["BEGIN:VCARD\nVERSION:2.1\n", "BEGIN:VCARD\nTEL", "BEGIN:VCARD\nNOTE;QUOTED-PRINTABLE:=\n"] {
            let source = start.to_owned() + &piece.repeat(100_000 / piece.len());
            let cards = read(&source, 100);
            let octets: usize = cards.files.iter().map(|file| file.octets.len()).sum();
            assert!(cards.text.len() + octets <= 4 * source.len(), "{piece:?}: {}", cards.text.len());
            let _ = mended(&[source.as_bytes(), b"\xff"].concat());
        }
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn any_octets_of_a_card_are_read() {
    let source = "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Qu=C3=A9st;=\r\nAnn\r\n\
        PHOTO;BASE64:aGVs\r\n bG8=\r\n\r\nX-A;B=\"c;d\":e\\, f\r\nEND:VCARD\r\n";
    let mut state = 1_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap()
    };
    for length in 0..source.len() {
        let mut letters: Vec<char> = source[..length].chars().collect();
        for _ in 0..4.min(length) {
            let at = next() % letters.len();
            letters[at] = [':', ';', '"', '=', '\n', '\r', ' ', '\\', 'é', '\u{feff}'][next() % 10];
        }
        let changed: String = letters.into_iter().collect();
        let cards = read(&changed, 10);
        assert!(cards.text.len() <= 4 * changed.len() + 10, "{changed}");
    }
}
