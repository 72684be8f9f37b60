//! PDF: the text of its pages as it stands on the paper, its form fields, remarks and properties, and the files in it.

mod layout;

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::ZlibDecoder;
use hayro_interpret::font::{Glyph as Drawn, GlyphRun};
use hayro_interpret::hayro_cmap::BfString;
use hayro_interpret::kurbo::{BezPath, Rect};
use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps, InterpreterCache,
    InterpreterSettings, SoftMask, TransformExt, interpret_page,
};
use hayro_syntax::object::{Array, Dict, MaybeRef, Name, Object, ObjectIdentifier, Stream, String as PdfString};
use hayro_syntax::page::Page;
use hayro_syntax::{LoadPdfError, Pdf};

use crate::extract::Unread;
use crate::extract::charset::decoded;
use crate::extract::reading::{Place, Reading};
use crate::extract::xml::{self, Words};
use crate::mime::Unreadable;
use crate::phi::Phi;
use layout::Glyph;

/// Further pages are not read.
const MAX_PAGES: usize = 3000;
/// Glyphs of one page; no page that a person reads has a tenth of it.
const MAX_GLYPHS: usize = 400_000;
/// A page with fewer letters, under a picture that covers most of it, is a scan with a stamp or a fax line on it.
const LETTERS_OF_A_STAMP: usize = 200;
/// The share of a page from which a picture may be a document.
const LARGE_PICTURE: f64 = 0.4;
/// Lines and curves from which a page without letters may be written in outlines.
const OUTLINES: usize = 200;
/// A page where more than one of so many letters has no known meaning has not been read.
const UNKNOWN_OF: usize = 4;
/// What the densest packing makes of one octet: deflate's bound, and more than any other here.
const DENSEST: usize = 1032;

pub(super) fn read(reading: &mut Reading<'_>, at: Place<'_>, octets: Bytes) {
    let pdf = match Pdf::new(Arc::new(octets)) {
        Ok(pdf) => pdf,
        Err(LoadPdfError::Decryption(_)) => return reading.unreadable(at.path, at.media_type, Unreadable::Encrypted),
        Err(LoadPdfError::Invalid) => return reading.unreadable(at.path, at.media_type, Unreadable::Broken),
    };
    let pages = pdf.pages();
    if pages.is_empty() {
        return reading.unreadable(at.path, at.media_type, Unreadable::Broken);
    }
    let mut text = String::new();
    let mut unread = Vec::new();
    let cache = InterpreterCache::new();
    for (number, page) in pages.iter().enumerate().take(MAX_PAGES) {
        let sheet = draw(&pdf, page, &cache);
        if let Some(why) = sheet.unreadable() {
            unread.push((number + 1, why));
        }
        text.push_str(&layout::text(sheet.glyphs));
        text.push('\u{c}');
        if text.len() > reading.room() {
            break;
        }
    }
    if pages.len() > MAX_PAGES {
        unread.push((MAX_PAGES + 1, Unreadable::TooLarge));
    }
    reading.text(at.path, at.media_type, text);
    for (page, why) in unread {
        reading.unreadable(&at.below(&format!("page{page}")), at.media_type, why);
    }
    beside(reading, at, &pdf);
}

fn draw<'a>(pdf: &'a Pdf, page: &Page<'a>, cache: &InterpreterCache<'a>) -> Sheet {
    let (width, height) = page.render_dimensions();
    let paper = Rect::new(0.0, 0.0, f64::from(width), f64::from(height));
    let mut sheet = Sheet { paper, ..Sheet::default() };
    // Upright, with the first line at the top.
    let transform = page.initial_transform(false).to_kurbo();
    let mut context = Context::new(transform, paper, cache, pdf.xref(), InterpreterSettings::default());
    interpret_page(page, &mut context, &mut sheet);
    sheet
}

