//! RTF: the words, without fonts, styles and pictures.

use crate::extract::charset::decoded;
use crate::extract::reading::{Place, Reading};
use crate::mime::Unreadable;

/// Groups that hold no words of the document.
const SILENT: [&str; 22] = [
    "fonttbl",
    "colortbl",
    "stylesheet",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "generator",
    "themedata",
    "datastore",
    "colorschememapping",
    "latentstyles",
    "xmlnstbl",
    "fldinst",
    "filetbl",
    "revtbl",
    "pgdsctbl",
    "listpicture",
    "fchars",
    "lchars",
    "mmathPr",
    "protusertbl",
    "bin",
];
/// No writer nests a tenth of it.
const DEEPEST: usize = 2000;
const LETTERS_OF_A_CAPTION: usize = 100;

pub(super) fn read(reading: &mut Reading<'_>, at: Place<'_>, octets: &[u8]) {
    let mut page = Page { most: reading.room(), ..Page::default() };
    match page.read(octets) {
        Ok(()) => {
            let letters = page.text.chars().filter(|letter| letter.is_alphanumeric()).count();
            reading.text(at.path, at.media_type, page.text);
            if page.pictures && letters < LETTERS_OF_A_CAPTION {
                reading.unreadable(&at.below("picture"), at.media_type, Unreadable::Scanned);
            }
            if page.objects {
                reading.unreadable(&at.below("object"), at.media_type, Unreadable::NoReader);
            }
        }
        Err(why) => reading.unreadable(at.path, at.media_type, why),
    }
}

/// What holds within a pair of braces.
#[derive(Clone, Copy, Default)]
struct Group {
    silent: bool,
    /// How many characters behind `\u` are for readers without Unicode.
    skip: usize,
}

#[derive(Default)]
struct Page {
    text: String,
    most: usize,
    /// Letters of the document's code page, until it is known where they end.
    octets: Vec<u8>,
    code_page: Option<String>,
    pictures: bool,
    objects: bool,
    /// Characters still to be left out behind `\u`.
    left_out: usize,
    wide: Vec<u16>,
}

impl Page {
    fn read(&mut self, rtf: &[u8]) -> Result<(), Unreadable> {
        let mut groups = vec![Group { silent: false, skip: 1 }];
        let mut at = 0;
        while let Some(octet) = rtf.get(at) {
            let depth = groups.len();
            let Some(group) = groups.last_mut() else { break };
            at += 1;
            match octet {
                b'{' if depth > DEEPEST => return Err(Unreadable::TooDeep),
                b'{' => {
                    let group = *group;
                    groups.push(group);
                }
                b'}' => {
                    groups.pop();
                    self.left_out = 0;
                }
                b'\\' => at = self.control(rtf, at, group),
                b'\r' | b'\n' => {}
                _ => self.letter(*octet, group.silent),
            }
            if self.text.len() > self.most {
                return Err(Unreadable::TooLarge);
            }
        }
        self.flush();
        Ok(())
    }

