//! Mail comes in: it is read, classified, decided, and kept, before anybody is told that it was accepted.

pub mod again;
mod edits;
mod likeness;
mod read;
mod record;
mod refusal;
pub mod trial;
mod twins;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tracing::{error, info};

pub use refusal::{Fault, Refusal};

use crate::audit::{Actor, HoldCause};
use crate::classify::{self, Verdict};
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Care, Config, Guard, OnRefusal, OperatingPoint, Permission, Response};
use crate::crypto::Digest;
use crate::directory::{Directory, Question};
use crate::evidence::Evidence;
use crate::extract::{self, Allowance, Readers};
use crate::intake::read::{Copies, Looked, Read};
use crate::mail::{Address, ClientName, Content, Domain, Envelope, Message, MessageId, Notify, Peer, Proof, Wishes};
use crate::mime::{self, Budget, Edit, File, Tree};
use crate::phi::Phi;
use crate::policy::{self, Action, Belief, Decision, Facts, Letter, Marks, Rules, Seen, Signs, Submission};
use crate::queue::{Accept, Queue, Receipt, Way};
use crate::smtp::Senders;
use crate::store::Tell;
use edits::{Hop, MAX_RECEIVED};
use likeness::Said;
use record::{Kept, record};

/// Up to this size, reading a message costs less than handing it to another thread.
const READ_INLINE_BYTES: usize = 64 * 1024;
/// How long a large message waits for its turn to be read.
const TURN_WITHIN: Duration = Duration::from_secs(120);
/// RFC 5321 §4.5.3.2.6: a client waits 10 minutes for the answer to its final dot; well before that it gets a 451.
const KEPT_WITHIN: Duration = Duration::from_secs(120);

/// The rooms that intake puts in an order.
#[derive(Clone, Debug)]
pub struct Rooms {
    pub queue: Queue,
    pub evidence: Evidence,
    pub clock: Arc<dyn Clock>,
}

/// A config that came into force, and what was built from it.
#[derive(Debug)]
pub struct Loaded<'a> {
    pub config: &'a Config,
    /// The name of the config in the evidence of every message that it decides.
    pub digest: Digest,
    pub directory: Directory,
}

/// Takes submissions. What comes from the config is swapped by `reload`; a submission keeps what it began with.
#[derive(Debug)]
pub struct Intake {
    rooms: Rooms,
    settings: RwLock<Arc<Settings>>,
    /// Turns to read a large message: reading takes many times its size of memory, and more at once than there are
    /// processors read no faster.
    reading: Arc<Semaphore>,
    readers: Arc<Readers>,
    twins: twins::Twins,
}

/// What one config says about taking mail, and the directory that was built from it.
#[derive(Debug)]
pub struct Settings {
    terms: Terms,
    directory: Directory,
}

/// What a decision needs of a config.
#[derive(Debug)]
struct Terms {
    hostname: Domain,
    rules: Rules,
    clients: HashMap<ClientName, Allowed>,
    budget: Budget,
    allowance: Allowance,
    guard: Guard,
    point: OperatingPoint,
    config: Digest,
}

/// What one client may do.
#[derive(Debug)]
struct Allowed {
    senders: Senders,
    on_refusal: OnRefusal,
    standing: Standing,
    /// Whether its marks are believed when it has not logged in.
    without_login: Belief,
    receipt: bool,
    /// Whether its mail is carried, or only observed.
    content: Content,
    permission: Permission,
    care: Care,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Welcome,
    Suspended,
}

/// Everything that was found out about a message, and what follows from it.
#[derive(Debug)]
pub struct Examination {
    pub tree: Tree,
    pub verdict: Verdict,
    pub facts: Facts,
    pub signs: Signs,
    pub decisions: Vec<Decision>,
    /// What the sender asked for by tags and fields.
    pub marks: Marks,
    pub seen: Seen,
}

