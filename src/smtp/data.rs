//! The message as it streams in: finds its end, takes the stuffed dots off, and remembers the first thing wrong with it.
//!
//! Behind DATA, only CRLF.CRLF ends a message. What other servers also take for an end (a bare LF, a bare CR, a NUL
//! somewhere in between) makes the message malformed here, and is read over until the true end comes. So nothing behind a
//! false end is ever read as a command, and nothing that could be a false end for the next hop leaves. Behind BDAT the
//! octets are counted, no dot means anything, and the same line ends are refused.
//!
//! `LineEnds::Normalise` changes what is kept, and nothing of where the message ends: a CR or an LF that stands alone
//! becomes CRLF. A dot behind it is text, alone on its line or not: it neither ends the message nor is it taken off, since
//! nobody can know whether the client put it there. A NUL is refused all the same.

use std::fmt;

use memchr::memchr3;

use crate::mail::{LineEnds, Malformed, Mended, Message, WireLimits};

/// What a chunk led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// The end has not come; all of the chunk is used up.
    More,
    /// The end of data stands before this place in the chunk; what follows are commands.
    End { used: usize },
}

/// Where in the stream the next octet falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the beginning, or behind a CRLF.
    LineStart,
    /// Behind a dot that began a line.
    Dot,
    /// Behind a dot that began a line and a CR.
    DotCr,
    Text,
    /// Behind a CR, and so many CRs before it.
    Cr(usize),
}

/// How the end of a message is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// A line with a single dot: DATA.
    Dots,
    /// Somebody counts: BDAT.
    Counted,
}

/// `Debug` shows only how much came in.
pub struct Decoder {
    limits: WireLimits,
    framing: Framing,
    line_ends: LineEnds,
    place: Place,
    content: Vec<u8>,
    /// Where in `content` the line begins.
    line: usize,
    header: Header,
    fault: Option<Malformed>,
    mended: Vec<Mended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    Open,
    Ended,
}

impl Decoder {
    /// For what comes behind DATA.
    pub fn new(limits: WireLimits, line_ends: LineEnds) -> Decoder {
        Decoder {
            limits,
            framing: Framing::Dots,
            line_ends,
            place: Place::LineStart,
            content: Vec::new(),
            line: 0,
            header: Header::Open,
            fault: None,
            mended: Vec::new(),
        }
    }

    /// For what comes in chunks. RFC 3030 §2: no dot was put in front of a line, and none ends the message.
    pub fn counted(limits: WireLimits, line_ends: LineEnds) -> Decoder {
        Decoder { framing: Framing::Counted, place: Place::Text, ..Decoder::new(limits, line_ends) }
    }

    /// Octets held in memory.
    pub fn held(&self) -> usize {
        self.content.capacity()
    }

    /// Takes what came next, and says whether the end was in it.
    pub fn feed(&mut self, chunk: &[u8]) -> Feed {
        let mut at = 0;
        while let Some(&octet) = chunk.get(at) {
            match self.place {
                Place::Text => at += self.text(&chunk[at..]),
                Place::LineStart if octet == b'.' => {
                    self.place = Place::Dot;
                    at += 1;
                }
                // RFC 5321 §4.5.2: a dot before anything else was put there by the client, and is taken off.
                Place::LineStart => self.place = Place::Text,
                Place::Dot if octet == b'\r' => {
                    self.place = Place::DotCr;
                    at += 1;
                }
                // A line with a dot and a bare end: no end of data to us, but to the next hop, unless the dot stays.
                Place::Dot if octet == b'\n' => self.keep_dot(Place::Text),
                Place::Dot => self.place = Place::Text,
                // RFC 5321 §4.1.1.4: CRLF.CRLF, and nothing else, ends the message.
                Place::DotCr if octet == b'\n' => return Feed::End { used: at + 1 },
                Place::DotCr => self.keep_dot(Place::Cr(0)),
                Place::Cr(before) => at += self.behind_cr(before, octet),
            }
        }
        Feed::More
    }