    /// What stands behind a backslash; gives the place behind it.
    fn control(&mut self, rtf: &[u8], at: usize, group: &mut Group) -> usize {
        let rest = &rtf[at..];
        let word = rest.iter().take_while(|octet| octet.is_ascii_alphabetic()).take(32).count();
        if word == 0 {
            return at + self.symbol(rest, group);
        }
        let sign = usize::from(rest.get(word) == Some(&b'-'));
        let digits = rest[word + sign..].iter().take_while(|octet| octet.is_ascii_digit()).take(10).count();
        let end = word + if digits == 0 { 0 } else { sign + digits };
        let name = std::str::from_utf8(&rest[..word]).unwrap_or_default();
        let number = std::str::from_utf8(&rest[word..end]).unwrap_or_default().parse::<i64>().ok();
        let mut next = at + end + usize::from(rest.get(end) == Some(&b' '));
        if name == "bin" {
            next =
                next.saturating_add(number.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)).min(rtf.len());
        }
        self.word(name, number, group);
        next
    }

    fn symbol(&mut self, rest: &[u8], group: &mut Group) -> usize {
        match rest {
            [b'\'', high, low, ..] => {
                let digit = |octet: &u8| char::from(*octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                if let (Some(high), Some(low)) = (digit(high), digit(low)) {
                    self.letter(high << 4 | low, group.silent);
                }
                3
            }
            // A destination that older readers skip: so do we, but for those that hold words.
            [b'*', ..] => {
                let name: Vec<u8> =
                    rest[1..].iter().skip_while(|octet| b"\\ \r\n".contains(octet)).copied().take(20).collect();
                let keeps =
                    [&b"annotation"[..], b"shptxt", b"shpinst", b"footnote", b"background", b"docvar", b"userprops"];
                group.silent |= !keeps.iter().any(|keep| name.starts_with(keep));
                1
            }
            [b'~', ..] => {
                self.put(" ", group.silent);
                1
            }
            // A hyphen at which no line is broken, as in numbers.
            [b'_', ..] => {
                self.put("-", group.silent);
                1
            }
            [octet @ (b'{' | b'}' | b'\\'), ..] => {
                self.letter(*octet, group.silent);
                1
            }
            [b'\r' | b'\n', ..] => {
                self.put("\n", group.silent);
                1
            }
            _ => 1,
        }
    }

    fn word(&mut self, name: &str, number: Option<i64>, group: &mut Group) {
        match name {
            "u" => {
                let unit = number.and_then(|number| u16::try_from(number.rem_euclid(0x1_0000)).ok());
                if let Some(unit) = unit.filter(|_| !group.silent) {
                    self.letters();
                    self.wide.push(unit);
                }
                self.left_out = group.skip;
            }
            "uc" => group.skip = number.and_then(|count| usize::try_from(count).ok()).unwrap_or(1).min(16),
            "ansicpg" => self.code_page = number.map(code_page),
            "par" | "line" | "row" | "sect" | "page" | "nestrow" => self.put("\n", group.silent),
            "tab" | "cell" | "nestcell" => self.put("\t", group.silent),
            "emdash" | "endash" => self.put("-", group.silent),
            "lquote" | "rquote" => self.put("'", group.silent),
            "ldblquote" | "rdblquote" => self.put("\"", group.silent),
            "pict" => {
                self.pictures = true;
                group.silent = true;
            }
            "objdata" => {
                self.objects = true;
                group.silent = true;
            }
            _ if SILENT.contains(&name) => group.silent = true,
            _ => {}
        }
    }

    fn letter(&mut self, octet: u8, silent: bool) {
        if self.left_out > 0 {
            self.left_out -= 1;
        } else if !silent {
            self.units();
            self.octets.push(octet);
        }
    }

    fn put(&mut self, text: &str, silent: bool) {
        if !silent {
            self.flush();
            self.text.push_str(text);
        }
    }

    fn flush(&mut self) {
        self.letters();
        self.units();
    }

    fn letters(&mut self) {
        if !self.octets.is_empty() {
            let octets = std::mem::take(&mut self.octets);
            let page = self.code_page.as_deref().unwrap_or("windows-1252");
            self.text.push_str(&decoded(&octets, page));
        }
    }

    fn units(&mut self) {
        let units = char::decode_utf16(self.wide.drain(..));
        self.text.extend(units.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
    }
}

/// The charset of a code page of Windows; those of the East have names of their own.
fn code_page(number: i64) -> String {
    match number {
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        950 => "big5".to_owned(),
        65001 => "utf-8".to_owned(),
        other => format!("windows-{other}"),
    }
}

/// Rich text as mail programs of old pack it ([MS-OXRTFCP]).
pub(super) fn unpacked(packed: &[u8], most: usize) -> Result<Vec<u8>, Unreadable> {
    const DICTIONARY: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \
\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
    let kind = packed.get(8..12).ok_or(Unreadable::Broken)?;
    let body = packed.get(16..).ok_or(Unreadable::Broken)?;
    match kind {
        b"MELA" => return Ok(body.to_vec()),
        b"LZFu" => {}
        _ => return Err(Unreadable::Broken),
    }
    let mut window = [0_u8; 4096];
    window[..DICTIONARY.len()].copy_from_slice(DICTIONARY);
    let (mut at, mut out) = (DICTIONARY.len(), Vec::new());
    let mut input = body.iter().copied();
    'all: while let Some(flags) = input.next() {
        for bit in 0..8 {
            if flags >> bit & 1 == 0 {
                let Some(octet) = input.next() else { break 'all };
                window[at] = octet;
                at = (at + 1) % window.len();
                out.push(octet);
                continue;
            }
            let (Some(high), Some(low)) = (input.next(), input.next()) else { break 'all };
            let token = usize::from(u16::from_be_bytes([high, low]));
            let (offset, length) = (token >> 4, (token & 15) + 2);
            // A reference to the place of the next octet ends the text.
            if offset == at {
                break 'all;
            }
            for step in 0..length {
                let octet = window[(offset + step) % window.len()];
                window[at] = octet;
                at = (at + 1) % window.len();
                out.push(octet);
            }
        }
        if out.len() > most {
            return Err(Unreadable::TooLarge);
        }
    }
    Ok(out)
}