impl Intake {
    pub fn new(rooms: Rooms, loaded: Loaded<'_>) -> Intake {
        let readers = std::thread::available_parallelism().map_or(1, usize::from);
        let settings = RwLock::new(Arc::new(Settings::new(loaded)));
        let reading = Arc::new(Semaphore::new(readers));
        Intake { rooms, settings, reading, readers: Arc::default(), twins: twins::Twins::default() }
    }

    pub fn reload(&self, loaded: Loaded<'_>) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Settings::new(loaded));
    }

    /// Keeps a submission. The receipt exists once the message, its decisions and its evidence are on disk.
    pub async fn accept(&self, envelope: Envelope, message: Message, peer: Peer) -> Result<Receipt, Refusal> {
        let started = self.rooms.clock.now();
        let client = peer.client.clone();
        let result = self.take(envelope, message, peer).await;
        let took = self.rooms.clock.now().since(started);
        metrics::histogram!("sealpost_accept_seconds").record(took.as_secs_f64());
        if let Err(refusal) = &result {
            tell_refusal(refusal, client.as_ref(), took);
        }
        result
    }

    async fn take(&self, envelope: Envelope, message: Message, peer: Peer) -> Result<Receipt, Refusal> {
        let settings = self.settings();
        let started = self.rooms.clock.now();
        let client = peer.client.clone().ok_or(Refusal::NotAuthenticated)?;
        let terms = &settings.terms;
        let allowed = terms.allowed(&client)?;
        // RFC 5321 §6.3: a loop is found by counting trace headers.
        if edits::received_count(&message) > MAX_RECEIVED {
            return Err(Refusal::Loop);
        }
        let copies = match allowed.care.duplicates {
            Response::Off => Copies::NotAsked,
            Response::Warn | Response::Delay | Response::Hold => Copies::Of(client.clone(), envelope.clone()),
        };
        let Looked { tree, verdict, letter, seen, likeness } = self.read(&settings, &message, copies).await?;
        check_from(&tree.from, &allowed.senders)?;
        let mut facts = settings.directory.facts(&envelope).await;
        let likeness = likeness.map(|likeness| self.rooms.evidence.likeness(likeness));
        let _turn = self.twins.turn(likeness).await?;
        let guarded = verdict.phi && allowed.care.guarded;
        if guarded || allowed.care.asks_for_repeats() {
            facts.past = settings
                .directory
                .past(Question {
                    client: &client,
                    envelope: &envelope,
                    letter: &letter,
                    guarded,
                    likeness: likeness.map(|likeness| (likeness, started.minus(allowed.care.duplicate_window))),
                    burst_since: allowed.burst_since(started),
                })
                .await;
        }
        let read = Read::new((tree, verdict), (&letter, &envelope), facts, seen);
        let examination = terms.decide(&envelope, (Some(&client), peer.proof), read);
        let envelope = with_archives(envelope, &examination.decisions);
        let now = self.rooms.clock.now();
        let ways = match allowed.content {
            Content::Mail | Content::Notice => ways(&examination.decisions, now)?,
            // Whoever sends it carries it all the same: a refusal would be one more bounce.
            Content::Observed => each_way(&examination.decisions, now),
        };
        let told = Told::of(&examination, &message, &ways);
        let taken = Taken { envelope, message, peer, ways, content: allowed.content, likeness };
        let receipt = self.keep(terms, examination, taken).await?;
        told.tell(&receipt, (&client, allowed.content), self.rooms.clock.now().since(started));
        Ok(receipt)
    }