/// What a page shows.
#[derive(Default)]
struct Sheet {
    paper: Rect,
    glyphs: Vec<Glyph>,
    /// Letters that no reader of ours knows.
    unknown: usize,
    too_many: bool,
    /// The area that pictures cover.
    pictures: f64,
    outlines: usize,
}

impl Sheet {
    fn unreadable(&self) -> Option<Unreadable> {
        let letters = self.glyphs.iter().filter(|glyph| !glyph.text.trim().is_empty()).count();
        let covered = self.pictures / self.paper.area().max(1.0);
        if self.too_many {
            Some(Unreadable::TooLarge)
        } else if self.unknown * UNKNOWN_OF > letters + self.unknown {
            Some(Unreadable::NoReader)
        } else if (covered > LARGE_PICTURE && letters < LETTERS_OF_A_STAMP)
            || (letters == 0 && (covered > 0.01 || self.outlines > OUTLINES))
        {
            Some(Unreadable::Scanned)
        } else {
            None
        }
    }
}

impl<'a> Device<'a> for Sheet {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, 'a>, props: DrawProps<'a>, _: &DrawMode) {
        for glyph in run.glyphs() {
            if self.glyphs.len() >= MAX_GLYPHS {
                self.too_many = true;
                return;
            }
            let text = match glyph.as_unicode() {
                Some(BfString::Char(letter)) => letter.to_string(),
                Some(BfString::String(letters)) => letters,
                None => String::new(),
            };
            if text.chars().all(|letter| matches!(letter, '\0' | '\u{fffd}' | '\u{e000}'..='\u{f8ff}')) {
                self.unknown += 1;
                continue;
            }
            let width = match &**glyph {
                Drawn::Outline(outline) => outline.advance_width(),
                Drawn::Type3(drawn) => drawn.advance_width(),
            };
            self.glyphs.push(Glyph::new(text, width, props.transform * glyph.transform()));
        }
    }

    fn draw_image(&mut self, _: Image<'a, '_>, props: ImageDrawProps<'a>) {
        let corners = props.transform.transform_rect_bbox(Rect::new(0.0, 0.0, 1.0, 1.0));
        self.pictures += corners.intersect(self.paper).area().max(0.0);
    }

    fn draw_path(&mut self, path: &BezPath, _: DrawProps<'a>, _: &DrawMode) {
        self.outlines += path.elements().len();
    }

    fn push_clip_path(&mut self, _: &ClipPath) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'a>>, _: BlendMode) {}
    fn pop_clip(&mut self) {}
    fn pop_transparency_group(&mut self) {}
}

/// What stands in the file and not on its pages.
fn beside(reading: &mut Reading<'_>, at: Place<'_>, pdf: &Pdf) {
    let data = pdf.metadata();
    let properties = [&data.title, &data.author, &data.subject, &data.keywords];
    let properties: Vec<String> = properties.into_iter().flatten().map(|value| words(value)).collect();
    if properties.iter().any(|value| !value.trim().is_empty()) {
        reading.text(&at.below("properties"), at.media_type, properties.join("\n"));
    }
    let mut held = Held { room: reading.room(), ..Held::default() };
    for object in pdf.objects() {
        held.look(object);
    }
    let Held { remarks, too_much, files, loose, forms, seen, lost, .. } = held;
    if !remarks.is_empty() {
        reading.text(&at.below("remarks"), at.media_type, remarks);
    }
    if too_much {
        reading.unreadable(&at.below("remarks"), at.media_type, Unreadable::TooLarge);
    }
    if lost {
        reading.unreadable(&at.below("rest"), at.media_type, Unreadable::Broken);
    }
    form(reading, at, &forms);
    let loose = loose.into_iter().filter(|stream| !seen.contains(&stream.obj_id()));
    for (number, (name, stream)) in files.into_iter().chain(loose.map(|stream| (String::new(), stream))).enumerate() {
        let path = at.below(&format!("file{}", number + 1));
        match reading.one_more().and_then(|()| unfolded(reading, &stream)) {
            Ok(octets) => {
                reading.name(&path, &name);
                let media_type = "application/octet-stream".to_owned();
                let unread = Unread { media_type, name: Some(Phi::new(name)), octets: Phi::new(octets.into()) };
                reading.inner(&path, &unread, at.depth + 1);
            }
            Err(why) => reading.unreadable(&path, "application/octet-stream", why),
        }
    }
}

