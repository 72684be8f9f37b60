//! The receipt: what happens with an accepted message, for each recipient, and until when it can be taken back.
//! It names neither subject nor recipients, only their domains, in the order in which they were written to.

use crate::audit::JobState;
use crate::clock::Timestamp;
use crate::evidence::record::Recipient;
use crate::evidence::{Journey, Story};
use crate::mail::{Domain, End, MessageId, RequireTls};
use crate::notice::Original;
use crate::notice::text::{Text, one_line};
use crate::policy::Action;
use crate::queue::Owed;

/// Recipients that are told one by one; behind them it says how many more there are.
const LISTED: usize = 50;

/// What a receipt may know of a message.
#[derive(Clone, Debug)]
pub struct Slip {
    pub reference: MessageId,
    pub original: Original,
    pub require_tls: RequireTls,
    /// In the order of the envelope.
    pub lines: Vec<Line>,
    /// None where no address is set at which people reach this machine, or nothing is left to take back.
    pub take_back: Option<TakeBack>,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub domain: Domain,
    pub standing: Standing,
    /// What looks like a mistake, in words of ours.
    pub concerns: Vec<String>,
}

/// The link that takes a message back.
#[derive(Clone, Debug)]
pub struct TakeBack {
    pub link: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is first tried then.
    Waits {
        until: Timestamp,
    },
    OnItsWay,
    /// The words are the rule's.
    Held {
        reason: Option<String>,
        until: Timestamp,
    },
    Rejected {
        text: String,
    },
    Delivered,
    /// It ended in another way.
    Ended,
}

impl Standing {
    fn can_be_taken_back(&self) -> bool {
        match self {
            Standing::Waits { .. } | Standing::OnItsWay | Standing::Held { .. } => true,
            Standing::Rejected { .. } | Standing::Delivered | Standing::Ended => false,
        }
    }
}

/// What the story of a message says of it at this moment.
pub(super) fn slip(owed: &Owed, story: &Story, take_back: Option<TakeBack>) -> Slip {
    let record = &story.record;
    // A receipt may name the original by its id, once it looks like one.
    let message_id = record.message_id.as_ref().map(|id| id.expose().as_str());
    Slip {
        reference: owed.message,
        original: Original::new(record.date, message_id),
        require_tls: owed.asked.require_tls,
        lines: lines(owed, story),
        take_back,
    }
}

/// A copy for an archive is the clinic's, and no recipient that the sender knows of.
pub(super) fn lines(owed: &Owed, story: &Story) -> Vec<Line> {
    let line = |(recipient, journey): (&Recipient, &Journey)| Line {
        domain: recipient.address.domain().clone(),
        standing: standing(recipient, journey, owed),
        concerns: recipient.concerns.clone(),
    };
    let recipients = story.record.recipients.iter().zip(&story.journeys);
    recipients.filter(|(recipient, _)| !recipient.copy).map(line).collect()
}

fn standing(recipient: &Recipient, journey: &Journey, owed: &Owed) -> Standing {
    let words = match &recipient.action {
        Action::Hold { reason: text } | Action::Reject { text } => Some(text.clone()),
        Action::Deliver { .. } => None,
    };
    match journey.steps.last().map(|step| (&step.state, step.attempt)) {
        Some((JobState::Queued { due, .. }, None)) if *due > owed.accepted => Standing::Waits { until: *due },
        Some((JobState::Queued { .. }, _)) | None => Standing::OnItsWay,
        Some((JobState::Held { .. }, _)) => Standing::Held { reason: words, until: owed.expires },
        Some((JobState::Ended { end }, _)) => match end {
            End::Rejected => Standing::Rejected { text: words.unwrap_or_default() },
            End::Delivered | End::Opened => Standing::Delivered,
            End::Expired | End::Withdrawn | End::Bounced | End::Cancelled | End::Undeliverable | End::Observed => {
                Standing::Ended
            }
        },
    }
}

