//! What a PDF holds beside its pages.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::extract::Budget;
use crate::extract::samples::{BUDGET, look, look_within, pdf_stream, pdf_with};

const PAGE: &str = "BT /F 12 Tf 72 700 Td (Lunch) Tj ET";
const NAMED: &str = "/Names<</EmbeddedFiles<</Names[(a) 6 0 R]>>>>";

fn flate(octets: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    packed.write_all(octets).unwrap();
    packed.finish().unwrap()
}

/// What is said beside the page.
fn beside(catalog: &str, further: &[Vec<u8>]) -> Vec<String> {
    look(pdf_with(PAGE, catalog, further)).split_off(1)
}

#[test]
fn a_file_in_a_document_is_told_by_what_names_it() {
    let named = b"<</F(a.txt)/UF(b.txt)/EF<</F 7 0 R/UF 7 0 R>>>>".to_vec();
    for kind in ["/Type/EmbeddedFile", "", "/Subtype/text#2Fplain"] {
        let read = beside(NAMED, &[named.clone(), pdf_stream(kind, b"seen")]);
        assert_eq!(read, ["file1.name=b.txt", "file1=seen"], "{kind}");
    }
    assert_eq!(beside("", &[b"null".to_vec(), pdf_stream("/Type/EmbeddedFile", b"seen")]), ["file1=seen"]);
    let within = "/Names<</EmbeddedFiles<</Names[(a)<</F(a.txt)/EF<</F 6 0 R>>>>]>>>>";
    assert_eq!(beside(within, &[pdf_stream("", b"seen")]), ["file1.name=a.txt", "file1=seen"]);
    assert_eq!(beside(NAMED, &[b"<</EF<</F 9 0 R>>>>".to_vec()]), ["rest!Broken"], "it is not there");
}

#[test]
fn files_in_documents_are_counted_and_looked_at_before_they_are_unpacked() {
    let many: Vec<Vec<u8>> = (0..60).map(|_| pdf_stream("/Type/EmbeddedFile", b"seen")).collect();
    let read = beside("", &many);
    assert_eq!((read[39].as_str(), read[40].as_str()), ("file40=seen", "file41!TooManyParts"));

    let once = flate(&vec![b' '; 6 << 20]);
    let bomb = |filter: &str, octets: &[u8]| {
        let file = pdf_stream(&format!("/Type/EmbeddedFile/Filter{filter}"), octets);
        look_within(pdf_with(PAGE, "", &[file]), &Budget { ratio: 10, ..BUDGET }).split_off(1)
    };
    assert_eq!(bomb("/FlateDecode", &once), ["file1!RatioExceeded"]);
    assert_eq!(bomb("[/FlateDecode/FlateDecode]", &flate(&once)), ["file1!RatioExceeded"]);
    assert_eq!(bomb("[/FlateDecode]", &flate(b"seen")), ["file1=seen"]);
}

#[test]
fn remarks_for_which_there_is_no_room_are_missed() {
    let remark = format!("<</Subtype/Text/Contents({})>>", "words ".repeat(300)).into_bytes();
    let read = look_within(pdf_with(PAGE, "", &[remark]), &Budget { bytes: 1000, ..BUDGET });
    assert_eq!(read, ["=Lunch\n\u{c}", "remarks!TooLarge"]);
}

#[test]
fn a_form_of_xml_is_read() {
    let data = b"<x:data xmlns:x='x'><Patient>Maria Quist</Patient></x:data>";
    let form = |xfa: &str| format!("/AcroForm<</Fields[]/XFA {xfa}>>");
    assert_eq!(beside(&form("6 0 R"), &[pdf_stream("", data)]), ["form=Maria Quist\n"]);
    let pieces = [pdf_stream("", &data[..20]), pdf_stream("/Filter/FlateDecode", &flate(&data[20..]))];
    assert_eq!(beside(&form("[(a) 6 0 R (b) 7 0 R]"), &pieces), ["form=Maria Quist\n"]);
    assert_eq!(beside(&form("6 0 R"), &[pdf_stream("", b"<a></b>")]), ["form!Broken"]);
    assert_eq!(beside(&form("9 0 R"), &[]), ["rest!Broken"]);
}
