//! Each sign of a mistake, what is done about it, and what must not be taken for one.

use crate::classify::{Grounds, Points, Verdict};
use crate::clock::Timestamp;
use crate::config::{Care, Guard, Last, Response};
use crate::mail::{Assurance, Domain, Message, MessageId, Method, ReversePath, WireLimits};
use crate::mime::{self, Budget};
use crate::policy::{Alike, Past, RecipientFacts};

use super::*;

fn verdict(phi: bool) -> Verdict {
    let points = Points { strict: phi, balanced: phi };
    let grounds = Grounds::default();
    Verdict {
        phi,
        score: 0.0,
        points,
        grounds,
        findings: Vec::new(),
        persons: 1,
        labels: Vec::new(),
        version: "test".into(),
    }
}

fn envelope(to: &[&str]) -> Envelope {
    let mut to = to.iter().map(|to| Address::parse(to).unwrap());
    Envelope::new(ReversePath::Mailbox(Address::parse("ann@clinic.example").unwrap()), to.next().unwrap(), to.collect())
}

fn past(domains: &[(&str, u64)], written: &[u64]) -> Facts {
    let domains = domains.iter().map(|(domain, times)| (Domain::parse(domain).unwrap(), *times)).collect();
    Facts { past: Past { domains, written: written.to_vec(), ..Past::default() }, ..Facts::default() }
}

/// What is said of each recipient, without the words.
fn signs_of(to: &[&str], facts: &Facts) -> Vec<Vec<Sign>> {
    signs_in("", to, facts).of_recipients
}

/// What is found in a message with this text.
fn signs_in(text: &str, to: &[&str], facts: &Facts) -> Signs {
    let (letter, tree) = read(text);
    signs(Sight { envelope: &envelope(to), letter: &letter, tree: &tree, verdict: &verdict(true), facts })
}

fn read(text: &str) -> (Letter, Tree) {
    let limits = WireLimits { message_bytes: 1 << 20, header_bytes: 1 << 16, line_bytes: 2000 };
    let text = format!("From: ann@clinic.example\n{text}\n").replace('\n', "\r\n");
    let message = Message::parse(text.into_bytes(), &limits).unwrap();
    let tree = mime::parse(&message, &Budget { depth: 9, parts: 99, ratio: 99, bytes: 1 << 20 });
    (Letter::of(&message), tree)
}

fn like(domain: &str) -> Sign {
    Sign::LooksLike(Domain::parse(domain).unwrap())
}

#[test]
fn a_mistyped_provider_is_found_without_any_past() {
    let none = Facts::default();
    assert_eq!(signs_of(&["m@gmial.com", "m@gmail.com"], &none), [vec![like("gmail.com")], vec![]]);
    let mut silent = verdict(false);
    silent.persons = 9;
    let (letter, tree) = read("");
    let envelope = envelope(&["m@gmial.com"]);
    let seen = Sight { envelope: &envelope, letter: &letter, tree: &tree, verdict: &silent, facts: &none };
    assert_eq!(signs(seen).of_recipients, [vec![]], "nobody's health is told");
}

#[test]
fn a_domain_like_a_partners_is_found_until_mail_has_reached_it() {
    let habit = [("riverside-practice.example", 3), ("hillside.example", 2)];
    let to = ["m@riverside-practise.example"];
    assert_eq!(signs_of(&to, &past(&habit, &[])), [vec![like("riverside-practice.example")]]);
    assert_eq!(signs_of(&["m@hilside.example"], &past(&habit, &[])), [vec![]], "twice is no habit");
    // Far down the list of domains, but this person is known.
    assert_eq!(signs_of(&to, &past(&habit, &[1])), [vec![]]);
    let reached = [habit[0], habit[1], ("riverside-practise.example", 1)];
    assert_eq!(signs_of(&to, &past(&reached, &[])), [vec![]]);
    let mut routed = past(&habit, &[]);
    let domain = Domain::parse("riverside-practise.example").unwrap();
    routed.recipients = vec![Some(RecipientFacts { domain, routed: true, tls_seen: None, mx_seen: Vec::new() })];
    assert_eq!(signs_of(&to, &routed), [vec![]], "the operator knows it");
}

#[test]
fn a_private_address_is_strange_only_from_who_writes_to_organisations() {
    let organisations = [("lab.example", 15), ("hospice.example", 5)];
    let to = ["m@gmail.com", "bo@lab.example"];
    assert_eq!(signs_of(&to, &past(&organisations, &[])), [vec![Sign::Private], vec![]]);
    let mixed = [organisations[0], organisations[1], ("yahoo.com", 1)];
    assert_eq!(signs_of(&to, &past(&mixed, &[])), [vec![], vec![]]);
    assert_eq!(signs_of(&to, &past(&organisations[..1], &[])), [vec![], vec![]], "fifteen messages are no habit");
}

