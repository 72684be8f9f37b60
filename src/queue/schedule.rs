//! When to try again, by which method, and when to stop. Pure: the time and the jitter are given.

use std::time::Duration;

use crate::audit::{HoldCause, JobState};
use crate::clock::Timestamp;
use crate::config::{self, Last};
use crate::mail::{End, Method, Notify, Occasion};
use crate::store::{About, Delay, Owes, Standing};

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// The next hop took it at or above the floor, and reports on it as the sender asked.
    Delivered,
    /// The same, but the next hop knows nothing of such wishes.
    Relayed,
    /// Refused for good: 5xx, null MX, no such domain.
    Refused,
    /// A connect failure or 4xx: the same method, later.
    Later,
    /// The whole message was given, and the next hop did not answer: it may have it. The same method, later, and ever later.
    Unanswered,
    /// No reachable MX met the floor.
    FloorUnmet,
    /// This method cannot carry this message: the next one, now.
    MethodUnusable,
}

/// The moment of an attempt's end, and 64 random bits to spread the next one by.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Timestamp,
    pub jitter: u64,
}

/// When a job is moved, and whom its fate is told to.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub now: Timestamp,
    pub owes: Owes,
}

/// A tenth of the wait at most is added, so that what failed together does not come back together.
const JITTER_SHARE: u32 = 10;

/// So many tries without an answer are made as any other; an accident may happen twice.
const UNANSWERED_LIMIT: u32 = 3;
/// The wait behind the last of them; each further one doubles it.
const UNANSWERED_WAIT: Duration = Duration::from_secs(4 * 60 * 60);
const UNANSWERED_LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a job stands after an attempt. `owed` is what this attempt alone makes owed.
pub fn next(
    (standing, accepted, owes): (&Standing, Timestamp, Owes),
    progress: Progress,
    moment: Moment,
    config: &config::Queue,
) -> Standing {
    let mut next = Standing { attempts: standing.attempts.saturating_add(1), owed: None, ..standing.clone() };
    match progress {
        Progress::Delivered => end(&mut next, End::Delivered, owes),
        Progress::Relayed => {
            end(&mut next, End::Delivered, owes);
            // RFC 3461 §5.2.2: whoever hands it to a server without DSN reports "relayed" in that server's place.
            next.owed = told(About::Relayed, owes);
        }
        Progress::Refused => end(&mut next, End::Bounced, owes),
        Progress::Later => {
            // Nothing was learnt of the floor: patience starts anew with the next unmet one.
            next.floor_since = None;
            wait(&mut next, moment, config);
        }
        Progress::Unanswered => {
            next.floor_since = None;
            next.unanswered = next.unanswered.saturating_add(1);
            wait_unanswered(&mut next, owes, moment, config);
        }
        Progress::FloorUnmet => {
            let since = *next.floor_since.get_or_insert(moment.now);
            if moment.now.since(since) < config.floor_patience {
                wait(&mut next, moment, config);
                // Patience is over at its minute, not at the next retry behind it.
                let limit = since.plus(config.floor_patience);
                if let JobState::Queued { method: _, due } = &mut next.state {
                    *due = limit.min(*due);
                }
            } else {
                next_method(&mut next, Case { now: moment.now, owes }, config);
            }
        }
        Progress::MethodUnusable => next_method(&mut next, Case { now: moment.now, owes }, config),
    }
    expire_or_delay(&mut next, (accepted, owes), moment.now, config);
    next
}

/// The end of a job whose time ran out, queued or held.
pub fn expire(standing: &Standing, owes: Owes) -> Standing {
    let mut next = Standing { owed: None, ..standing.clone() };
    end(&mut next, End::Expired, owes);
    next
}

/// Where a job stands when it is accepted with these methods.
pub fn first(methods: Vec<Method>, last: Last, case: Case, config: &config::Queue) -> Standing {
    let mut first = Standing {
        state: JobState::Held { cause: HoldCause::MethodsExhausted },
        methods,
        last,
        attempts: 0,
        expires: case.now.plus(config.expire),
        floor_since: None,
        delay: Delay::Untold,
        unanswered: 0,
        owed: None,
    };
    start_method(&mut first, case, config);
    first
}

/// Keeps a job that was just accepted from being tried before `at`. Its time to be tried in begins there as well.
pub fn not_before(first: &mut Standing, at: Timestamp, config: &config::Queue) {
    match first.state {
        JobState::Queued { method, due } if at > due => {
            first.state = JobState::Queued { method, due: at };
            first.expires = at.plus(config.expire);
        }
        JobState::Queued { .. } | JobState::Held { .. } | JobState::Ended { .. } => {}
    }
}

