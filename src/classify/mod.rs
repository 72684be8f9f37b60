//! Whether a message holds PHI, and what was found where.

mod ages;
mod checks;
mod codes;
mod dates;
pub mod evidence;
mod labels;
mod lexicon;
mod marks;
mod names;
mod numbers;
mod persons;
mod places;
mod record;
#[cfg(test)]
mod spans;
mod tokens;
mod topics;
mod weigh;

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::classify::labels::Labels;
use crate::classify::tokens::Tokens;
use crate::classify::topics::Topics;
use crate::config::OperatingPoint;
use crate::mime::{Content, Origin, Part, Tree};
use crate::phi::{Kind, Label};

pub use weigh::{BINS, Feature, Grounds, MODEL_FORM, Model, Pair, Points, Reason, Unfit, Who};

/// One thing that was recognised. Never the text of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: Kind,
    /// As `mime::Part::path`.
    pub part: String,
    /// In characters of the decoded part.
    pub start: usize,
    pub end: usize,
    /// From 0 to 1.
    pub confidence: f32,
}

/// What the classifier concluded. Made by `classify` only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// At the operating point `balanced`, or where [`Verdict::at`] has put it.
    pub phi: bool,
    /// How likely it holds PHI, from 0 to 1.
    pub score: f32,
    pub points: Points,
    pub grounds: Grounds,
    pub findings: Vec<Finding>,
    /// How many people it is about, as far as they can be told apart.
    pub persons: usize,
    /// Topics that ask for more care.
    pub labels: Vec<Label>,
    /// The classifier that said so.
    pub version: String,
}

impl Verdict {
    /// The verdict at an operating point.
    pub fn at(self, point: OperatingPoint) -> Verdict {
        Verdict { phi: is_phi(&self, point), ..self }
    }
}

/// A finding in the octets of one text, with what it says of the reader's case.
#[derive(Clone, Debug, PartialEq)]
struct Hit {
    kind: Kind,
    span: Range<usize>,
    confidence: f32,
    sense: Sense,
}

/// How a hit can take part in the rule that makes PHI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    /// Points at a person, or says something of health, as its kind's axis says.
    Plain,
    /// A health worker in that capacity: nobody's patient.
    Professional,
    /// Health words put to the person who is written to.
    Addressed,
    /// Ties a person to health by itself.
    Record,
}

impl Hit {
    fn new(kind: Kind, span: Range<usize>, confidence: f32) -> Hit {
        Hit { kind, span, confidence, sense: Sense::Plain }
    }
}

/// Hits that are kept of one message; a message of nothing but hits would take fifty times its size.
const MAX_HITS: usize = 100_000;

/// What was found in one text, as far as there is room for it.
#[derive(Debug)]
struct Hits {
    kept: Vec<Hit>,
    /// The topics that speak against a patient being meant.
    lowering: BTreeSet<&'static str>,
    topics: Topics,
    room: usize,
    complete: bool,
}

impl Hits {
    fn within(room: usize) -> Hits {
        Hits { kept: Vec::new(), lowering: BTreeSet::new(), topics: Topics::default(), room, complete: true }
    }

    fn push(&mut self, hit: Hit) {
        if self.kept.len() < self.room {
            self.kept.push(hit);
        } else {
            self.complete = false;
        }
    }

    fn lower(&mut self, topic: &'static str) {
        self.lowering.insert(topic);
    }

    fn extend(&mut self, hits: impl IntoIterator<Item = Hit>) {
        hits.into_iter().for_each(|hit| self.push(hit));
    }
}

/// Runs every detector over every part, and weighs what was found.
pub fn classify(tree: &Tree) -> Verdict {
    let mut grams = weigh::Grams::new();
    let Reading { parts, findings, persons, labels } = read(tree, &mut grams);
    let has_unreadable = findings.iter().any(|finding| finding.kind == Kind::Unreadable);
    let (score, points, grounds) = weigh::weigh(tree, &parts, grams).judge(has_unreadable);
    // A topic is one of health information only.
    let labels = if points.strict { labels } else { Vec::new() };
    Verdict { phi: points.balanced, score, points, grounds, findings, persons, labels, version: version() }
}

/// What was read of a message, before it is weighed.
struct Reading<'a> {
    parts: Vec<weigh::Read<'a>>,
    findings: Vec<Finding>,
    persons: usize,
    labels: Vec<Label>,
}

