//! A story told: why a message went as it did, so that somebody who runs an office understands it.

use crate::audit::{Actor, JobState};
use crate::clock::Timestamp;
use crate::evidence::record::{Answer, Attempt, Classified, Failure, Found, Origin, Place, Recipient, Record, Stage};
use crate::evidence::story::{Journey, MadeAttempt, Proof, Step, Story};
use crate::evidence::words;
use crate::mail::{Arrival, Domain, Quarantine, ReversePath, TlsSession};
use crate::phi::{Kind, Phi};
use crate::policy::{RuleResult, Tried};

/// Words of a reason that are shown; the record has all of it.
const MOST_WORDS: usize = 100;

impl Story {
    /// In plain words, for whoever asked why.
    pub fn tell(&self) -> String {
        let mut lines = vec![format!("Message {}", self.id)];
        lines.push(arrival(&self.record));
        lines.extend(asked(&self.record.asked, ""));
        lines.extend(reason(&self.record));
        lines.extend(classified(&self.record.classified));
        for (at, recipient) in self.record.recipients.iter().enumerate() {
            let journey = self.journeys.get(at);
            lines.extend([String::new(), named(recipient)]);
            lines.extend(asked(&recipient.asked, "  "));
            lines.extend(journey.and_then(|journey| journey.steps.last()).map(|step| standing(self, step)));
            lines.extend(decided(recipient));
            lines.extend(journey.map(travelled).unwrap_or_default());
        }
        lines.push(String::new());
        lines.extend(edits(&self.record));
        if self.record.observed {
            lines.push(
                "It was only observed: what was decided was not done, and nothing was sent, held or changed.".into(),
            );
        }
        lines.push(versions(&self.record));
        if let Some(erased) = self.erased {
            lines
                .push(format!("The message itself was erased on {}; only this record is left.", words::moment(erased)));
        }
        lines.push(proof(&self.proof));
        lines.join("\n") + "\n"
    }
}

/// What a sender wrote who wanted less protection; whether it got less stands with each recipient.
fn reason(record: &Record) -> Option<String> {
    let reason = record.reason.as_ref()?;
    // A story is told to an operator who asked for this message; the reason is there to be read.
    let words: Vec<&str> = reason.expose().split_whitespace().take(MOST_WORDS).collect();
    Some(format!("Its sender opted out of protection, and gave as the reason: {}", words.join(" ")))
}

/// A decision alone, for a message that was not sent, or not yet.
pub fn decision(found: &Classified, recipients: &[Recipient]) -> String {
    let mut lines = classified(found);
    for recipient in recipients {
        lines.extend([String::new(), named(recipient)]);
        lines.extend(decided(recipient));
    }
    lines.join("\n") + "\n"
}

fn arrival(record: &Record) -> String {
    let came = words::moment(record.accepted);
    let origin = match &record.origin {
        Origin::Submitted { client, role: _, address, helo: _, tls, proof, arrival } => {
            let client = client
                .as_ref()
                .map_or("a client that did not log in".to_owned(), |name| format!("the client \"{name}\""));
            let proof = proof.map_or(String::new(), |proof| format!(" (known by {})", words::proof(proof)));
            let proxy = arrival.proxy.map_or(String::new(), |proxy| format!(" behind the proxy {proxy}"));
            let way = way_in(tls.as_ref(), arrival);
            format!("It came in on {came} from {client}{proof} at {address}{proxy}, {way}")
        }
        Origin::OwnNotice => format!("Sealpost wrote it itself on {came}"),
    };
    // A story is told to an operator who asked for this message; without names it would answer nothing.
    let sender = match &record.sender {
        ReversePath::Mailbox(sender) => format!(", sent by {}", sender.expose()),
        ReversePath::Null => String::new(),
    };
    // As for the sender.
    let id = record.message_id.as_ref().map_or(String::new(), |id| format!(", Message-ID {}", id.expose()));
    format!("{origin}{sender}{id}, {}.", words::bytes(record.bytes))
}

fn way_in(tls: Option<&TlsSession>, arrival: &Arrival) -> String {
    match (tls, &arrival.quarantine) {
        (Some(tls), _) => format!("over an encrypted connection ({})", tls.version),
        (None, Some(Quarantine { owner, until })) => {
            format!("without TLS through the legacy listener (owner {owner}, until {})", until.date())
        }
        (None, None) => "without encryption".to_owned(),
    }
}

/// The parameters of MAIL and RCPT, and what we do about them.
fn asked(asked: &[Phi<String>], indent: &str) -> Option<String> {
    // As for the sender.
    let told: Vec<String> = asked.iter().map(|each| words::asked(each.expose())).collect();
    (!told.is_empty()).then(|| format!("{indent}The sender asked: {}.", told.join("; ")))
}

