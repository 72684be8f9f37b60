//! Formats of yesterday's Windows: compound files, rich text, winmail.dat; and DICOM, which is as old.

use std::io::{Cursor, Write};

use super::rtf;
use crate::extract::samples::{docx, look, package, paragraph};

pub(super) fn compound(streams: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
    for (path, octets) in streams {
        if let Some(storage) = std::path::Path::new(path).parent() {
            file.create_storage_all(storage).unwrap();
        }
        file.create_stream(path).unwrap().write_all(octets).unwrap();
    }
    file.into_inner().into_inner()
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Word 97: a piece of octets and one of UTF-16, behind a FIB.
pub(super) fn doc(flags: u16) -> Vec<u8> {
    let (octets, units) = (&b"Maria Quist\r\x13 HYPERLINK x \x14seen\x15\x07"[..], wide("M\u{e4}rz"));
    let mut document = vec![0; 0x400];
    document[..2].copy_from_slice(&0xa5ec_u16.to_le_bytes());
    document[10..12].copy_from_slice(&(flags | 0x0200).to_le_bytes());
    document.extend_from_slice(octets);
    let at = document.len();
    document.extend_from_slice(&units);
    let first = u32::try_from(octets.len()).unwrap();
    let mut pieces = Vec::new();
    [0, first, first + 4].iter().for_each(|place| pieces.extend_from_slice(&place.to_le_bytes()));
    for place in [(0x400 * 2) | (1 << 30), u32::try_from(at).unwrap()] {
        pieces.extend_from_slice(&[0, 0]);
        pieces.extend_from_slice(&place.to_le_bytes());
        pieces.extend_from_slice(&[0, 0]);
    }
    // An edit of the look stands in front of the list.
    let list = [&[1, 2, 0, 9, 9, 2][..], &u32::try_from(pieces.len()).unwrap().to_le_bytes(), &pieces].concat();
    document[0x1a6..0x1aa].copy_from_slice(&u32::try_from(list.len()).unwrap().to_le_bytes());
    compound(&[("/WordDocument", &document), ("/1Table", &list)])
}

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &u16::try_from(data.len()).unwrap().to_le_bytes(), data].concat()
}

/// Excel 97: one sheet, which holds a name and a number.
pub(super) fn xls() -> Vec<u8> {
    let begin = |kind: u16| record(0x0809, &[&0x0600_u16.to_le_bytes()[..], &kind.to_le_bytes(), &[0; 12]].concat());
    let mut book = begin(5);
    let at = u32::try_from(book.len() + 4 + 8 + 3 + 4).unwrap();
    book.extend(record(0x0085, &[&at.to_le_bytes()[..], &[0, 0, 3, 0], b"May"].concat()));
    book.extend(record(0x000a, &[]));
    book.extend(begin(0x10));
    book.extend(record(0x0204, &[&[0, 0, 0, 0, 0, 0, 5, 0, 0][..], b"Quist"].concat()));
    book.extend(record(0x0203, &[&[0, 0, 1, 0, 0, 0][..], &7.5_f64.to_le_bytes()].concat()));
    book.extend(record(0x000a, &[]));
    // Smaller streams lie elsewhere in the file.
    book.resize(5000, 0);
    compound(&[("/Workbook", &book), ("/\u{5}SummaryInformation", b"x")])
}

pub(super) fn ppt() -> Vec<u8> {
    let atom = |kind: u16, data: &[u8]| {
        [&[0, 0][..], &kind.to_le_bytes(), &u32::try_from(data.len()).unwrap().to_le_bytes(), data].concat()
    };
    let texts = [atom(0x0fa0, &wide("Maria\rQuist")), atom(0x0fa8, b"seen")].concat();
    let slide = [&[0x0f, 0][..], &1006_u16.to_le_bytes(), &u32::try_from(texts.len()).unwrap().to_le_bytes(), &texts];
    compound(&[("/PowerPoint Document", &slide.concat())])
}

