//! HTML as a person sees it: the words, with blocks on their own lines and table cells apart. What the page carries beside
//! that is kept apart: what it hides, what it says of pictures, and where its links lead.

use std::collections::HashSet;

use memchr::{memchr, memchr2, memmem};

use crate::mime::attributes::{self, Attribute};
use crate::mime::lines::{Gap, Lines};

/// Tables within tables whose rows are told apart; deeper ones run on in the row of the deepest.
const MAX_TABLES: usize = 64;

/// A page, taken apart. All of it together is not much longer than the page.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) seen: String,
    /// Comments, and what a style or an attribute keeps from being drawn.
    pub(super) hidden: String,
    /// A line for each place that a link leads to, its parameters as `name: value`.
    pub(super) links: String,
    /// Texts that stand for pictures and fields, or pop up over them; other values that a page carries.
    pub(super) said: String,
    /// Documents inside the page's addresses that are no text.
    pub(super) files: usize,
}

/// Reads a page in one pass.
pub(super) fn read(html: &str) -> Page {
    let mut reader = Reader::new(html, Hidden::No);
    reader.run();
    reader.page()
}

/// The last place of each closing mark. Without them, a page of opening ones would be searched to its end each time.
struct Ends {
    tag: usize,
    comment: usize,
}

impl Ends {
    fn of(html: &[u8]) -> Ends {
        let last = |mark: &[u8]| memmem::rfind(html, mark).unwrap_or(0);
        Ends { tag: memchr::memrchr(b'>', html).unwrap_or(0), comment: last(b"-->").max(last(b"--!>")) }
    }
}

/// Whether what comes is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hidden {
    No,
    /// Until the element of this name is closed, and those of the same name inside it.
    Until {
        name: String,
        open: usize,
    },
    Always,
}

enum Markup<'a> {
    /// A `<` that begins no tag.
    Text,
    /// A declaration, up to here.
    Declaration(usize),
    Comment {
        inner: &'a str,
        end: usize,
    },
    Tag(Tag<'a>),
}

struct Tag<'a> {
    /// Without its slash.
    name: &'a str,
    closes: bool,
    attributes: &'a str,
    end: usize,
}

struct Reader<'a> {
    html: &'a str,
    ends: Ends,
    at: usize,
    seen: Lines,
    away: Lines,
    links: String,
    said: String,
    linked: HashSet<&'a str>,
    files: usize,
    hidden: Hidden,
    /// For each open table, whether its row has a cell already.
    tables: Vec<bool>,
    /// Open elements in which line ends are drawn.
    drawn_as_is: usize,
    /// A quote that is never closed was met: from there on, the first bracket ends a tag.
    torn: bool,
    /// Raw elements that are searched for an end no more, since there is none.
    unclosed: [bool; RAW.len()],
}

/// Elements whose content is no markup.
const RAW: [&str; 2] = ["style", "script"];

impl<'a> Reader<'a> {
    fn new(html: &'a str, hidden: Hidden) -> Reader<'a> {
        Reader {
            html,
            ends: Ends::of(html.as_bytes()),
            at: 0,
            seen: Lines::within(html.len() / 2),
            away: Lines::default(),
            links: String::new(),
            said: String::new(),
            linked: HashSet::new(),
            files: 0,
            hidden,
            tables: Vec::new(),
            drawn_as_is: 0,
            torn: false,
            unclosed: [false; RAW.len()],
        }
    }

    fn run(&mut self) {
        while let Some(open) = memchr(b'<', &self.html.as_bytes()[self.at..]).map(|found| self.at + found) {
            self.words(self.at, open);
            match self.markup(open) {
                Markup::Text => {
                    self.words(open, open + 1);
                    self.at = open + 1;
                }
                Markup::Declaration(end) => self.at = end,
                Markup::Comment { inner, end } => {
                    self.comment(inner);
                    self.at = end;
                }
                Markup::Tag(tag) => self.tag(&tag),
            }
        }
        self.words(self.at, self.html.len());
    }

    fn page(self) -> Page {
        let (seen, hidden) = (self.seen.finish(), self.away.finish());
        Page { seen, hidden, links: self.links, said: self.said, files: self.files }
    }

    fn markup(&mut self, open: usize) -> Markup<'a> {
        let inner = &self.html[open + 1..];
        if let Some(comment) = inner.strip_prefix("!--") {
            // HTML §13.2.5.43: `<!-->` and `<!--->` are whole comments; a reader shows what follows them.
            if let Some(empty) = [">", "->"].into_iter().find(|end| comment.starts_with(end)) {
                return Markup::Declaration(open + 4 + empty.len());
            }
            // An unclosed comment is shown, lest it hide what a lenient reader shows.
            let closed = if open < self.ends.comment { comment_end(comment) } else { None };
            let Some((inner, behind)) = closed else { return Markup::Text };
            return Markup::Comment { inner: &comment[..inner], end: open + 4 + behind };
        }
        if open >= self.ends.tag {
            return Markup::Text;
        }
        let slash = usize::from(inner.starts_with('/'));
        let named = &inner[slash..];
        if !named.starts_with(|first: char| first.is_ascii_alphabetic() || first == '!' || first == '?') {
            return Markup::Text;
        }
        if named.starts_with(['!', '?']) {
            let end = memchr(b'>', inner.as_bytes()).map_or(self.html.len(), |found| open + found + 2);
            return Markup::Declaration(end);
        }
        let length = named.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(named.len());
        let from = open + 1 + slash + length;
        let Some(close) = self.close(from) else { return Markup::Text };
        Markup::Tag(Tag {
            name: &named[..length],
            closes: slash == 1,
            attributes: &self.html[from..close],
            end: close + 1,
        })
    }

