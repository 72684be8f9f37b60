//! Our own terms in the words of somebody who runs an office, not a mail server.

use crate::audit::{Actor, HoldCause, JobState};
use crate::clock::Timestamp;
use crate::config::Last;
use crate::evidence::record::{Place, Stage};
use crate::mail::{Assurance, End, Method, Proof};
use crate::phi::Kind;
use crate::policy::Action;

/// As in `Tue, 24 Nov 2026 04:07:00 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    at.rfc5322().replace("+0000", "UTC")
}

pub(super) fn took(millis: u64) -> String {
    match millis {
        0..100 => "at once".to_owned(),
        100..60_000 => format!("after {}.{} s", millis / 1000, millis % 1000 / 100),
        _ => format!("after {} min", millis / 60_000),
    }
}

/// As in "known by its password".
pub(super) const fn proof(proof: Proof) -> &'static str {
    match proof {
        Proof::Password => "its password",
        Proof::Scram => "its password, which was not sent",
        Proof::ScramPlus => "its password, which was not sent, on this very connection",
        Proof::Certificate => "its certificate",
        Proof::Network => "its network",
    }
}

pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} bytes"),
        1_024..1_048_576 => format!("{} KiB", count.div_ceil(1_024)),
        _ => format!("{} MiB", count.div_ceil(1_048_576)),
    }
}

/// `2 drug names`, `a diagnosis`.
pub(super) fn findings(kind: Kind, count: usize) -> String {
    let (article, one, many) = noun(kind);
    if count == 1 { format!("{article}{one}") } else { format!("{count} {many}") }
}

pub(super) const fn confidence(confidence: f32) -> &'static str {
    if confidence >= 0.9 {
        "sure"
    } else if confidence >= 0.6 {
        "likely"
    } else {
        "possible"
    }
}

pub(super) fn place(place: &Place) -> String {
    match place {
        Place::Subject => "the subject".to_owned(),
        Place::Text => "the text".to_owned(),
        Place::Attachment { media_type } => format!("an attachment ({media_type})"),
        Place::Elsewhere => "another part".to_owned(),
    }
}

pub(super) const fn method(method: Method) -> &'static str {
    match method {
        Method::Tls(Assurance::Encrypted) => "an encrypted connection to whoever answers (tls:encrypted)",
        Method::Tls(Assurance::Valid) => "an encrypted connection to a server with a valid certificate (tls:valid)",
        Method::Tls(Assurance::Authenticated) => {
            "an encrypted connection to a server known for sure (tls:authenticated)"
        }
        Method::Pgp => "PGP encryption (pgp)",
        Method::Smime => "S/MIME encryption (smime)",
        Method::Portal => "pick-up in the portal (portal)",
    }
}

pub(super) fn action(action: &Action) -> String {
    match action {
        Action::Deliver { methods, last } => {
            let methods: Vec<&str> = methods.iter().copied().map(method).collect();
            let last = match last {
                Last::Hold => "if none works, hold it and tell somebody",
                Last::Undeliverable => "if none works, give it back to the sender",
            };
            format!("deliver by {}; {last}", methods.join(", else by "))
        }
        Action::Hold { reason } => format!("hold it: {reason}"),
        Action::Reject { text } => format!("refuse it: {text}"),
    }
}

pub(super) const fn assurance(assurance: Assurance) -> &'static str {
    match assurance {
        Assurance::Encrypted => "encrypted, certificate not proved",
        Assurance::Valid => "encrypted, certificate valid",
        Assurance::Authenticated => "encrypted, server known for sure",
    }
}

/// What a parameter of MAIL or RCPT asks for, and what comes of it.
pub(super) fn asked(parameter: &str) -> String {
    let meaning = match parameter {
        "REQUIRETLS" => "only servers that promise TLS all the way get it; where there is none, it goes back",
        "NOTIFY=NEVER" => "no report to the sender; of a failure the postmaster is told",
        "RET=FULL" => "the content in reports; ours never hold it, and no other server is asked for it",
        "RET=HDRS" => "no content in reports",
        _ if parameter.starts_with("NOTIFY=") => {
            "reports on these to the sender; of other failures the postmaster is told"
        }
        _ if parameter.starts_with("ENVID=") => "reports are to name it so",
        _ if parameter.starts_with("ORCPT=") => "the address as the sender knows it",
        _ => return parameter.to_owned(),
    };
    format!("{parameter} ({meaning})")
}

pub(super) const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve => "looking up its mail servers",
        Stage::Connect => "connecting",
        Stage::Greeting => "waiting for its greeting",
        Stage::Ehlo => "introducing ourselves",
        Stage::StartTls => "asking for encryption",
        Stage::Handshake => "setting up encryption",
        Stage::Floor => "checking whether the connection is as safe as it must be",
        Stage::Login => "logging in",
        Stage::Sender => "naming the sender",
        Stage::Recipient => "naming the recipient",
        Stage::Data => "sending the message",
        Stage::EndOfData => "waiting for its answer to the message",
    }
}