pub(super) fn msg() -> Vec<u8> {
    let inner = "/__attach_version1.0_#00000001/__substg1.0_3701000D";
    compound(&[
        ("/__properties_version1.0", b"p"),
        ("/__substg1.0_0037001F", &wide("Visit of Quist")),
        ("/__substg1.0_1000001E", b"seen today"),
        ("/__substg1.0_10130102", b"<p>shown <b>here</b></p>"),
        ("/__attach_version1.0_#00000000/__substg1.0_3707001F", &wide("list.txt")),
        ("/__attach_version1.0_#00000000/__substg1.0_37010102", b"a list"),
        (&format!("{inner}/__substg1.0_0037001F"), &wide("one inside")),
    ])
}

pub(super) const RTF: &[u8] =
    br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title Visit}}\pard Maria {\b Qui}st\par
{\*\generator Riched20;}type\~2 caf\'e9 \u8364?5{\field{\*\fldinst HYPERLINK x}{\fldrslt here}}\par
\trowd\cellx1 MRN\cell 12\cell\row {\*\annotation call her}{\pict\bin3 }}}}";

#[test]
fn a_document_of_word_97_is_read_piece_by_piece() {
    assert_eq!(look(doc(0)), ["=Maria Quist\nseen\tM\u{e4}rz"]);
    assert_eq!(look(doc(0x0100)), ["!Encrypted"]);
}

#[test]
fn a_table_of_excel_97_is_read() {
    assert_eq!(look(xls()), ["sheet1.name=May", "sheet1=Quist\t7.5\n"]);
}

#[test]
fn slides_of_powerpoint_97_are_read() {
    assert_eq!(look(ppt()), ["=Maria\nQuist\nseen\n"]);
    let user = [&[0; 12][..], &0xf3d1_c4df_u32.to_le_bytes()].concat();
    assert_eq!(look(compound(&[("/PowerPoint Document", b""), ("/Current User", &user)])), ["!Encrypted"]);
}

#[test]
fn a_message_of_outlook_is_read_with_its_files() {
    let expected = ["page=shown here", "1.name=list.txt", "1=a list", "=Visit of Quist\nseen today\none inside\n"];
    assert_eq!(look(msg()), expected);
}

#[test]
fn an_encrypted_document_of_today_is_a_compound_file_that_says_so() {
    assert_eq!(look(compound(&[("/EncryptedPackage", b"x"), ("/EncryptionInfo", b"x")])), ["!Encrypted"]);
}

#[test]
fn a_file_that_was_put_into_a_document_is_read() {
    let wrapped = [
        &[0; 6][..],
        b"quist.txt\0C:\\quist.txt\0\0\0\x03\0",
        &3_u32.to_le_bytes(),
        b"C:\0",
        &4_u32.to_le_bytes(),
        b"seen",
    ];
    let object = compound(&[("/\u{1}Ole10Native", &wrapped.concat())]);
    let document = package(&[("word/document.xml", b"<d/>"), ("word/embeddings/oleObject1.bin", &object)]);
    assert_eq!(look(document), ["=", "file1.object.name=quist.txt", "file1.object=seen"]);
    let whole = compound(&[("/Package", &docx(&paragraph("seen"), &[]))]);
    assert_eq!(look(whole), ["object=seen\n"]);
    assert_eq!(look(compound(&[("/Drawing", b"x")])), ["!NoReader"]);
}

#[test]
fn a_document_of_word_97_that_is_one_picture_is_a_scan() {
    let mut file = cfb::CompoundFile::open(Cursor::new(doc(0))).unwrap();
    file.create_stream("/Data").unwrap().write_all(&[7; 40 << 10]).unwrap();
    assert_eq!(look(file.into_inner().into_inner()).last().unwrap(), "picture!Scanned");
}

#[test]
fn rich_text_reads_as_it_is_shown() {
    let expected = "=VisitMaria Quist\ntype 2 caf\u{e9} \u{20ac}5here\nMRN\t12\t\ncall her";
    assert_eq!(look(RTF), [expected, "picture!Scanned"]);
    assert_eq!(look(r"{\rtf1{\object{\*\objdata 0105}}".as_bytes()), ["=", "object!NoReader"]);
    assert_eq!(look("{\\rtf1".to_owned() + &"{".repeat(3000)), ["!TooDeep"]);
}