    /// The bracket that ends a tag: not one inside a quoted value.
    fn close(&mut self, from: usize) -> Option<usize> {
        let bytes = self.html.as_bytes();
        if !self.torn {
            match attributes::close(bytes, from) {
                Some(close) => return Some(close),
                None => self.torn = true,
            }
        }
        memchr(b'>', &bytes[from..]).map(|found| from + found)
    }

    fn tag(&mut self, tag: &Tag<'a>) {
        self.at = tag.end;
        if !tag.attributes.is_empty() && !tag.closes {
            self.attributes(tag);
        }
        self.hide(tag);
        self.lay_out(tag);
        if let Some(raw) = RAW.iter().position(|name| tag.name.eq_ignore_ascii_case(name)).filter(|_| !tag.closes) {
            self.raw(raw, tag);
        }
    }

    fn attributes(&mut self, tag: &Tag<'a>) {
        let mut hides = false;
        for attribute in attributes::of(tag.attributes) {
            match attributes::purpose(attribute.name) {
                attributes::Purpose::Style => hides |= attributes::is_hiding_style(attribute.value),
                attributes::Purpose::Hidden => hides |= !attribute.value.eq_ignore_ascii_case("false"),
                attributes::Purpose::Link => self.link(&attribute),
                attributes::Purpose::Said => attributes::say(&mut self.said, None, attribute.value),
                attributes::Purpose::Data => attributes::say(&mut self.said, Some(attribute.name), attribute.value),
                attributes::Purpose::Page => {
                    // A page inside the page: its words, without the ways to hide them a second time.
                    let text = attributes::unescaped(attribute.value);
                    attributes::say(&mut self.said, None, &flat(&text));
                }
                attributes::Purpose::None => {}
            }
            // A value that swallowed markup: lenient readers show what is in it.
            if attribute.value.contains('<') && !attribute.name.eq_ignore_ascii_case("srcdoc") {
                attributes::say(&mut self.said, None, &flat(attribute.value));
            }
        }
        if hides && self.hidden == Hidden::No && !is_void(tag.name) {
            self.hidden = Hidden::Until { name: tag.name.to_ascii_lowercase(), open: 0 };
            self.away.gap(Gap::Line);
        }
    }

    fn link(&mut self, attribute: &Attribute<'a>) {
        let value = attribute.value.trim();
        // What is shown from another part of the message leads nowhere.
        if value.is_empty() || value.starts_with('#') || value.starts_with("cid:") || !self.linked.insert(value) {
            return;
        }
        match attributes::data(value) {
            attributes::Data::None => attributes::link(&mut self.links, value),
            attributes::Data::Small => {}
            attributes::Data::Text(text) => attributes::say(&mut self.said, None, &flat(&text)),
            attributes::Data::File => self.files += 1,
        }
    }

    /// Counts the open elements that have the name of the one that hides.
    fn hide(&mut self, tag: &Tag<'_>) {
        let Hidden::Until { name, open } = &mut self.hidden else { return };
        if !tag.name.eq_ignore_ascii_case(name) {
            return;
        }
        if tag.closes {
            *open = open.saturating_sub(1);
        } else if *open > 0 && closes_itself(name) {
            // A new paragraph ends the hidden one, which was never closed.
            *open = 0;
        } else {
            *open += 1;
        }
        if *open == 0 {
            self.hidden = Hidden::No;
        }
    }

    fn lay_out(&mut self, tag: &Tag<'_>) {
        let mut name = [0; 12];
        let Some(name) = name.get_mut(..tag.name.len()) else { return };
        name.copy_from_slice(tag.name.as_bytes());
        name.make_ascii_lowercase();
        match &*name {
            b"td" | b"th" if !tag.closes => self.cell(),
            b"tr" => {
                if let Some(row) = self.tables.last_mut() {
                    *row = false;
                }
                self.gap(Gap::Line);
            }
            b"table" => {
                if tag.closes {
                    self.tables.pop();
                    // The cell behind one that holds a table begins a line.
                    if let Some(row) = self.tables.last_mut() {
                        *row = false;
                    }
                } else if self.tables.len() < MAX_TABLES {
                    self.tables.push(false);
                }
                self.gap(Gap::Line);
            }
            b"pre" | b"textarea" | b"listing" => {
                let change = if tag.closes { -1 } else { 1 };
                self.drawn_as_is = self.drawn_as_is.saturating_add_signed(change);
                self.gap(Gap::Line);
            }
            b"br" | b"p" | b"div" | b"li" | b"ul" | b"ol" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"hr"
            | b"blockquote" | b"section" | b"article" | b"header" | b"footer" | b"dt" | b"dd" | b"dl" | b"title"
            | b"head" | b"body" | b"form" | b"option" | b"address" | b"caption" | b"tbody" | b"thead" | b"tfoot"
            | b"main" | b"nav" | b"aside" | b"figure" | b"figcaption" | b"center" | b"fieldset" | b"legend"
            | b"summary" | b"details" | b"select" | b"tspan" => self.gap(Gap::Block),
            // Pictures stand between words, as do fields.
            b"img" | b"input" | b"button" => self.gap(Gap::Space),
            _ => {}
        }
    }