    /// Reads a small message at once; a large one, and one with attachments, when it is its turn.
    async fn read(&self, settings: &Arc<Settings>, message: &Message, copies: Copies) -> Result<Looked, Refusal> {
        let budget = settings.terms.budget;
        let read = (message.len() <= READ_INLINE_BYTES).then(|| mime::read(message, &budget));
        let read = match read {
            // Nothing to wait for.
            Some(read) if !extract::any_readable(&read.1) => {
                return Ok(settings.terms.look(read, message, (&self.readers, &copies)));
            }
            read => read,
        };
        let turn = tokio::time::timeout(TURN_WITHIN, self.reading.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Refusal::Busy)?.map_err(|_| Refusal::Unavailable(Fault::Reading))?;
        let (message, readers, settings) = (message.clone(), Arc::clone(&self.readers), Arc::clone(settings));
        let reading = tokio::task::spawn_blocking(move || {
            // Held by the reading itself: it goes on when nobody waits for it any more.
            let _turn = turn;
            let read = read.unwrap_or_else(|| mime::read(&message, &budget));
            settings.terms.look(read, &message, (&readers, &copies))
        });
        reading.await.map_err(|_| Refusal::Unavailable(Fault::Reading))
    }

    /// Seals the evidence, makes the edits, and hands all of it to the queue.
    async fn keep(&self, terms: &Terms, examination: Examination, taken: Taken) -> Result<Receipt, Refusal> {
        let Taken { envelope, message, peer, ways, content, likeness } = taken;
        let id = self.rooms.queue.new_id()?;
        let hop = Hop { hostname: &terms.hostname, id, at: self.rooms.clock.now() };
        let (mut edits, words) = edits::edits(&message, &hop, terms.policy_edits(&examination, id));
        edits.push(edits::received(&envelope, &peer, &hop));
        // What is only observed is not kept, and needs no edits.
        let observed = content == Content::Observed;
        let sent = if observed { message.clone() } else { mime::edit(&message, &edits) };
        let kept = Kept {
            envelope: &envelope,
            peer: &peer,
            bytes: message.len(),
            message_id: message_id(&examination.tree, &hop),
            date: date(&message, &hop),
            edits: words,
            observed,
            at: hop.at,
        };
        let mut evidence = self.rooms.evidence.seal(id, &record(terms, &examination, kept), &message)?;
        evidence.likeness = likeness;
        let in_clear = if peer.tls.is_some() { None } else { Some(peer.role) };
        let client = peer.client;
        let tell = terms.tell(client.as_ref(), &examination.decisions);
        let actor = client.clone().map_or(Actor::System, Actor::Client);
        let accept =
            Accept { id, envelope, message: sent, client, in_clear, content, ways, evidence, tell, settles: None };
        match tokio::time::timeout(KEPT_WITHIN, self.rooms.queue.accept(accept, actor)).await {
            Ok(answer) => {
                let receipt = answer?;
                if let Some(role) = in_clear {
                    metrics::counter!("sealpost_accepted_in_clear_total", "role" => role.name()).increment(1);
                }
                Ok(receipt)
            }
            // It may be kept all the same, and come twice; a 250 that is not true would lose it.
            Err(_) => Err(Refusal::Unavailable(Fault::Slow)),
        }
    }

    fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A message that nobody has sent, and what is known of its recipients.
#[derive(Debug)]
pub struct Unsent<'a> {
    pub message: &'a Message,
    pub envelope: &'a Envelope,
    /// Who would submit it.
    pub client: Option<&'a ClientName>,
    pub facts: Facts,
}

/// What would be decided for a message, without keeping anything.
pub fn examine(config: &Config, unsent: Unsent<'_>) -> Examination {
    examine_under(&Terms::new(config, Digest::ZERO), config, unsent)
}

fn examine_under(terms: &Terms, config: &Config, unsent: Unsent<'_>) -> Examination {
    let Unsent { message, envelope, client, facts } = unsent;
    let read = mime::read(message, &terms.budget);
    let Looked { tree, verdict, letter, seen, .. } =
        terms.look(read, message, (&Readers::default(), &Copies::NotAsked));
    let known = config.clients.iter().find(|known| client == Some(&known.name));
    let proof = known.map(|known| if known.is_known_by_network() { Proof::Network } else { Proof::Password });
    let read = Read::new((tree, verdict), (&letter, envelope), facts, seen);
    terms.decide(envelope, (client, proof), read)
}

