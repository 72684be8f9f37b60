//! What looks like a mistake in a message, found whatever is done about it: the evidence keeps it, so that another config
//! can be tried on past mail. It names domains and numbers, never a person and nothing of the content.

use serde::{Deserialize, Serialize};

use crate::config::{Care, Guard, Response};
use crate::mail::Domain;
use crate::policy::Alike;
use crate::policy::guard::WholeRecord;

/// Of a message without health information only what programs do wrong: whoever gets it by mistake learns nothing of
/// anybody's health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Signs {
    pub of_message: Vec<Sign>,
    /// In the order of the envelope.
    pub of_recipients: Vec<Vec<Sign>>,
}

/// One thing that may be a mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// The domain is like this one, and is another.
    LooksLike(Domain),
    /// A private address, from a client that writes to organisations.
    Private,
    /// The client's mail has not reached this address.
    First,
    /// Whoever is greeted has another name than the address.
    GreetsAnother,
    /// So many recipients see each other in To and Cc.
    Together(usize),
    /// It answers a message, and so many see the answer.
    AnswersTo(usize),
    /// It answers a message in which this recipient had no part.
    NoPart,
    Carries(WholeRecord),
    /// It is about so many people.
    About(usize),
    /// A program wrote it, and it carries another message.
    Quotes,
    /// The client sent the same to the same recipients.
    Repeats(Alike),
    /// The client sent so many messages to this recipient just before.
    Burst(u64),
}

impl Sign {
    pub(super) fn response(&self, guard: &Guard, care: &Care) -> Response {
        match self {
            Sign::LooksLike(_) => guard.look_alike,
            Sign::Private => guard.consumer,
            Sign::First => guard.first_time,
            Sign::GreetsAnother => guard.greeting,
            Sign::Together(many) => above(*many, guard.many_over, guard.many),
            Sign::AnswersTo(many) => above(*many, guard.reply_all_over, guard.reply_all),
            Sign::NoPart => guard.reply_all,
            Sign::Carries(_) => guard.whole_record,
            Sign::About(people) => above(*people, guard.patients_over, guard.patients),
            Sign::Quotes => guard.quoted,
            Sign::Repeats(_) => care.duplicates,
            // This one comes on top of those.
            Sign::Burst(before) if *before >= care.burst_over => care.bursts,
            Sign::Burst(_) => Response::Off,
        }
    }

    /// Whether it is what programs do wrong: nobody reads what a reminder's sender is told.
    pub(super) fn is_of_programs(&self) -> bool {
        matches!(self, Sign::Repeats(_) | Sign::Burst(_))
    }

    /// The name under which it competes with the rules.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Sign::LooksLike(_) => "guard: look-alike domain",
            Sign::Private => "guard: private address",
            Sign::First => "guard: first message",
            Sign::GreetsAnother => "guard: greeting",
            Sign::Together(_) => "guard: many recipients",
            Sign::AnswersTo(_) | Sign::NoPart => "guard: answer to all",
            Sign::Carries(_) => "guard: whole record",
            Sign::About(_) => "guard: many patients",
            Sign::Quotes => "guard: quoted message",
            Sign::Repeats(_) => "guard: sent twice",
            Sign::Burst(_) => "guard: burst",
        }
    }

    /// What the sender is told.
    pub(super) fn words(&self, domain: &Domain) -> String {
        match self {
            Sign::LooksLike(other) => format!("{domain} looks like {other}, and is another domain"),
            Sign::Private => format!(
                "{domain} is where people have their private mail, and this client has only written to organisations"
            ),
            Sign::First => format!("nothing of this client reached this address at {domain} before"),
            Sign::GreetsAnother => format!("the greeting names somebody else than the address at {domain} does"),
            Sign::Together(many) => format!("{many} recipients in To and Cc see each other's addresses"),
            Sign::AnswersTo(many) => format!("it is an answer, and goes to {many} recipients"),
            Sign::NoPart => format!("it answers a message in which this recipient at {domain} had no part"),
            Sign::Carries(record) => format!("it carries {}, which may be more than is needed", record.words()),
            Sign::Quotes => "an automatic answer or a report on delivery carries another message with it".to_owned(),
            Sign::Repeats(Alike { message, at }) => {
                format!("the same message to the same recipients was accepted at {} as {message}", at.rfc3339())
            }
            Sign::Burst(before) => {
                format!("this client sent {before} other messages to this recipient at {domain} a short while ago")
            }
            Sign::About(people) => format!("it is about {people} people, which may be more than is needed"),
        }
    }
}

fn above(number: usize, over: usize, response: Response) -> Response {
    if number > over { response } else { Response::Off }
}