/// What the objects of a document hold beside its pages.
#[derive(Default)]
struct Held<'a> {
    remarks: String,
    room: usize,
    too_much: bool,
    /// The files that something names, and those of which only the type says what they are.
    files: Vec<(String, Stream<'a>)>,
    loose: Vec<Stream<'a>>,
    seen: HashSet<ObjectIdentifier>,
    /// The XML of a form.
    forms: Vec<Stream<'a>>,
    /// Whether something is named that is not there.
    lost: bool,
}

impl<'a> Held<'a> {
    /// Looks at an object, and at those that it holds itself: what it refers to is an object of its own.
    fn look(&mut self, object: Object<'a>) {
        let mut waiting = vec![object];
        while let Some(object) = waiting.pop() {
            let dict = match object {
                Object::Dict(dict) => dict,
                Object::Stream(stream) => {
                    if is(stream.dict(), b"Type", b"EmbeddedFile") {
                        self.loose.push(stream);
                    }
                    continue;
                }
                Object::Array(array) => {
                    waiting.extend(array.raw_iter().filter_map(held));
                    continue;
                }
                Object::Null(_) | Object::Boolean(_) | Object::Number(_) | Object::String(_) | Object::Name(_) => {
                    continue;
                }
            };
            self.remark(&dict);
            self.file(&dict);
            self.form(&dict);
            waiting.extend(dict.entries().filter_map(|(_, entry)| held(entry)));
        }
    }

    /// Annotations (ISO 32000 §12.5.2 `Contents`) and the values of form fields (§12.7.4.1 `V`), with their names.
    fn remark(&mut self, dict: &Dict<'_>) {
        let is_field = dict.contains_key(b"FT") || dict.contains_key(b"T");
        let is_annotation = is(dict, b"Type", b"Annot") || dict.contains_key(b"Subtype");
        let value = |key: &[u8]| dict.get::<PdfString<'_>>(key).map(|value| words(value.as_bytes()));
        let label = if is_field { value(b"TU").or_else(|| value(b"T")) } else { None };
        let said = [is_field.then(|| value(b"V")), is_annotation.then(|| value(b"Contents"))];
        for text in said.into_iter().flatten().flatten().filter(|text| !text.trim().is_empty()) {
            let label = label.as_ref().map(|label| format!("{label}: ")).unwrap_or_default();
            if self.remarks.len() + label.len() + text.len() >= self.room {
                self.too_much = true;
                return;
            }
            self.remarks.extend([label.as_str(), &text, "\n"]);
        }
    }

    /// A file specification (ISO 32000 §7.11.3) whose file is in this document. Its type is told by nothing else.
    fn file(&mut self, dict: &Dict<'a>) {
        if !dict.contains_key(b"EF") {
            return;
        }
        let name = [b"UF".as_slice(), b"F"].into_iter().find_map(|key| dict.get::<PdfString<'_>>(key));
        let name = name.map(|name| words(name.as_bytes())).unwrap_or_default();
        let packed = dict.get::<Dict<'a>>(b"EF").unwrap_or_else(Dict::empty);
        let streams: Vec<Stream<'a>> = packed.keys().filter_map(|key| packed.get::<Stream<'a>>(&*key)).collect();
        self.lost |= streams.is_empty() || streams.len() < packed.len();
        for stream in streams {
            if self.seen.insert(stream.obj_id()) {
                self.files.push((name.clone(), stream));
            }
        }
    }