/// The envelope that is kept: the archives that get a copy are recipients too, whose fate is nothing to the sender.
fn with_archives(mut envelope: Envelope, decisions: &[Decision]) -> Envelope {
    for decision in decisions.iter().filter(|decision| decision.copy) {
        envelope.also(decision.recipient.clone(), Wishes { notify: Notify::Never, original: None });
    }
    envelope
}

/// A submission as it came, and what is to become of it.
struct Taken {
    envelope: Envelope,
    message: Message,
    peer: Peer,
    ways: Vec<Way>,
    content: Content,
    /// By what a copy of it is known, where anybody asks.
    likeness: Option<Digest>,
}

impl Settings {
    pub fn new(loaded: Loaded<'_>) -> Settings {
        let Loaded { config, digest, directory } = loaded;
        Settings { terms: Terms::new(config, digest), directory }
    }
}

impl Terms {
    fn new(config: &Config, digest: Digest) -> Terms {
        let limits = &config.limits;
        Terms {
            hostname: config.server.hostname.clone(),
            rules: Rules::compile(&config.policy),
            clients: config.clients.iter().map(|client| (client.name.clone(), Allowed::of(client, config))).collect(),
            budget: Budget {
                depth: limits.mime_depth,
                parts: limits.mime_parts,
                ratio: limits.mime_ratio,
                bytes: limits.mime_bytes,
            },
            allowance: Allowance {
                budget: extract::Budget {
                    depth: limits.archive_depth,
                    parts: limits.mime_parts,
                    ratio: limits.mime_ratio,
                    bytes: limits.mime_bytes,
                },
                time: limits.extract_time,
                memory_bytes: limits.extract_memory,
            },
            guard: config.policy.guard.clone(),
            point: config.policy.point,
            config: digest,
        }
    }

    fn allowed(&self, client: &ClientName) -> Result<&Allowed, Refusal> {
        let allowed = self.clients.get(client).ok_or(Refusal::ClientGone)?;
        match allowed.standing {
            Standing::Welcome => Ok(allowed),
            Standing::Suspended => Err(Refusal::ClientGone),
        }
    }

    /// Has the attachments read, which waits for a child, and looks at all of it.
    fn look(&self, read: (Tree, Vec<File>), message: &Message, (readers, copies): (&Readers, &Copies)) -> Looked {
        let (mut tree, files) = read;
        readers.fill(&mut tree, files, &self.allowance);
        let likeness = match copies {
            Copies::NotAsked => None,
            Copies::Of(client, envelope) => Some(Said::of(client, envelope, &tree).likeness(message)),
        };
        Looked {
            verdict: classify::classify(&tree).at(self.point),
            letter: Letter::of(message),
            seen: Seen::of(&self.rules, message, &tree),
            likeness,
            tree,
        }
    }

    /// A receipt is for the sender's own eyes, so one recipient's reason is enough for it.
    fn tell(&self, client: Option<&ClientName>, decisions: &[Decision]) -> Tell {
        let client = client.and_then(|client| self.clients.get(client));
        let wanted = client.is_some_and(|allowed| allowed.receipt) || decisions.iter().any(|decision| decision.receipt);
        Tell::of(wanted, decisions.iter().any(|decision| !decision.adds.notify.is_empty()))
    }

    /// Who relays for others writes down what others ask for; only a login speaks for itself.
    fn belief(&self, client: Option<&ClientName>, proof: Option<Proof>) -> Belief {
        match proof {
            None => Belief::NotBelieved,
            Some(proof) if proof.is_login() => Belief::Believed,
            Some(_) => client
                .and_then(|client| self.clients.get(client))
                .map_or(Belief::NotBelieved, |allowed| allowed.without_login),
        }
    }