fn read<'a>(tree: &'a Tree, grams: &mut weigh::Grams) -> Reading<'a> {
    let mut findings = Vec::new();
    let mut parts = Vec::new();
    let mut persons = persons::Persons::default();
    let mut topics = Topics::default();
    let mut kept = 0;
    for part in &tree.parts {
        match &part.content {
            // The detectors read the text and keep only kinds and places.
            Content::Text(text) => {
                let text = text.expose();
                let (found, tokens) = detect(text, MAX_HITS - kept);
                let Hits { kept: hits, lowering, topics: spoken, complete, .. } = found;
                kept += hits.len();
                // Who writes and is written to is nobody whom the message is about.
                let speaks = part.origin() != Origin::Names;
                if speaks {
                    persons.add(text, &hits);
                }
                topics.join(&spoken);
                hits.iter().for_each(|hit| topics.hit(text, hit));
                findings.extend(located(&hits, text, &part.path));
                let mut complete = complete;
                if speaks {
                    let said = weigh::Said::of(tokens, &hits, grams);
                    complete &= said.complete;
                    parts.push(weigh::Read { part, text, hits, said, lowering });
                }
                // What is said behind the limit is not known, and may be the one thing that counts.
                findings.extend((!complete).then(|| unreadable(part)));
            }
            Content::Unreadable(_) => findings.push(unreadable(part)),
        }
    }
    Reading { parts, findings, persons: persons.count(), labels: topics.labels() }
}

/// Names what makes a verdict: the program, with its rules and lexicons, and the weights.
pub fn version() -> String {
    let model = Model::shipped().map_or("none", |model| model.name.as_str());
    format!("{}-{model}", env!("CARGO_PKG_VERSION"))
}

/// Whether a verdict says that a message is health information, at an operating point.
pub fn is_phi(verdict: &Verdict, point: OperatingPoint) -> bool {
    match point {
        OperatingPoint::Strict => verdict.points.strict,
        OperatingPoint::Balanced => verdict.points.balanced,
    }
}

fn unreadable(part: &Part) -> Finding {
    Finding { kind: Kind::Unreadable, part: part.path.clone(), start: 0, end: 0, confidence: 1.0 }
}

/// The hits of one text in order, and the tokens of its last block. Where two of one kind overlap, the surer one stays.
fn detect(text: &str, room: usize) -> (Hits, Tokens<'_>) {
    let mut hits = Hits::within(room);
    record::detect(text, &mut hits);
    marks::detect(text, &mut hits);
    let mut tokens = Tokens::read(text, 0..0, Vec::new());
    for block in Tokens::blocks(text) {
        tokens = Tokens::read(text, block, tokens.list);
        let labels = Labels::of(&tokens, lexicon::detect(&tokens, &mut hits));
        numbers::detect(&tokens, &labels, &mut hits);
        marks::sites(&tokens, &mut hits);
        names::detect(&tokens, &mut hits);
    }
    hits.kept.sort_by(|a, b| (a.span.start, b.span.end).cmp(&(b.span.start, a.span.end)));
    let mut kept: Vec<Hit> = Vec::with_capacity(hits.kept.len());
    for hit in std::mem::take(&mut hits.kept) {
        let near = kept.len().saturating_sub(4);
        let twin = kept[near..].iter_mut().find(|other| other.kind == hit.kind && hit.span.start < other.span.end);
        match twin {
            Some(twin) if twin.confidence < hit.confidence => *twin = hit,
            Some(_) => {}
            None => kept.push(hit),
        }
    }
    (Hits { kept, ..hits }, tokens)
}

