//! Every format cut off anywhere, and with octets changed: it ends, within its budget, and never without a word.

use crate::extract::samples::{BUDGET, docx, look, own_panics, paragraph, parts, pdf, xlsx, zip};
use crate::extract::windows_tests;
use crate::mime::Content;

const LINE: &str = "BT /F 12 Tf 72 700 Td (Maria Quist, type 2 diabetes) Tj ET";

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let cells = "<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>";
    vec![
        ("pdf", pdf(LINE)),
        ("zip", zip(&[("a.txt", b"seen today"), ("b.docx", &docx(&paragraph("seen"), &[]))])),
        ("docx", docx(&paragraph("Maria Quist"), &[("word/header1.xml", "<h><t>DOB</t></h>")])),
        ("doc", windows_tests::doc(0)),
        ("xls", windows_tests::xls()),
        ("ppt", windows_tests::ppt()),
        ("msg", windows_tests::msg()),
        ("rtf", windows_tests::RTF.to_vec()),
        ("tnef", windows_tests::tnef()),
        ("dicom", windows_tests::dicom(b"1.2.840.10008.1.2.1\0")),
        ("xlsx", xlsx(&[("May", "visible", cells)], &["Name"])),
    ]
}

/// Reads it, and sees that it says something and not more than it may.
fn bears(what: &str, octets: Vec<u8>) {
    own_panics();
    let read = parts(octets, &BUDGET);
    assert_eq!(own_panics(), [""; 0], "{what}: a reader of ours panicked");
    assert!(!read.is_empty(), "{what}: nothing is said of it");
    assert!(read.len() <= BUDGET.most_parts(), "{what}: {} parts", read.len());
    let text = |content: &Content| match content {
        Content::Text(text) => text.expose().len(),
        Content::Unreadable(_) => 0,
    };
    assert!(read.iter().map(|part| text(&part.content)).sum::<usize>() <= BUDGET.bytes, "{what}: too much text");
}

#[test]
fn a_file_may_be_cut_off_anywhere() {
    for (what, octets) in samples() {
        // What is shorter than its mark is another format.
        for length in (8..octets.len()).step_by(1 + octets.len() / 200) {
            bears(what, octets[..length].to_vec());
        }
    }
}

#[test]
fn a_file_may_hold_any_octets() {
    let mut state = 1_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap()
    };
    for (what, octets) in samples() {
        for _ in 0..200 {
            let mut changed = octets.clone();
            for _ in 0..1 + next() % 8 {
                let at = 4 + next() % (changed.len() - 4);
                changed[at] = [0, 0xff, 0x80, u8::try_from(next() % 256).unwrap()][next() % 4];
            }
            bears(what, changed);
        }
    }
}

#[test]
fn a_reader_that_panics_spoils_its_own_file_only() {
    // A record that says whether the book is encrypted, and says nothing.
    let book = windows_tests::compound(&[("/Workbook", b"\x2f\0\0\0"), ("/x", b"x")]);
    let archive = zip(&[("a.xls", &book), ("b.txt", b"seen")]);
    assert_eq!(look(archive), ["1.name=a.xls", "1!Crashed", "2.name=b.txt", "2=seen"]);
}
