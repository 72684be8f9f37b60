//! The page on which a sender takes a message back, by the link in its receipt. To look changes nothing: programs that
//! check mail follow links. Only the button does, and the ticket in the link says for which message.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::audit::{Actor, JobState};
use crate::clock::{Clock, Timestamp};
use crate::evidence::{Evidence, EvidenceError};
use crate::mail::{Domain, End, JobId, MessageId};
use crate::queue::{Listed, Queue, Selection, Ticket};

const STYLE: &str = include_str!("take_back.css");
/// One question a second for each message, and for all strange tickets together, after a burst.
const PACE: Duration = Duration::from_secs(1);
const BURST: Duration = Duration::from_secs(30);
/// Messages whose pace is remembered at once.
const PACED: usize = 1_000;
/// Destinations that one page lists.
const LISTED: usize = 50;

const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // The address of the page is the ticket.
    (REFERRER_POLICY, "no-referrer"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
];

/// What the pages are made from.
#[derive(Clone)]
pub struct Pages {
    queue: Queue,
    evidence: Evidence,
    clock: Arc<dyn Clock>,
    /// When whoever asks for this message (or with a strange ticket) has used up what was asked so far.
    paces: Arc<Mutex<HashMap<Option<MessageId>, Timestamp>>>,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

impl Pages {
    pub fn new(queue: Queue, evidence: Evidence, clock: Arc<dyn Clock>) -> Pages {
        Pages { queue, evidence, clock, paces: Arc::default() }
    }

    /// The message's jobs for the recipients whom its sender named: of a copy for an archive the sender knows nothing.
    async fn jobs(&self, message: MessageId) -> Result<Vec<Listed>, Box<Response>> {
        let jobs = self.queue.show(message).await.map_err(|error| unavailable(&error))?;
        let story = match self.evidence.story(message).await {
            Ok(story) => story,
            // What is erased has no recipients any more.
            Err(EvidenceError::Unknown(_) | EvidenceError::Erased(_)) => return Ok(jobs),
            Err(error) => return Err(unavailable(&error)),
        };
        let named = story.record.recipients.iter().zip(&story.journeys).filter(|(recipient, _)| !recipient.copy);
        let named: HashSet<JobId> = named.map(|(_, journey)| journey.job).collect();
        Ok(jobs.into_iter().filter(|job| named.contains(&job.job)).collect())
    }

    fn is_too_fast(&self, about: Option<MessageId>) -> bool {
        let now = self.clock.now();
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        if paces.len() >= PACED {
            paces.retain(|_, used| *used > now);
        }
        // More messages at once than anybody has receipts for: then all wait their turn together.
        let about = if paces.len() >= PACED { None } else { about };
        let used = paces.get(&about).copied().unwrap_or(now).max(now);
        if used.since(now) > BURST {
            return true;
        }
        paces.insert(about, used.plus(PACE));
        false
    }
}

/// Serves until `drain` is cancelled.
pub async fn serve_pages(socket: TcpListener, pages: Pages, drain: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/back/style.css", get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE) }))
        .route("/back/{ticket}", get(look).post(take))
        .with_state(pages);
    axum::serve(socket, router).with_graceful_shutdown(drain.cancelled_owned()).await
}

async fn look(State(pages): State<Pages>, Path(ticket): Path<String>) -> Response {
    match admit(&pages, &ticket) {
        Ok(message) => match pages.jobs(message).await {
            Ok(jobs) => seen(message, &jobs, pages.clock.now()),
            Err(page) => *page,
        },
        Err(page) => *page,
    }
}

async fn take(State(pages): State<Pages>, Path(ticket): Path<String>) -> Response {
    let message = match admit(&pages, &ticket) {
        Ok(message) => message,
        Err(page) => return *page,
    };
    let moved = match pages.queue.cancel(&Selection::Message(message), Actor::Sender).await {
        Ok(moved) => moved,
        Err(error) => return *unavailable(&error),
    };
    if moved.moved > 0 {
        tracing::info!(message.id = %message, jobs.count = moved.moved, "a sender took message {message} back");
    }
    match pages.jobs(message).await {
        Ok(jobs) => taken(message, &jobs, pages.clock.now()),
        Err(page) => *page,
    }
}

/// The message that a ticket is for, or the page that says why there is none.
fn admit(pages: &Pages, ticket: &str) -> Result<MessageId, Box<Response>> {
    let ticket = pages.queue.read_ticket(ticket);
    let about = match ticket {
        Ticket::Good(message) | Ticket::RunOut(message) => Some(message),
        Ticket::Strange => None,
    };
    if pages.is_too_fast(about) {
        let text = "Too many questions at once. Please wait a minute and open the link again.";
        let page = page(StatusCode::TOO_MANY_REQUESTS, ("One moment", &paragraph(text)), None);
        return Err(Box::new(([(RETRY_AFTER, "60")], page).into_response()));
    }
    match ticket {
        Ticket::Good(message) => Ok(message),
        Ticket::RunOut(message) => {
            let text = "The time in which this message could be taken back is over.";
            Err(Box::new(page(StatusCode::GONE, ("It is too late", &paragraph(text)), Some(message))))
        }
        Ticket::Strange => {
            let text = "This link belongs to no message here. Please copy the whole link from the receipt: it is one \
                        long line.";
            Err(Box::new(page(StatusCode::NOT_FOUND, ("This link does not work", &paragraph(text)), None)))
        }
    }
}

/// How far a message got on its way to one recipient, as far as its sender can still do something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Here(Timestamp),
    Held,
    /// On the wire at this moment.
    Leaving,
    Delivered,
    TakenBack,
    Over,
}

