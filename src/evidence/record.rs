//! What is kept of a message, and of each attempt to deliver it, for six years (45 CFR 164.316(b)(2)(i)).
//!
//! It holds addresses, and what peers wrote; so it is sealed before it is kept, and `Debug` shows none of that.
//! It can be serialized, because sealing needs that, and because an operator who may read it asks for `--json`.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::classify::Verdict;
use crate::clock::Timestamp;
use crate::config::Verification;
use crate::crypto::Digest;
use crate::evidence::features::Features;
use crate::evidence::sealed;
use crate::mail::{
    Address, Arrival, Asked, Assurance, ClientName, Method, Peer, Proof, Reply, RequireTls, ReversePath, Role,
    TlsSession, Wishes,
};
use crate::mime::{Content, Tree};
use crate::phi::{Kind, Phi};
use crate::policy::{self, Action, Additions, Decision, RecipientFacts, Tried};

/// A message as it was taken in and decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub accepted: Timestamp,
    pub origin: Origin,
    #[serde(with = "sealed::reverse_path")]
    pub sender: ReversePath,
    /// The value of its Message-ID field, as it was written.
    #[serde(with = "sealed::optional_text")]
    pub message_id: Option<Phi<String>>,
    /// The moment of the Date with which it leaves, when it can be read as one.
    pub date: Option<Timestamp>,
    /// What the sender asked of reports and of the way, in words and values of SMTP; as in `REQUIRETLS` or `ENVID=QQ7`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "sealed::texts")]
    pub asked: Vec<Phi<String>>,
    /// As it was received.
    pub bytes: u64,
    pub classified: Classified,
    /// In the order of the envelope, which is also that of the jobs in `Event::Accepted`.
    pub recipients: Vec<Recipient>,
    /// Conventions of other products that the sender used, as `seppmail x-smenc`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conventions: Vec<String>,
    /// Why the sender opted out of protection, in the sender's words.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "sealed::optional_text")]
    pub reason: Option<Phi<String>>,
    /// Whom rules had told of it at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notified: Vec<Notified>,
    /// The edits that were made, in words: none of them says what a subject was.
    pub edits: Vec<String>,
    /// It was decided and not carried; what stands here is what would have become of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
    pub versions: Versions,
    /// What the decision went by beside the findings. Records of older versions, and our own notices, have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
}

/// Whom a rule had told that it matched, as its config named them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    pub rule: String,
    #[serde(with = "sealed::addresses")]
    pub to: Vec<Address>,
}

/// Where a message came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Submitted {
        client: Option<ClientName>,
        role: Role,
        address: IpAddr,
        /// The peer's own words after EHLO.
        #[serde(with = "sealed::text")]
        helo: Phi<String>,
        tls: Option<TlsSession>,
        /// What the client proved itself by. Records of older versions do not say.
        #[serde(default)]
        proof: Option<Proof>,
        #[serde(default)]
        arrival: Arrival,
    },
    /// Sealpost wrote it itself: a report, a notice, a digest.
    OwnNotice,
}

/// What was in force when the decision was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Versions {
    /// The digest under which the config of that day is kept.
    pub config: Digest,
    pub classifier: String,
    pub sealpost: String,
}

/// What the classifier found, without where exactly: a position in a text that is gone says nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classified {
    pub phi: bool,
    pub score: f32,
    pub found: Vec<Found>,
}

/// Findings of one kind in one part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    pub kind: Kind,
    pub part: String,
    pub place: Place,
    pub count: usize,
    /// That of the surest one.
    pub confidence: f32,
}

/// What a part is to somebody who reads the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Subject,
    Text,
    Attachment { media_type: String },
    Elsewhere,
}

/// What was decided for one recipient, why, and what was known of them then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipient {
    #[serde(with = "sealed::address")]
    pub address: Address,
    /// What the sender asked about this recipient, as in `NOTIFY=NEVER`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "sealed::texts")]
    pub asked: Vec<Phi<String>>,
    pub action: Action,
    pub rule: String,
    pub tried: Vec<Tried>,
    pub remarks: Vec<String>,
    /// What looked like a mistake of the sender's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub concerns: Vec<String>,
    pub known: Known,
    /// Whether it is a copy for an archive, which a rule asked for and the sender did not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copy: bool,
    /// For how long it can be picked up, and how whoever does so shows who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verification>,
}