#[test]
fn an_address_that_nothing_reached_is_found_and_one_of_which_nobody_knows_is_not() {
    let to = ["a@lab.example", "b@lab.example", "c@lab.example"];
    assert_eq!(signs_of(&to, &past(&[], &[0, 7])), [vec![Sign::First], vec![], vec![]]);
}

#[test]
fn whoever_is_greeted_and_is_not_written_to_is_found_where_there_is_one_recipient() {
    let none = Facts::default();
    let strange = |text: &str, to: &[&str]| signs_in(text, to, &none).of_recipients[0].contains(&Sign::GreetsAnother);
    let bob = ["bob@lab.example"];
    assert!(strange("To: bob@lab.example\n\nDear Maribel,\nyour results are here.", &bob));
    assert!(strange("To: bob@lab.example\nContent-Type: text/html\n\n<p>Dear Maribel,</p><p>your results</p>", &bob));
    assert!(!strange("To: bob@lab.example\n\nDear Bob,\nyour results are here.", &bob));
    assert!(!strange("To: bob@lab.example, m@lab.example\n\nDear Maribel,\nhi", &bob), "it may be for the other");
    assert!(
        !strange("To: bob@lab.example\n\nDear Maribel,\nhi", &["bob@lab.example", "m@lab.example"]),
        "a blind copy"
    );
    assert!(!strange("To: list@lab.example\n\nDear Maribel,\nhi", &bob));
}

#[test]
fn recipients_who_see_each_other_are_counted_and_so_are_those_of_an_answer() {
    let none = Facts::default();
    let of_message = |text: &str| signs_in(text, &["a@lab.example"], &none).of_message;
    assert_eq!(of_message("To: a@lab.example\n\nhi"), []);
    assert_eq!(of_message("To: a@lab.example, b@lab.example\nCc: a@lab.example\n\nhi"), [Sign::Together(2)]);
    let answer = "To: a@lab.example, b@lab.example\nReferences: <1@lab.example>\n\nhi";
    assert_eq!(of_message(answer), [Sign::Together(2), Sign::AnswersTo(2)]);
    let config =
        Guard { many: Response::Hold, many_over: 2, reply_all: Response::Warn, reply_all_over: 1, ..Guard::default() };
    let responses =
        |number| [Sign::Together(number), Sign::AnswersTo(number)].map(|sign| sign.response(&config, &Care::default()));
    assert_eq!(responses(2), [Response::Off, Response::Warn]);
    assert_eq!(responses(3), [Response::Hold, Response::Warn]);
}

#[test]
fn whoever_had_no_part_in_what_is_answered_is_found_where_it_is_known() {
    let mut facts = Facts::default();
    let to = ["a@lab.example", "b@lab.example", "c@lab.example"];
    assert_eq!(signs_of(&to, &facts), [vec![], vec![], vec![]]);
    facts.past.took_part = vec![true, false];
    assert_eq!(signs_of(&to, &facts), [vec![], vec![Sign::NoPart], vec![]]);
}

#[test]
fn a_whole_record_and_the_patients_of_a_message_are_counted() {
    let facts = Facts::default();
    let (letter, tree) = read("Content-Type: application/xml\n\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\">");
    let verdict = Verdict { persons: 21, ..verdict(true) };
    let seen = Sight {
        envelope: &envelope(&["a@lab.example"]),
        letter: &letter,
        tree: &tree,
        verdict: &verdict,
        facts: &facts,
    };
    assert_eq!(signs(seen).of_message, [Sign::Carries(WholeRecord::Ccda), Sign::About(21)]);
    let config = Guard { patients: Response::Hold, patients_over: 20, ..Guard::default() };
    assert_eq!(
        [20, 21].map(|people| Sign::About(people).response(&config, &Care::default())),
        [Response::Off, Response::Hold]
    );
}

#[test]
fn an_automatic_answer_with_the_message_in_it_is_seen() {
    let text = "Auto-Submitted: auto-replied\n\nI am away.\n> Maribel has asthma";
    assert_eq!(signs_in(text, &["a@lab.example"], &Facts::default()).of_message, [Sign::Quotes]);
}

