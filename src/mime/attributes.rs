//! What the attributes of HTML tags say to a person, hide from one, or carry along.

use data_encoding::BASE64;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::add_html_token;
use memchr::{memchr, memchr3};

use crate::mime::transfer;

/// No entity of HTML is longer than this.
const LONGEST_ENTITY: usize = 40;
/// A picture that is written into its page, in characters of base64; larger ones may show a document.
const LARGEST_PICTURE: usize = 87 << 10;
/// Attributes of one tag that are read; no page needs as many.
const MAX_ATTRIBUTES: usize = 200;

#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    /// As written, without its quotes.
    pub(super) value: &'a str,
}

/// The bracket that ends the tag whose attributes begin at `from`; none when a quote is never closed.
pub(super) fn close(html: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr3(b'>', b'"', b'\'', html.get(at..)?)?;
        let quote = html[at];
        if quote == b'>' {
            return Some(at);
        }
        // HTML §13.2.5.35: elsewhere than behind an equals sign, a quote is a character like others.
        let opens = html[from..at].trim_ascii_end().ends_with(b"=");
        at += 1;
        if opens {
            at += memchr(quote, &html[at..])? + 1;
        }
    }
}

/// The attributes of a tag, in their order.
pub(super) fn of(inside: &str) -> impl Iterator<Item = Attribute<'_>> {
    let mut rest = inside;
    let next = move || {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '=' || c == '/').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end.max(rest.chars().next()?.len_utf8()));
        let Some(value) = behind.trim_ascii_start().strip_prefix('=').map(str::trim_ascii_start) else {
            rest = behind;
            return Some(Attribute { name, value: "" });
        };
        let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''));
        let (value, behind) = match quote {
            Some(quote) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            None => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
        };
        rest = behind;
        Some(Attribute { name, value })
    };
    std::iter::from_fn(next).take(MAX_ATTRIBUTES)
}

/// What an attribute is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Style,
    Hidden,
    Link,
    /// Shown in place of a picture or a field, or over it.
    Said,
    /// A value that a page keeps for itself, under its own name.
    Data,
    /// A page inside the page.
    Page,
    None,
}

pub(super) fn purpose(name: &str) -> Purpose {
    let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    if is(&["class", "id", "width", "height", "align", "valign", "border", "bgcolor", "cellpadding", "cellspacing"]) {
        return Purpose::None;
    }
    if is(&["style"]) {
        return Purpose::Style;
    }
    if is(&["hidden"]) {
        return Purpose::Hidden;
    }
    if is(&["href", "src", "action", "formaction", "cite", "background", "longdesc", "poster", "data"]) {
        return Purpose::Link;
    }
    if is(&["alt", "title", "value", "placeholder", "summary", "label", "content", "aria-label"]) {
        return Purpose::Said;
    }
    if is(&["srcdoc"]) {
        return Purpose::Page;
    }
    if name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("data-")) { Purpose::Data } else { Purpose::None }
}

/// Whether a style keeps the element from being drawn, in the ways that newsletters hide their first line.
pub(super) fn is_hiding_style(style: &str) -> bool {
    style.split(';').filter_map(|rule| rule.split_once(':')).any(|(name, value)| {
        let (name, value) = (name.trim(), value.trim());
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let begins = |word: &str| value.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        let is_zero = || {
            value.starts_with('0') && !value.trim_start_matches(['0', '.']).starts_with(|c: char| c.is_ascii_digit())
        };
        (is("display") && begins("none"))
            || (is("visibility") && (begins("hidden") || begins("collapse")))
            || (is("mso-hide") && begins("all"))
            || ((is("font-size") || is("opacity") || is("max-height") || is("max-width")) && is_zero())
    })
}

/// A line of its own, if it says anything.
pub(super) fn say(said: &mut String, name: Option<&str>, value: &str) {
    let value = unescaped(value);
    let value = value.trim();
    if !value.chars().any(char::is_alphanumeric) {
        return;
    }
    if let Some(name) = name {
        said.push_str(name.get("data-".len()..).unwrap_or(name));
        said.push_str(": ");
    }
    said.push_str(value);
    said.push('\n');
}

/// Where a link leads, its parameters apart, each as `name: value`: in the address of a portal's page they name the patient.
pub(super) fn link(links: &mut String, value: &str) {
    let value = unescaped(value);
    let (target, query) = value.split_once('?').unwrap_or((&value, ""));
    links.push_str(&percent_decoded(target, "+"));
    for parameter in query.split(['&', ';', '#']).filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or(("", parameter));
        links.push(' ');
        if !name.is_empty() {
            links.push_str(&percent_decoded(name, " "));
            links.push_str(": ");
        }
        links.push_str(&percent_decoded(value, " "));
    }
    links.push('\n');
}

/// A plus sign is `plus`.
fn percent_decoded(text: &str, plus: &str) -> String {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return text.to_owned();
    }
    String::from_utf8_lossy(&transfer::percent(text, plus.as_bytes())).into_owned()
}

/// What an address holds instead of pointing at it (RFC 2397).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Data {
    None,
    /// A picture no larger than a logo.
    Small,
    Text(String),
    File,
}