/// Octets to characters, in one pass over the text.
fn located(hits: &[Hit], text: &str, part: &str) -> Vec<Finding> {
    let mut ends: Vec<usize> = hits.iter().flat_map(|hit| [hit.span.start, hit.span.end]).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut counts = Vec::with_capacity(ends.len());
    let (mut at, mut characters) = (0, 0);
    for end in &ends {
        characters += text[at..*end].chars().count();
        at = *end;
        counts.push(characters);
    }
    let character = |octet: usize| ends.binary_search(&octet).ok().and_then(|found| counts.get(found)).copied();
    let finding = |hit: &Hit| Finding {
        kind: hit.kind,
        part: part.to_owned(),
        start: character(hit.span.start).unwrap_or(0),
        end: character(hit.span.end).unwrap_or(0),
        confidence: hit.confidence,
    };
    hits.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::Unreadable;
    use crate::phi::Phi;

    fn tree(parts: &[(&str, &str)]) -> Tree {
        let part = |(path, text): &(&str, &str)| Part {
            path: (*path).to_owned(),
            media_type: "text/plain".into(),
            name: None,
            content: Content::Text(Phi::new((*text).to_owned())),
        };
        Tree {
            subject: Phi::default(),
            from: Vec::new(),
            message_id: None,
            parts: parts.iter().map(part).collect(),
            control: Vec::new(),
        }
    }

    fn check(text: &str, phi: bool) {
        let verdict = classify(&tree(&[("1", text)]));
        assert_eq!(verdict.phi, phi, "{text}: {verdict:?}");
    }

    #[test]
    fn a_person_bound_to_health_is_phi() {
        check("Patient: Maribel Quist, MRN 00482913, has type 2 diabetes and takes metformin.", true);
        check("Mrs. Quist called about her refill of lisinopril.", true);
        check("Su cita con el doctor es el martes. Sus resultados están listos.", true);
    }

    #[test]
    fn a_patient_is_not_hidden_by_what_a_letter_looks_like() {
        let mut letter = tree(&[(
            "1",
            "Please see the hiring policy. MRN 00482913 metformin 500 mg, newsletter, webinar, HIPAA training. Register for \
             the class. Sale ends soon. See the ticket.",
        )]);
        letter.subject = Phi::new("Job posting policy".into());
        let verdict = classify(&letter);
        let Ok(model) = Model::shipped() else { panic!("no model") };
        assert!(verdict.phi && verdict.score <= model.balanced, "by the lift alone: {verdict:?}");
    }

    #[test]
    fn a_record_of_a_patient_decides_by_itself() {
        let record =
            "MSH|^~\\&|LAB|CLINIC|EHR|CLINIC|20261124||ORU^R01|1|P|2.5\rPID|1||00482913||QUIST^MARIBEL||19620314|F\r";
        let verdict = classify(&tree(&[("1", record)]));
        assert!(verdict.phi && verdict.score >= 0.99, "{verdict:?}");
    }

    #[test]
    fn health_put_to_a_reader_without_a_name_counts_where_least_is_to_be_missed() {
        let verdict = classify(&tree(&[("1", "Your appointment with the cardiology clinic is on Tuesday.")]));
        assert!(is_phi(&verdict, OperatingPoint::Strict), "{verdict:?}");
    }

    #[test]
    fn health_without_a_person_and_a_person_without_health_are_not() {
        check("Metformin is the first drug for type 2 diabetes; hypertension is common.", false);
        check("Maribel Quist, 12 Oak Street, asked for the lease. Phone (602) 555-0143.", false);
        check("The build failed on main again, can you look at the logs?", false);
        check("", false);
    }

    #[test]
    fn animals_and_health_workers_at_work_are_not() {
        check("Veterinary note: Biscuit, canine, is due for rabies vaccination at the animal hospital.", false);
        check("Dr. Teal, NPI 1234567893, joins our practice; board certified, locum until May.", false);
    }

    #[test]
    fn no_look_of_a_newsletter_hides_what_is_surely_somebodys_health() {
        let letter = "Newsletter. Patient: Maribel Quist, MRN 00482913, has type 2 diabetes and takes metformin. \
                      To unsubscribe, click here.";
        let mut listed = tree(&[("1", letter)]);
        listed.control.push(("list-id".into(), Phi::new("<news.clinic.example>".into())));
        assert!(classify(&listed).phi, "{:?}", classify(&listed));
        let mut general =
            tree(&[("1", "Our newsletter: Maribel Quist on metformin and type 2 diabetes. Unsubscribe.")]);
        general.control.push(("list-id".into(), Phi::new("<news.clinic.example>".into())));
        assert!(!classify(&general).phi);
    }

    #[test]
    fn a_person_in_the_subject_is_bound_to_the_body() {
        let parts = [("subject", "Patient Maribel Quist"), ("1", "Assessment: pneumonia. Started azithromycin.")];
        assert!(classify(&tree(&parts)).phi);
    }

    #[test]
    fn what_cannot_be_read_is_treated_as_phi() {
        let mut tree = tree(&[("1", "see attached")]);
        let content = Content::Unreadable(Unreadable::NoReader);
        tree.parts.push(Part { path: "2".into(), media_type: "application/pdf".into(), name: None, content });
        let verdict = classify(&tree);
        assert!(verdict.phi);
        assert_eq!(verdict.findings[0].kind, Kind::Unreadable);
    }

    #[test]
    fn a_range_counts_characters_and_not_octets() {
        let verdict = classify(&tree(&[("1", "é“ü” SSN: 219-99-8765")]));
        let ssn = verdict.findings.iter().find(|finding| finding.kind == Kind::Ssn).unwrap();
        assert_eq!((ssn.start, ssn.end), (10, 21));
    }

    /// What makes each detector look about as often as it can, and find as little.
    const WORST: [&str; 32] = [
        "1",
        "1 ",
        "1,",
        "1-1-1-",
        "1:2:3:4:",
        "ab:01:",
        "01/01/",
        "A1 ",
        "(",
        "(01) ",
        "a@",
        "a@b.c@d.e@",
        "a.com.b.org.",
        "https://",
        "www.www.",
        "Mr. ",
        "Maria ",
        "Ab Cd, ",
        "A B C ",
        "O'O'O'",
        "de la ",
        "patient ",
        "account ",
        "last four digits of her social security number ",
        "Med. Rec. No. ",
        "MRN|DOB\n1|2\n",
        "calle 1 ",
        "PO Box 1 ",
        "12 Oak Elm Ash Fir Bay ",
        "1 2 3 4 5 6 7 8 9 0 1-2-3 4.5.6.7 8/9/10 (11) 12-13\r\n",
        "{\"resourceType\":\"Bundle\",\"subject\":",
        "MSH|ISA*NM1*",
    ];

    /// What stands once in front, and what comes again and again behind it and looks back to it.
    const WORST_BEHIND: [(&str, &str); 8] = [
        ("DOB ", "May 1 "),
        ("born, x, x, x, x, x, x, ", "May 1, 1961, "),
        ("MRN: ", "a-1 "),
        ("x|y|MRN|DOB\n", "1|2 3 4 "),
        ("calle ", "1 "),
        ("Patient: Maribel Quist. ", "Quist "),
        ("(01) 00012345678905 ", "(17) "),
        ("SSN ", "219 09 "),
    ];

    #[test]
    fn ten_mebibytes_of_the_worst_texts_are_read_in_time_that_grows_with_their_length() {
        const ALL: usize = 10 << 20;
        // A build that is not optimised takes some seconds; work that grows with the square takes minutes.
        const BOUND: std::time::Duration = std::time::Duration::from_secs(60);
        let started = std::time::Instant::now();
        for piece in WORST {
            classify(&tree(&[("1", &piece.repeat(ALL / WORST.len() / piece.len()))]));
        }
        assert!(started.elapsed() < BOUND, "{} s", started.elapsed().as_secs());
    }

    #[test]
    fn what_stands_in_front_of_very_many_numbers_is_not_walked_to_from_each() {
        const SIZE: usize = 250_000;
        let took = |text: &str| {
            let started = std::time::Instant::now();
            classify(&tree(&[("1", text)]));
            started.elapsed()
        };
        let check = |head: &str, tail: &str| {
            let (alone, behind) = (took(tail), took(&format!("{head}{tail}")));
            let bound = 4 * alone + std::time::Duration::from_secs(1);
            let head = head.get(..20).unwrap_or(head);
            assert!(behind < bound, "behind {head:?}: {behind:?}, alone: {alone:?}");
        };
        for (head, tail) in WORST_BEHIND {
            check(head, &tail.repeat(SIZE / tail.len()));
        }
        check(&format!("x|{}\n", "MRN ".repeat(SIZE / 8)), &"1 ".repeat(SIZE / 4));
    }

    #[test]
    fn a_text_of_nothing_but_hits_takes_bounded_memory_and_counts_as_phi() {
        let verdict = classify(&tree(&[("1", &"1mg ".repeat(2 * MAX_HITS)), ("2", "hello")]));
        assert!(verdict.findings.len() <= MAX_HITS + 1);
        assert!(verdict.phi);
        let unreadable = verdict.findings.iter().filter(|finding| finding.kind == Kind::Unreadable);
        assert_eq!(unreadable.map(|finding| finding.part.as_str()).collect::<Vec<_>>(), ["1"]);
    }

    #[test]
    fn many_parts_that_speak_to_the_reader_do_not_cost_their_square() {
        let started = std::time::Instant::now();
        classify(&tree(&[("1", "your visit"); 40_000]));
        assert!(started.elapsed() < std::time::Duration::from_secs(20));
    }
}
