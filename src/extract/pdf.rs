//! PDF: the text of its pages as it stands on the paper, its form fields, remarks and properties, and the files in it.

mod layout;

use std::sync::Arc;

use bytes::Bytes;
use hayro_interpret::font::{Glyph as Drawn, GlyphRun};
use hayro_interpret::hayro_cmap::BfString;
use hayro_interpret::kurbo::{BezPath, Rect};
use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps, InterpreterCache,
    InterpreterSettings, SoftMask, TransformExt, interpret_page,
};
use hayro_syntax::object::{Dict, Name, Object, Stream, String as PdfString};
use hayro_syntax::page::Page;
use hayro_syntax::{LoadPdfError, Pdf};

use crate::extract::Unread;
use crate::extract::reading::{Place, Reading};
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
    let (mut remarks, mut files) = (String::new(), 0);
    for object in pdf.objects() {
        match object {
            Object::Dict(dict) => remark(&dict, &mut remarks, reading.room()),
            Object::Stream(stream) if is(stream.dict(), b"Type", b"EmbeddedFile") => {
                files += 1;
                embedded(reading, at, &stream, files);
            }
            _ => {}
        }
    }
    if !remarks.is_empty() {
        reading.text(&at.below("remarks"), at.media_type, remarks);
    }
}

/// Annotations (ISO 32000 §12.5.2 `Contents`) and the values of form fields (§12.7.4.1 `V`), with their names.
fn remark(dict: &Dict<'_>, remarks: &mut String, room: usize) {
    let is_field = dict.contains_key(b"FT") || dict.contains_key(b"T");
    let is_annotation = is(dict, b"Type", b"Annot") || dict.contains_key(b"Subtype");
    let value = |key: &[u8]| dict.get::<PdfString<'_>>(key).map(|value| words(value.as_bytes()));
    let label = if is_field { value(b"TU").or_else(|| value(b"T")) } else { None };
    let said = [is_field.then(|| value(b"V")), is_annotation.then(|| value(b"Contents"))];
    for text in said.into_iter().flatten().flatten().filter(|text| !text.trim().is_empty()) {
        if remarks.len() + text.len() > room {
            return;
        }
        if let Some(label) = &label {
            remarks.push_str(label);
            remarks.push_str(": ");
        }
        remarks.push_str(&text);
        remarks.push('\n');
    }
}

fn embedded(reading: &mut Reading<'_>, at: Place<'_>, stream: &Stream<'_>, number: usize) {
    let path = at.below(&format!("file{number}"));
    let packed = stream.raw_data().len();
    let media_type = "application/octet-stream";
    match stream.decoded() {
        Ok(octets) => {
            let octets = octets.into_owned();
            if let Err(why) = reading.unpacked(packed, octets.len()) {
                return reading.unreadable(&path, media_type, why);
            }
            let unread =
                Unread { media_type: media_type.to_owned(), name: None, octets: Phi::new(Bytes::from(octets)) };
            reading.inner(&path, &unread, at.depth + 1);
        }
        Err(_) => reading.unreadable(&path, media_type, Unreadable::Broken),
    }
}

fn is(dict: &Dict<'_>, key: &[u8], name: &[u8]) -> bool {
    dict.get::<Name<'_>>(key).is_some_and(|value| value.as_ref() == name)
}

/// A text string (ISO 32000 §7.9.2.2): UTF-16 or UTF-8 behind its mark, else nearly Latin 1.
fn words(octets: &[u8]) -> String {
    match octets {
        [0xfe, 0xff, wide @ ..] => {
            let units = wide.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8_lossy(text).into_owned(),
        latin => latin.iter().map(|octet| char::from(*octet)).collect(),
    }
}