    /// A form of XML (ISO 32000 §12.7.8): whole, or in pieces behind their names.
    fn form(&mut self, dict: &Dict<'a>) {
        if let Some(pieces) = dict.get::<Array<'a>>(b"XFA") {
            self.forms.extend(pieces.iter::<Object<'a>>().filter_map(Object::into_stream));
        } else if let Some(whole) = dict.get::<Stream<'a>>(b"XFA") {
            self.forms.push(whole);
        } else {
            self.lost |= dict.contains_key(b"XFA");
        }
    }
}

/// What stands at a place itself.
fn held<'a>(entry: MaybeRef<Object<'a>>) -> Option<Object<'a>> {
    match entry {
        MaybeRef::NotRef(object) => Some(object),
        MaybeRef::Ref(_) => None,
    }
}

fn form(reading: &mut Reading<'_>, at: Place<'_>, pieces: &[Stream<'_>]) {
    if pieces.is_empty() {
        return;
    }
    let path = at.below("form");
    let octets: Result<Vec<Vec<u8>>, Unreadable> = pieces.iter().map(|piece| unfolded(reading, piece)).collect();
    match octets.and_then(|octets| xml::text(&octets.concat(), Words::All, reading.room())) {
        Ok(text) => reading.text(&path, at.media_type, text),
        Err(why) => reading.unreadable(&path, at.media_type, why),
    }
}

/// How a stream is packed (ISO 32000 §7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packers {
    /// By deflate alone.
    Flate,
    /// By so many that may make more of it.
    Some(usize),
}

fn packers(dict: &Dict<'_>) -> Packers {
    let alone = dict.get::<Name<'_>>(b"Filter").into_iter();
    let several = dict.get::<Array<'_>>(b"Filter");
    let several = several.iter().flat_map(Array::iter::<Object<'_>>).filter_map(Object::into_name);
    let names: Vec<Name<'_>> = alone.chain(several).collect();
    if let [name] = names.as_slice()
        && matches!(name.as_ref(), b"FlateDecode" | b"Fl")
    {
        return Packers::Flate;
    }
    let is_written_out =
        |name: &&Name<'_>| matches!(name.as_ref(), b"ASCIIHexDecode" | b"AHx" | b"ASCII85Decode" | b"A85" | b"Crypt");
    Packers::Some(names.iter().filter(|name| !is_written_out(name)).count())
}

/// The octets of a stream, if they are no more than what it may grow to.
fn unfolded(reading: &mut Reading<'_>, stream: &Stream<'_>) -> Result<Vec<u8>, Unreadable> {
    let packed = stream.raw_data();
    let most = reading.may_grow_to(packed.len());
    let grows = match packers(stream.dict()) {
        Packers::Flate => {
            // Piece by piece, and thrown away: the crate would make room for all of it first.
            let mut piece = ZlibDecoder::new(&*packed).take(most as u64 + 1);
            let (mut grown, mut room) = (0, vec![0; 64 << 10]);
            // What breaks off is judged by the crate.
            while let Ok(length @ 1..) = piece.read(&mut room) {
                grown += length;
            }
            grown
        }
        Packers::Some(count) => (0..count).fold(packed.len(), |size, _| size.saturating_mul(DENSEST)),
    };
    if grows > most {
        return Err(Unreadable::RatioExceeded);
    }
    let octets = stream.decoded().map_err(|_| Unreadable::Broken)?.into_owned();
    reading.unpacked(packed.len(), octets.len())?;
    Ok(octets)
}

fn is(dict: &Dict<'_>, key: &[u8], name: &[u8]) -> bool {
    dict.get::<Name<'_>>(key).is_some_and(|value| value.as_ref() == name)
}

/// A text string (ISO 32000 §7.9.2.2): UTF-16 or UTF-8 behind its mark, else nearly Latin 1.
fn words(octets: &[u8]) -> String {
    match octets {
        [0xfe, 0xff, wide @ ..] => decoded(wide, "utf-16be"),
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8_lossy(text).into_owned(),
        latin => latin.iter().map(|octet| char::from(*octet)).collect(),
    }
}
