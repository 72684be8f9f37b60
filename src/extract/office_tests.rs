//! Documents, slides and tables of today's office programs.

use crate::extract::Budget;
use crate::extract::samples::{BUDGET, docx, look, look_within, package, paragraph, xlsx, zip};

#[test]
fn a_text_document_reads_as_it_stands_on_the_page() {
    let body = paragraph("Maria Quist")
        + "<w:p><w:r><w:t>type </w:t></w:r><w:r><w:t xml:space=\"preserve\">2 </w:t></w:r><w:r><w:tab/><w:t>a&amp;b</w:t></w:r></w:p>"
        + "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>MRN</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>12</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
        + "<w:p><w:del><w:r><w:delText>taken out</w:delText></w:r></w:del></w:p>";
    assert_eq!(look(docx(&body, &[])), ["=Maria Quist\ntype 2 \ta&b\nMRN \t12 \t\ntaken out\n"]);
}

#[test]
fn headers_notes_and_remarks_are_read() {
    let word = |text: &str| format!("<w:x xmlns:w=\"w\">{}</w:x>", paragraph(text));
    let parts = [
        ("word/header1.xml", word("DOB 1950")),
        ("word/footnotes.xml", word("seen in May")),
        ("word/comments.xml", word("call her")),
        ("docProps/core.xml", "<p xmlns:dc=\"d\"><dc:title>Quist</dc:title><dc:creator>Ann</dc:creator></p>".into()),
        ("word/styles.xml", word("Heading 1")),
    ];
    let parts: Vec<(&str, &str)> = parts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let expected = ["=DOB 1950\nresults\nseen in May\n", "beside=call her\nQuist\nAnn\n\n"];
    assert_eq!(look(docx(&paragraph("results"), &parts)), expected);
}

#[test]
fn a_text_box_that_is_there_twice_is_read_once() {
    let body = "<w:p><mc:AlternateContent><mc:Choice><w:t>one</w:t></mc:Choice><mc:Fallback><w:t>two</w:t></mc:Fallback></mc:AlternateContent></w:p>";
    assert_eq!(look(docx(body, &[])), ["=one\n"]);
}

#[test]
fn a_document_in_a_document_is_read() {
    let inner = docx(&paragraph("seen"), &[]);
    let outer = package(&[
        ("word/document.xml", b"<d/>"),
        ("word/embeddings/a.docx", &inner),
        ("word/afchunk.html", b"<p>shown as text</p>"),
    ]);
    assert_eq!(look(outer), ["=", "file1=seen\n", "file2=shown as text"]);
}

#[test]
fn a_document_that_is_one_picture_is_a_scan() {
    // What deflate cannot make smaller.
    let picture: Vec<u8> = (0_u32..60_000).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let scan = |text: &str| {
        let document = format!("<d>{}</d>", paragraph(text));
        look(package(&[("word/document.xml", document.as_bytes()), ("word/media/image1.png", &picture)]))
    };
    assert_eq!(scan("Fax"), ["=Fax\n", "picture!Scanned"]);
    assert_eq!(scan(&"words ".repeat(60)).len(), 1);
}

#[test]
fn a_broken_document_is_unreadable_and_keeps_what_was_read_of_it() {
    assert_eq!(look(docx("<w:p></w:q>", &[])), ["=", "rest!Broken"]);
    assert_eq!(look(docx("&own;", &[])), ["=", "rest!Broken"], "an entity of its own");
    assert_eq!(look(docx(&"<a>".repeat(300), &[])), ["=", "rest!TooDeep"]);
    let header = [("word/header1.xml", "<w:p></w:q>")];
    assert_eq!(look(docx(&paragraph("seen"), &header)), ["=seen\n", "rest!Broken"]);
}

#[test]
fn entities_that_grow_do_not() {
    let body = "<!DOCTYPE d [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]><d>&b;</d>";
    assert_eq!(look(package(&[("word/document.xml", body.as_bytes())])), ["=", "rest!Broken"]);
}

#[test]
fn slides_are_read_in_their_order_with_their_notes() {
    let slide = |text: &str| format!("<p:sld><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:sld>");
    let (one, ten, notes) = (slide("one"), slide("ten"), slide("say her name"));
    let deck = package(&[
        ("ppt/presentation.xml", b"<p/>"),
        ("ppt/slides/slide10.xml", ten.as_bytes()),
        ("ppt/slides/slide1.xml", one.as_bytes()),
        ("ppt/notesSlides/notesSlide1.xml", notes.as_bytes()),
    ]);
    assert_eq!(look(deck), ["=one\nsay her name\nten\n"]);
}

#[test]
fn open_document_is_read() {
    let content = "<office:body><text:p>Maria<text:s/>Quist</text:p><table:table-row><table:table-cell><text:p>MRN</text:p></table:table-cell>\
                   <table:table-cell><text:p>12</text:p></table:table-cell></table:table-row></office:body>";
    let document = zip(&[("content.xml", content.as_bytes()), ("META-INF/manifest.xml", b"<m/>")]);
    assert_eq!(look(document), ["=Maria Quist\nMRN \t12 \t\n"]);
}