#[test]
fn what_a_program_sends_again_or_in_a_burst_is_seen_whatever_it_says_and_its_client_says_what_is_done() {
    let alike = Alike { message: MessageId::from_parts(Timestamp::from_millis(0), 1), at: Timestamp::from_millis(0) };
    let mut facts = Facts::default();
    facts.past.alike = Some(alike.clone());
    facts.past.lately = vec![0, 3];
    let (letter, tree) = read("");
    let envelope = envelope(&["a@lab.example", "b@lab.example"]);
    let seen = Sight { envelope: &envelope, letter: &letter, tree: &tree, verdict: &verdict(false), facts: &facts };
    let found = signs(seen);
    assert_eq!(found.of_message, [Sign::Repeats(alike)]);
    assert_eq!(found.of_recipients, [vec![], vec![Sign::Burst(3)]]);

    let answered = |care: Care| {
        let mut both = [decision(delivered()), decision(delivered())];
        guard((&Guard::default(), &care), &found, &mut both);
        both.map(|decision| (matches!(decision.action, Action::Hold { .. }), decision.concerns.len(), decision.receipt))
    };
    let off = Care::default();
    assert_eq!(answered(off.clone()), [(false, 0, false); 2]);
    // Held, and no receipt to a program that reads none.
    assert_eq!(answered(Care { duplicates: Response::Hold, ..off.clone() }), [(true, 1, false); 2]);
    assert_eq!(answered(Care { duplicates: Response::Warn, ..off.clone() }), [(false, 1, true); 2]);
    let burst = |over| Care { bursts: Response::Hold, burst_over: over, ..off.clone() };
    assert_eq!(answered(burst(3)), [(false, 0, false), (true, 1, false)], "the fourth is one more than three");
    assert_eq!(answered(burst(4)), [(false, 0, false); 2]);
}

#[test]
fn what_is_said_of_a_message_is_said_to_each_recipient() {
    let mut both = [decision(delivered()), decision(delivered())];
    let config = Guard { many: Response::Delay, delay: Duration::from_secs(180), ..Guard::default() };
    let signs = Signs { of_message: vec![Sign::Together(2)], of_recipients: vec![vec![], vec![Sign::First]] };
    guard((&config, &Care::default()), &signs, &mut both);
    assert!(both.iter().all(|decision| decision.delay.as_secs() == 180 && decision.concerns.len() == 1), "{both:?}");
}

fn decision(action: Action) -> Decision {
    Decision {
        recipient: Address::parse("m@gmial.com").unwrap(),
        action,
        cause: None,
        released: Vec::new(),
        rule: "default".into(),
        tried: vec![Tried { rule: "default".into(), result: RuleResult::Won, adds: Vec::new() }],
        remarks: Vec::new(),
        delay: Duration::from_secs(60),
        receipt: false,
        concerns: Vec::new(),
        adds: crate::policy::Additions::default(),
        copy: false,
    }
}

fn delivered() -> Action {
    Action::Deliver { methods: vec![Method::Tls(Assurance::Valid)], last: Last::Hold }
}

/// The first message to a mistyped domain, under a guard that answers so.
fn guarded(look_alike: Response, first_time: Response, mut decision: Decision) -> Decision {
    let of_recipients = vec![vec![like("gmail.com"), Sign::First]];
    let config = Guard { look_alike, first_time, delay: Duration::from_secs(180), ..Guard::default() };
    guard(
        (&config, &Care::default()),
        &Signs { of_recipients, ..Signs::default() },
        std::slice::from_mut(&mut decision),
    );
    decision
}

#[test]
fn the_strongest_answer_counts_and_each_reason_is_told() {
    use Response::{Delay, Hold, Off, Warn};
    let seconds = |decision: &Decision| decision.delay.as_secs();
    let off = guarded(Off, Off, decision(delivered()));
    assert!(!off.receipt && off.concerns.is_empty() && seconds(&off) == 60);
    let warned = guarded(Warn, Off, decision(delivered()));
    assert_eq!((warned.receipt, seconds(&warned), &warned.action), (true, 60, &delivered()));
    assert_eq!(warned.concerns, ["gmial.com looks like gmail.com, and is another domain"]);
    let slow = guarded(Warn, Delay, decision(delivered()));
    assert_eq!((seconds(&slow), slow.concerns.len(), slow.remarks.len()), (180, 2, 1));
    let held = guarded(Hold, Delay, decision(delivered()));
    let Action::Hold { reason } = &held.action else { panic!("{held:?}") };
    assert_eq!(reason, "gmial.com looks like gmail.com, and is another domain");
    assert_eq!(
        (held.cause, seconds(&held), held.rule.as_str()),
        (Some(HoldCause::Policy), 0, "guard: look-alike domain")
    );
    assert_eq!(held.released, [Method::Tls(Assurance::Valid)], "released, it goes as the rules say");
    assert_eq!(held.tried[0].result, RuleResult::Outdone { by: "guard: look-alike domain".into() });
}

#[test]
fn a_longer_delay_and_a_stronger_action_of_a_rule_stay() {
    let mut patient = decision(delivered());
    patient.delay = Duration::from_secs(600);
    let slow = guarded(Response::Delay, Response::Off, patient);
    assert_eq!((slow.delay.as_secs(), slow.remarks.len()), (600, 0));
    for action in [Action::Hold { reason: "a rule".into() }, Action::Reject { text: "a rule".into() }] {
        let kept = guarded(Response::Hold, Response::Hold, decision(action.clone()));
        assert_eq!((&kept.action, kept.rule.as_str(), kept.receipt), (&action, "default", false));
    }
}