fn classified(classified: &Classified) -> Vec<String> {
    let verdict =
        if classified.phi { "It counts as health information" } else { "It does not count as health information" };
    let mut lines = vec![format!("{verdict} (score {:.2}).", classified.score)];
    let mut places: Vec<&Place> = Vec::new();
    for found in &classified.found {
        if !places.contains(&&found.place) {
            places.push(&found.place);
        }
    }
    for place in places {
        let here: Vec<String> = surest_by_kind(classified, place).into_iter().map(found_told).collect();
        lines.push(format!("  In {}: {}.", words::place(place), here.join(", ")));
    }
    lines
}

/// A text may be there twice, plain and as HTML: of two parts in one place, the one with more of a kind counts.
fn surest_by_kind<'a>(classified: &'a Classified, place: &Place) -> Vec<&'a Found> {
    let mut here: Vec<&Found> = Vec::new();
    for found in classified.found.iter().filter(|found| found.place == *place) {
        match here.iter_mut().find(|other| other.kind == found.kind) {
            Some(other) if other.count < found.count => *other = found,
            Some(_) => {}
            None => here.push(found),
        }
    }
    here.sort_by(|one, other| other.confidence.total_cmp(&one.confidence));
    here
}

fn found_told(found: &Found) -> String {
    if found.kind == Kind::Unreadable {
        return words::findings(found.kind, found.count);
    }
    format!("{} ({})", words::findings(found.kind, found.count), words::confidence(found.confidence))
}

fn named(recipient: &Recipient) -> String {
    // As for the sender.
    format!("To {}", recipient.address.expose())
}

fn decided(recipient: &Recipient) -> Vec<String> {
    let Recipient { address, action, rule, tried, remarks, concerns, .. } = recipient;
    let action = words::action(action);
    let mut lines = vec![format!("  The rule \"{rule}\" decided: {}.", action.trim_end_matches('.'))];
    lines.extend(tried.iter().filter_map(lost));
    lines.extend(tried.iter().filter(|tried| !tried.adds.is_empty()).map(added));
    let told = remarks.iter().filter(|remark| !is_about_what_was_known(remark, address.domain()));
    let told: Vec<String> = told.map(|remark| remark.replace("; ", ", ")).collect();
    if !told.is_empty() {
        lines.push(format!("  Notes: {}.", told.join("; ").trim_end_matches('.')));
    }
    lines.extend(concerns.iter().map(|concern| format!("  It may be a mistake: {concern}.")));
    lines.push(known(recipient));
    lines
}

/// The last line of a decision tells it, from the facts themselves. That there was no time for them stands only here.
fn is_about_what_was_known(remark: &str, domain: &Domain) -> bool {
    let known = remark.strip_prefix(domain.as_str()).and_then(|rest| rest.strip_prefix(": "));
    known.is_some_and(|words| words != "nothing could be found out in time")
}

fn lost(tried: &Tried) -> Option<String> {
    let rule = &tried.rule;
    match &tried.result {
        RuleResult::Won | RuleResult::Added => None,
        RuleResult::Relaxed { by } => {
            Some(format!("  The rule \"{rule}\" protects more, may be relaxed, and gave way to \"{by}\"."))
        }
        RuleResult::Outdone { by } => Some(format!("  The rule \"{rule}\" gave way to \"{by}\", which protects more.")),
        RuleResult::NotMatched { condition } => {
            Some(format!("  The rule \"{rule}\" did not apply: it asks that {condition}."))
        }
    }
}

fn added(tried: &Tried) -> String {
    format!("  The rule \"{}\" {}.", tried.rule, tried.adds.join("; "))
}

fn known(recipient: &Recipient) -> String {
    let (domain, known) = (recipient.address.domain(), &recipient.known);
    let mut facts = Vec::new();
    if known.routed {
        facts.push("the settings name the server for it".to_owned());
    }
    if let Some((assurance, when)) = &known.tls_seen {
        let when = Timestamp::parse_rfc3339(when).map_or(when.clone(), words::moment);
        facts.push(format!("best connection so far: {} ({when})", words::assurance(*assurance)));
    }
    if !known.mx_seen.is_empty() {
        facts.push(format!("mail servers seen: {}", known.mx_seen.join(", ")));
    }
    if facts.is_empty() {
        facts.push("nothing; no earlier delivery is remembered".to_owned());
    }
    format!("  Known of {domain} then: {}.", facts.join("; "))
}

fn travelled(journey: &Journey) -> Vec<String> {
    let by_people = journey.steps.iter().filter(|step| matches!(step.by, Actor::Operator { .. } | Actor::Sender));
    let attempts = journey.attempts.iter().map(|made| (made.at, attempt(made)));
    let mut told: Vec<(Timestamp, String)> = attempts.chain(by_people.map(|step| (step.at, moved(step)))).collect();
    told.sort_by_key(|(at, _)| *at);
    told.into_iter().map(|(_, line)| line).collect()
}