pub(super) fn text(slip: &Slip, now: Timestamp) -> Text {
    let reference = slip.reference;
    let mut body =
        vec!["Sealpost has your message. It goes only over protected connections.".to_owned(), String::new()];
    body.extend(listed(&slip.lines));
    body.extend(concerns(slip));
    body.push(String::new());
    body.push(undo(slip, now));
    if let Some(date) = slip.original.date() {
        body.push(format!("Date of the message: {}", date.rfc5322()));
    }
    if let Some(message_id) = slip.original.message_id() {
        body.push(format!("Its Message-ID: {message_id}"));
    }
    body.push(format!("Our reference: {reference}"));
    Text { subject: format!("{} (reference {reference})", headline(slip)), body: body.join("\n") + "\n" }
}

/// What becomes of it for each recipient, as far as a mail should list them.
pub(super) fn listed(lines: &[Line]) -> Vec<String> {
    let (listed, more) = lines.split_at(lines.len().min(LISTED));
    let held = more.iter().filter(|line| matches!(line.standing, Standing::Held { .. })).count();
    let count = more.len();
    let more = (count > 0).then(|| format!("and {count} more recipients, of whom {held} wait for somebody to look."));
    listed.iter().enumerate().map(|(at, line)| told(at + 1, line)).chain(more).collect()
}

fn headline(slip: &Slip) -> &'static str {
    let any = |test: fn(&Line) -> bool| slip.lines.iter().any(test);
    if any(|line| !line.concerns.is_empty()) {
        "Please look at your message again"
    } else if any(|line| matches!(line.standing, Standing::Waits { .. })) {
        "Your message waits a moment"
    } else {
        "Your message was accepted"
    }
}

fn told(number: usize, line: &Line) -> String {
    let state = match &line.standing {
        Standing::Waits { until } => format!("waits until {}, then it is sent", until.rfc5322()),
        Standing::OnItsWay => "is being sent".to_owned(),
        Standing::Held { reason, until } => {
            let reason = reason.as_ref().map(|reason| format!(" ({})", one_line(reason))).unwrap_or_default();
            format!("is held for somebody to look at{reason}, until {}", until.rfc5322())
        }
        Standing::Rejected { text } => format!("is not sent: {}", one_line(text)),
        Standing::Delivered => "was delivered".to_owned(),
        Standing::Ended => "is no longer sent".to_owned(),
    };
    format!("Recipient {number}, at {}: {state}.", line.domain)
}

/// Each thing once, however many recipients it is about.
fn concerns(slip: &Slip) -> Vec<String> {
    let mut seen: Vec<&str> = Vec::new();
    for concern in slip.lines.iter().flat_map(|line| &line.concerns) {
        if !seen.contains(&concern.as_str()) && seen.len() < LISTED {
            seen.push(concern);
        }
    }
    if seen.is_empty() {
        return Vec::new();
    }
    let heading = [String::new(), "This may be a mistake:".to_owned()];
    heading.into_iter().chain(seen.into_iter().map(|concern| format!("- {}.", one_line(concern)))).collect()
}