    /// A cell is a tab away from the one before, however many blocks that one ended with.
    fn cell(&mut self) {
        let first = self.tables.last_mut().is_none_or(|row| !std::mem::replace(row, true));
        let gap = if first && !self.tables.is_empty() { Gap::Line } else { Gap::Tab };
        self.gap(gap);
    }

    fn gap(&mut self, gap: Gap) {
        if self.hidden == Hidden::No { self.seen.gap(gap) } else { self.away.gap(gap) }
    }

    fn words(&mut self, from: usize, to: usize) {
        let words = &self.html[from..to];
        if words.is_empty() {
            return;
        }
        let into = if self.hidden == Hidden::No { &mut self.seen } else { &mut self.away };
        if self.drawn_as_is > 0 { into.as_is(words) } else { into.words(words) }
    }

    fn comment(&mut self, inner: &str) {
        // What Outlook alone shows stands in comments too, markup and all.
        self.away.gap(Gap::Line);
        let inner = inner.strip_suffix("<![endif]").unwrap_or(inner);
        let condition = if inner.starts_with("[if") { inner.split_once("]>") } else { None };
        self.away.plain(&flat(condition.map_or(inner, |(_, shown)| shown)));
        self.away.gap(Gap::Line);
    }

    /// Behind a style's or a script's content. Without its closing tag, it is read as text.
    fn raw(&mut self, raw: usize, tag: &Tag<'_>) {
        let name = RAW[raw];
        if self.unclosed[raw] {
            return;
        }
        let rest = &self.html[tag.end..];
        let ends = memmem::find_iter(rest.as_bytes(), b"</");
        let is_end = |at: usize| rest[at + 2..].get(..name.len()).is_some_and(|got| got.eq_ignore_ascii_case(name));
        let Some(end) = ends.into_iter().find(|at| is_end(*at)) else {
            self.unclosed[raw] = true;
            return;
        };
        // Data for machines, as of a visit or an order, which mail programs make cards of.
        let is_data = tag.attributes.to_ascii_lowercase().contains("json");
        if is_data {
            self.away.gap(Gap::Line);
            self.away.plain(&rest[..end]);
            self.away.gap(Gap::Line);
        }
        self.at = tag.end + end;
    }
}

/// The words of a page inside a page, without its layout: comments in it are words too.
fn flat(html: &str) -> String {
    if memchr2(b'<', b'&', html.as_bytes()).is_none() {
        return html.to_owned();
    }
    let mut reader = Reader::new(html, Hidden::Always);
    // No comment and no page is looked for in there, so that nothing is read more than twice.
    reader.ends.comment = 0;
    let mut plain = Lines::within(html.len());
    while let Some(open) = memchr(b'<', &html.as_bytes()[reader.at..]).map(|found| reader.at + found) {
        plain.words(&html[reader.at..open]);
        reader.at = match reader.markup(open) {
            Markup::Tag(tag) => {
                plain.gap(Gap::Space);
                tag.end
            }
            Markup::Declaration(end) => end,
            Markup::Text | Markup::Comment { .. } => {
                plain.words("<");
                open + 1
            }
        };
    }
    plain.words(&html[reader.at..]);
    plain.finish()
}

/// Where the words of a comment end, and where reading goes on: behind `-->`, or `--!>` (HTML §13.2.5.51).
fn comment_end(comment: &str) -> Option<(usize, usize)> {
    let bytes = comment.as_bytes();
    for at in memmem::find_iter(bytes, b"--") {
        // Dashes in a row end with the last two: each place but the first is looked at too.
        for at in [at, at + 1] {
            let rest = &bytes[at..];
            let end = [&b"-->"[..], b"--!>"].into_iter().find(|end| rest.starts_with(end));
            if let Some(end) = end {
                return Some((at, at + end.len()));
            }
        }
    }
    None
}

fn is_void(name: &str) -> bool {
    ["img", "br", "hr", "input", "meta", "link", "area", "base", "col", "embed", "source", "track", "wbr"]
        .iter()
        .any(|void| name.eq_ignore_ascii_case(void))
}

/// Elements whose end may be left out, since the next of their kind ends them (HTML §13.1.2.4).
fn closes_itself(name: &str) -> bool {
    matches!(name, "p" | "li" | "dt" | "dd" | "option" | "tr" | "td" | "th")
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