pub(super) fn data(value: &str) -> Data {
    let Some(rest) = value.get(..5).filter(|start| start.eq_ignore_ascii_case("data:")).map(|_| &value[5..]) else {
        return Data::None;
    };
    let Some((about, content)) = rest.split_once(',') else { return Data::File };
    let about = about.to_ascii_lowercase();
    if about.starts_with("image/") && !about.starts_with("image/svg") {
        return if content.len() <= LARGEST_PICTURE { Data::Small } else { Data::File };
    }
    let octets = if about.ends_with(";base64") {
        let clean: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        BASE64.decode(&clean).ok()
    } else {
        Some(percent_decoded(content, "+").into_bytes())
    };
    let is_text =
        about.is_empty() || about.starts_with("text/") || about.starts_with("image/svg") || about.starts_with(';');
    match octets.map(String::from_utf8) {
        Some(Ok(text)) if is_text || !text.chars().any(|c| c.is_control() && !c.is_whitespace()) => Data::Text(text),
        _ => Data::File,
    }
}

/// A value with its entities decoded.
pub(super) fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (character, length) = entity(&rest[at..]);
        match character {
            Some(character) => text.push(character),
            None => text.push_str(&rest[at..at + length]),
        }
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    text
}

/// The character that the entity at the start of `text` stands for, and how long it is written; an ampersand that begins none
/// stands for itself.
pub(super) fn entity(text: &str) -> (Option<char>, usize) {
    let window = &text.as_bytes()[..text.len().min(LONGEST_ENTITY)];
    let body = &window[1..];
    let number = body.first() == Some(&b'#');
    let length = 1 + body.iter().skip(usize::from(number)).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let length = length + usize::from(number);
    let closed = window.get(length) == Some(&b';');
    let bare = &text[1..length];
    // HTML §13.5: these are read without their semicolon as well, and so is any number.
    let open = matches!(bare, "amp" | "lt" | "gt" | "quot" | "nbsp" | "shy") || number;
    if !(closed || open) || bare.is_empty() {
        return (None, 1);
    }
    let mut decoded = String::new();
    add_html_token(&mut decoded, format!("&{bare};").as_bytes(), false);
    let mut characters = decoded.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => (Some(windows(character)), length + usize::from(closed)),
        _ => (None, 1),
    }
}

/// HTML §13.2.5.80: numbers from 128 to 159 are those of Windows' own character set.
fn windows(character: char) -> char {
    let octet = u8::try_from(u32::from(character)).ok().filter(|octet| (0x80..0xa0).contains(octet));
    let decode = charset_decoder(b"windows-1252");
    octet.zip(decode).and_then(|(octet, decode)| decode(&[octet]).chars().next()).unwrap_or(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_told_apart_however_they_are_quoted() {
        let all: Vec<_> =
            of(" href=a.html alt='a > b' hidden data-mrn = \"00482913\" /").map(|a| (a.name, a.value)).collect();
        assert_eq!(all, [("href", "a.html"), ("alt", "a > b"), ("hidden", ""), ("data-mrn", "00482913")]);
        assert_eq!(of("=x =").count(), 2);
        assert_eq!(close(b"<a title='x>y' b>", 2), Some(16));
        assert_eq!(close(b"<a it's>", 2), Some(7));
        assert_eq!(close(b"<a b='x>", 2), None);
    }

    #[test]
    fn styles_that_hide_are_known() {
        for style in
            ["display:none", "color:red; DISPLAY : None !important", "font-size:0", "max-height:0px", "opacity: 0"]
        {
            assert!(is_hiding_style(style), "{style}");
        }
        for style in ["display:block", "font-size:0.9em", "opacity:0.5", "visibility:visible", ""] {
            assert!(!is_hiding_style(style), "{style}");
        }
    }

    #[test]
    fn the_parameters_of_a_link_are_told_by_their_names() {
        let mut links = String::new();
        link(&mut links, "https://portal.example/visit?mrn=00482913&amp;name=Ann%20Quist+Roe#top");
        assert_eq!(links, "https://portal.example/visit mrn: 00482913 name: Ann Quist Roe top\n");
    }

    #[test]
    fn data_in_an_address_is_read_or_told() {
        assert_eq!(data("https://x.example/"), Data::None);
        assert_eq!(data("data:image/png;base64,AAAA"), Data::Small);
        assert_eq!(data(&format!("data:image/png;base64,{}", "A".repeat(LARGEST_PICTURE + 1))), Data::File);
        assert_eq!(data("data:text/plain;base64,TVJOIDQ4"), Data::Text("MRN 48".into()));
        assert_eq!(data("data:,a%20b"), Data::Text("a b".into()));
        assert_eq!(data("data:application/pdf;base64,JVBERi0AAQ=="), Data::File);
        assert_eq!(data("data:nothing"), Data::File);
    }

    #[test]
    fn entities_are_read_with_and_without_their_end() {
        let check = |text: &str, expected: &str| assert_eq!(unescaped(text), expected, "{text}");
        check("Tom &amp; Ana &#233; &#x41; &nosuch; &eacute; a&b", "Tom & Ana é A &nosuch; é a&b");
        check("R&D; &lt&gt &#65 &#146;s & &; &#; &#x;", "R&D; <> A ’s & &; &#; &#x;");
        check(&format!("&{};", "a".repeat(100)), &format!("&{};", "a".repeat(100)));
    }
}
