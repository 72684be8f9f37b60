//! The ZIP-based office formats: DOCX, XLSX, PPTX and their kin, and OpenDocument.

use bytes::Bytes;

use crate::extract::archive::{self, Zip};
use crate::extract::reading::{Place, Reading};
use crate::extract::xml::{self, Words};
use crate::extract::{Unread, sheets};
use crate::mime::Unreadable;
use crate::phi::Phi;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Document,
    Slides,
    Sheets,
    OpenDocument,
}

/// A document with fewer letters than this, and a picture larger than that, is the picture.
const LETTERS_OF_A_CAPTION: usize = 200;
const PICTURE_BYTES: u64 = 30 << 10;
const CONTENT_TYPES: &str = "[Content_Types].xml";
/// What office programs put into their own folders beside XML: fonts, macros, settings of printers, shapes of remarks.
const OWN_ENDS: [&str; 9] = [".rels", ".bin", ".odttf", ".ttf", ".otf", ".fntdata", ".vml", ".xsl", ".sigs"];

impl Kind {
    pub(super) fn of(archive: &Zip) -> Option<Kind> {
        let begins = |start: &str| archive.file_names_raw().any(|name| name.starts_with(start.as_bytes()));
        // ECMA-376 part 2 §10.1.2: no package is without it. Some programs number the main part, as in word/document2.xml.
        let is_package = archive.file_names_raw().any(|name| name.eq_ignore_ascii_case(CONTENT_TYPES.as_bytes()));
        if is_package && begins("word/document") {
            Some(Kind::Document)
        } else if is_package && begins("ppt/presentation") {
            Some(Kind::Slides)
        } else if is_package && begins("xl/workbook") {
            Some(Kind::Sheets)
        } else if archive.index_for_name("content.xml").is_some() && begins("META-INF/manifest.xml") {
            Some(Kind::OpenDocument)
        } else {
            None
        }
    }

    /// Whether a file is one that the format itself puts there, and that has no words of the document.
    fn is_own(self, folder: &str, file: &str) -> bool {
        let top = folder.split('/').next().unwrap_or_default();
        let is_kept = |ends: &[&str]| file.ends_with(".xml") || ends.iter().any(|end| file.ends_with(end));
        match self {
            Kind::OpenDocument => match top {
                "" => matches!(file, "mimetype" | "settings.xml" | "manifest.rdf" | "layout-cache"),
                "META-INF" | "Configurations2" | "Thumbnails" | "Basic" | "Scripts" | "Dialogs" | "Fonts" => true,
                _ => false,
            },
            Kind::Document | Kind::Slides | Kind::Sheets => match top {
                "" => file.eq_ignore_ascii_case(CONTENT_TYPES),
                // The preview is a picture of what is read.
                "docProps" => is_kept(&OWN_ENDS) || file.starts_with("thumbnail."),
                "_rels" | "customXml" | "customUI" | "docMetadata" | "_xmlsignatures" => is_kept(&OWN_ENDS),
                "word" => self == Kind::Document && is_kept(&OWN_ENDS),
                "ppt" => self == Kind::Slides && is_kept(&OWN_ENDS),
                "xl" => self == Kind::Sheets && is_kept(&OWN_ENDS),
                _ => false,
            },
        }
    }
}

/// What an entry of such a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// The text itself, in the order of these.
    Body,
    /// Text that does not stand on the pages: remarks, properties, values behind a table.
    Beside(Words),
    Embedded,
    Picture,
    /// Cells, which another reader reads that does not count.
    Cells,
    /// Words in a form that nobody here reads.
    Unread,
    /// Styles, themes, relations.
    Other,
}

/// What the entries hold, each part of it in its order.
#[derive(Default)]
struct Found {
    body: String,
    beside: String,
    /// The entries that are files of their own: their numbers and names.
    embedded: Vec<(usize, String)>,
    pictures: usize,
    /// Why an entry, or the cells, could not be read.
    broken: Option<Unreadable>,
    cells: Option<Unreadable>,
}

pub(super) fn read(reading: &mut Reading<'_>, at: Place<'_>, (kind, archive): (Kind, &mut Zip)) {
    let found = look(reading, (kind, archive));
    let before = reading.room();
    match (kind, found.cells) {
        (Kind::Sheets, None) => sheets::read(reading, at, archive.clone().into_inner().into_inner()),
        (Kind::Sheets, Some(why)) => reading.unreadable(at.path, at.media_type, why),
        (Kind::Document | Kind::Slides | Kind::OpenDocument, _) => reading.text(at.path, at.media_type, found.body),
    }
    if found.pictures > 0 && before.saturating_sub(reading.room()) < LETTERS_OF_A_CAPTION {
        reading.unreadable(&at.below("picture"), at.media_type, Unreadable::Scanned);
    }
    if !found.beside.trim().is_empty() {
        reading.text(&at.below("beside"), at.media_type, found.beside);
    }
    if let Some(why) = found.broken {
        reading.unreadable(&at.below("rest"), at.media_type, why);
    }
    for (file, (number, name)) in found.embedded.into_iter().enumerate() {
        let path = at.below(&format!("file{}", file + 1));
        match reading.one_more().and_then(|()| archive::unpack(reading, archive, number)) {
            Ok(octets) => inner(reading, at, &path, (name, octets)),
            Err(why) => reading.unreadable(&path, at.media_type, why),
        }
    }
}