fn undo(slip: &Slip, now: Timestamp) -> String {
    if !slip.lines.iter().any(|line| line.standing.can_be_taken_back()) {
        return "It cannot be taken back any more.\n".to_owned();
    }
    let last = slip.lines.iter().filter_map(|line| match line.standing {
        Standing::Waits { until } => Some(until),
        _ => None,
    });
    let until = match last.max() {
        Some(until) => format!(
            "You can take it back until {}, {} from now, and as long as it is held. After that it may have\nbeen delivered.",
            until.rfc5322(),
            humantime::format_duration(std::time::Duration::from_secs(until.since(now).as_secs())),
        ),
        None => {
            "You can take it back as long as it has not been delivered, which may be a matter of seconds.".to_owned()
        }
    };
    match &slip.take_back {
        Some(TakeBack { link }) => format!("{until} Open this page and press the button:\n\n{link}\n"),
        None => format!(
            "{until} Ask your administrator, and name our reference:\n  sealpost queue cancel {}\n",
            slip.reference
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mail::{Address, ReversePath};
    use crate::notice::{Notice, Stamp, Voice};

    const NOON: Timestamp = Timestamp::from_millis(1_795_521_600_000);

    fn slip(standings: Vec<Standing>, link: Option<&str>) -> Slip {
        let line = |standing| Line {
            domain: Domain::parse("lab.example").unwrap(),
            standing,
            concerns: vec!["gmial.com looks like gmail.com".into()],
        };
        Slip {
            reference: MessageId::from_parts(NOON, 1),
            original: Original::new(Some(NOON), Some("<4711@clinic.example>")),
            require_tls: RequireTls::No,
            lines: standings.into_iter().map(line).collect(),
            take_back: link.map(|link| TakeBack { link: link.to_owned() }),
        }
    }

    #[test]
    fn a_receipt_says_what_happens_and_until_when_it_can_be_taken_back() {
        let until = NOON.plus(Duration::from_secs(180));
        let text =
            text(&slip(vec![Standing::Waits { until }, Standing::Delivered], Some("https://m.example/back/x")), NOON);
        assert!(text.subject.starts_with("Please look at your message again (reference 01"), "{}", text.subject);
        for line in [
            "Recipient 1, at lab.example: waits until Tue, 24 Nov 2026 12:03:00 +0000, then it is sent.",
            "Recipient 2, at lab.example: was delivered.",
            "- gmial.com looks like gmail.com.",
            "You can take it back until Tue, 24 Nov 2026 12:03:00 +0000, 3m from now, and as long as it is held. After that it may have",
            "https://m.example/back/x",
        ] {
            assert!(text.body.lines().any(|told| told == line), "{line}\n{}", text.body);
        }
        assert_eq!(text.body.matches("gmial").count(), 1, "each thing once");
    }

    #[test]
    fn what_is_gone_is_not_said_to_be_taken_back() {
        let gone = vec![Standing::Delivered, Standing::Rejected { text: "not\nby mail".into() }, Standing::Ended];
        let text = text(&slip(gone, None), NOON);
        assert!(text.body.contains("It cannot be taken back any more."), "{}", text.body);
        assert!(!text.body.contains("queue cancel") && text.body.contains("is not sent: not by mail."));
    }

    #[test]
    fn a_link_stands_whole_in_one_line_of_the_mail() {
        let voice = Voice {
            hostname: Domain::parse("relay.clinic.example").unwrap(),
            from: Address::parse("postmaster@relay.clinic.example").unwrap(),
            postmaster: Address::parse("it@clinic.example").unwrap(),
            digest_hour: 6,
            legacy: Vec::new(),
            public_url: None,
        };
        let link = format!("https://mail.clinic.example/back/{}", "x".repeat(110));
        let stamp = Stamp { id: MessageId::from_parts(NOON, 7), at: NOON };
        let ann = Address::parse("ann@clinic.example").unwrap();
        let notice = Notice::of_receipt(&voice, &slip(vec![Standing::OnItsWay], Some(&link)), ann, stamp).unwrap();
        let text = String::from_utf8(notice.message().bytes().to_vec()).unwrap();
        assert!(text.lines().any(|line| line == link), "{text}");
        assert_eq!(notice.envelope().sender(), &ReversePath::Null);
        // Somebody wrote more into the config than a line of mail holds.
        let long = vec![Standing::Rejected { text: "not by mail ".repeat(150) }];
        let ann = Address::parse("ann@clinic.example").unwrap();
        let told = Notice::of_receipt(&voice, &slip(long, Some(&link)), ann, stamp).unwrap();
        assert!(told.message().bytes().split(|octet| *octet == b'\n').all(|line| line.len() <= 999));
        assert!(
            text.contains("Auto-Submitted: auto-replied\r\n") && text.contains("In-Reply-To: <4711@clinic.example>")
        );
    }
}