    /// What is wrong with what came so far.
    pub fn fault(&self) -> Option<Malformed> {
        self.fault
    }

    /// Nothing more comes: says what is wrong with the end, and ends the last line where nobody did.
    pub fn close(&mut self) {
        if let Place::Cr(before) = self.place {
            self.bare(Malformed::BareCr, before + 1);
        }
        // RFC 5322 §2.1: a message is lines. One that came in chunks may lack the end of its last; left so, the next hop's
        // end of data, or whatever else comes behind it, would be part of that line.
        if self.content.len() > self.line {
            self.end_line();
            self.remember(Mended::LastLine);
        }
    }

    /// What came in, once the end was found, or the last chunk came.
    pub fn finish(mut self) -> Result<Message, Malformed> {
        self.close();
        match self.fault {
            Some(fault) => Err(fault),
            None => Message::parse(self.content, &self.limits).map(|message| message.mended(self.mended)),
        }
    }

    /// Keeps nothing of the message any longer, and still finds its end.
    pub fn discard(&mut self) {
        self.fail(Malformed::TooLarge);
    }

    /// Takes text up to the next octet that means something, and that octet; says how many were taken.
    fn text(&mut self, rest: &[u8]) -> usize {
        let Some(at) = memchr3(b'\r', b'\n', 0, rest) else {
            self.keep(rest);
            return rest.len();
        };
        self.keep(&rest[..at]);
        match rest[at] {
            b'\r' => self.place = Place::Cr(0),
            // RFC 5321 §2.3.8: without this, a bare LF ends a line for the next hop and not for us (smuggling).
            b'\n' => self.bare(Malformed::BareLf, 1),
            _ => self.fail(Malformed::Nul),
        }
        at + 1
    }

    /// Says whether the octet is used up.
    fn behind_cr(&mut self, before: usize, octet: u8) -> usize {
        match octet {
            b'\n' => {
                // Some programs write CR CR LF where they mean one line end. Made two, the first would end the header.
                if before > 0 {
                    self.bare(Malformed::BareCr, 0);
                }
                self.end_line();
                1
            }
            b'\r' => {
                self.place = Place::Cr(before + 1);
                1
            }
            _ => {
                self.bare(Malformed::BareCr, before + 1);
                0
            }
        }
    }

    /// Line ends that are none: a fault, or so many lines that end.
    fn bare(&mut self, fault: Malformed, lines: usize) {
        match self.line_ends {
            LineEnds::Strict => self.fail(fault),
            LineEnds::Normalise => {
                self.remember(Mended::LineEnds);
                for _ in 0..lines {
                    if self.fault.is_some() {
                        break;
                    }
                    self.end_line();
                }
            }
        }
        // What follows began no line on the wire: a dot there is text.
        self.place = Place::Text;
    }

    fn keep_dot(&mut self, place: Place) {
        self.keep(b".");
        self.place = place;
    }

    fn remember(&mut self, mended: Mended) {
        if !self.mended.contains(&mended) {
            self.mended.push(mended);
        }
    }

    fn end_line(&mut self) {
        let empty = self.content.len() == self.line;
        self.keep(b"\r\n");
        self.line = self.content.len();
        self.place = match self.framing {
            Framing::Dots => Place::LineStart,
            Framing::Counted => Place::Text,
        };
        if empty {
            self.header = Header::Ended;
        }
    }

    fn keep(&mut self, text: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        let (had, limits) = (self.content.len(), &self.limits);
        let header = match self.header {
            Header::Open => limits.header_bytes.saturating_sub(had),
            Header::Ended => usize::MAX,
        };
        // The limit that is met first is the one that is told, however the stream is cut into chunks.
        let (room, fault) = [
            (limits.message_bytes.saturating_sub(had), Malformed::TooLarge),
            (limits.line_bytes.saturating_sub(had - self.line), Malformed::LineTooLong),
            (header, Malformed::HeaderTooLarge),
        ]
        .into_iter()
        .min_by_key(|(room, _)| *room)
        .unwrap_or((0, Malformed::TooLarge));
        if text.len() > room {
            self.fail(fault);
        } else {
            self.content.extend_from_slice(text);
        }
    }

