//! What is kept of an attempt, and what the queue is told of it.

use crate::delivery::courier::Hop;
use crate::evidence::record::{self, Attempt, Failure, Judgement};
use crate::mail::Method;
use crate::phi::Phi;
use crate::queue::Progress;
use crate::smtp::client::{Answer, Means, Reports, Stage};

pub(super) const fn progress(answer: &Answer) -> Progress {
    match answer.means {
        Means::Taken => match answer.reports {
            Reports::Ours => Progress::Relayed,
            Reports::TheNextHops => Progress::Delivered,
        },
        Means::Later | Means::Again => Progress::Later,
        Means::Unanswered => Progress::Unanswered,
        Means::Refused => Progress::Refused,
        Means::BelowFloor => Progress::FloorUnmet,
        Means::Unfit => Progress::MethodUnusable,
    }
}

/// The word for a result in metrics and logs.
pub(super) const fn result(means: Means) -> &'static str {
    match means {
        Means::Taken => "delivered",
        Means::Later | Means::Again => "later",
        Means::Unanswered => "unanswered",
        Means::Refused => "refused",
        Means::BelowFloor => "floor_unmet",
        Means::Unfit => "method_unusable",
    }
}

pub(super) fn record(method: Method, hop: &Hop, answer: &Answer, took_ms: u64) -> Attempt {
    let judged = hop.link.judged.as_ref();
    Attempt {
        method,
        host: hop.host.clone(),
        address: hop.address,
        tls: hop.link.tls.clone(),
        certificate: judged.map(|judged| judged.certificate_sha256),
        judgement: judged.map(|judged| Judgement { assurance: Some(judged.assurance), words: judged.how.clone() }),
        answer: told(answer),
        remote_id: remote_id(answer),
        took_ms,
        failure: failure(answer, hop),
    }
}

/// The peer's reply. Its text may quote an address, and is sealed with the attempt.
fn told(answer: &Answer) -> Option<record::Answer> {
    let reply = answer.reply.as_ref()?;
    Some(record::Answer {
        code: reply.code.value(),
        enhanced: answer.enhanced.map(|code| code.to_string()),
        text: Phi::new(reply.lines().join("\n")),
    })
}

fn failure(answer: &Answer, hop: &Hop) -> Option<Failure> {
    if answer.means == Means::Taken {
        return None;
    }
    let stage = match answer.stage {
        Stage::Resolve => record::Stage::Resolve,
        Stage::Connect => record::Stage::Connect,
        Stage::Greeting => record::Stage::Greeting,
        Stage::Hello => record::Stage::Ehlo,
        Stage::StartTls => record::Stage::StartTls,
        Stage::Handshake if answer.means == Means::BelowFloor && hop.link.judged.is_some() => record::Stage::Floor,
        Stage::Handshake => record::Stage::Handshake,
        Stage::Login => record::Stage::Login,
        Stage::Reset | Stage::Mail => record::Stage::Sender,
        Stage::Recipient => record::Stage::Recipient,
        Stage::Data => record::Stage::Data,
        Stage::Content => record::Stage::EndOfData,
    };
    let ours = answer.enhanced.filter(|_| answer.reply.is_none());
    let reason = ours.map_or_else(|| answer.words.clone(), |code| format!("{} ({code})", answer.words));
    Some(Failure { stage, reason, code: ours.map(|code| code.to_string()) })
}

/// The id in `250 … queued as ID`, as most servers write it.
fn remote_id(answer: &Answer) -> Option<Phi<String>> {
    if answer.means != Means::Taken {
        return None;
    }
    let text = answer.reply.as_ref()?.lines().last()?;
    let behind = text.to_ascii_lowercase().find("queued as ")? + "queued as ".len();
    let id = text.get(behind..)?.split_ascii_whitespace().next()?;
    Some(Phi::new(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Reply;

    fn taken(text: &str) -> Answer {
        let reply = Reply::parse(&[text.to_owned()]).unwrap();
        Answer { reply: Some(reply), ..Answer::ours(Stage::Content, Means::Taken, "accepted") }
    }

    #[test]
    fn the_next_hops_id_is_read_from_its_answer() {
        assert_eq!(remote_id(&taken("250 2.0.0 Ok: queued as 4X7Q")), Some(Phi::new("4X7Q".to_owned())));
        assert_eq!(remote_id(&taken("250 thanks")), None);
    }

    #[test]
    fn a_failure_names_the_stage_and_our_own_code() {
        let code = crate::mail::Enhanced::new(5, 1, 10);
        let answer = Answer::ours(Stage::Resolve, Means::Refused, "takes no mail").enhanced(code);
        let failure = failure(&answer, &Hop::default()).unwrap();
        assert_eq!((failure.stage, failure.code.as_deref()), (record::Stage::Resolve, Some("5.1.10")));
        assert_eq!(failure.reason, "takes no mail (5.1.10)");
    }
}