/// Holds a job: its own time starts, and somebody is told.
pub fn hold(next: &mut Standing, cause: HoldCause, case: Case, config: &config::Queue) {
    next.state = JobState::Held { cause };
    next.expires = case.now.plus(config.hold_expire);
    next.owed = told(About::Held, case.owes);
}

/// Ends a job that was accepted for a recipient whom policy refuses.
pub fn reject(next: &mut Standing, owes: Owes) {
    end(next, End::Rejected, owes);
}

/// Ends a job of a message that is only looked at.
pub fn observe(next: &mut Standing) {
    end(next, End::Observed, Owes::Nobody);
}

fn next_method(next: &mut Standing, case: Case, config: &config::Queue) {
    next.floor_since = None;
    if next.methods.len() > 1 {
        next.methods.remove(0);
        start_method(next, case, config);
    } else {
        // The last one stays: who releases the message asks for it again, and for nothing less.
        run_out(next, case, config);
    }
}

fn start_method(next: &mut Standing, case: Case, config: &config::Queue) {
    match next.methods.first() {
        Some(method) => next.state = JobState::Queued { method: *method, due: case.now },
        None => run_out(next, case, config),
    }
}

fn run_out(next: &mut Standing, case: Case, config: &config::Queue) {
    match next.last {
        Last::Hold => hold(next, HoldCause::MethodsExhausted, case, config),
        Last::Undeliverable => end(next, End::Undeliverable, case.owes),
    }
}

fn wait(next: &mut Standing, moment: Moment, config: &config::Queue) {
    let Some(method) = next.methods.first() else { return };
    next.state =
        JobState::Queued { method: *method, due: moment.now.plus(pause(next.attempts, moment.jitter, config)) };
}

/// Each try may be one more copy at the recipient, so after a few they become rare. To stop altogether would lose the message
/// where the next hop threw each of them away.
fn wait_unanswered(next: &mut Standing, owes: Owes, moment: Moment, config: &config::Queue) {
    wait(next, moment, config);
    let Some(further) = next.unanswered.checked_sub(UNANSWERED_LIMIT) else { return };
    let long = UNANSWERED_WAIT.saturating_mul(1_u32.checked_shl(further).unwrap_or(u32::MAX)).min(UNANSWERED_LONGEST);
    if let JobState::Queued { method: _, due } = &mut next.state {
        *due = (*due).max(moment.now.plus(long));
    }
    if further == 0 {
        next.owed = told(About::Unanswered, owes);
    }
}

/// The wait behind attempt number `attempts`.
fn pause(attempts: u32, jitter: u64, config: &config::Queue) -> Duration {
    let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    // RFC 5321 §4.5.4.1: at least 30 minutes in the long run; the config decides, and an empty list means its default.
    let wait = config.retry.get(step).or(config.retry.last()).copied().unwrap_or(Duration::from_secs(1_800));
    let most = u64::try_from((wait / JITTER_SHARE).as_millis()).unwrap_or(u64::MAX);
    wait + Duration::from_millis(jitter % (most.saturating_add(1)))
}

fn expire_or_delay(next: &mut Standing, (accepted, owes): (Timestamp, Owes), now: Timestamp, config: &config::Queue) {
    let JobState::Queued { method, due } = next.state else { return };
    if now >= next.expires {
        return end(next, End::Expired, owes);
    }
    // The last try is made when the time is up, not given away.
    let mut due = due.min(next.expires.minus(Duration::from_millis(1)).max(now));
    let late = accepted.plus(config.delay_notice);
    // What this attempt owes already is told now, and the delay behind the next one: a job owes one thing at a time.
    if next.delay == Delay::Untold && now >= late && next.owed.is_none() {
        next.delay = Delay::Told;
        next.owed = told(About::Delayed, owes);
    } else if next.delay == Delay::Untold && next.unanswered < UNANSWERED_LIMIT {
        // Tried at that minute, and told if in vain: not at the next retry behind it, which may be an hour later.
        due = due.min(late);
    }
    next.state = JobState::Queued { method, due };
}

fn end(next: &mut Standing, end: End, owes: Owes) {
    next.state = JobState::Ended { end };
    next.owed = match end {
        End::Bounced => told(About::Failed, owes),
        End::Expired => told(About::Expired, owes),
        End::Rejected => told(About::Rejected, owes),
        End::Undeliverable => told(About::Undeliverable, owes),
        End::Delivered | End::Opened | End::Withdrawn | End::Cancelled | End::Observed => None,
    };
}