/// `policy::RecipientFacts`, as they stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub routed: bool,
    /// The best TLS seen until then, and when (RFC 3339).
    pub tls_seen: Option<(Assurance, String)>,
    pub mx_seen: Vec<String>,
}

/// One attempt to hand a message to one recipient's mail server, or to another method's receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub method: Method,
    /// The MX host or route that was tried; empty when none was found.
    pub host: String,
    pub address: Option<SocketAddr>,
    pub tls: Option<TlsSession>,
    /// SHA-256 of the certificate that the server showed.
    pub certificate: Option<Digest>,
    pub judgement: Option<Judgement>,
    /// The last answer of the server.
    pub answer: Option<Answer>,
    /// The id under which the next hop says it queued the message.
    #[serde(with = "sealed::optional_text")]
    pub remote_id: Option<Phi<String>>,
    pub took_ms: u64,
    pub failure: Option<Failure>,
}

/// How the TLS of the connection was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What was proved; nothing when there was no TLS.
    pub assurance: Option<Assurance>,
    /// Why, in our own words: `valid for mx.lab.example`.
    pub words: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub code: u16,
    /// As in `5.1.1`.
    pub enhanced: Option<String>,
    /// The peer's text, which may quote an address.
    #[serde(with = "sealed::text")]
    pub text: Phi<String>,
}

/// Where an attempt stopped, and why, in our own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub stage: Stage,
    pub reason: String,
    /// Our own code where no server gave one, as in `5.1.10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The steps of a delivery, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Resolve,
    Connect,
    Greeting,
    Ehlo,
    StartTls,
    Handshake,
    /// TLS stands, and proves less than was asked for.
    Floor,
    Login,
    Sender,
    Recipient,
    Data,
    /// The message was sent, and its answer was awaited.
    EndOfData,
}

impl Origin {
    pub fn of(peer: &Peer) -> Origin {
        Origin::Submitted {
            client: peer.client.clone(),
            role: peer.role,
            address: peer.address.ip(),
            helo: peer.helo.clone(),
            tls: peer.tls.clone(),
            proof: peer.proof,
            arrival: peer.arrival.clone(),
        }
    }
}

impl Classified {
    /// Groups the findings by kind and part, so that a record stays small however much was found.
    pub fn of(verdict: &Verdict, tree: &Tree) -> Classified {
        let mut found: Vec<Found> = Vec::new();
        // A search through all groups for each finding would take minutes where many parts hold many findings.
        let mut places: HashMap<(Kind, &str), usize> = HashMap::new();
        for finding in &verdict.findings {
            let place = *places.entry((finding.kind, &finding.part)).or_insert(found.len());
            match found.get_mut(place) {
                Some(group) => {
                    group.count += 1;
                    group.confidence = group.confidence.max(finding.confidence);
                }
                None => found.push(Found {
                    kind: finding.kind,
                    part: finding.part.clone(),
                    place: Place::of(&finding.part, tree),
                    count: 1,
                    confidence: finding.confidence,
                }),
            }
        }
        Classified { phi: verdict.phi, score: verdict.score, found }
    }
}

impl Place {
    fn of(path: &str, tree: &Tree) -> Place {
        if path == "subject" {
            return Place::Subject;
        }
        let Some(part) = tree.parts.iter().find(|part| part.path == path) else { return Place::Elsewhere };
        let is_text = part.media_type.starts_with("text/") && part.name.is_none();
        match part.content {
            Content::Text(_) if is_text => Place::Text,
            Content::Text(_) | Content::Unreadable(_) => Place::Attachment { media_type: part.media_type.clone() },
        }
    }
}

impl Notified {
    /// Each rule once, however many recipients it matched for.
    pub fn of(decisions: &[Decision]) -> Vec<Notified> {
        let united = Additions::united(decisions.iter().map(|decision| &decision.adds));
        united.notify.into_iter().map(|policy::Notified { rule, to }| Notified { rule, to }).collect()
    }
}

impl Recipient {
    /// Where nothing was known, a remark of the decision says so.
    pub fn of(decision: &Decision, facts: Option<&RecipientFacts>) -> Recipient {
        let known = |facts: &RecipientFacts| Known {
            routed: facts.routed,
            tls_seen: facts.tls_seen.clone(),
            mx_seen: facts.mx_seen.clone(),
        };
        let nothing = Known { routed: false, tls_seen: None, mx_seen: Vec::new() };
        Recipient {
            address: decision.recipient.clone(),
            asked: Vec::new(),
            action: decision.action.clone(),
            rule: decision.rule.clone(),
            tried: decision.tried.clone(),
            remarks: decision.remarks.clone(),
            concerns: decision.concerns.clone(),
            known: facts.map_or(nothing, known),
            copy: decision.copy,
            expire_ms: decision.adds.expire.map(|expire| u64::try_from(expire.as_millis()).unwrap_or(u64::MAX)),
            verify: decision.adds.verify,
        }
    }
}