fn moved(step: &Step) -> String {
    let did = match &step.state {
        JobState::Queued { .. } => "let it go on".to_owned(),
        JobState::Held { .. } => "held it".to_owned(),
        JobState::Ended { end } => format!("ended it ({})", end.name()),
    };
    format!("  On {} {} {did}.", words::moment(step.at), words::actor(&step.by))
}

fn attempt(made: &MadeAttempt) -> String {
    let MadeAttempt { number, at, attempt } = made;
    let host = match (attempt.host.as_str(), attempt.address) {
        ("", _) => "no mail server".to_owned(),
        (host, Some(address)) => format!("{host} ({})", address.ip()),
        (host, None) => host.to_owned(),
    };
    let when = words::moment(*at);
    let told: Vec<String> = connection(attempt).into_iter().chain([outcome(attempt)]).collect();
    format!("  Attempt {number}, {when}, by {}: {host}; {}.", attempt.method, told.join("; "))
}

fn connection(attempt: &Attempt) -> Option<String> {
    let judgement = attempt.judgement.as_ref()?;
    // A handshake that is broken off over the certificate has agreed on no version yet.
    let version = attempt.tls.as_ref().map_or(String::new(), |tls| format!("{}, ", tls.version));
    let proved = judgement.assurance.map_or("not encrypted", words::assurance);
    Some(format!("{version}{proved} ({})", judgement.words.trim_start_matches("encrypted, but ")))
}

/// How the attempt went. A server that accepts a greeting has not accepted the message, so its words are weighed
/// by where the attempt stopped.
fn outcome(attempt: &Attempt) -> String {
    let took = words::took(attempt.took_ms);
    match (&attempt.failure, &attempt.answer) {
        (None, Some(answer)) => format!("{took} it took the message: {}", answered(answer)),
        (None, None) => format!("done {took}"),
        (Some(Failure { stage: Stage::Floor, reason: _, code: _ }), _) => {
            format!("given up {took}, and nothing was sent: {} asks for more", attempt.method)
        }
        (Some(Failure { stage, reason, code: _ }), answer) => {
            // What it accepted before is not why.
            let answer = answer.as_ref().filter(|answer| answer.code >= 400);
            let answer = answer.map_or(String::new(), |answer| format!("; its last answer: {}", answered(answer)));
            // Whoever runs an office knows the other side's server, and not what we call it.
            let reason = reason.replace("the next hop", "their mail server");
            format!("{took} it failed while {}: {reason}{answer}", words::stage(*stage))
        }
    }
}

/// In one line, and without what a terminal would obey: a peer's words must not look like ours.
fn answered(answer: &Answer) -> String {
    let enhanced = answer.enhanced.as_ref().map_or(String::new(), |enhanced| format!("{enhanced} "));
    // The peer's text is what the operator needs to ask the other side; it was sealed until now.
    let text = answer.text.expose().replace(char::is_control, " ");
    format!("{} {enhanced}{text}", answer.code)
}

/// How it ended, or where it stands and what happens next.
fn standing(story: &Story, step: &Step) -> String {
    let since = words::moment(step.at);
    match &step.state {
        JobState::Ended { end } => format!("  {}, on {since}.", words::end(*end)),
        JobState::Queued { method, due } if step.attempt.is_none() && *due > story.record.accepted => {
            let (due, id) = (words::moment(*due), story.id);
            format!(
                "  Waiting until {due}, when it is first tried by {method}. Until then it can be taken back: \
                 `sealpost queue cancel {id}`, or by the link in the sender's receipt."
            )
        }
        JobState::Queued { method, due } => {
            format!(
                "  Waiting. Next: it is tried on {} by {method}, and again until its time runs out.",
                words::moment(*due)
            )
        }
        JobState::Held { cause } => format!(
            "  Held since {since}: {}. Next: somebody types `sealpost queue release {id}` or `sealpost queue cancel {id}`, \
             or its time runs out and the sender is told.",
            words::cause(*cause),
            id = story.id,
        ),
    }
}

fn edits(record: &Record) -> Vec<String> {
    if record.edits.is_empty() {
        return Vec::new();
    }
    vec![format!("Changed on the way: {}. All else is as it came.", record.edits.join("; "))]
}

fn versions(record: &Record) -> String {
    let versions = &record.versions;
    let config: String = versions.config.to_string().chars().take(12).collect();
    format!(
        "Decided with config {config} (`sealpost audit config {config}` shows it), classifier {}, Sealpost {}.",
        versions.classifier, versions.sealpost
    )
}