fn look(reading: &mut Reading<'_>, (kind, archive): (Kind, &mut Zip)) -> Found {
    let mut found = Found::default();
    for (number, entry, (name, size)) in entries(kind, archive) {
        let words = match entry {
            Entry::Body if kind == Kind::OpenDocument => Words::All,
            Entry::Body => Words::OfRuns,
            Entry::Beside(words) => words,
            Entry::Embedded => {
                found.embedded.push((number, name));
                continue;
            }
            Entry::Picture => {
                found.pictures += usize::from(size > PICTURE_BYTES);
                continue;
            }
            Entry::Cells => {
                let cells = archive::unpack(reading, archive, number).and_then(|octets| sheets::plausible(&octets));
                found.cells = cells.err().or(found.cells);
                continue;
            }
            Entry::Unread => {
                found.broken = Some(Unreadable::NoReader);
                continue;
            }
            Entry::Other => continue,
        };
        let room = reading.room().saturating_sub(found.body.len() + found.beside.len());
        let text = archive::unpack(reading, archive, number).and_then(|octets| xml::text(&octets, words, room));
        match text {
            Ok(text) if entry == Entry::Body => found.body.push_str(&text),
            Ok(text) => found.beside.push_str(&text),
            Err(why) => found.broken = Some(why),
        }
    }
    found
}

fn inner(reading: &mut Reading<'_>, at: Place<'_>, path: &str, (name, octets): (String, Bytes)) {
    let media_type = "application/octet-stream".to_owned();
    reading.inner(path, &Unread { media_type, name: Some(Phi::new(name)), octets: Phi::new(octets) }, at.depth + 1);
}

/// The entries that matter, the text in the order of its pages.
fn entries(kind: Kind, archive: &mut Zip) -> Vec<(usize, Entry, (String, u64))> {
    let mut found = Vec::new();
    for number in 0..archive.len() {
        // One that cannot even be looked at is found broken when it is read.
        let Ok(entry) = archive.by_index_raw(number) else { continue };
        let (name, size) = (archive::name_of(&entry), entry.size());
        found.push((order(&name), number, Entry::of(kind, &name), (name, size)));
    }
    found.sort_by_key(|(order, number, ..)| (*order, *number));
    found.into_iter().map(|(_, number, entry, rest)| (number, entry, rest)).collect()
}

/// Slide 10 comes behind slide 9, and headers before the text.
fn order(name: &str) -> (u8, u32) {
    let digits: String = name.chars().filter(char::is_ascii_digit).take(6).collect();
    (u8::from(!name.contains("/header")), digits.parse().unwrap_or(0))
}

impl Entry {
    fn of(kind: Kind, name: &str) -> Entry {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        if !file.ends_with(".xml") {
            return Entry::of_another_kind(kind, folder, file);
        }
        let begins = |starts: &[&str]| starts.iter().any(|start| file.starts_with(start));
        match (kind, folder) {
            (Kind::Document | Kind::Slides | Kind::Sheets, "docProps" | "customXml") => {
                if begins(&["itemProps"]) {
                    Entry::Other
                } else {
                    Entry::Beside(Words::All)
                }
            }
            (Kind::Document, "word") if begins(&["document", "header", "footer", "footnotes", "endnotes"]) => {
                Entry::Body
            }
            (Kind::Document, "word" | "word/glossary") if begins(&["comments", "document"]) => {
                Entry::Beside(Words::OfRuns)
            }
            (Kind::Slides, "ppt/slides" | "ppt/notesSlides") => Entry::Body,
            (Kind::Slides, "ppt/comments") => Entry::Beside(Words::OfRuns),
            (Kind::Sheets, "xl" | "xl/comments") if begins(&["comments"]) => Entry::Beside(Words::OfRuns),
            (Kind::Sheets, "xl/threadedComments" | "xl/drawings") => Entry::Beside(Words::OfRuns),
            (Kind::Sheets, "xl" | "xl/worksheets") => Entry::Cells,
            (Kind::Sheets, "xl/pivotCache") => Entry::Beside(Words::AllAndValues),
            (Kind::Document, "word/diagrams") | (Kind::Slides, "ppt/diagrams") if begins(&["data"]) => {
                Entry::Beside(Words::OfRuns)
            }
            (Kind::OpenDocument, "") if begins(&["content"]) => Entry::Body,
            (Kind::OpenDocument, "") if begins(&["styles", "meta"]) => Entry::Beside(Words::All),
            _ => Entry::of_another_kind(kind, folder, file),
        }
    }

    fn of_another_kind(kind: Kind, folder: &str, file: &str) -> Entry {
        let is_office = kind != Kind::OpenDocument;
        if file.is_empty() {
            // A folder.
            Entry::Other
        } else if kind == Kind::Sheets
            && file.ends_with(".bin")
            && (file.starts_with("comments") || folder == "xl/pivotCache")
        {
            Entry::Unread
        } else if kind == Kind::Sheets && matches!(folder, "xl" | "xl/worksheets") {
            Entry::Cells
        } else if is_office && folder.ends_with("/embeddings") {
            Entry::Embedded
        } else if (is_office && folder.ends_with("/media"))
            || (!is_office && matches!(folder, "Pictures" | "ObjectReplacements"))
        {
            Entry::Picture
        } else if kind == Kind::Document && file.starts_with("afchunk") {
            // A whole other document that is shown as if it were text of this one.
            Entry::Embedded
        } else if kind.is_own(folder, file) {
            Entry::Other
        } else {
            // Somebody put it there; no office program shows it, and whoever unpacks the file finds it.
            Entry::Embedded
        }
    }
}
