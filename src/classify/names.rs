//! Names of people, by a title, a label, what stands beside them, or the lists of given names and surnames.

use crate::classify::lexicon::{self, Lexicon, flag};
use crate::classify::tokens::{Class, Gap, Token, Tokens};
use crate::classify::{Hit, Hits, Sense};
use crate::phi::Kind;

/// Names that are remembered of one block, to be known again where they stand alone.
const MOST_KNOWN: usize = 200;
/// From here on, a name is remembered.
const SURE: f32 = 0.8;

/// Finds the names of a block.
pub(super) fn detect(tokens: &Tokens<'_>, hits: &mut Hits) {
    let reader = Reader { tokens, lexicon: lexicon::lexicon() };
    let mut at = 0;
    let mut found: Vec<Found> = Vec::new();
    while let Some(token) = tokens.list.get(at) {
        let name = if token.class.begins_large() { reader.name(at) } else { None };
        at = name.as_ref().map_or(at + 1, |name| name.end.max(at + 1));
        found.extend(name);
    }
    again(&reader, &found, hits);
    let hit = |name: Found| Hit {
        kind: Kind::Name,
        span: tokens.span(name.first..name.end),
        confidence: name.confidence,
        sense: name.sense,
    };
    hits.extend(found.into_iter().map(hit));
}

/// A patient's name that was told once is one where a part of it stands alone: "Quist was seen".
fn again(reader: &Reader<'_>, found: &[Found], hits: &mut Hits) {
    let Reader { tokens, lexicon } = reader;
    let sure = found.iter().filter(|name| name.sense == Sense::Plain && name.confidence >= SURE);
    let words = sure.take(MOST_KNOWN).flat_map(|name| &tokens.list[name.first..name.end]);
    let mut known: Vec<u32> =
        words.filter(|word| word.length() > 2 && !lexicon.is(word, flag::NOT_NAME)).map(|word| word.hash).collect();
    known.sort_unstable();
    known.dedup();
    if known.is_empty() {
        return;
    }
    let mut taken = found.iter().peekable();
    for (at, token) in tokens.list.iter().enumerate() {
        while taken.next_if(|name| name.end <= at).is_some() {}
        let free = taken.peek().is_none_or(|name| at < name.first);
        if free && token.class == Class::Capital && known.binary_search(&token.hash).is_ok() {
            hits.push(Hit::new(Kind::Name, token.span(), 0.6));
        }
    }
}

#[derive(Debug)]
struct Found {
    first: usize,
    end: usize,
    confidence: f32,
    sense: Sense,
}

/// One to four words with capitals, with initials, a comma or small words between them: "Quist, Maribel A", "Ana de la Cruz".
struct Words {
    first: usize,
    /// The last word of the part in front.
    second: Option<usize>,
    /// "Last, First".
    turned: bool,
    /// In capitals throughout, as headings are.
    shouted: bool,
    end: usize,
}

struct Reader<'a> {
    tokens: &'a Tokens<'a>,
    lexicon: &'static Lexicon,
}