#[test]
fn each_sheet_is_read_row_by_row_and_hidden_ones_too() {
    let rows = "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"inlineStr\"><is><t>Born</t></is></c></row>\
                <row r=\"3\"><c r=\"A3\" t=\"s\"><v>1</v></c><c r=\"B3\" s=\"1\"><v>18264</v></c><c r=\"D3\"><v>7.5</v></c></row>";
    let hidden = "<row r=\"1\"><c r=\"A1\" t=\"b\"><v>1</v></c></row>";
    let book = xlsx(&[("May", "visible", rows), ("Old", "hidden", hidden)], &["Name", "Quist\nMaria"]);
    let expected = [
        "sheet1.name=May",
        "sheet1=Name\tBorn\nName: Quist Maria\tBorn: 01/01/1950\t\t7.5\n",
        "sheet2.name=Old",
        "sheet2=true\n",
    ];
    assert_eq!(look(book), expected);
}

#[test]
fn a_table_that_swells_is_not_unpacked() {
    let rows = format!("<row r=\"1\"><c r=\"A1\"><v>1</v></c></row>{}", " ".repeat(6 << 20));
    let book = xlsx(&[("May", "visible", &rows)], &[]);
    assert_eq!(look_within(book, &Budget { ratio: 10, ..BUDGET }), ["!RatioExceeded"]);
}

#[test]
fn a_broken_sheet_is_unreadable_and_the_others_are_read() {
    let book = xlsx(
        &[
            ("A", "visible", "<row r=\"1\"><c r=\"A1\"><v>1</v></d></row>"),
            ("B", "visible", "<row r=\"1\"><c r=\"A1\"><v>2</v></c></row>"),
        ],
        &[],
    );
    assert_eq!(look(book), ["sheet1.name=A", "sheet1!Broken", "sheet2.name=B", "sheet2=2\n"]);
    assert_eq!(look(package(&[("xl/workbook.xml", b"<")])), ["!Broken"]);
}

#[test]
fn a_title_above_a_table_names_no_column() {
    let rows = "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c></row><row r=\"2\"><c r=\"A2\" t=\"s\"><v>1</v></c><c r=\"B2\" t=\"s\"><v>2</v></c></row>\
                <row r=\"3\"><c r=\"A3\"><v>482913</v></c><c r=\"B3\"><v>12</v></c></row>";
    let book = xlsx(&[("May", "visible", rows)], &["Visits", "MRN", "Room"]);
    assert_eq!(look(book), ["sheet1.name=May", "sheet1=Visits\nMRN\tRoom\nMRN: 482913\tRoom: 12\n"]);
}

#[test]
fn an_archive_with_a_folder_of_that_name_is_no_document() {
    for folder in ["word/documents", "ppt/presentations", "xl/workbooks"] {
        let archive = zip(&[(&format!("{folder}/list.txt"), b"seen"), ("patients.csv", b"a,b")]);
        let expected = [&format!("1.name={folder}/list.txt"), "1=seen", "2.name=patients.csv", "2=a\tb\n"];
        assert_eq!(look(archive), expected);
    }
}

#[test]
fn what_is_no_part_of_a_document_is_read_as_a_file_in_it() {
    let further = [
        ("patients.csv", "a,b"),
        ("word/notes/list.txt", "seen"),
        ("word/list.txt", "today"),
        ("ppt/slides/slide1.xml", "<a>words</a>"),
        ("word/styles.xml", "<w>none</w>"),
        ("word/_rels/document.xml.rels", "<r/>"),
        ("word/fonts/font1.odttf", "none"),
        ("docMetadata/LabelInfo.xml", "<none/>"),
        ("word/", ""),
    ];
    let read = look(docx(&paragraph("text"), &further));
    assert_eq!(read, ["=text\n", "file1=a\tb\n", "file2=seen", "file3=today", "file4=<a>words</a>"]);
    let further = [("content.xml", &b"<d/>"[..]), ("META-INF/manifest.xml", b"<m/>")];
    let further =
        [&further[..], &[("Object 1/content.xml", b"<a>seen</a>"), ("settings.xml", b"<s>none</s>")]].concat();
    assert_eq!(look(zip(&further)), ["=\n", "file1=<a>seen</a>"]);
}

#[test]
fn a_document_that_says_utf_16_and_is_not_is_read() {
    let document = format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?><d>{}</d>", paragraph("Maria Quist"));
    assert_eq!(look(package(&[("word/document.xml", document.as_bytes())])), ["=Maria Quist\n"]);
}

#[test]
fn remarks_and_pivot_tables_of_a_binary_workbook_are_not_read_and_it_says_so() {
    for name in ["xl/comments1.bin", "xl/pivotCache/pivotCacheRecords1.bin"] {
        let read = look(package(&[("xl/workbook.bin", b"x"), (name, b"words")]));
        assert!(read.contains(&"rest!NoReader".to_owned()), "{read:?}");
    }
}