    fn decide(
        &self,
        envelope: &Envelope,
        (client, proof): (Option<&ClientName>, Option<Proof>),
        read: Read,
    ) -> Examination {
        let Read { tree, verdict, facts, seen, signs } = read;
        let allowed = client.and_then(|client| self.clients.get(client));
        let permission = allowed.map_or(Permission::NotGranted, |allowed| allowed.permission);
        let belief = self.belief(client, proof);
        let submission = Submission { client, marks: belief, permission, envelope, tree: &tree, seen: &seen };
        let marks = policy::marks(&self.rules, &submission);
        let mut decisions = policy::decide(&self.rules, (&submission, &marks), &verdict, &facts);
        self.guard(allowed, &signs, &mut decisions);
        if allowed.is_some_and(Allowed::must_not_be_refused) {
            decisions.iter_mut().for_each(held_instead);
        }
        // Last: a copy fares as the message does.
        decisions.extend(policy::copies(&decisions));
        Examination { tree, verdict, facts, signs, decisions, marks, seen }
    }

    /// What policy changes in a message that is kept under this id.
    fn policy_edits(&self, examination: &Examination, id: MessageId) -> Vec<Edit> {
        let Examination { tree, marks, seen, decisions, .. } = examination;
        policy::edits(&self.rules, policy::Decided { tree, seen, marks, decisions }, id)
    }

    fn guard(&self, allowed: Option<&Allowed>, signs: &Signs, decisions: &mut [Decision]) {
        let (nobody, nothing) = (Care::default(), Guard::default());
        let care = allowed.map_or(&nobody, |allowed| &allowed.care);
        policy::guard((if care.guarded { &self.guard } else { &nothing }, care), signs, decisions);
    }
}

impl Allowed {
    fn of(client: &config::Client, config: &Config) -> Allowed {
        let observed = config.policy.trial.observer.contains(&client.name);
        let content = if observed { Content::Observed } else { Content::Mail };
        let standing = if client.suspended { Standing::Suspended } else { Standing::Welcome };
        let without_login = if client.trust_headers { Belief::Believed } else { Belief::NotBelieved };
        let senders = Senders(client.senders.clone());
        Allowed {
            senders,
            on_refusal: client.on_refusal,
            standing,
            without_login,
            receipt: client.receipt,
            content,
            permission: client.may_opt_out,
            care: client.care.clone(),
        }
    }

    fn burst_since(&self, now: Timestamp) -> Option<Timestamp> {
        (self.care.bursts > Response::Off).then(|| now.minus(self.care.burst_window))
    }

    fn must_not_be_refused(&self) -> bool {
        self.on_refusal == OnRefusal::AcceptAndHold
    }
}

/// RFC 6409 §6.1: every author must be one that this client may speak for.
fn check_from(from: &[Address], senders: &Senders) -> Result<(), Refusal> {
    if from.is_empty() {
        return Err(Refusal::NoFrom);
    }
    match from.iter().find(|author| !senders.cover(author)) {
        Some(other) => Err(Refusal::FromNotAllowed(other.domain().clone())),
        None => Ok(()),
    }
}

/// Holds what a rule refuses, for a client that must not be refused. `explain`, the evidence and the queue all go by it.
fn held_instead(decision: &mut Decision) {
    match &mut decision.action {
        Action::Reject { text } => {
            decision.action = Action::Hold { reason: std::mem::take(text) };
            decision.cause = Some(HoldCause::AcceptAndHold);
            decision.remarks.push(
                "the rule refuses it, and its client must not be refused: it is answered 250, and the message is held"
                    .into(),
            );
        }
        Action::Deliver { .. } | Action::Hold { .. } => {}
    }
}

