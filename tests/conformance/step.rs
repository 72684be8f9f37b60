//! The lines of a case: what is said, what is expected, and what else is looked at.

use std::time::Duration;

use crate::conformance::case::Case;
use crate::conformance::words::written_out;

/// One line of a dialog.
#[derive(Clone, Debug)]
pub enum Step {
    /// Said so many times; what is said in a row goes out together.
    Say {
        text: String,
        octets: Octets,
        times: usize,
    },
    /// What was said so far goes out now, and what follows apart from it.
    Flush,
    /// Waits; for what is about time.
    Pause(Duration),
    /// What is said next goes out octet by octet, with such a pause between.
    Slowly(Duration),
    /// A reply, so many times.
    Expect {
        pattern: Pattern,
        times: usize,
    },
    Offers {
        keyword: String,
        parameter: Option<String>,
    },
    OffersNot {
        keyword: String,
        parameter: Option<String>,
    },
    /// One, or none, of the lines of the last EHLO reply is this, as a regular expression.
    OfferFits {
        pattern: regex::Regex,
        presence: Presence,
    },
    /// The last reply came within this time of what it answers.
    Within(Duration),
    /// The last reply has lines of at most so many octets, line end included.
    LinesAtMost(usize),
    /// The last reply's text has, or has not, this word.
    Text {
        word: String,
        presence: Presence,
    },
    Closed(Duration),
    /// The client is gone, without a word.
    HangUp,
    /// TLS now; the other half of STARTTLS.
    Handshake(MayFail),
    /// If the last reply was another, the case ends here, well.
    EndsUnless(Pattern),
    /// If the last reply was another, the case is skipped.
    SkippedUnless(Pattern),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Octets {
    /// A line; CRLF is put behind it.
    Line,
    /// Octets with `\r`, `\n`, `\0`, `\t`, `\\` and `\xHH` written out.
    WrittenOut,
    /// BDAT with the size of these octets, written out, and the octets behind it.
    Chunk,
    /// The same with LAST.
    LastChunk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    There,
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayFail {
    No,
    /// A failed handshake ends the connection, and that is well.
    Yes,
}

impl Step {
    /// Whether a server can get this wrong.
    pub fn can_fail(&self) -> bool {
        match self {
            Step::Expect { .. }
            | Step::Offers { .. }
            | Step::OffersNot { .. }
            | Step::OfferFits { .. }
            | Step::Within(_)
            | Step::LinesAtMost(_)
            | Step::Text { .. }
            | Step::Closed(_)
            | Step::Handshake(_) => true,
            Step::Say { .. }
            | Step::Flush
            | Step::HangUp
            | Step::Pause(_)
            | Step::Slowly(_)
            | Step::EndsUnless(_)
            | Step::SkippedUnless(_) => false,
        }
    }
}

/// What the next hop must have been given.
#[derive(Clone, Debug)]
pub enum Final {
    /// Copies for so many recipients; `None`: at least one.
    Delivered(Option<usize>),
    NotDelivered,
    /// If it was taken, it is one message and no more.
    AtMostOne,
    /// No bare CR or LF and no NUL in what was delivered.
    CleanLines,
    /// These lines stand in it, one behind the other.
    Has(Vec<u8>),
    HasNot(Vec<u8>),
    /// Behind the header stands exactly this.
    Body(Vec<u8>),
    /// The MAIL or RCPT line to the next hop has, or has not, this.
    NextHop {
        verb: String,
        word: String,
        presence: Presence,
    },
    /// The first line begins so.
    FirstLine(String),
    /// The first header, unfolded, has this.
    Trace(String),
    /// The first header, unfolded, fits this regular expression.
    TraceFits(String),
    /// The whole header fits this regular expression.
    HeaderFits(String),
    /// A line to the next hop has this, capital for capital.
    Verbatim(String),
}

/// `250`, `2xx`, `4xx|5xx`, `5xx 5.7.x`, `221|closed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    codes: Vec<String>,
    enhanced: Option<String>,
    pub closed: bool,
}

impl Pattern {
    fn read(text: &str) -> Option<Pattern> {
        let (codes, enhanced) =
            text.trim().split_once(' ').map_or((text.trim(), None), |(c, e)| (c, Some(e.to_owned())));
        let mut pattern = Pattern { codes: Vec::new(), enhanced, closed: false };
        for code in codes.split('|') {
            match code {
                "closed" => pattern.closed = true,
                _ if code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit() || b == b'x') => {
                    pattern.codes.push(code.to_owned());
                }
                _ => return None,
            }
        }
        let is_enhanced = |text: &str| {
            let parts: Vec<&str> = text.split('.').collect();
            parts.len() == 3 && parts.iter().all(|part| *part == "x" || part.bytes().all(|b| b.is_ascii_digit()))
        };
        pattern.enhanced.as_deref().is_none_or(is_enhanced).then_some(pattern)
    }