/// What was asked for a whole message, as MAIL said it.
pub fn asked(asked: &Asked) -> Vec<Phi<String>> {
    let returned = asked.returned.map(|returned| format!("RET={}", returned.name()));
    // It leaves one wrapper for another.
    let id = asked.envelope_id.as_ref().map(|id| format!("ENVID={}", id.expose_encoded()));
    let require_tls = (asked.require_tls == RequireTls::Yes).then(|| "REQUIRETLS".to_owned());
    [returned, id, require_tls].into_iter().flatten().map(Phi::new).collect()
}

/// What was asked about one recipient, as RCPT said it.
pub fn wished(wishes: &Wishes) -> Vec<Phi<String>> {
    let notify = Some(wishes.notify.name()).filter(|name| !name.is_empty()).map(|name| format!("NOTIFY={name}"));
    // As above.
    let original = wishes.original.as_ref().map(|original| format!("ORCPT={}", original.expose_encoded()));
    [notify, original].into_iter().flatten().map(Phi::new).collect()
}

impl Answer {
    pub fn of(reply: &Reply) -> Answer {
        Answer {
            code: reply.code.value(),
            enhanced: reply.enhanced.map(|enhanced| enhanced.to_string()),
            text: Phi::new(reply.lines().join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{Finding, Grounds, Points};
    use crate::mime::{Part, Unreadable};

    fn finding(kind: Kind, part: &str, confidence: f32) -> Finding {
        Finding { kind, part: part.into(), start: 1, end: 9, confidence }
    }

    fn part(path: &str, media_type: &str, content: Content) -> Part {
        Part { path: path.into(), media_type: media_type.into(), name: None, content }
    }

    #[test]
    fn findings_are_grouped_by_kind_and_part_and_lose_their_positions() {
        let tree = Tree {
            subject: Phi::default(),
            from: Vec::new(),
            message_id: None,
            parts: vec![
                part("1", "text/plain", Content::Text(Phi::default())),
                part("2", "application/zip", Content::Unreadable(Unreadable::NoReader)),
            ],
            control: Vec::new(),
        };
        let mut findings = vec![finding(Kind::Mrn, "subject", 0.9), finding(Kind::Unreadable, "2", 1.0)];
        findings.extend((0..1000_u16).map(|n| finding(Kind::Drug, "1", f32::from(n) / 1000.0)));
        let verdict = Verdict {
            phi: true,
            score: 1.0,
            points: Points::default(),
            grounds: Grounds::default(),
            findings,
            persons: 0,
            labels: Vec::new(),
            version: "1".into(),
        };
        let groups = Classified::of(&verdict, &tree).found;
        let zip = Place::Attachment { media_type: "application/zip".into() };
        let places: Vec<_> = groups.iter().map(|group| (group.kind, group.count, &group.place)).collect();
        let expected = [(Kind::Mrn, 1, &Place::Subject), (Kind::Unreadable, 1, &zip), (Kind::Drug, 1000, &Place::Text)];
        assert_eq!(places, expected);
        assert!((groups[2].confidence - 0.999).abs() < 0.000_1);
    }

    #[test]
    fn a_record_from_before_there_were_proofs_is_still_read() {
        let old =
            r#"{"submitted":{"client":"openemr","role":"submission","address":"10.0.0.5","helo":"ws7","tls":null}}"#;
        let Origin::Submitted { client, proof, .. } = serde_json::from_str(old).unwrap() else { panic!("not read") };
        assert_eq!((client, proof), (Some(ClientName("openemr".into())), None));
    }

    #[test]
    fn an_answer_keeps_its_codes_and_shows_no_text() {
        let reply = Reply::parse(&["550-5.1.1 no such".into(), "550 5.1.1 ann@lab.example".into()]).unwrap();
        let answer = Answer::of(&reply);
        assert_eq!((answer.code, answer.enhanced.as_deref()), (550, Some("5.1.1")));
        assert_eq!(answer.text.expose(), "no such ann@lab.example");
        assert!(!format!("{answer:?}").contains("ann"));
    }
}