impl Reader<'_> {
    fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.list.get(at)
    }

    fn is(&self, at: usize, flag: u32) -> bool {
        self.token(at).is_some_and(|token| self.lexicon.is(token, flag))
    }

    /// The name that begins with a token, if there is one.
    fn name(&self, at: usize) -> Option<Found> {
        if self.is(at, flag::NOT_NAME | flag::MONTH) && !self.is(at, flag::GIVEN) && !self.is_titled(at) {
            return None;
        }
        let words = self.words(at)?;
        let (confidence, sense) = self.judge(&words)?;
        let end = if words.second.is_none() { words.end } else { self.suffix(words.end) };
        Some(Found { first: at, end, confidence, sense })
    }

    fn words(&self, at: usize) -> Option<Words> {
        let first = self.token(at)?;
        let shouted = first.class == Class::Upper;
        // An initial is a first name only in front of a surname: "J. Quist".
        let end = self.part(at).or_else(|| (first.class == Class::Initial).then_some(at + 1))?;
        let mut words = Words { first: at, second: None, turned: false, shouted, end };
        if let Some(second) = self.turned(end) {
            words.turned = true;
            words.second = Some(second);
            words.end = self.part(second)?;
            return Some(Words { end: self.initial(words.end).unwrap_or(words.end), ..words });
        }
        for _ in 0..3 {
            let next = self.initial(words.end).filter(|next| self.follows(*next).is_some()).unwrap_or(words.end);
            let Some(second) = self.follows(next) else { break };
            words.second = Some(second);
            words.end = self.part(second)?;
        }
        if words.second.is_none() && self.is(at, flag::GIVEN) && !self.is(at, flag::WORD) {
            words.end = self.initial(words.end).unwrap_or(words.end);
        }
        Some(words)
    }

    /// Behind one word of a name, with what hyphens and apostrophes tie to it: "Garcia-Lopez", "O'Brien".
    fn part(&self, at: usize) -> Option<usize> {
        let is_tied = |at: usize| {
            let tied = |token: &&Token| token.gap == Gap::Joined && matches!(token.mark, b'-' | b'\'' | 0x80);
            self.token(at).filter(tied).is_some_and(|token| matches!(token.class, Class::Capital | Class::Upper))
        };
        let token = self.token(at)?;
        let whole = matches!(token.class, Class::Capital | Class::Upper) && token.length() <= 30;
        if !(whole || token.class == Class::Initial && is_tied(at + 1)) || self.is_barred(at) {
            return None;
        }
        Some((at + 1..at + 3).take_while(|at| is_tied(*at)).last().map_or(at + 1, |last| last + 1))
    }

    /// A word that is no part of a name; "ward" and "street" are surnames behind a title or a given name: "Mrs. Ward".
    fn is_barred(&self, at: usize) -> bool {
        let surname = || {
            let told = || self.is_told_aged(at + 1) || self.acts(at + 1);
            let sure = |before: &usize| self.is(*before, flag::GIVEN) && (!self.is(*before, flag::WORD) || told());
            let given = at.checked_sub(1).filter(sure);
            let spoken = |token: &Token| token.class == Class::Capital && token.gap == Gap::Space;
            let last = self.token(at + 1).is_none_or(|next| next.gap > Gap::Space || next.class == Class::Lower);
            given.is_some() && last && self.is(at, flag::SURNAME) && self.token(at).is_some_and(spoken)
        };
        self.is(at, flag::NOT_NAME) && !self.is_titled(at) && !surname()
    }

    /// Whether "Mr." stands in front.
    fn is_titled(&self, at: usize) -> bool {
        let near = |token: &Token| {
            token.class == Class::Capital && token.gap <= Gap::Sentence && matches!(token.mark, 0 | b'.')
        };
        let before = at.checked_sub(1).filter(|before| self.is(*before, flag::TITLE));
        before.is_some() && self.token(at).is_some_and(near)
    }

    /// Behind an initial, and its point.
    fn initial(&self, at: usize) -> Option<usize> {
        let initial = self.token(at).filter(|token| token.class == Class::Initial && token.gap == Gap::Space)?;
        (initial.length() == 1).then_some(at + 1)
    }

    /// The next word of a name: behind a space, an initial's point, or small words such as `de la`.
    fn follows(&self, at: usize) -> Option<usize> {
        let after_initial =
            at.checked_sub(1).and_then(|at| self.token(at)).is_some_and(|token| token.class == Class::Initial);
        let near = |token: &&Token| {
            token.gap == Gap::Space || after_initial && token.gap == Gap::Sentence && token.mark == b'.'
        };
        let small = (at..at + 2).take_while(|at| {
            self.is(*at, flag::PARTICLE) && self.token(*at).is_some_and(|token| token.gap == Gap::Space)
        });
        let next = at + small.count();
        self.token(next).filter(near)?;
        self.part(next).map(|_| next)
    }

    /// The given name behind a comma.
    fn turned(&self, at: usize) -> Option<usize> {
        let next = self.token(at).filter(|token| token.mark == b',' && token.gap <= Gap::Mark)?;
        let comma = next.start as usize - self.token(at - 1)?.end as usize <= 2;
        (comma && self.part(at).is_some()).then_some(at)
    }

    fn suffix(&self, end: usize) -> usize {
        let near = self.token(end).filter(|token| token.gap <= Gap::Mark && token.mark != b':');
        let suffix =
            near.is_some_and(|token| matches!(self.tokens.word(token), "Jr" | "JR" | "Sr" | "II" | "III" | "IV"));
        if suffix { end + 1 } else { end }
    }

    fn judge(&self, words: &Words) -> Option<(f32, Sense)> {
        let plain = |confidence| Some((confidence, Sense::Plain));
        let before = words.first.checked_sub(1);
        let gap = self.token(words.first).map_or(Gap::Paragraph, |token| token.gap);
        let mark = self.token(words.first).map_or(0, |token| token.mark);
        let led = |flag, most| before.is_some_and(|before| gap <= most && self.is(before, flag));
        if led(flag::DOCTOR, Gap::Sentence) && mark != b':' || words.second.is_some() && self.is_licensed(words.end) {
            return Some((0.7, Sense::Professional));
        }
        if led(flag::TITLE, Gap::Sentence) && matches!(mark, 0 | b'.') {
            return plain(0.9);
        }
        let aged = self.is_aged(words.end) || self.is_told_aged(words.end);
        let Some(second) = words.second else { return self.alone(words, aged).or_else(|| self.spoken_of(words)) };
        if self.is_beside(words.end) || aged {
            return plain(0.9);
        }
        let labelled = led(flag::NAME_LABEL, Gap::Cell) || self.is_field(words.first);
        let (given, surname) = if words.turned { (second, words.first) } else { (words.first, second) };
        let given = self.is(given, flag::GIVEN)
            || self.token(given).is_some_and(|token| token.class == Class::Initial && labelled);
        let surname = self.is(surname, flag::SURNAME);
        let common = self.is(words.first, flag::WORD);
        let known = given && (surname || !common || labelled);
        let said = led(flag::LEAD, Gap::Mark) || self.acts(words.end);
        match (labelled, known) {
            (true, true) => plain(0.95),
            (true, false) if !words.shouted || mark == b':' || surname => plain(0.8),
            (false, true) if said || surname && words.turned => plain(0.8),
            (false, true) => plain(if surname { 0.7 } else { 0.6 }),
            (false, false) if !words.turned && !words.shouted && said && !common => plain(0.6),
            (true | false, false) => None,
        }
    }

    /// A name of one word: with an age behind it, or a given name behind "my daughter" or "Dear".
    fn alone(&self, words: &Words, aged: bool) -> Option<(f32, Sense)> {
        let (first, end) = (words.first, words.end);
        let token = self.token(first)?;
        let known = self.is_aged(end) || self.is(first, flag::GIVEN | flag::SURNAME);
        if aged && known && token.class != Class::Upper && !self.is(first, flag::NOT_NAME) {
            return Some((0.7, Sense::Plain));
        }
        let given = self.is(first, flag::GIVEN) && token.class == Class::Capital;
        let before = first.checked_sub(1).filter(|_| token.gap <= Gap::Mark)?;
        let spoken = matches!(token.mark, 0 | b',' | b':');
        if given && spoken && self.is(before, flag::NAME_LABEL) {
            return Some((0.6, Sense::Plain));
        }
        let plain = token.class == Class::Capital && !self.is(first, flag::NOT_NAME | flag::MONTH);
        if plain && (token.gap == Gap::Space && self.is_kin(before) || token.mark == b':' && self.is_name_field(before))
        {
            return Some((0.5, Sense::Plain));
        }
        let greeted = self.is(before, flag::GREETING) && self.token(end).is_none_or(|next| next.gap >= Gap::Mark);
        (given && greeted).then_some((0.3, Sense::Plain))
    }

    /// A given name with no other, or a surname, of which something is told as of a person: "Tommy has", "Rosa's",
    /// "with Brianna", "Jaden R.", "Quist refused".
    fn spoken_of(&self, words: &Words) -> Option<(f32, Sense)> {
        let (first, end) = (words.first, words.end);
        let sure = self.is(first, flag::GIVEN) && !self.is(first, flag::WORD | flag::NOT_NAME | flag::MONTH);
        let token = self.token(first).filter(|token| token.class == Class::Capital)?;
        if !sure {
            let told = self.is(first, flag::SURNAME) && !self.is(first, flag::NOT_NAME | flag::WORD) && self.acts(end);
            return told.then_some((0.4, Sense::Plain));
        }
        let near = self.token(end).is_some_and(|next| next.gap == Gap::Space);
        let goes_on = near && (self.is(end, flag::ACTS | flag::THEN) || self.acts(end));
        let owns = self.tokens.text.get(token.end as usize..).is_some_and(|rest| rest.starts_with(['\'', '\u{2019}']));
        let led = first.checked_sub(1).is_some_and(|before| token.gap == Gap::Space && self.is(before, flag::LEAD));
        (end > first + 1 || goes_on || owns || led).then_some((0.5, Sense::Plain))
    }

    /// "my son", "her husband", "baby boy": any name may follow.
    fn is_kin(&self, at: usize) -> bool {
        let word = |at: usize| self.token(at).map(|token| self.tokens.word(token)).unwrap_or_default();
        let whose = at.checked_sub(1).map(word).unwrap_or_default().to_ascii_lowercase();
        let whose = matches!(whose.as_str(), "my" | "her" | "his" | "our" | "their" | "your" | "mi" | "su" | "baby");
        whose && (self.is(at, flag::NAME_LABEL) || matches!(word(at), "boy" | "girl"))
    }

    /// The head of a field that holds nothing but a name.
    fn is_name_field(&self, at: usize) -> bool {
        let word = self.token(at).map(|token| self.tokens.word(token)).unwrap_or_default().to_ascii_lowercase();
        matches!(word.as_str(), "name" | "surname" | "nombre" | "apellido" | "apellidos")
    }

    /// `Name: Quist`, `Patient name | Quist`.
    fn is_field(&self, first: usize) -> bool {
        let before =
            first.checked_sub(1).filter(|_| self.token(first).is_some_and(|token| matches!(token.mark, b':' | b'|')));
        before.is_some_and(|before| self.is(before, flag::NAME_LABEL | flag::FIELD))
    }

    /// `, MD` behind a name.
    fn is_licensed(&self, end: usize) -> bool {
        let near = self.token(end).is_some_and(|token| token.gap <= Gap::Mark && matches!(token.mark, 0 | b','));
        let letters = self.token(end).is_some_and(|token| !matches!(token.class, Class::Lower | Class::Number));
        if near && letters && self.is(end, flag::CREDENTIAL) {
            return true;
        }
        // "M.D.", "D.O.", "Ph.D."
        let word = |at: usize| self.token(at).map(|token| self.tokens.word(token)).unwrap_or_default();
        let joined = self.token(end + 1).is_some_and(|token| token.gap == Gap::Joined && token.mark == b'.');
        near && joined && matches!((word(end), word(end + 1)), ("M" | "Ph" | "D", "D" | "O") | ("R" | "L", "N" | "P"))
    }

    /// Age and sex as charts write them: "Quist 62f", "Quist, 45 yo".
    fn is_aged(&self, end: usize) -> bool {
        let Some(token) = self.token(end).filter(|token| token.gap <= Gap::Mark && token.class.has_digit()) else {
            return false;
        };
        let word = self.tokens.word(token);
        let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = word.len() - unit.len();
        let told = matches!(unit, "f" | "m" | "F" | "M" | "yo" | "y" | "yof" | "yom" | "YO");
        let years = unit.is_empty()
            && self.is(end + 1, flag::YEARS)
            && self.token(end + 1).is_some_and(|token| token.gap <= Gap::Space);
        (1..=3).contains(&digits) && (told || years)
    }

    /// An age in a sentence: "Maribel Quist is a pleasant 68-year-old", "Quist, a 40 year old".
    fn is_told_aged(&self, end: usize) -> bool {
        const WORDS: usize = 5;
        let word = |at: usize| self.token(at).map(|token| self.tokens.word(token)).unwrap_or_default();
        let near =
            |at: &usize| self.token(*at).is_some_and(|token| token.gap <= Gap::Mark && token.class == Class::Lower);
        let between = (end..end + WORDS).take_while(near).count();
        let age = end + between;
        let article = (end..age).any(|at| matches!(word(at), "a" | "an"));
        article && self.is_aged(age) && (self.is(age, flag::YEARS) || matches!(word(age + 2), "old" | "o"))
    }

    /// A date, a number of a record, or their label: what only a patient's name has beside it.
    fn is_beside(&self, end: usize) -> bool {
        let Some(next) = self.token(end).filter(|next| next.gap <= Gap::Cell) else { return false };
        if self.is(end, flag::BESIDE) {
            return true;
        }
        let parts = (end + 1..end + 3).take_while(|at| {
            let tied = |token: &Token| token.gap == Gap::Joined && matches!(token.mark, b'/' | b'-');
            self.token(*at).is_some_and(tied)
        });
        next.class == Class::Number && parts.count() == 2
    }

    /// What a sentence about a person goes on with: "presents", "was seen".
    fn acts(&self, end: usize) -> bool {
        let near = |at: usize| self.token(at).is_some_and(|token| token.gap <= Gap::Mark);
        let skip = usize::from(near(end) && self.is(end, flag::THEN));
        let at = end + skip;
        near(at) && (self.is(at, flag::ACTS) || self.is(at, flag::THEN) && near(at + 1) && self.is(at + 1, flag::ACTS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, Sense)]) {
        let mut hits = Hits::within(100);
        detect(&Tokens::of(text), &mut hits);
        let got: Vec<_> = hits.kept.iter().map(|hit| (&text[hit.span.clone()], hit.sense)).collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn a_title_a_label_or_a_given_name_makes_a_name() {
        check("Mrs. Quist called", &[("Quist", Sense::Plain)]);
        check("Patient: Ottoline Grebe came", &[("Ottoline Grebe", Sense::Plain)]);
        check("we saw Maria B. Ruiz today", &[("Maria B. Ruiz", Sense::Plain)]);
        check("QUIST, MARIA was", &[("QUIST, MARIA", Sense::Plain)]);
        check("row 4 Ottoline Grebe 07/21/1963", &[("Ottoline Grebe", Sense::Plain)]);
        check("Ottoline Grebe is a pleasant 68-year-old female", &[("Ottoline Grebe", Sense::Plain)]);
        check("Mason Ward is an 80-year-old", &[("Mason Ward", Sense::Plain)]);
        check("Maribel Ward was brought to the room", &[("Maribel Ward", Sense::Plain)]);
        check("Mrs. Ward called, Mr Young did not", &[("Ward", Sense::Plain), ("Young", Sense::Plain)]);
        check("la paciente José Núñez", &[("José Núñez", Sense::Plain)]);
    }

    #[test]
    fn a_name_has_many_shapes() {
        check("Patient: Ana de la Cruz", &[("Ana de la Cruz", Sense::Plain)]);
        check("patient Siobhan O'Brien-Teal Jr.", &[("Siobhan O'Brien-Teal Jr", Sense::Plain)]);
        check("Patient name | J. Grebe", &[("J. Grebe", Sense::Plain)]);
        check("my daughter Maria", &[("Maria", Sense::Plain)]);
        check("Dear Maria,", &[("Maria", Sense::Plain)]);
        check("my son Dashiell", &[("Dashiell", Sense::Plain)]);
        check("Baby boy Grebe", &[("Grebe", Sense::Plain)]);
        check("Last name: Okonkwo", &[("Okonkwo", Sense::Plain)]);
    }

    #[test]
    fn a_name_that_was_told_is_known_again() {
        check("Mrs. Quist called. Then Quist left", &[("Quist", Sense::Plain), ("Quist", Sense::Plain)]);
    }

    #[test]
    fn an_uncommon_name_is_known_by_what_is_said_of_it() {
        check("a bed was found for Ottoline Grebe", &[("Ottoline Grebe", Sense::Plain)]);
        check("Ottoline Grebe denies pain", &[("Ottoline Grebe", Sense::Plain)]);
        check("bed 3 Grebe 48m", &[("Grebe", Sense::Plain)]);
        check("PHYSICAL EXAM presents", &[]);
    }

    #[test]
    fn a_given_name_alone_is_one_where_something_is_told_of_it() {
        check("Tommy has strep", &[("Tommy", Sense::Plain)]);
        check("Rosa's biopsy came back", &[("Rosa", Sense::Plain)]);
        check("the counselor met with Brianna today", &[("Brianna", Sense::Plain)]);
        check("Jaden R. had a seizure", &[("Jaden R", Sense::Plain)]);
        check("room 12 Hendricks refused insulin", &[("Hendricks", Sense::Plain)]);
        check("Summer is here, and Vitamin C has no effect", &[]);
    }

    #[test]
    fn a_health_worker_is_a_professional() {
        check("Dr. Teal said", &[("Teal", Sense::Professional)]);
        check("Anna Teal, MD", &[("Anna Teal", Sense::Professional)]);
        check("Anna Teal, M.D.", &[("Anna Teal", Sense::Professional)]);
    }

    #[test]
    fn capitals_alone_make_no_name() {
        for text in [
            "Maribel Ward Clinic opens",
            "This is a 68-year-old",
            "Charlotte Ward beds",
            "Thank You",
            "Project Orion starts",
            "Mesa Clinic",
            "March Madness",
            "A B C",
            "Ted hose",
        ] {
            check(text, &[]);
        }
    }
}