/// What the queue is to do for each recipient. Rejected for all is a refusal; rejected for some is accepted, and those
/// are told by a DSN.
fn ways(decisions: &[Decision], now: Timestamp) -> Result<Vec<Way>, Refusal> {
    let rejection = |decision: &Decision| match &decision.action {
        Action::Reject { text } => Some(text.clone()),
        Action::Deliver { .. } | Action::Hold { .. } => None,
    };
    if let Some(text) = decisions.first().and_then(rejection)
        && decisions.iter().all(|decision| rejection(decision).is_some())
    {
        return Err(Refusal::Policy { text });
    }
    Ok(each_way(decisions, now))
}

fn each_way(decisions: &[Decision], now: Timestamp) -> Vec<Way> {
    let way = |decision: &Decision| Way {
        recipient: decision.recipient.clone(),
        action: decision.action.clone(),
        cause: decision.cause,
        released: decision.released.clone(),
        not_before: (!decision.delay.is_zero()).then(|| now.plus(decision.delay)),
    };
    decisions.iter().map(way).collect()
}

/// The Message-ID with which the message leaves: its own, or the one that is added.
fn message_id(tree: &Tree, hop: &Hop<'_>) -> Phi<String> {
    tree.message_id.clone().unwrap_or_else(|| Phi::new(format!("<{}@{}>", hop.id, hop.hostname)))
}

/// The moment of the Date with which the message leaves; none when its own cannot be read as one.
fn date(message: &Message, hop: &Hop<'_>) -> Option<Timestamp> {
    // Only a time comes out of it, whatever a sender wrote there.
    mime::header(message, "Date").map_or(Some(hop.at), |date| Timestamp::parse_rfc5322(date.expose()))
}

/// What the log says of an accepted message: numbers and our own words.
struct Told {
    bytes: usize,
    findings: usize,
    recipients: usize,
    methods: String,
}

impl Told {
    fn of(examination: &Examination, message: &Message, ways: &[Way]) -> Told {
        let mut methods: Vec<&str> = ways.iter().flat_map(|way| way_names(&way.action)).collect();
        methods.sort_unstable();
        methods.dedup();
        Told {
            bytes: message.len(),
            findings: examination.verdict.findings.len(),
            recipients: ways.len(),
            methods: methods.join(" "),
        }
    }

    fn tell(&self, receipt: &Receipt, (client, content): (&ClientName, Content), took: Duration) {
        let Told { bytes, findings, recipients, methods } = self;
        let (id, millis) = (receipt.id(), took.as_millis());
        metrics::counter!("sealpost_accepted_total", "client" => client.0.clone()).increment(1);
        let did = if content == Content::Observed { "observed" } else { "queued" };
        info!(
            message.id = %id, client.name = %client, size.bytes = bytes, findings.count = findings,
            recipients.count = recipients, methods, took.ms = millis, "{did} message {id} by {methods}"
        );
    }
}

fn way_names(action: &Action) -> Vec<&'static str> {
    match action {
        Action::Deliver { methods, .. } => methods.iter().map(|method| method.name()).collect(),
        Action::Hold { .. } => vec!["hold"],
        Action::Reject { .. } => vec!["reject"],
    }
}

fn tell_refusal(refusal: &Refusal, client: Option<&ClientName>, took: Duration) {
    let (reason, code) = (refusal.name(), refusal.reply().code);
    let (client, millis) = (client.map_or("", |client| client.0.as_str()), took.as_millis());
    metrics::counter!("sealpost_refused_total", "reason" => reason).increment(1);
    match refusal {
        Refusal::Unavailable(fault) => {
            error!(client.name = client, reply.code = %code, took.ms = millis, "could not keep a message: {fault}");
        }
        Refusal::NotAuthenticated
        | Refusal::ClientGone
        | Refusal::NoFrom
        | Refusal::FromNotAllowed(_)
        | Refusal::Loop
        | Refusal::Policy { .. }
        | Refusal::Busy
        | Refusal::Full => {
            info!(client.name = client, reply.code = %code, took.ms = millis, "refused a message: {reason}");
        }
    }
}

#[cfg(test)]
mod tests;
