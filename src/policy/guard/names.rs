//! Domains that look like others: mistyped ones, and ones that somebody made to look so.

use std::sync::LazyLock;

use crate::mail::Domain;

/// Where people have their private mail. Most of the mail that goes to a wrong domain was meant for one of these.
pub(super) const CONSUMER: [&str; 48] = [
    "gmail.com",
    "googlemail.com",
    "yahoo.com",
    "ymail.com",
    "rocketmail.com",
    "yahoo.co.uk",
    "yahoo.ca",
    "yahoo.com.mx",
    "yahoo.es",
    "hotmail.com",
    "hotmail.co.uk",
    "hotmail.es",
    "outlook.com",
    "outlook.es",
    "live.com",
    "msn.com",
    "passport.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "aol.com",
    "aim.com",
    "comcast.net",
    "xfinity.com",
    "verizon.net",
    "att.net",
    "sbcglobal.net",
    "bellsouth.net",
    "pacbell.net",
    "ameritech.net",
    "charter.net",
    "spectrum.net",
    "cox.net",
    "earthlink.net",
    "frontier.com",
    "centurylink.net",
    "optonline.net",
    "roadrunner.com",
    "windstream.net",
    "juno.com",
    "protonmail.com",
    "proton.me",
    "zoho.com",
    "gmx.com",
    "gmx.net",
    "mail.com",
    "email.com",
    "fastmail.com",
];

/// Shorter names have too many neighbours that are somebody's own.
const SHORTEST_LABEL: usize = 5;
/// From this length on, one letter that is another is more likely a slip than another name.
const LONG_LABEL: usize = 8;

pub(super) fn is_consumer(domain: &Domain) -> bool {
    CONSUMER.contains(&domain.as_str())
}

/// So often a client's mail must have reached a domain before a name like it is taken for a slip.
const OFTEN: u64 = 3;

/// How a domain resembles one that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Likeness {
    /// One slip of the fingers away.
    Mistyped,
    /// Other letters that look the same, or the whole of it with more behind.
    SameLook,
    /// The same name with another end.
    OtherEnd,
}

/// The domains of many people.
static PROVIDERS: LazyLock<Vec<Name>> = LazyLock::new(|| {
    let parsed = CONSUMER.iter().filter_map(|name| Domain::parse(name).ok());
    parsed.map(|domain| Name::new(domain, false)).collect()
});

/// Whom mail was perhaps meant for: the domains that a client's mail reaches often, and those of many people.
pub(super) struct Known(Vec<Name>);

/// A domain, ready to be compared with many.
struct Name {
    domain: Domain,
    letters: Vec<char>,
    looks: String,
    /// Whether the client often writes there.
    own: bool,
}

impl Known {
    pub(super) fn of(reached: &[(Domain, u64)]) -> Known {
        let own =
            reached.iter().filter(|(_, times)| *times >= OFTEN).map(|(domain, _)| Name::new(domain.clone(), true));
        Known(own.collect())
    }

    /// The first of them that a domain looks like, and is not.
    pub(super) fn like(&self, domain: &Domain) -> Option<Domain> {
        if domain.literal().is_some() {
            return None;
        }
        let typed = Name::new(domain.clone(), false);
        self.0
            .iter()
            .chain(PROVIDERS.iter())
            .find(|known| likeness(&typed, known).is_some())
            .map(|known| known.domain.clone())
    }
}

impl Name {
    fn new(domain: Domain, own: bool) -> Name {
        Name { letters: domain.as_str().chars().collect(), looks: looks(&domain.shown()), domain, own }
    }

    fn split(&self) -> (&str, &str) {
        self.domain.as_str().split_once('.').unwrap_or((self.domain.as_str(), ""))
    }
}

/// Whether a domain looks like this one, and is another.
fn likeness(typed: &Name, known: &Name) -> Option<Likeness> {
    if typed.domain == known.domain {
        return None;
    }
    let behind = typed.domain.as_str().strip_prefix(known.domain.as_str());
    if typed.looks == known.looks || behind.is_some_and(|behind| behind.starts_with('.')) {
        return Some(Likeness::SameLook);
    }
    let (label, end) = known.split();
    if label.len() >= SHORTEST_LABEL && one_slip(&typed.letters, &known.letters, label.len()) {
        return Some(Likeness::Mistyped);
    }
    let other_end = known.own && label.len() >= LONG_LABEL && typed.split().0 == label && typed.split().1 != end;
    other_end.then_some(Likeness::OtherEnd)
}

/// Whether what was typed is what was meant but for one slip: two letters changed over, one left out, one too many, or
/// one that lies beside it on the keyboard.
fn one_slip(typed: &[char], meant: &[char], label: usize) -> bool {
    let same = typed.iter().zip(meant).take_while(|(one, other)| one == other).count();
    let (typed, meant) = (&typed[same..], &meant[same..]);
    match (typed, meant) {
        ([one, two, rest @ ..], [other, third, others @ ..]) if one == third && two == other && rest == others => true,
        ([one, rest @ ..], [other, others @ ..]) if rest == others => {
            // A digit for a digit is the next of a row of names; nobody mistypes those.
            let digits = one.is_ascii_digit() && other.is_ascii_digit();
            !digits && (are_neighbours(*one, *other) || (label >= LONG_LABEL && !one.is_ascii_digit()))
        }
        (typed, [_, others @ ..]) if typed == others => true,
        ([one, rest @ ..], meant) if rest == meant => !one.is_ascii_digit(),
        _ => false,
    }
}

