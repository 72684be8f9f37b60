//! Looks from time to time at what will stop mail one day: certificates that end, a disk that fills, keys that others
//! can read, and hears what delivery found amiss at next hops. What fails is logged when it begins to, and stands in the
//! postmaster's daily report.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::config::{Certificate, Config, Listener};
use crate::daemon::parts::free_bytes;
use crate::delivery::{Courier, Trouble};
use crate::keyring::certificate::{self, Validity};
use crate::mail::Quarantine;
use crate::notice::FailedCheck;

/// Renewals take people, and people take days.
pub const RENEW_BEFORE: Duration = Duration::from_hours(24 * 21);
/// How long before its end a legacy listener is told of.
pub const WARN_OF_END: Duration = Duration::from_hours(24 * 14);
const EVERY: Duration = Duration::from_hours(1);

/// Looks at once, every hour, and when a new config comes into force.
pub(super) async fn run(
    mut couriers: watch::Receiver<Arc<Courier>>,
    clock: Arc<dyn Clock>,
    failed: watch::Sender<Vec<FailedCheck>>,
    until: CancellationToken,
) {
    loop {
        let courier = Arc::clone(&couriers.borrow_and_update());
        let (config, now) = (Arc::clone(courier.config()), clock.now());
        match tokio::task::spawn_blocking(move || failing(&config, now)).await {
            Ok(mut found) => {
                let troubles = courier.troubles().list().into_iter();
                found.extend(troubles.map(|Trouble { name, advice }| FailedCheck { name, advice }));
                tell(&found, &failed);
            }
            Err(error) => tracing::error!(checks.panicked = error.is_panic(), "the self-checks ended badly"),
        }
        tokio::select! {
            () = until.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
            () = courier.troubles().changed() => {}
            // Without couriers there is no daemon either, and the token says so.
            Ok(()) = couriers.changed() => {}
        }
    }
}

fn tell(found: &[FailedCheck], failed: &watch::Sender<Vec<FailedCheck>>) {
    metrics::gauge!("sealpost_failed_checks").set(f64::from(u32::try_from(found.len()).unwrap_or(u32::MAX)));
    let before = failed.send_replace(found.to_vec());
    for FailedCheck { name, advice } in found.iter().filter(|check| !before.contains(check)) {
        tracing::warn!(check.name = name, "a self-check fails: {advice}");
    }
    for FailedCheck { name, .. } in before.iter().filter(|check| !found.contains(check)) {
        tracing::info!(check.name = name, "a self-check is in order again, or fails for another reason");
    }
}

/// Cheap checks only: the config's own files, and no network.
fn failing(config: &Config, now: Timestamp) -> Vec<FailedCheck> {
    let mut found = Vec::new();
    for given in &config.tls.certificates {
        found.extend(certificate(given, "senders", now));
        found.extend(open_to_others("certificate's key", &given.key));
    }
    found.extend(open_to_others("master key", &config.server.master_key));
    for given in config.routes.iter().filter_map(|route| route.client_certificate.as_ref()) {
        found.extend(certificate(given, "next hops", now));
        found.extend(open_to_others("client certificate's key", &given.key));
    }
    found.extend(disk(config));
    found.extend(config.listeners.iter().filter_map(|listener| legacy(listener, now)));
    found
}

fn certificate(given: &Certificate, whom: &str, now: Timestamp) -> Option<FailedCheck> {
    let shown = given.chain.display();
    let check = |advice: String| Some(FailedCheck { name: format!("certificate {shown}"), advice });
    let read = fs::read(&given.chain).map_err(|error| error.to_string());
    let chain = match read.and_then(|bytes| certificate::read(&bytes).map_err(|error| error.to_string())) {
        Ok(chain) => chain,
        Err(error) => return check(format!("{error}: put it back, or the next restart fails")),
    };
    match chain.validity(now) {
        Validity::Expired => check(format!("it ended at {}: renew it, {whom} refuse it", chain.not_after)),
        Validity::NotYet => check(format!("it begins at {}: set the clock, or use another one", chain.not_before)),
        Validity::Now if chain.not_after < now.plus(RENEW_BEFORE) => {
            check(format!("it ends at {}: renew it now, afterwards {whom} refuse it", chain.not_after))
        }
        Validity::Now => None,
    }
}

/// A file that is not there is somebody else's to tell of: the master key may be a credential.
fn open_to_others(what: &str, path: &Path) -> Option<FailedCheck> {
    let mode = fs::metadata(path).ok()?.mode() & 0o777;
    let shown = path.display();
    (mode & 0o077 != 0).then(|| FailedCheck {
        name: format!("{what} {shown}"),
        advice: format!("others on this machine can read it (mode {mode:03o}): chmod 600 {shown}, and replace it"),
    })
}