pub(super) const fn cause(cause: HoldCause) -> &'static str {
    match cause {
        HoldCause::Policy => "a rule says so",
        HoldCause::AcceptAndHold => "a rule refuses it, and this client is never refused",
        HoldCause::MethodsExhausted => "no allowed way of delivery was left",
        HoldCause::Operator => "somebody here held it",
    }
}

pub(super) const fn end(end: End) -> &'static str {
    match end {
        End::Delivered => "Delivered: their mail server took it",
        End::Opened => "Opened: the recipient read it in the portal",
        End::Expired => "Expired: its time ran out before it could be delivered",
        End::Withdrawn => "Withdrawn: the sender took it back",
        End::Bounced => "Bounced: it was refused for good",
        End::Cancelled => "Cancelled: it was taken out of the queue here",
        End::Rejected => "Refused: a rule does not let it go to this recipient",
        End::Undeliverable => "Undeliverable: no allowed way of delivery was left",
        End::Observed => "Observed: it was only looked at, and nothing was sent",
    }
}

pub(super) fn actor(actor: &Actor) -> String {
    match actor {
        Actor::System => "Sealpost".to_owned(),
        Actor::Sender => "the sender, by the link in the receipt,".to_owned(),
        Actor::Client(client) => format!("the client \"{client}\""),
        Actor::Operator { user, .. } => format!("the operator \"{user}\""),
    }
}

/// A state in a few words, for lists.
pub(super) fn short_state(state: &JobState, since: Timestamp) -> String {
    match state {
        JobState::Queued { method, due } => format!("waiting for {}, by {method}", moment(*due)),
        JobState::Held { cause: why } => format!("held since {}: {}", moment(since), cause(*why)),
        JobState::Ended { end } => format!("{} {}", end.name(), moment(since)),
    }
}

const fn noun(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::Name => ("a ", "person's name", "persons' names"),
        Kind::Address => ("a ", "postal address", "postal addresses"),
        Kind::Zip => ("a ", "ZIP code", "ZIP codes"),
        Kind::Date => ("a ", "date", "dates"),
        Kind::DateOfBirth => ("a ", "date of birth", "dates of birth"),
        Kind::Phone => ("a ", "phone number", "phone numbers"),
        Kind::Fax => ("a ", "fax number", "fax numbers"),
        Kind::Email => ("an ", "email address", "email addresses"),
        Kind::Ssn => ("a ", "Social Security number", "Social Security numbers"),
        Kind::Mrn => ("a ", "medical record number", "medical record numbers"),
        Kind::Mbi => ("a ", "Medicare number", "Medicare numbers"),
        Kind::MemberId => ("an ", "insurance member number", "insurance member numbers"),
        Kind::Account => ("an ", "account number", "account numbers"),
        Kind::Npi => ("a ", "provider number (NPI)", "provider numbers (NPI)"),
        Kind::Dea => ("a ", "DEA number", "DEA numbers"),
        Kind::License => ("a ", "license number", "license numbers"),
        Kind::Vehicle => ("a ", "vehicle number", "vehicle numbers"),
        Kind::Device => ("a ", "medical device number", "medical device numbers"),
        Kind::Url => ("a ", "web address", "web addresses"),
        Kind::Ip => ("an ", "internet address", "internet addresses"),
        Kind::Age => ("an ", "age", "ages"),
        Kind::Biometric => ("a ", "word about a biometric mark", "words about biometric marks"),
        Kind::Photo => ("a ", "word about a photograph", "words about photographs"),
        Kind::UniqueId => ("a ", "number of one order or case", "numbers of orders or cases"),
        Kind::Diagnosis => ("a ", "diagnosis", "diagnoses"),
        Kind::Icd10 => ("a ", "diagnosis code", "diagnosis codes"),
        Kind::Drug => ("a ", "drug name", "drug names"),
        Kind::Ndc => ("a ", "drug code", "drug codes"),
        Kind::Procedure => ("a ", "procedure", "procedures"),
        Kind::Cpt | Kind::Hcpcs => ("a ", "procedure code", "procedure codes"),
        Kind::Loinc => ("a ", "lab test code", "lab test codes"),
        Kind::Lab => ("a ", "lab result", "lab results"),
        Kind::Dose => ("a ", "dose", "doses"),
        Kind::Symptom => ("a ", "symptom", "symptoms"),
        Kind::Vital => ("a ", "vital sign", "vital signs"),
        Kind::Care => ("a ", "word about care", "words about care"),
        Kind::Billing => ("a ", "word about billing", "words about billing"),
        Kind::Record => ("a ", "health record", "health records"),
        Kind::Unreadable => (
            "",
            "content that could not be read, which counts as health information",
            "contents that could not be read, which count as health information",
        ),
    }
}