fn proof(proof: &Proof) -> String {
    match proof {
        Proof::Agrees { node, row } => {
            format!("This record is the one that the audit log vouched for at the time (row {row} of node {node}).")
        }
        Proof::Disagrees { what } => {
            format!("WARNING: this record is not what the audit log vouched for at the time: {}.", what.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decision;
    use crate::audit::{HoldCause, JobState};
    use crate::evidence::invented;
    use crate::evidence::record::Origin;
    use crate::mail::{End, Method, ReversePath};
    use crate::phi::Phi;

    #[test]
    fn a_story_reads_as_the_page_beside_it() {
        assert_eq!(invented::kept().story().tell(), include_str!("told.txt"));
    }

    #[test]
    fn a_decision_alone_reads_as_the_same_story_without_its_journey() {
        let record = invented::record();
        let told = decision(&record.classified, &record.recipients);
        let story = invented::kept().story().tell();
        assert!(told.lines().all(|line| story.contains(line)));
        for absent in ["Attempt", "Delivered", "Held", "It came in", "vouched"] {
            assert!(!told.contains(absent), "{absent}");
        }
    }

    #[test]
    fn what_happens_next_is_said_for_every_state() {
        let mut story = invented::kept().story();
        let due = story.record.accepted;
        let mut told = |state| {
            let last = story.journeys[0].steps.last_mut().unwrap();
            last.state = state;
            story.tell()
        };
        let waiting = told(JobState::Queued { method: Method::Portal, due });
        assert!(waiting.contains("  Waiting. Next: it is tried on Tue, 24 Nov 2026 04:07:00 UTC by portal,"));
        for cause in [HoldCause::Policy, HoldCause::AcceptAndHold, HoldCause::MethodsExhausted, HoldCause::Operator] {
            assert!(told(JobState::Held { cause }).contains("Next: somebody types `sealpost queue release"));
        }
        for end in End::ALL {
            let word = &end.name()[1..5];
            assert!(told(JobState::Ended { end }).lines().nth(8).unwrap().contains(word) || end == End::Rejected);
        }
    }

    #[test]
    fn a_record_that_the_log_does_not_vouch_for_is_told_with_a_warning() {
        let mut kept = invented::kept();
        kept.record[0] ^= 1;
        let told = kept.story().tell();
        assert!(told.ends_with("at the time: the record of what was received and decided was altered.\n"), "{told}");
        assert!(told.contains("WARNING"));
    }

    #[test]
    fn whoever_opts_out_is_told_with_the_reason_in_one_line() {
        let mut story = invented::kept().story();
        assert!(!story.tell().contains("opted out"));
        story.record.reason = Some(Phi::new("a lease;\n no patient ".repeat(100)));
        let told = story.tell();
        let line = told.lines().find(|line| line.contains("opted out")).unwrap();
        assert!(line.contains("as the reason: a lease; no patient a lease;"), "{line}");
        assert_eq!(line.matches("patient").count(), 25, "{line}");
    }

    #[test]
    fn a_peers_words_look_like_no_line_of_ours() {
        let mut story = invented::kept().story();
        let answer = story.journeys[0].attempts[0].attempt.answer.as_mut().unwrap();
        answer.text = Phi::new("busy\nThis record is the one\u{1b}[2J".into());
        assert!(story.tell().contains("its last answer: 451 4.7.1 busy This record is the one [2J.\n"));
    }

    #[test]
    fn what_a_server_accepted_is_not_told_as_why_it_failed() {
        let mut story = invented::kept().story();
        story.journeys[0].attempts[0].attempt.answer.as_mut().unwrap().code = 250;
        assert!(story.tell().contains("after 0.4 s it failed while naming the recipient: it put us off.\n"));
    }

    #[test]
    fn what_the_sender_asked_is_told_with_what_comes_of_it() {
        let mut story = invented::kept().story();
        story.record.asked = vec![Phi::new("REQUIRETLS".into()), Phi::new("ENVID=QQ7".into())];
        story.record.recipients[0].asked = vec![Phi::new("NOTIFY=NEVER".into())];
        let told = story.tell();
        for line in [
            "\nThe sender asked: REQUIRETLS (only servers that promise TLS all the way get it; where there is none, it \
             goes back); ENVID=QQ7 (reports are to name it so).\n",
            "\n  The sender asked: NOTIFY=NEVER (no report to the sender; of a failure the postmaster is told).\n",
        ] {
            assert!(told.contains(line), "{told}");
        }
    }

    #[test]
    fn a_notice_of_ours_with_no_sender_is_told_as_such() {
        let mut story = invented::kept().story();
        story.record.origin = Origin::OwnNotice;
        story.record.sender = ReversePath::Null;
        assert!(story.tell().contains("\nSealpost wrote it itself on Tue, 24 Nov 2026 04:07:00 UTC, Message-ID"));
    }
}