    /// Whether a reply with this code and this first word is one that is expected.
    pub fn fits(&self, code: u16, word: &str) -> bool {
        let code = code.to_string();
        let same = |pattern: &str| pattern.bytes().zip(code.bytes()).all(|(p, c)| p == b'x' || p == c);
        let enhanced = self.enhanced.as_ref().is_none_or(|pattern| {
            let parts: Vec<&str> = word.split('.').collect();
            parts.len() == 3
                && pattern
                    .split('.')
                    .zip(&parts)
                    .all(|(p, c)| !c.is_empty() && c.bytes().all(|b| b.is_ascii_digit()) && (p == "x" || p == *c))
        });
        self.codes.iter().any(|pattern| same(pattern)) && enhanced
    }
}

/// Reads one line that is neither a title nor a start.
pub fn read_line(line: &str, at: usize, case: &mut Case) -> Result<(), String> {
    let (mark, text) = match line.split_once(' ') {
        Some((mark, text)) => (mark, text),
        None => (line, ""),
    };
    match mark {
        "--" => return event(text.trim(), at, case),
        "D:" | "D!" | "B:" | "O:" => return content(mark, text, case),
        _ => {}
    }
    let (letter, times) = repeated(mark).ok_or("not a line of a case")?;
    let step = match letter {
        "C:" => Step::Say { text: text.to_owned(), octets: Octets::Line, times },
        "C>" => Step::Say { text: text.to_owned(), octets: Octets::WrittenOut, times },
        "K:" => Step::Say { text: text.to_owned(), octets: Octets::Chunk, times },
        "L:" => Step::Say { text: text.to_owned(), octets: Octets::LastChunk, times },
        "S:" => Step::Expect { pattern: Pattern::read(text).ok_or("not the pattern of a reply")?, times },
        _ => return Err("not a line of a case".to_owned()),
    };
    case.steps.push((at, step));
    Ok(())
}

/// `C*1000:` is said a thousand times.
fn repeated(mark: &str) -> Option<(&str, usize)> {
    let Some((letter, times)) = mark.split_once('*') else { return Some((mark, 1)) };
    let times = times.strip_suffix(':')?.parse().ok()?;
    let letter = ["C:", "K:", "S:"].into_iter().find(|known| known.starts_with(letter) && letter.len() == 1)?;
    Some((letter, times))
}

/// Lines of the delivered message. Those of one kind that stand together belong together.
fn content(mark: &str, text: &str, case: &mut Case) -> Result<(), String> {
    if mark == "O:" {
        case.finals.push(Final::Has(written_out(text)?));
        return Ok(());
    }
    let line = format!("{text}\r\n").into_bytes();
    match (mark, case.finals.last_mut()) {
        ("D:", Some(Final::Has(lines))) | ("B:", Some(Final::Body(lines))) => lines.extend(line),
        ("D:", _) => case.finals.push(Final::Has(line)),
        ("B:", _) => case.finals.push(Final::Body(line)),
        _ => case.finals.push(Final::HasNot(text.as_bytes().to_vec())),
    }
    Ok(())
}