fn are_neighbours(one: char, other: char) -> bool {
    const ROWS: [&str; 4] = ["1234567890-", "qwertyuiop", "asdfghjkl", "zxcvbnm,."];
    let place = |letter: char| {
        ROWS.iter().enumerate().find_map(|(row, keys)| Some((row, keys.chars().position(|key| key == letter)?)))
    };
    let (Some((row, column)), Some((row_2, column_2))) = (place(one), place(other)) else { return false };
    // Each row is moved to the right by about half a key, so the key above lies at the same place or one further.
    match row.abs_diff(row_2) {
        0 => column.abs_diff(column_2) == 1,
        1 => {
            let (upper, lower) = if row < row_2 { (column, column_2) } else { (column_2, column) };
            upper == lower || upper == lower + 1
        }
        _ => false,
    }
}

/// A name as an eye takes it: letters of other scripts, and pairs that run together, as what they resemble.
fn looks(name: &str) -> String {
    let letters: String = name.chars().map(plain).collect();
    letters.replace("rn", "m").replace("vv", "w").replace(['1', '|'], "l").replace('0', "o").replace('i', "l")
}

/// The Latin letter that another resembles; itself otherwise.
fn plain(letter: char) -> char {
    match letter {
        'а' | 'α' | 'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ą' | 'ɑ' => 'a',
        'в' | 'ь' | 'ƅ' => 'b',
        'с' | 'ϲ' | 'ç' | 'ć' | 'č' | 'ċ' => 'c',
        'ԁ' | 'ď' | 'đ' => 'd',
        'е' | 'ё' | 'є' | 'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ė' | 'ε' => 'e',
        'ɡ' | 'ğ' | 'ģ' => 'g',
        'һ' | 'н' => 'h',
        'і' | 'ї' | 'ι' | 'ì' | 'í' | 'î' | 'ï' | 'ı' | 'ī' | 'į' => 'i',
        'ј' => 'j',
        'к' | 'κ' | 'ķ' => 'k',
        'ӏ' | 'ł' | 'ļ' | 'ľ' => 'l',
        'м' => 'm',
        'п' | 'η' | 'ñ' | 'ń' | 'ň' | 'ņ' => 'n',
        'о' | 'ο' | 'σ' | 'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'г' | 'ř' => 'r',
        'ѕ' | 'ś' | 'š' | 'ş' | 'ș' => 's',
        'т' | 'τ' | 'ť' | 'ţ' | 'ț' => 't',
        'υ' | 'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' => 'u',
        'ν' | 'ѵ' => 'v',
        'ԝ' | 'ω' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' | 'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(domain: &str, known: &str) -> Option<Likeness> {
        likeness(&Name::new(Domain::parse(domain).unwrap(), false), &Name::new(Domain::parse(known).unwrap(), true))
    }

    #[test]
    fn slips_of_the_fingers_are_found() {
        for (typed, meant) in [
            ("gmial.com", "gmail.com"),
            ("gmal.com", "gmail.com"),
            ("gmaill.com", "gmail.com"),
            ("gnail.com", "gmail.com"),
            ("gmail.con", "gmail.com"),
            ("gmail.co", "gmail.com"),
            ("gmailc.om", "gmail.com"),
            ("yaho.com", "yahoo.com"),
            ("hotmial.com", "hotmail.com"),
            ("outlok.com", "outlook.com"),
            ("comcsat.net", "comcast.net"),
            ("riverside-practise.example", "riverside-practice.example"),
        ] {
            assert_eq!(like(typed, meant), Some(Likeness::Mistyped), "{typed}");
        }
    }

    #[test]
    fn letters_that_look_the_same_are_found() {
        for (typed, meant) in [
            ("gmаil.com", "gmail.com"), // a Cyrillic а
            ("grnail.com", "gmail.com"),
            ("out1ook.com", "outlook.com"),
            ("yah0o.com", "yahoo.com"),
            ("xn--gmal-spa.com", "gmail.com"),
            ("a0l.com", "aol.com"),
            ("gmail.com.mail.example", "gmail.com"),
        ] {
            assert_eq!(like(typed, meant), Some(Likeness::SameLook), "{typed}");
        }
    }

    #[test]
    fn the_name_of_a_partner_with_another_end_is_found() {
        assert_eq!(like("riverside.org", "riverside.example"), Some(Likeness::OtherEnd));
        let known = Known::of(
            &[("riverside.example", 9), ("hillside.example", 2)]
                .map(|(name, times)| (Domain::parse(name).unwrap(), times)),
        );
        for (typed, meant) in [
            ("riverside.org", Some("riverside.example")),
            // Written to twice is no habit; and providers do have several ends.
            ("hillside.org", None),
            ("googlemail.example", None),
            ("gmial.com", Some("gmail.com")),
            ("[192.0.2.7]", None),
        ] {
            let found = known.like(&Domain::parse(typed).unwrap());
            assert_eq!(found.as_ref().map(Domain::as_str), meant, "{typed}");
        }
    }

    #[test]
    fn names_of_their_own_are_left_alone() {
        for (typed, meant) in [
            ("gmail.com", "gmail.com"),
            ("lab2.example", "lab1.example"),
            ("clinic12.example", "clinic13.example"),
            ("live.co", "live.com"),
            ("like.com", "live.com"),
            ("tufts.example", "bluffs.example"),
            ("a.example", "b.example"),
            ("smail.com", "gmail.com"),
        ] {
            assert_eq!(like(typed, meant), None, "{typed}");
        }
        let twice = CONSUMER.iter().filter(|one| CONSUMER.iter().filter(|other| one == other).count() > 1);
        assert_eq!(twice.count(), 0);
    }
}
