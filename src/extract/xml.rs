//! The words of XML documents. Nothing is expanded: an entity of the document's own is left out, and the document is broken.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

use crate::extract::charset;
use crate::mime::Unreadable;

/// How deep elements may lie in each other; office programs need a tenth of it.
const DEEPEST: usize = 256;

/// Whose words are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// Those in `t` and the like: text documents, slides, comments of Microsoft's formats.
    OfRuns,
    /// All: OpenDocument, properties, data bound to a document.
    All,
    /// All, and every attribute named `v`: the values kept behind a pivot table.
    AllAndValues,
}

/// The text: a paragraph or a row on a line of its own, cells apart by tabs.
pub(super) fn text(octets: &[u8], words: Words, most: usize) -> Result<String, Unreadable> {
    let document = charset::xml(octets);
    let mut reader = Reader::from_str(&document);
    let mut page = Page { words, text: String::new(), open: 0, runs: 0, cells: 0, fallback: None };
    loop {
        match reader.read_event().map_err(|_| Unreadable::Broken)? {
            Event::Start(element) => {
                page.begin(&element);
                page.open += 1;
                if page.open > DEEPEST {
                    return Err(Unreadable::TooDeep);
                }
            }
            Event::Empty(element) => {
                page.begin(&element);
                page.open += 1;
                page.end(element.local_name().as_ref());
            }
            Event::End(element) => page.end(element.local_name().as_ref()),
            Event::Text(text) => page.words(&text.xml10_content()),
            Event::CData(text) => page.words(&text.xml10_content()),
            Event::GeneralRef(entity) => match entity.resolve_char_ref() {
                Ok(Some(letter)) => page.words(letter.encode_utf8(&mut [0; 4])),
                Ok(None) | Err(_) => page.words(resolve_xml_entity(&entity).ok_or(Unreadable::Broken)?),
            },
            Event::Eof => return Ok(page.text),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
        if page.text.len() > most {
            return Err(Unreadable::TooLarge);
        }
    }
}

struct Page {
    words: Words,
    text: String,
    open: usize,
    /// How many elements are open whose words count, and how many cells.
    runs: usize,
    cells: usize,
    /// The depth at which a second copy of a drawing began, for programs that cannot show the first.
    fallback: Option<usize>,
}

impl Page {
    fn begin(&mut self, element: &BytesStart<'_>) {
        match element.local_name().as_ref() {
            "t" | "delText" | "text" | "v" => self.runs += 1,
            "tc" | "table-cell" => self.cells += 1,
            "tab" => self.put("\t"),
            "br" | "cr" | "line-break" => self.put("\n"),
            // OpenDocument 1.3 §6.1.3: a run of spaces.
            "s" if self.words == Words::All => self.put(" "),
            "Fallback" if self.fallback.is_none() => self.fallback = Some(self.open),
            _ => {}
        }
        if self.words == Words::AllAndValues {
            let values = element.attributes().flatten().filter(|attribute| attribute.key.as_ref() == "v");
            let values: Vec<String> = values.map(|value| value.value.into_owned()).collect();
            for value in values {
                self.put(&value);
                self.put("\n");
            }
        }
    }

    fn end(&mut self, name: &str) {
        self.open = self.open.saturating_sub(1);
        match name {
            "t" | "delText" | "text" | "v" => self.runs = self.runs.saturating_sub(1),
            "tc" | "table-cell" => {
                self.cells = self.cells.saturating_sub(1);
                self.put("\t");
            }
            // A cell of several paragraphs stays in its row.
            "p" | "h" => self.put(if self.cells > 0 { " " } else { "\n" }),
            "tr" | "table-row" | "comment" | "threadedComment" => self.put("\n"),
            "Fallback" if self.fallback == Some(self.open) => self.fallback = None,
            // A property on a line of its own.
            _ if self.words != Words::OfRuns && !self.text.ends_with(['\n', ' ', '\t']) && is_property(name) => {
                self.put("\n");
            }
            _ => {}
        }
    }

    fn words(&mut self, text: &str) {
        if self.words != Words::OfRuns || self.runs > 0 {
            self.put(text);
        }
    }

    fn put(&mut self, text: &str) {
        if self.fallback.is_none() {
            self.text.push_str(text);
        }
    }
}

/// Whether an element is more than a span of letters within a paragraph.
fn is_property(name: &str) -> bool {
    !matches!(name, "span" | "a" | "s" | "tab")
}