#[test]
fn rich_text_is_unpacked_as_it_was_packed() {
    // The example of MS-OXRTFCP §3.
    let packed = b"\x2d\0\0\0\x2b\0\0\0LZFu\xf1\xc5\xc7\xa7\x03\0\x0a\0rcpg125B2\x0a\xf3 hel\x09\0 bw\x05\xb0ld}\x0a\x80\x0f\xa0";
    let text = rtf::unpacked(packed, 1000).unwrap();
    assert_eq!(text, b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
    assert!(rtf::unpacked(packed, 3).is_err());
}

fn attribute(level: u8, id: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let sum = data.iter().fold(0_u16, |sum, octet| sum.wrapping_add(u16::from(*octet)));
    [&[level][..], &id.to_le_bytes(), &length.to_le_bytes(), data, &sum.to_le_bytes()].concat()
}

/// What Outlook sends as winmail.dat: a message with its page, and a file.
pub(super) fn tnef() -> Vec<u8> {
    let page = b"<p>shown here</p>   ";
    let html = [
        // A number, a property with a name of its own, and the page.
        &3_u32.to_le_bytes()[..],
        &0x0e07_0003_u32.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &0x8001_001e_u32.to_le_bytes(),
        &[0; 16],
        &1_u32.to_le_bytes(),
        &4_u32.to_le_bytes(),
        b"a\0b\0",
        &1_u32.to_le_bytes(),
        &2_u32.to_le_bytes(),
        b"x\0\0\0",
        &0x1013_0102_u32.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &u32::try_from(page.len()).unwrap().to_le_bytes(),
        page,
    ]
    .concat();
    [
        b"\x78\x9f\x3e\x22\x01\0".to_vec(),
        attribute(1, 0x0001_8004, b"Visit\0"),
        attribute(1, 0x0002_800c, b"seen today\0"),
        attribute(1, 0x0006_9003, &html),
        attribute(2, 0x0006_9002, &[0; 14]),
        attribute(2, 0x0001_8010, b"list.txt\0"),
        attribute(2, 0x0006_800f, b"a list"),
    ]
    .concat()
}

#[test]
fn winmail_dat_is_read_with_its_files() {
    assert_eq!(look(tnef()), ["page=shown here", "=Visit\nseen today\n", "1.name=list.txt", "1=a list"]);
    let cut = tnef()[..60].to_vec();
    assert_eq!(look(cut), ["=Visit\nseen today\n", "rest!Broken"]);
}

#[test]
fn properties_of_winmail_dat_that_are_too_many_are_not_left_out() {
    let number = |tag: u32, value: u32| [tag.to_le_bytes(), value.to_le_bytes()].concat();
    let file = |properties: &[u8]| [b"\x78\x9f\x3e\x22\x01\0".to_vec(), attribute(1, 0x0006_9003, properties)].concat();
    let many = [&5001_u32.to_le_bytes()[..], &number(0x1007_0003, 7).repeat(5001)].concat();
    assert_eq!(look(file(&many)), ["=", "rest!Broken"]);
    let values = [&1_u32.to_le_bytes()[..], &number(0x1007_1003, 5001), &[0; 4 * 5001]].concat();
    assert_eq!(look(file(&values)), ["=", "rest!Broken"]);
}

#[test]
fn what_lies_in_yesterdays_documents_is_not_read_and_they_say_so() {
    let with = |octets: Vec<u8>, path: &str| {
        let mut file = cfb::CompoundFile::open(Cursor::new(octets)).unwrap();
        file.create_storage_all(std::path::Path::new(path).parent().unwrap()).unwrap();
        file.create_stream(path).unwrap().write_all(b"words").unwrap();
        look(file.into_inner().into_inner())
    };
    assert_eq!(with(doc(0), "/ObjectPool/_1/\u{1}Ole10Native").last().unwrap(), "object!NoReader");
    assert_eq!(with(xls(), "/MBD0001/Package").first().unwrap(), "object!NoReader");
    assert_eq!(with(xls(), "/_SX_DB_CUR/0001").first().unwrap(), "pivot!NoReader");
    let deck = [&[0x0f, 0][..], &0x0fcc_u16.to_le_bytes(), &[0; 4]].concat();
    assert_eq!(look(compound(&[("/PowerPoint Document", &deck)])), ["=", "object!NoReader"]);
    let mut book = [record(0x0809, &[0; 16]), record(0x001c, b"remark")].concat();
    book.resize(5000, 0);
    assert_eq!(look(compound(&[("/Workbook", &book)])).first().unwrap(), "remarks!NoReader");
}

#[test]
fn a_text_of_outlook_that_is_there_and_cannot_be_read_is_unreadable() {
    let all = [("1000001F", "rest"), ("1000001E", "rest"), ("10130102", "page"), ("10090102", "rtf")];
    for (name, path) in all {
        let octets = vec![b'a'; 9000];
        let mut file = compound(&[("/__properties_version1.0", b"p"), (&format!("/__substg1.0_{name}"), &octets)]);
        // MS-CFB §2.6.3: the stream's size, which says more than its sectors hold.
        let directory = wide(&format!("__substg1.0_{name}"));
        let at = memchr::memmem::find(&file, &directory).unwrap();
        file[at + 0x78..at + 0x7c].copy_from_slice(&20_000_000_u32.to_le_bytes());
        let read = look(file);
        assert_eq!(read, [&format!("{path}!Broken"), "="], "{name}");
    }
}

#[test]
fn rich_text_of_the_east_is_read_by_its_code_page() {
    for (page, octets) in [(932, r"\'95\'61\'97\'f0"), (936, r"\'b2\'a1\'9a\'76"), (950, r"\'af\'66\'be\'fa")] {
        let text = look(format!("{{\\rtf1\\ansi\\ansicpg{page} {octets} 219\\_09}}"));
        assert!(text[0].starts_with("=\u{75c5}") && text[0].ends_with(" 219-09"), "{page} {text:?}");
    }
}

fn element(tag: (u16, u16), kind: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    [&tag.0.to_le_bytes()[..], &tag.1.to_le_bytes(), kind, &length.to_le_bytes(), value].concat()
}

pub(super) fn dicom(syntax: &[u8]) -> Vec<u8> {
    let mut file = [&[0; 128][..], b"DICM"].concat();
    file.extend(element((2, 0x10), b"UI", syntax));
    let implicit = syntax == b"1.2.840.10008.1.2\0";
    for (tag, value) in [((0x10, 0x10), &b"Quist^Maria "[..]), ((0x10, 0x20), b"00482913"), ((0x10, 0x30), b"19620314")]
    {
        if implicit {
            let (group, number): (u16, u16) = tag;
            file.extend([group.to_le_bytes(), number.to_le_bytes()].concat());
            file.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
            file.extend_from_slice(value);
        } else {
            file.extend(element(tag, b"LO", value));
        }
    }
    let pixels = if implicit {
        &b"\xe0\x7f\x10\0\x04\0\0\0\x01\x02\x03\x04"[..]
    } else {
        b"\xe0\x7f\x10\0OW\0\0\x04\0\0\0\x01\x02\x03\x04"
    };
    file.extend_from_slice(pixels);
    file
}

#[test]
fn the_header_of_a_picture_names_the_patient() {
    let header = "Patient: Quist, Maria\nPatient ID: 00482913\nDOB: 19620314\n";
    for syntax in [&b"1.2.840.10008.1.2.1\0"[..], b"1.2.840.10008.1.2\0"] {
        assert_eq!(look(dicom(syntax)), [format!("={header}"), "pixels!Scanned".into()]);
    }
    let mut cut = dicom(b"1.2.840.10008.1.2.1\0");
    cut.truncate(cut.len() - 14);
    assert_eq!(look(cut), [format!("={header}"), "rest!Broken".into()]);
    assert_eq!(look(dicom(b"1.2.840.10008.1.2.1.99")).get(1).unwrap(), "rest!NoReader");
}