fn event(text: &str, at: usize, case: &mut Case) -> Result<(), String> {
    if let Some(last) = looked_at(text)? {
        case.finals.push(last);
        return Ok(());
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let step = match words.as_slice() {
        ["flush"] => Step::Flush,
        ["hang", "up"] => Step::HangUp,
        ["handshake"] => Step::Handshake(MayFail::No),
        ["handshake", "or", "closed"] => Step::Handshake(MayFail::Yes),
        ["closed"] => Step::Closed(Duration::ZERO),
        ["closed", "within", time] => Step::Closed(duration(time)?),
        ["pause", time] => Step::Pause(duration(time)?),
        ["slowly", time] => Step::Slowly(duration(time)?),
        ["within", time] => Step::Within(duration(time)?),
        ["lines", "at", "most", count] => Step::LinesAtMost(count.parse().map_err(|_| "not a number")?),
        ["offers", keyword] => Step::Offers { keyword: (*keyword).to_owned(), parameter: None },
        ["offers", "no", keyword] => Step::OffersNot { keyword: (*keyword).to_owned(), parameter: None },
        ["offers", "no", keyword, parameter] => {
            Step::OffersNot { keyword: (*keyword).to_owned(), parameter: Some((*parameter).to_owned()) }
        }
        ["offers", keyword, parameter] => {
            Step::Offers { keyword: (*keyword).to_owned(), parameter: Some((*parameter).to_owned()) }
        }
        ["offer", "fits", "not", pattern @ ..] => offer_fits(pattern, Presence::Absent)?,
        ["offer", "fits", pattern @ ..] => offer_fits(pattern, Presence::There)?,
        ["text", "has", word] => Step::Text { word: (*word).to_owned(), presence: Presence::There },
        ["text", "has", "no", word] => Step::Text { word: (*word).to_owned(), presence: Presence::Absent },
        ["ends", "unless", rest @ ..] => Step::EndsUnless(Pattern::read(&rest.join(" ")).ok_or("no pattern")?),
        ["skipped", "unless", rest @ ..] => Step::SkippedUnless(Pattern::read(&rest.join(" ")).ok_or("no pattern")?),
        _ => return Err("no such event".to_owned()),
    };
    case.steps.push((at, step));
    Ok(())
}

fn offer_fits(words: &[&str], presence: Presence) -> Result<Step, String> {
    let pattern = regex::Regex::new(&format!("^(?:{})$", words.join(" "))).map_err(|error| error.to_string())?;
    Ok(Step::OfferFits { pattern, presence })
}

fn looked_at(text: &str) -> Result<Option<Final>, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    Ok(Some(match words.as_slice() {
        ["delivered"] => Final::Delivered(None),
        ["delivered", count] => Final::Delivered(Some(count.parse().map_err(|_| "not a number")?)),
        ["not", "delivered"] => Final::NotDelivered,
        ["at", "most", "one", "message"] => Final::AtMostOne,
        ["clean", "lines"] => Final::CleanLines,
        ["first", "line", word] => Final::FirstLine((*word).to_owned()),
        ["trace", "has", words @ ..] => Final::Trace(words.join(" ")),
        ["trace", "fits", pattern @ ..] => {
            let pattern = pattern.join(" ");
            regex::Regex::new(&pattern).map_err(|error| error.to_string())?;
            Final::TraceFits(pattern)
        }
        ["header", "fits", pattern @ ..] => {
            let pattern = pattern.join(" ");
            regex::Regex::new(&pattern).map_err(|error| error.to_string())?;
            Final::HeaderFits(pattern)
        }
        ["next", "hop", "verbatim", word] => Final::Verbatim((*word).to_owned()),
        ["next", "hop", verb, "has", word] => {
            Final::NextHop { verb: (*verb).to_owned(), word: (*word).to_owned(), presence: Presence::There }
        }
        ["next", "hop", verb, "has", "no", word] => {
            Final::NextHop { verb: (*verb).to_owned(), word: (*word).to_owned(), presence: Presence::Absent }
        }
        _ => return Ok(None),
    }))
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| format!("{text} is no time"))
}