impl Reach {
    fn of(job: &Listed) -> Reach {
        match job.state {
            JobState::Queued { .. } if job.leased.is_some() => Reach::Leaving,
            JobState::Queued { due, .. } => Reach::Here(due),
            JobState::Held { .. } => Reach::Held,
            JobState::Ended { end: End::Delivered | End::Opened } => Reach::Delivered,
            JobState::Ended { end: End::Cancelled | End::Withdrawn } => Reach::TakenBack,
            JobState::Ended {
                end: End::Expired | End::Bounced | End::Rejected | End::Undeliverable | End::Observed,
            } => Reach::Over,
        }
    }

    const fn can_be_taken_back(self) -> bool {
        matches!(self, Reach::Here(_) | Reach::Held)
    }

    fn words(self, now: Timestamp) -> String {
        match self {
            Reach::Here(due) if due > now => {
                let left = humantime::format_duration(Duration::from_secs(due.since(now).as_secs())).to_string();
                format!("Waits until {}, {left} from now", due.rfc5322().replace("+0000", "UTC"))
            }
            Reach::Here(_) => "Not sent yet".to_owned(),
            Reach::Held => "Held, not sent yet".to_owned(),
            Reach::Leaving => "Being handed over at this moment".to_owned(),
            Reach::Delivered => "Delivered".to_owned(),
            Reach::TakenBack => "Taken back, not sent".to_owned(),
            Reach::Over => "Not delivered".to_owned(),
        }
    }
}

fn seen(message: MessageId, jobs: &[Listed], now: Timestamp) -> Response {
    let waiting = jobs.iter().filter(|job| Reach::of(job).can_be_taken_back()).count();
    if waiting == 0 {
        return past(message, jobs, now);
    }
    let what = match (waiting, jobs.len()) {
        (1, 1) => "It has not been sent yet. If you take it back, it never will be.".to_owned(),
        (waiting, all) if waiting == all => {
            format!("It has not been sent to any of its {all} recipients yet. If you take it back, it never will be.")
        }
        (waiting, all) => format!(
            "It can still be kept from {waiting} of its {all} recipients. The others have it already, or never will."
        ),
    };
    let form = "<form method=\"post\"><button type=\"submit\">Take it back</button></form>";
    let body = paragraph(&what) + &list(jobs, now) + form;
    page(StatusCode::OK, ("Take this message back?", &body), Some(message))
}