    /// The first fault is the one that is told. What was kept is let go at once, however long the rest may be.
    fn fail(&mut self, fault: Malformed) {
        self.fault.get_or_insert(fault);
        self.content = Vec::new();
        self.line = 0;
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder({} octets)", self.content.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: WireLimits = WireLimits { message_bytes: 400, header_bytes: 60, line_bytes: 40 };

    /// Feeds the stream cut at `cut`, and gives the message with what stood behind its end.
    fn decode(stream: &[u8], cut: usize) -> (Result<Vec<u8>, Malformed>, Vec<u8>) {
        let mut decoder = Decoder::new(LIMITS, LineEnds::Strict);
        let (first, second) = stream.split_at(cut);
        let used = match decoder.feed(first) {
            Feed::End { used } => used,
            Feed::More => match decoder.feed(second) {
                Feed::End { used } => cut + used,
                Feed::More => panic!("{:?} cut at {cut} has no end", String::from_utf8_lossy(stream)),
            },
        };
        (decoder.finish().map(|message| message.bytes().to_vec()), stream[used..].to_vec())
    }

    /// The same for every cut, and octet by octet.
    fn check(stream: &[u8], expected: Result<&[u8], Malformed>) {
        let stream = [stream, b"QUIT\r\n"].concat();
        for cut in 0..=stream.len() {
            let (got, rest) = decode(&stream, cut);
            let shown = String::from_utf8_lossy(&stream);
            assert_eq!(got.as_deref().map_err(|fault| *fault), expected, "{shown:?} cut at {cut}");
            assert_eq!(rest, b"QUIT\r\n", "{shown:?} cut at {cut}");
        }
        let mut decoder = Decoder::new(LIMITS, LineEnds::Strict);
        let ends = stream.iter().position(|octet| decoder.feed(&[*octet]) != Feed::More);
        assert_eq!(ends, Some(stream.len() - 7));
    }

    #[test]
    fn the_dots_that_the_client_stuffed_are_taken_off() {
        check(b"a\r\n.\r\n", Ok(b"a\r\n"));
        check(b".\r\n", Ok(b""));
        check(b"\r\n.\r\n", Ok(b"\r\n"));
        check(b"..\r\n.\r\n", Ok(b".\r\n"));
        check(b".a\r\n...\r\n.\r\n", Ok(b"a\r\n..\r\n"));
        check(b"a.\r\n.\r\n", Ok(b"a.\r\n"));
        check(b"a\r\n\r\n..b\r\n.\r\n", Ok(b"a\r\n\r\n.b\r\n"));
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends_a_message() {
        // Each of these was taken for the end of data by some server in use; the rest would have been a second message.
        let smuggled = b"MAIL FROM:<eve@x.example>\r\n.\r\n";
        for (false_end, fault) in [
            (&b"\n.\n"[..], Malformed::BareLf),
            (b"\n.\r\n", Malformed::BareLf),
            (b"\r\n.\n", Malformed::BareLf),
            (b"\r.\r", Malformed::BareCr),
            (b"\r.\r\n", Malformed::BareCr),
            (b"\r\n.\r", Malformed::BareCr),
            (b"\r\n.\r\r\n", Malformed::BareCr),
            (b"\r\r\n.\r\r\n", Malformed::BareCr),
            (b"\n\r.\r\n", Malformed::BareLf),
            (b"\r\n\0.\r\n", Malformed::Nul),
            (b"\r\n.\0\r\n", Malformed::Nul),
            (b"\r\n.\r\0\n", Malformed::BareCr),
            (b"\r\0\n.\r\n", Malformed::BareCr),
            (b"\r\n.\x0b\n", Malformed::BareLf),
        ] {
            check(&[b"a", false_end, smuggled].concat(), Err(fault));
        }
        // And these look like one to somebody, and are plain text to everybody who reads CRLF only.
        check(b"a\r\n..\r\nb\r\n.\r\n", Ok(b"a\r\n.\r\nb\r\n"));
        check(b"a\r\n. \r\n.\r\n", Ok(b"a\r\n \r\n"));
    }

    #[test]
    fn a_true_end_behind_a_bare_return_is_an_end_and_the_message_is_refused() {
        check(b"a\r\r\n.\r\n", Err(Malformed::BareCr));
        check(b"a\n\r\n.\r\n", Err(Malformed::BareLf));
        check(b"a\0\r\n.\r\n", Err(Malformed::Nul));
    }

    #[test]
    fn the_first_fault_is_the_one_that_is_told() {
        check(b"a\nb\rc\0\r\n.\r\n", Err(Malformed::BareLf));
        check(b"\0\n\r\n.\r\n", Err(Malformed::Nul));
    }

    #[test]
    fn each_limit_is_held_while_the_message_comes_in() {
        check(&[&[b'a'; 41][..], b"\r\n.\r\n"].concat(), Err(Malformed::LineTooLong));
        check(&[&[b'a'; 38][..], b"\r\n.\r\n"].concat(), Ok(&[&[b'a'; 38][..], b"\r\n"].concat()));
        check(
            &[b"h: 0123456789012345678901234\r\n".repeat(3).as_slice(), b".\r\n"].concat(),
            Err(Malformed::HeaderTooLarge),
        );
        check(&[b"\r\n", b"0123456789\r\n".repeat(50).as_slice(), b".\r\n"].concat(), Err(Malformed::TooLarge));
    }

    #[test]
    fn the_limit_that_is_met_first_is_told_however_the_stream_is_cut() {
        // One run of text is over both limits, behind a header of 30 octets and behind one of 13.
        for (header, fault) in [(30, Malformed::HeaderTooLarge), (13, Malformed::LineTooLong)] {
            check(&[&vec![b'h'; header - 2][..], b"\r\n", &[b'a'; 60], b"\r\n.\r\n"].concat(), Err(fault));
        }
    }

    #[test]
    fn a_bad_dot_in_an_oversize_message_ends_nothing() {
        let body = b"0123456789\r\n".repeat(50);
        for false_end in [&b"\n.\r\n"[..], b"\n.\n", b"\r\n.\r\r\n", b"\r\n.\n"] {
            let stream = [b"\r\n", body.as_slice(), false_end, b"RSET\r\n.\r\n"].concat();
            check(&stream, Err(Malformed::TooLarge));
        }
    }

    /// The content in chunks, cut at every place, and octet by octet.
    fn check_counted(content: &[u8], expected: Result<(&[u8], &[Mended]), Malformed>) {
        for cut in 0..=content.len() {
            let mut decoder = Decoder::counted(LIMITS, LineEnds::Strict);
            let (first, second) = content.split_at(cut);
            assert_eq!((decoder.feed(first), decoder.feed(second)), (Feed::More, Feed::More));
            let got = decoder.finish();
            let got = got.as_ref().map(|message| (&**message.bytes(), message.what_was_mended()));
            assert_eq!(got.map_err(|fault| *fault), expected, "{:?} cut at {cut}", String::from_utf8_lossy(content));
        }
        let mut decoder = Decoder::counted(LIMITS, LineEnds::Strict);
        content.iter().for_each(|octet| assert_eq!(decoder.feed(&[*octet]), Feed::More));
        assert_eq!(decoder.finish().map(|message| message.bytes().to_vec()), expected.map(|(bytes, _)| bytes.to_vec()));
    }

    #[test]
    fn a_dot_means_nothing_where_octets_are_counted() {
        for content in [&b""[..], b"\r\n", b".\r\n", b"a\r\n.\r\n..\r\n.b\r\n", b"\r\n\r\n.\r\nQUIT\r\n"] {
            check_counted(content, Ok((content, &[])));
        }
    }

    #[test]
    fn a_last_line_without_an_end_is_given_one() {
        check_counted(b"a", Ok((b"a\r\n", &[Mended::LastLine])));
        check_counted(b"a\r\n\r\n.", Ok((b"a\r\n\r\n.\r\n", &[Mended::LastLine])));
        // With it, the line is as long as one may be, or longer.
        check_counted(&[b'a'; 38], Ok((&[&[b'a'; 38][..], b"\r\n"].concat(), &[Mended::LastLine])));
        check_counted(&[b'a'; 39], Err(Malformed::LineTooLong));
    }

    #[test]
    fn a_chunk_is_as_clean_as_what_comes_behind_data() {
        check_counted(b"a\r", Err(Malformed::BareCr));
        check_counted(b"a\n", Err(Malformed::BareLf));
        check_counted(b"a\0", Err(Malformed::Nul));
        check_counted(b"a\r\r\n", Err(Malformed::BareCr));
        check_counted(b"\n.\r\nb", Err(Malformed::BareLf));
        check_counted(&b"h: 0123456789012345678901234\r\n".repeat(3), Err(Malformed::HeaderTooLarge));
        check_counted(&[b"\r\n", b"0123456789\r\n".repeat(50).as_slice()].concat(), Err(Malformed::TooLarge));
    }

    /// What a stream becomes that is normalised, cut at every place.
    fn check_normalised(stream: &[u8], expected: Result<&[u8], Malformed>) {
        for cut in 0..=stream.len() {
            let mut decoder = Decoder::new(LIMITS, LineEnds::Normalise);
            let (first, second) = stream.split_at(cut);
            let ended = match decoder.feed(first) {
                Feed::End { used } => used,
                Feed::More => match decoder.feed(second) {
                    Feed::End { used } => cut + used,
                    Feed::More => panic!("{:?} cut at {cut} has no end", String::from_utf8_lossy(stream)),
                },
            };
            assert_eq!(ended, stream.len());
            let got = decoder.finish().map(|message| message.bytes().to_vec());
            assert_eq!(got.as_deref().map_err(|fault| *fault), expected, "{:?}", String::from_utf8_lossy(stream));
        }
    }

    #[test]
    fn a_line_end_that_is_none_becomes_one_where_that_is_wanted() {
        check_normalised(b"a: b\n\nc\n\r\n.\r\n", Ok(b"a: b\r\n\r\nc\r\n\r\n"));
        check_normalised(b"a: b\r\rc\r\n.\r\n", Ok(b"a: b\r\n\r\nc\r\n"));
        // CR CR LF is one line end, and LF CR two.
        check_normalised(b"a: b\r\r\nc\r\r\r\n.\r\n", Ok(b"a: b\r\nc\r\n"));
        check_normalised(b"a\n\rb\r\n.\r\n", Ok(b"a\r\n\r\nb\r\n"));
        check_normalised(b"a\n\0b\r\n.\r\n", Err(Malformed::Nul));
        check_normalised(&[&[b'a'; 41][..], b"\n\r\n.\r\n"].concat(), Err(Malformed::LineTooLong));
        check_normalised(&[b"\n\n", &[b'\r'; 250][..], b"\r\n.\r\n"].concat(), Ok(b"\r\n\r\n\r\n"));
        check_normalised(&[b"\n\n", &[b'\r'; 250][..], b"a\r\n.\r\n"].concat(), Err(Malformed::TooLarge));
    }

    #[test]
    fn a_dot_behind_a_line_end_that_is_none_is_text() {
        for (false_end, text) in [
            (&b"\n.\n"[..], &b"\r\n.\r\n"[..]),
            (b"\n.\r\n", b"\r\n.\r\n"),
            (b"\r\n.\n", b"\r\n.\r\n"),
            (b"\r.\r", b"\r\n.\r\n"),
            (b"\r.\r\n", b"\r\n.\r\n"),
            (b"\r\n.\r", b"\r\n.\r\n"),
            (b"\r\n.\r\r\n", b"\r\n.\r\n"),
            (b"\r\r\n.\r\r\n", b"\r\n.\r\n"),
            (b"\n\r.\r\n", b"\r\n\r\n.\r\n"),
            // Behind a true line end a dot before text is the client's, behind another it is not known for one.
            (b"\r\n..\n", b"\r\n.\r\n"),
            (b"\r\n.x\n", b"\r\nx\r\n"),
            (b"\n..\n", b"\r\n..\r\n"),
            (b"\n.x\n", b"\r\n.x\r\n"),
        ] {
            let expected = [b"a", text, b"QUIT\r\n"].concat();
            check_normalised(&[b"a", false_end, b"QUIT\r\n.\r\n"].concat(), Ok(&expected));
        }
    }

    /// Streams of the octets that mean something, in every order: no attacker finds another one of this length.
    fn streams(length: u32) -> impl Iterator<Item = Vec<u8>> {
        const OCTETS: &[u8] = b"\r\n.\0x";
        (0..OCTETS.len().pow(length)).map(move |number| {
            let digit = |place| number / OCTETS.len().pow(place) % OCTETS.len();
            (0..length).map(|place| OCTETS[digit(place)]).collect()
        })
    }

    #[test]
    fn a_message_ends_at_the_first_crlf_dot_crlf_whatever_becomes_of_its_line_ends() {
        for stream in streams(7) {
            let whole = [b"\r\n", &*stream].concat();
            let end = whole.windows(5).position(|five| five == b"\r\n.\r\n").map(|at| Feed::End { used: at + 3 });
            for line_ends in [LineEnds::Strict, LineEnds::Normalise] {
                let mut decoder = Decoder::new(LIMITS, line_ends);
                assert_eq!(decoder.feed(&stream), end.unwrap_or(Feed::More), "{:?}", String::from_utf8_lossy(&stream));
            }
        }
    }

    #[test]
    fn whatever_is_kept_has_no_cr_lf_or_nul_that_stands_alone() {
        for stream in streams(6) {
            for line_ends in [LineEnds::Strict, LineEnds::Normalise] {
                let mut behind_data = Decoder::new(LIMITS, line_ends);
                behind_data.feed(&[&*stream, b"\r\n.\r\n"].concat());
                let mut in_chunks = Decoder::counted(LIMITS, line_ends);
                in_chunks.feed(&stream);
                for decoder in [behind_data, in_chunks] {
                    // `Message::parse` refuses every line that does not end in CRLF.
                    match decoder.finish() {
                        Ok(message) => assert!(message.bytes().is_empty() || message.bytes().ends_with(b"\r\n")),
                        Err(Malformed::Nul) => assert!(stream.contains(&0)),
                        Err(fault) => assert_eq!(line_ends, LineEnds::Strict, "{fault}: {stream:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_of_a_message_on_its_way_in_is_shown() {
        let mut decoder = Decoder::new(LIMITS, LineEnds::Strict);
        decoder.feed(b"Subject: Quist\r\n");
        assert_eq!(format!("{decoder:?}"), "Decoder(16 octets)");
    }

    #[test]
    fn nothing_is_held_of_a_message_that_is_refused() {
        let mut decoder = Decoder::new(LIMITS, LineEnds::Strict);
        decoder.feed(b"a\nb\r\n");
        for _ in 0..1000 {
            decoder.feed(&[b'x'; 1000]);
        }
        assert_eq!(decoder.held(), 0);
    }
}