/// RFC 5321 §6.1: no report goes to a null reverse-path. Somebody has to know all the same, and the postmaster is told;
/// a delay can wait for its end, and of success only hears who asked. So it is where NOTIFY asks for no report.
fn told(about: About, owes: Owes) -> Option<About> {
    let sender = match owes {
        Owes::Sender(notify) => hears(notify, about),
        Owes::Postmaster => false,
        Owes::Nobody => return None,
    };
    match about {
        About::Delayed | About::Relayed | About::Taken | About::Matched => Some(about).filter(|_| sender),
        About::Failed | About::Expired | About::Held | About::Unanswered | About::Rejected | About::Undeliverable => {
            Some(about)
        }
    }
}

/// Whether the sender is told of it (RFC 3461 §4.1). A hold is no word of NOTIFY: it is a delay that may become a failure.
pub fn hears(notify: Notify, about: About) -> bool {
    match about {
        About::Failed | About::Expired | About::Rejected | About::Undeliverable => notify.asks_for(Occasion::Failure),
        About::Delayed => notify.asks_for(Occasion::Delay),
        About::Relayed => notify.asks_for(Occasion::Success),
        // No word of NOTIFY either; whoever wants no report wants no receipt.
        About::Taken => notify.asks_for(Occasion::Failure) || notify.asks_for(Occasion::Success),
        // What a rule tells is for the clinic.
        About::Matched => false,
        About::Held => notify.asks_for(Occasion::Failure) || notify.asks_for(Occasion::Delay),
        // What the postmaster has to look into; to the sender it is a delay.
        About::Unanswered => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Assurance;

    const VALID: Method = Method::Tls(Assurance::Valid);
    const SENDER: Owes = Owes::Sender(Notify::Unsaid);
    const MINUTE: Duration = Duration::from_secs(60);

    fn config() -> config::Queue {
        config::Queue {
            retry: vec![MINUTE, 5 * MINUTE, 60 * MINUTE],
            expire: 5 * 24 * 60 * MINUTE,
            delay_notice: 4 * 60 * MINUTE,
            floor_patience: 15 * MINUTE,
            hold_expire: 10 * 24 * 60 * MINUTE,
            lease: 10 * MINUTE,
        }
    }

    fn at(minutes: u32) -> Timestamp {
        Timestamp::from_millis(0).plus(minutes * MINUTE)
    }

    fn fresh(methods: &[Method], last: Last, owes: Owes) -> Standing {
        first(methods.to_vec(), last, Case { now: at(0), owes }, &config())
    }

    fn step(standing: &Standing, progress: Progress, minutes: u32, owes: Owes) -> Standing {
        next((standing, at(0), owes), progress, Moment { now: at(minutes), jitter: 0 }, &config())
    }

    fn due(standing: &Standing) -> Timestamp {
        match standing.state {
            JobState::Queued { method: _, due } => due,
            JobState::Held { .. } | JobState::Ended { .. } => panic!("not queued: {standing:?}"),
        }
    }

    #[test]
    fn the_waits_follow_the_list_and_the_last_repeats() {
        let mut job = fresh(&[VALID], Last::Hold, SENDER);
        for (now, expected) in [(0, 1), (1, 6), (6, 66), (66, 126)] {
            job = step(&job, Progress::Later, now, SENDER);
            assert_eq!(due(&job), at(expected));
        }
        assert_eq!(job.attempts, 4);
    }

    #[test]
    fn a_job_waits_for_its_moment_and_has_its_whole_time_behind_it() {
        let mut job = fresh(&[VALID], Last::Hold, SENDER);
        let at_once = job.clone();
        not_before(&mut job, at(0), &config());
        assert_eq!(job, at_once, "a moment that has come is no reason to wait");
        not_before(&mut job, at(3), &config());
        assert_eq!((due(&job), job.expires), (at(3), at(3).plus(config().expire)));
        let mut held = fresh(&[], Last::Hold, SENDER);
        let before = held.clone();
        not_before(&mut held, at(3), &config());
        assert_eq!(held, before, "what is held waits for somebody, not for a moment");
    }

    #[test]
    fn a_next_hop_that_takes_and_never_answers_gets_few_copies_and_the_postmaster_is_told_once() {
        let mut job = fresh(&[VALID], Last::Hold, SENDER);
        let mut now = 0;
        let (mut waits, mut owed) = (Vec::new(), Vec::new());
        while matches!(job.state, JobState::Queued { .. }) {
            job = step(&job, Progress::Unanswered, now, SENDER);
            owed.extend(job.owed);
            let JobState::Queued { method: _, due } = job.state else { break };
            let next = u32::try_from(due.since(at(0)).as_secs().div_ceil(60)).unwrap();
            waits.push(next - now);
            now = next;
        }
        assert_eq!(waits, [1, 5, 240, 480, 960, 1440, 1440, 1440, 1194], "ten copies in five days, and not a hundred");
        assert_eq!(owed, [About::Unanswered, About::Delayed, About::Expired]);
        assert_eq!(job.state, JobState::Ended { end: End::Expired });
    }

    #[test]
    fn the_postmaster_is_told_of_copies_though_the_message_is_late_at_that_moment() {
        for (owes, then) in [(SENDER, Some(About::Delayed)), (Owes::Postmaster, None)] {
            let mut job = fresh(&[VALID], Last::Hold, owes);
            for now in [0, 1] {
                job = step(&job, Progress::Unanswered, now, owes);
            }
            job = step(&job, Progress::Unanswered, 240, owes);
            assert_eq!(job.owed, Some(About::Unanswered), "one is owed at a time, and this one is told once");
            assert_eq!(step(&job, Progress::Unanswered, 480, owes).owed, then);
        }
    }

    #[test]
    fn what_comes_between_two_unanswered_ones_does_not_make_them_fewer() {
        let mut job = fresh(&[VALID], Last::Hold, Owes::Postmaster);
        for (now, progress) in [(0, Progress::Unanswered), (1, Progress::Later), (6, Progress::Unanswered)] {
            job = step(&job, progress, now, Owes::Postmaster);
            assert_eq!(job.owed, None);
        }
        job = step(&job, Progress::Unanswered, 66, Owes::Postmaster);
        assert_eq!((due(&job), job.owed), (at(66 + 240), Some(About::Unanswered)));
        assert_eq!(
            step(&job, Progress::Delivered, 306, Owes::Postmaster).state,
            JobState::Ended { end: End::Delivered }
        );
    }

    #[test]
    fn jitter_adds_a_tenth_at_most_and_all_up_to_it() {
        let most = MINUTE / 10;
        assert_eq!(pause(1, 0, &config()), MINUTE);
        assert_eq!(pause(1, u64::try_from(most.as_millis()).unwrap(), &config()), MINUTE + most);
        for jitter in [0, 1, 6_000, 6_001, u64::MAX] {
            let wait = pause(1, jitter, &config());
            assert!(wait >= MINUTE && wait <= MINUTE + MINUTE / 10, "{wait:?}");
        }
    }

    #[test]
    fn a_floor_unmet_for_its_patience_gives_way_to_the_next_method() {
        let mut job = fresh(&[VALID, Method::Portal], Last::Hold, SENDER);
        for now in [0, 1, 6] {
            job = step(&job, Progress::FloorUnmet, now, SENDER);
            assert_eq!(job.methods[0], VALID);
        }
        assert_eq!(due(&job), at(15), "patience ends at its minute");
        job = step(&job, Progress::FloorUnmet, 15, SENDER);
        assert_eq!(job.state, JobState::Queued { method: Method::Portal, due: at(15) });
        assert_eq!(job.floor_since, None);
    }

    #[test]
    fn a_connect_failure_between_starts_the_patience_anew() {
        let job = step(&fresh(&[VALID], Last::Hold, SENDER), Progress::FloorUnmet, 0, SENDER);
        let job = step(&job, Progress::Later, 10, SENDER);
        let job = step(&job, Progress::FloorUnmet, 16, SENDER);
        assert!(matches!(job.state, JobState::Queued { .. }));
    }

    #[test]
    fn a_list_that_runs_out_holds_or_is_undeliverable_and_somebody_is_told() {
        let held = step(&fresh(&[VALID], Last::Hold, SENDER), Progress::MethodUnusable, 1, SENDER);
        assert_eq!(held.state, JobState::Held { cause: HoldCause::MethodsExhausted });
        assert_eq!((held.owed, held.expires), (Some(About::Held), at(1).plus(config().hold_expire)));
        assert_eq!(held.methods, [VALID], "a release asks for the last one again, and for nothing less");
        let lost = step(&fresh(&[VALID], Last::Undeliverable, SENDER), Progress::MethodUnusable, 1, SENDER);
        assert_eq!(lost.state, JobState::Ended { end: End::Undeliverable });
        assert_eq!(lost.owed, Some(About::Undeliverable));
        assert!(matches!(fresh(&[], Last::Hold, SENDER).state, JobState::Held { .. }));
    }

    #[test]
    fn a_refusal_bounces_and_never_tries_the_next_method() {
        let job = step(&fresh(&[VALID, Method::Portal], Last::Hold, SENDER), Progress::Refused, 1, SENDER);
        assert_eq!(job.state, JobState::Ended { end: End::Bounced });
        assert_eq!(job.owed, Some(About::Failed));
    }

    #[test]
    fn the_sender_is_told_of_a_delay_once() {
        let job = step(&fresh(&[VALID], Last::Hold, SENDER), Progress::Later, 239, SENDER);
        assert_eq!(job.owed, None);
        let job = step(&job, Progress::Later, 240, SENDER);
        assert_eq!(job.owed, Some(About::Delayed));
        let job = step(&job, Progress::Later, 300, SENDER);
        assert_eq!(job.owed, None);
    }

    #[test]
    fn the_sender_is_told_of_a_delay_at_its_minute_and_not_at_the_next_retry_behind_it() {
        let mut job = fresh(&[VALID], Last::Hold, SENDER);
        for now in [0, 1, 6, 66, 126] {
            job = step(&job, Progress::Later, now, SENDER);
        }
        let job = step(&job, Progress::Later, 200, SENDER);
        assert_eq!((due(&job), job.owed), (at(240), None));
        let job = step(&job, Progress::Later, 240, SENDER);
        assert_eq!((due(&job), job.owed), (at(300), Some(About::Delayed)));
    }

    #[test]
    fn time_that_runs_out_ends_the_job_with_a_last_try_before() {
        let expiry = 5 * 24 * 60;
        let job = step(&fresh(&[VALID], Last::Hold, SENDER), Progress::Later, expiry - 1, SENDER);
        assert!(due(&job) < at(expiry));
        let job = step(&job, Progress::Later, expiry, SENDER);
        assert_eq!(job.state, JobState::Ended { end: End::Expired });
        assert_eq!(job.owed, Some(About::Expired));
    }

    #[test]
    fn the_end_of_mail_from_a_null_sender_is_told_to_the_postmaster_and_of_a_notice_about_a_notice_to_nobody() {
        let bounce = |owes| step(&fresh(&[VALID], Last::Hold, owes), Progress::Refused, 1, owes).owed;
        let held = |owes| step(&fresh(&[VALID], Last::Hold, owes), Progress::MethodUnusable, 1, owes).owed;
        let late = |owes| step(&fresh(&[VALID], Last::Hold, owes), Progress::Later, 240, owes).owed;
        assert_eq!((bounce(Owes::Postmaster), held(Owes::Postmaster)), (Some(About::Failed), Some(About::Held)));
        assert_eq!((late(Owes::Postmaster), late(Owes::Nobody)), (None, None));
        assert_eq!((bounce(Owes::Nobody), held(Owes::Nobody)), (None, None));
    }

    #[test]
    fn a_sender_is_told_of_what_it_asked_for_and_the_postmaster_of_every_other_failure() {
        let owed = |notify: &str, progress, minutes| {
            let owes = Owes::Sender(Notify::parse(notify).unwrap_or_default());
            step(&fresh(&[VALID], Last::Hold, owes), progress, minutes, owes).owed
        };
        for notify in ["", "NEVER", "SUCCESS", "FAILURE", "DELAY"] {
            // Whom it is told to is another question: nothing is lost without a word.
            assert_eq!(owed(notify, Progress::Refused, 1), Some(About::Failed), "{notify}");
            assert_eq!(owed(notify, Progress::MethodUnusable, 1), Some(About::Held), "{notify}");
            assert_eq!(owed(notify, Progress::Delivered, 1), None, "{notify}");
        }
        for (notify, delayed, relayed) in [
            ("", true, false),
            ("NEVER", false, false),
            ("SUCCESS", false, true),
            ("FAILURE", false, false),
            ("SUCCESS,FAILURE,DELAY", true, true),
        ] {
            assert_eq!(owed(notify, Progress::Later, 240), delayed.then_some(About::Delayed), "{notify}");
            assert_eq!(owed(notify, Progress::Relayed, 1), relayed.then_some(About::Relayed), "{notify}");
        }
        assert!(!hears(Notify::Never, About::Failed) && hears(Notify::Unsaid, About::Failed));
        let relayed = step(&fresh(&[VALID], Last::Hold, SENDER), Progress::Relayed, 1, SENDER);
        assert_eq!(relayed.state, JobState::Ended { end: End::Delivered });
        for owes in [Owes::Postmaster, Owes::Nobody] {
            assert_eq!(step(&fresh(&[VALID], Last::Hold, owes), Progress::Relayed, 1, owes).owed, None);
        }
    }
}