fn taken(message: MessageId, jobs: &[Listed], now: Timestamp) -> Response {
    let reaches = || jobs.iter().map(Reach::of);
    let kept = reaches().filter(|reach| *reach == Reach::TakenBack).count();
    let gone = reaches().filter(|reach| matches!(reach, Reach::Delivered | Reach::Leaving)).count();
    if kept == 0 {
        return past(message, jobs, now);
    }
    let text = match gone {
        0 => "It has not been sent, and will not be. You may close this page.",
        _ => "It was too late for some of its recipients: they have it, or get it at this moment.",
    };
    let title = if gone == 0 { "The message was taken back" } else { "Taken back in part" };
    page(StatusCode::OK, (title, &(paragraph(text) + &list(jobs, now))), Some(message))
}

/// Nothing is left that could be taken back.
fn past(message: MessageId, jobs: &[Listed], now: Timestamp) -> Response {
    let any = |reach| jobs.iter().any(|job| Reach::of(job) == reach);
    let (status, title, text) = if any(Reach::Leaving) {
        let text =
            "The message is being handed to its recipient's mail server at this moment, and cannot be called back.";
        (StatusCode::CONFLICT, "It is too late", text)
    } else if any(Reach::Delivered) {
        let text = "The message has been delivered, and cannot be taken back. If it went to the wrong person, please \
                    tell your privacy officer.";
        (StatusCode::CONFLICT, "It is too late", text)
    } else if any(Reach::TakenBack) {
        (StatusCode::OK, "The message was taken back", "It has not been sent, and will not be.")
    } else if jobs.is_empty() {
        (StatusCode::GONE, "It is too late", "Nothing is kept of this message any more.")
    } else {
        (StatusCode::OK, "There is nothing to take back", "The message was not delivered, and is not tried any more.")
    };
    page(status, (title, &(paragraph(text) + &list(jobs, now))), Some(message))
}

/// One line for each domain and state, with how many recipients there are.
fn list(jobs: &[Listed], now: Timestamp) -> String {
    let mut lines: Vec<(&Domain, Reach, usize)> = Vec::new();
    let mut more = 0;
    for job in jobs {
        let reach = Reach::of(job);
        let place = lines.iter().position(|(domain, other, _)| **domain == job.domain && *other == reach);
        match place {
            Some(place) => lines[place].2 += 1,
            None if lines.len() < LISTED => lines.push((&job.domain, reach, 1)),
            None => more += 1,
        }
    }
    lines.sort_by(|one, other| (one.1, one.0).cmp(&(other.1, other.0)));
    let line = |(domain, reach, count): &(&Domain, Reach, usize)| {
        let people = if *count == 1 { "1 recipient".to_owned() } else { format!("{count} recipients") };
        format!("<li><b>{people} at {}</b><span>{}</span></li>", escaped(domain.as_str()), reach.words(now))
    };
    let more = if more > 0 { format!("<li><b>and {more} more</b></li>") } else { String::new() };
    format!("<ul>{}{more}</ul>", lines.iter().map(line).collect::<String>())
}

fn paragraph(text: &str) -> String {
    format!("<p>{text}</p>")
}

fn unavailable(error: &dyn std::error::Error) -> Box<Response> {
    tracing::error!(page.error = %error, "a message could not be looked up for its sender");
    let text = "Something is wrong on our side. Please open the link again in a minute, or call your administrator.";
    Box::new(page(StatusCode::SERVICE_UNAVAILABLE, ("Please try again", &paragraph(text)), None))
}

fn page(status: StatusCode, (title, body): (&str, &str), message: Option<MessageId>) -> Response {
    let reference = message.map(|id| format!("<p class=\"reference\">Our reference: {id}</p>")).unwrap_or_default();
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title}</title>\
         <link rel=\"stylesheet\" href=\"style.css\"></head>\
         <body><main><h1>{title}</h1>{body}{reference}</main></body></html>\n"
    );
    (status, HEADERS, text).into_response()
}

/// A domain holds none of these, and a page must not depend on it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