/// Long enough before a device is shut out for somebody to replace it, or to write another day and a reason.
fn legacy(listener: &Listener, now: Timestamp) -> Option<FailedCheck> {
    let Quarantine { owner, until } = &listener.legacy()?.quarantine;
    let ends = listener.legacy()?.quarantine.ends();
    let (day, bind) = (until.date(), listener.bind);
    let advice = if now >= ends {
        format!(
            "its last day was {day}, and it refuses everything: take it out, or have {owner} answer for another day"
        )
    } else if now.plus(WARN_OF_END) >= ends {
        format!("its last day is {day}: give its devices TLS, or have {owner} answer for another day")
    } else {
        return None;
    };
    Some(FailedCheck { name: format!("legacy listener {bind}"), advice })
}

fn disk(config: &Config) -> Option<FailedCheck> {
    let reserve = config.limits.disk_reserve_bytes;
    let free = free_bytes(&config.server.data_dir)?;
    (free < reserve).then(|| FailedCheck {
        name: "free disk".to_owned(),
        advice: format!(
            "{} MiB are free, and {} MiB are kept back: make room, new mail is answered 4xx",
            free >> 20,
            reserve >> 20
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::{Door, Legacy};
    use crate::keyring::authority::Authority;

    const NOW: Timestamp = Timestamp::from_millis(1_795_493_220_000);

    fn set_up() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create("relay.clinic.example", NOW).unwrap();
        let leaf = authority.issue(&["relay.clinic.example".to_owned()], NOW).unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("chain.pem", &leaf.chain);
        write("key.pem", &leaf.key);
        write("master.key", "secret");
        let text = "[server]\nhostname = \"relay.clinic.example\"\ndata_dir = \".\"\n[notify]\n\
                    postmaster = \"it@clinic.example\"\n[[tls.certificate]]\nchain = \"chain.pem\"\nkey = \"key.pem\"\n\
                    [[listener]]\nrole = \"submission\"\nbind = \"127.0.0.1:2587\"\n\
                    [limits]\ndisk_reserve_bytes = \"1KiB\"\n";
        let config = crate::config::parse(text).unwrap().resolve(folder.path());
        (folder, config)
    }

    fn names(config: &Config, now: Timestamp) -> Vec<String> {
        failing(config, now).into_iter().map(|check| check.name).collect()
    }

    #[test]
    fn a_set_up_that_is_in_order_fails_nothing() {
        let (_folder, config) = set_up();
        assert_eq!(failing(&config, NOW), []);
    }

    #[test]
    fn a_certificate_that_ends_within_three_weeks_is_told_before_and_after() {
        let (_folder, config) = set_up();
        let certificate = fs::read(&config.tls.certificates[0].chain).unwrap();
        let end = certificate::read(&certificate).unwrap().not_after;
        let day = Duration::from_hours(24);
        assert_eq!(names(&config, end.minus(22 * day)), [""; 0]);
        for (now, words) in [(end.minus(20 * day), "renew it now"), (end.plus(day), "it ended")] {
            let found = failing(&config, now);
            assert!(found.len() == 1 && found[0].advice.contains(words), "{found:?}");
        }
        fs::remove_file(&config.tls.certificates[0].chain).unwrap();
        assert_eq!(failing(&config, NOW).len(), 1);
    }

    #[test]
    fn a_legacy_listener_is_told_of_two_weeks_before_its_last_day_and_behind_it() {
        let (_folder, mut config) = set_up();
        let until = Timestamp::parse_date("2027-03-31").unwrap();
        let legacy = Legacy {
            networks: vec!["10.20.0.7/32".parse().unwrap()],
            reason: "old scanner".into(),
            quarantine: Quarantine { owner: "it@clinic.example".into(), until },
        };
        config.listeners.push(Listener::new(Door::Legacy(legacy), "127.0.0.1:2525".parse().unwrap()));
        let day = Duration::from_hours(24);
        let told = |now| failing(&config, now).into_iter().find(|check| check.name == "legacy listener 127.0.0.1:2525");
        assert!(told(until.minus(14 * day)).is_none());
        for (now, words) in
            [(until.minus(13 * day), "its last day is 2027-03-31"), (until.plus(day), "refuses everything")]
        {
            let advice = told(now).unwrap().advice;
            assert!(advice.contains(words) && advice.contains("it@clinic.example"), "{advice}");
        }
    }

    #[test]
    fn keys_that_others_can_read_and_a_full_disk_are_told() {
        let (folder, mut config) = set_up();
        for name in ["master.key", "key.pem"] {
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o640)).unwrap();
        }
        config.limits.disk_reserve_bytes = u64::MAX;
        let found = names(&config, NOW);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("certificate's key") && found[1].starts_with("master key"), "{found:?}");
        assert_eq!(found[2], "free disk");
    }

    #[test]
    fn the_report_hears_of_what_fails_now_and_no_longer_of_what_did() {
        let (failed, checks) = watch::channel(Vec::new());
        let check = FailedCheck { name: "free disk".into(), advice: "make room".into() };
        tell(std::slice::from_ref(&check), &failed);
        assert_eq!(*checks.borrow(), [check]);
        tell(&[], &failed);
        assert_eq!(*checks.borrow(), []);
    }
}
