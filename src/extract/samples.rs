//! Files for tests, made here octet by octet, and how to say what was read of one.

use std::cell::RefCell;
use std::io::{Cursor, Write};
use std::sync::Once;

use bytes::Bytes;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::extract::{Budget, Unread, read};
use crate::mime::{Content, Part};
use crate::phi::Phi;

pub(super) const BUDGET: Budget = Budget { depth: 3, parts: 40, ratio: 100, bytes: 8 << 20 };

pub(super) fn look(octets: impl Into<Vec<u8>>) -> Vec<String> {
    look_within(octets, &BUDGET)
}

pub(super) fn look_within(octets: impl Into<Vec<u8>>, budget: &Budget) -> Vec<String> {
    outline(&parts(octets, budget))
}

pub(super) fn parts(octets: impl Into<Vec<u8>>, budget: &Budget) -> Vec<Part> {
    let octets = Phi::new(Bytes::from(octets.into()));
    read(&Unread { media_type: "application/octet-stream".into(), name: None, octets }, budget)
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Where readers of ours, or the crates that they unpack with, panicked in this thread since it was last asked. Those for PDF and
/// spreadsheets may: what they meet is theirs to judge.
pub(super) fn own_panics() -> Vec<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
            PANICS.with_borrow_mut(|panics| panics.push(place));
            before(panic);
        }));
    });
    let may = ["/hayro", "/calamine-"];
    PANICS.take().into_iter().filter(|place| !may.iter().any(|crates| place.contains(crates))).collect()
}

/// Each part as `path=text` or `path!why`.
pub(super) fn outline(parts: &[Part]) -> Vec<String> {
    let said = |part: &Part| match &part.content {
        Content::Text(text) => format!("{}={}", part.path, text.expose()),
        Content::Unreadable(why) => format!("{}!{why:?}", part.path),
    };
    parts.iter().map(said).collect()
}

pub(super) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, octets) in files {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        archive.start_file(*name, options).unwrap();
        archive.write_all(octets).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// What every file of today's office programs is: a ZIP that lists the types of its parts.
pub(super) fn package(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut whole = vec![("[Content_Types].xml", &b"<Types/>"[..])];
    whole.extend_from_slice(files);
    zip(&whole)
}

/// A text document with this between the tags of its body, and further entries.
pub(super) fn docx(body: &str, further: &[(&str, &str)]) -> Vec<u8> {
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:document xmlns:w=\"w\"><w:body>{body}</w:body></w:document>"
    );
    let mut files = vec![("word/document.xml", document.as_bytes())];
    files.extend(further.iter().map(|(name, text)| (*name, text.as_bytes())));
    package(&files)
}

pub(super) fn paragraph(text: &str) -> String {
    format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")
}

const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";

/// A workbook: each sheet with its name, its state and its rows of cells, as XML.
pub(super) fn xlsx(sheets: &[(&str, &str, &str)], strings: &[&str]) -> Vec<u8> {
    let mut files: Vec<(String, String)> = Vec::new();
    let (mut listed, mut related) = (String::new(), String::new());
    for (number, (name, state, rows)) in sheets.iter().enumerate() {
        let id = number + 1;
        listed.push_str(&format!("<sheet name=\"{name}\" sheetId=\"{id}\" state=\"{state}\" r:id=\"rId{id}\"/>"));
        related.push_str(&format!(
            "<Relationship Id=\"rId{id}\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet{id}.xml\"/>"
        ));
        let sheet = format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>");
        files.push((format!("xl/worksheets/sheet{id}.xml"), sheet));
    }
    let items: String = strings.iter().map(|text| format!("<si><t>{text}</t></si>")).collect();
    // The second style is of dates: format 14.
    let styles = format!(
        "<styleSheet xmlns=\"{MAIN}\"><cellXfs count=\"2\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\"/></cellXfs></styleSheet>"
    );
    files.push(("xl/sharedStrings.xml".into(), format!("<sst xmlns=\"{MAIN}\">{items}</sst>")));
    files.push(("xl/styles.xml".into(), styles));
    files.push((
        "xl/workbook.xml".into(),
        format!("<workbook xmlns=\"{MAIN}\" xmlns:r=\"{RELATIONS}\"><sheets>{listed}</sheets></workbook>"),
    ));
    files.push((
        "xl/_rels/workbook.xml.rels".into(),
        format!("<Relationships xmlns=\"{PACKAGE}/relationships\">{related}</Relationships>"),
    ));
    files.push((
        "_rels/.rels".into(),
        format!(
            "<Relationships xmlns=\"{PACKAGE}/relationships\"><Relationship Id=\"rId1\" Type=\"{RELATIONS}/officeDocument\" \
             Target=\"xl/workbook.xml\"/></Relationships>"
        ),
    ));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    package(&files)
}

/// A document of one page, which shows what these operators draw.
pub(super) fn pdf(operators: &str) -> Vec<u8> {
    pdf_with(operators, "", &[])
}

/// With this in its catalog, and further objects from number 6 on.
pub(super) fn pdf_with(operators: &str, catalog: &str, further: &[Vec<u8>]) -> Vec<u8> {
    let page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>";
    let mut objects = vec![
        format!("<</Type/Catalog/Pages 2 0 R{catalog}>>").into_bytes(),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec(),
        page.as_bytes().to_vec(),
        pdf_stream("", operators.as_bytes()),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>".to_vec(),
    ];
    objects.extend_from_slice(further);
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut places = String::new();
    for (number, object) in objects.iter().enumerate() {
        places.push_str(&format!("{:010} 00000 n \n", file.len()));
        file.extend([format!("{} 0 obj\n", number + 1).as_bytes(), object, b"\nendobj\n"].concat());
    }
    let (start, size) = (file.len(), objects.len() + 1);
    file.extend_from_slice(
        format!(
            "xref\n0 {size}\n0000000000 65535 f \n{places}trailer\n<</Size {size}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n"
        )
        .as_bytes(),
    );
    file
}

pub(super) fn pdf_stream(dict: &str, octets: &[u8]) -> Vec<u8> {
    let head = format!("<<{dict}/Length {}>>stream\n", octets.len());
    [head.as_bytes(), octets, b"\nendstream"].concat()
}
