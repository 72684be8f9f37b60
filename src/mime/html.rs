//! HTML as a person sees it: the words, with blocks on their own lines and table cells apart.

use mail_parser::decoders::html::add_html_token;

/// No entity of HTML is longer than this.
const LONGEST_ENTITY: usize = 40;

/// The visible text, in one pass. Whatever is not a tag, a comment, a style or a script stays.
pub(super) fn text(html: &str) -> String {
    let ends = Ends::of(html);
    let mut page = Page { text: String::with_capacity(html.len() / 2) };
    let mut at = 0;
    while let Some(open) = html[at..].find('<').map(|found| at + found) {
        page.words(&html[at..open]);
        at = match markup(html, open, &ends) {
            Markup::Text => {
                page.words("<");
                open + 1
            }
            Markup::Hidden(end) => end,
            Markup::Tag { name, end } => {
                page.tag(name);
                behind_raw(html, name, end, &ends)
            }
        };
    }
    page.words(&html[at..]);
    page.text
}

/// The last place of each closing mark. Without them, a page of opening ones would be searched to its end each time.
struct Ends {
    tag: usize,
    comment: usize,
    style: usize,
    script: usize,
}

impl Ends {
    fn of(html: &str) -> Ends {
        let lower = html.to_ascii_lowercase();
        let last = |mark: &str| lower.rfind(mark).unwrap_or(0);
        Ends {
            tag: last(">"),
            comment: last("-->").max(last("--!>")),
            style: last("</style"),
            script: last("</script"),
        }
    }
}

#[derive(Debug)]
enum Markup<'a> {
    /// A `<` that begins no tag.
    Text,
    /// A comment or a declaration, up to here.
    Hidden(usize),
    Tag {
        name: &'a str,
        end: usize,
    },
}

fn markup<'a>(html: &'a str, open: usize, ends: &Ends) -> Markup<'a> {
    let inner = &html[open + 1..];
    if let Some(comment) = inner.strip_prefix("!--") {
        // HTML §13.2.5.43: `<!-->` and `<!--->` are whole comments; a reader shows what follows them.
        if let Some(empty) = [">", "->"].into_iter().find(|end| comment.starts_with(end)) {
            return Markup::Hidden(open + 4 + empty.len());
        }
        // An unclosed comment is shown, lest it hide what a lenient reader shows.
        let closed = if open < ends.comment { comment_end(comment) } else { None };
        return closed.map_or(Markup::Text, |found| Markup::Hidden(open + 4 + found));
    }
    if open >= ends.tag {
        return Markup::Text;
    }
    let slash = usize::from(inner.starts_with('/'));
    let named = &inner[slash..];
    if !named.starts_with(|first: char| first.is_ascii_alphabetic() || first == '!' || first == '?') {
        return Markup::Text;
    }
    let Some(end) = html[open..].find('>').map(|found| open + found + 1) else { return Markup::Text };
    if named.starts_with(['!', '?']) {
        return Markup::Hidden(end);
    }
    let length = named.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(named.len());
    Markup::Tag { name: &inner[..slash + length], end }
}

/// Behind the end of a comment, which is `-->`, or `--!>` (HTML §13.2.5.51).
fn comment_end(comment: &str) -> Option<usize> {
    let dashes = comment.match_indices("--").map(|(at, _)| at);
    let behind =
        |at: usize| ["-->", "--!>"].into_iter().find(|end| comment[at..].starts_with(end)).map(|end| at + end.len());
    // Dashes in a row end with the last two: each place but the first is looked at too.
    dashes.flat_map(|at| [at, at + 1]).find_map(behind)
}

/// Where reading goes on: behind a style's or a script's content. Without its closing tag, it is read as text.
fn behind_raw(html: &str, name: &str, end: usize, ends: &Ends) -> usize {
    let last = match name {
        style if style.eq_ignore_ascii_case("style") => ends.style,
        script if script.eq_ignore_ascii_case("script") => ends.script,
        _ => return end,
    };
    let mut from = end;
    while from <= last {
        let Some(at) = html[from..].find("</").map(|found| from + found) else { return end };
        if html[at + 2..].get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return at;
        }
        from = at + 2;
    }
    end
}

struct Page {
    text: String,
}

impl Page {
    fn tag(&mut self, name: &str) {
        let name = name.trim_start_matches('/').to_ascii_lowercase();
        match name.as_str() {
            "td" | "th" => self.gap('\t'),
            "br" | "p" | "div" | "tr" | "li" | "ul" | "ol" | "table" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"
            | "hr" | "blockquote" | "pre" | "section" | "article" | "header" | "footer" | "dt" | "dd" | "dl"
            | "title" | "head" | "body" | "form" | "option" | "address" | "caption" | "tbody" | "thead" => {
                self.gap('\n');
            }
            _ => {}
        }
    }

    /// A separator, unless one as strong is there already.
    fn gap(&mut self, separator: char) {
        while self.text.ends_with([' ', '\t']) {
            self.text.pop();
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push(separator);
        }
    }

    fn words(&mut self, source: &str) {
        let mut rest = source;
        while let Some(at) = rest.find('&') {
            self.plain(&rest[..at]);
            rest = &rest[at..];
            let window = &rest[..rest.floor_char_boundary(LONGEST_ENTITY)];
            let end = window.find(';').map_or(1, |at| at + 1);
            add_html_token(&mut self.text, &rest.as_bytes()[..end], false);
            if self.text.ends_with('\u{a0}') {
                self.text.pop();
                self.text.push(' ');
            }
            rest = &rest[end..];
        }
        self.plain(rest);
    }

    /// Text in which any run of white space is one space.
    fn plain(&mut self, source: &str) {
        for character in source.chars() {
            match character {
                ' ' | '\t' | '\r' | '\n' => {
                    if !self.text.is_empty() && !self.text.ends_with([' ', '\t', '\n']) {
                        self.text.push(' ');
                    }
                }
                other => self.text.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(html: &str, expected: &str) {
        assert_eq!(text(html), expected, "{html}");
    }

    #[test]
    fn tags_go_and_words_stay() {
        check("<html><head><style>p{}</style></head><body><p>One <b>t</b>wo</p><p>three</p>", "One two\nthree\n");
        check("a<script>if (a<b) x()</script>b", "ab");
        check("a <!-- not > seen --> b", "a b");
        check("<table><tr><td>MRN</td><td>12</td></tr><tr><td>x</td></tr></table>", "MRN\t12\nx\n");
    }

    #[test]
    fn entities_are_read() {
        check("Tom &amp; Ana &#233; &#x41; &nosuch; &eacute; a&b", "Tom & Ana é A &nosuch; é a&b");
        check("R&D; é&", "R&D; é&");
    }

    #[test]
    fn what_is_no_tag_is_text() {
        check("3 < 4 and <5", "3 < 4 and <5");
        check("<!-->seen<!-- -->", "seen");
        check("<!--->seen<!-- -->", "seen");
        check("<!-- x --!>seen<!-- y -->", "seen");
        check("<!-- x --->seen<!-- y ----->.", "seen.");
        check("<!-- never closed", "<!-- never closed");
        check("<p", "<p");
        check("<style>open", "open");
    }

    #[test]
    fn a_page_of_open_brackets_is_read_in_one_pass() {
        let page = "<a".repeat(200_000);
        assert_eq!(text(&page).len(), page.len());
        let comments = "<!--".repeat(100_000);
        assert_eq!(text(&comments).len(), comments.len());
        let styles = "<style>".repeat(50_000);
        assert_eq!(text(&styles), "");
    }
}
