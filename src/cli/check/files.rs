//! What lies on this machine: the config, the keys, the certificates, the data directory and its disk.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::check::reach::{Serving, is_serving};
use crate::cli::check::{Finding, Subject};
use crate::config::{Certificate, Config};
use crate::daemon::RENEW_BEFORE;
use crate::keyring::KeyringError;
use crate::keyring::certificate::{self, KeyMatch, Signed, Validity};
use crate::keyring::master::{self, Source};
use crate::keyring::password;

pub(super) fn config(subject: &Subject<'_>) -> Vec<Finding> {
    let what = format!("config {}", subject.file.display());
    match fs::metadata(subject.file) {
        Ok(about) if about.mode() & 0o007 != 0 => vec![Finding::warn(
            what,
            "everybody on this machine can read or write it",
            format!("it holds password hashes: chmod 600 {}", subject.file.display()),
        )],
        Ok(_) => vec![Finding::ok(what, "no mistakes")],
        // It was read to get here, so this says nothing of the config.
        Err(_) => Vec::new(),
    }
}

pub(super) fn certificates(subject: &Subject<'_>) -> Vec<Finding> {
    subject.config.tls.certificates.iter().map(|given| certificate(subject, given)).collect()
}

/// The first thing that is wrong with a certificate, or how long it is good.
fn certificate(subject: &Subject<'_>, given: &Certificate) -> Finding {
    let what = format!("certificate {}", given.chain.display());
    let chain = match sound(subject, given, &what) {
        Ok(chain) => chain,
        Err(finding) => return finding,
    };
    if !chain.covers(&subject.config.server.hostname) {
        let found = format!("it is for {}, not for the host name", chain.names.join(", "));
        return Finding::fail(what, found, "get one for the host name, or set server.hostname to a name that it has");
    }
    let found = format!("good until {}", chain.not_after);
    match chain.signed {
        Signed::NotByNext => {
            let found = "the second certificate in the file did not sign the first";
            Finding::fail(what, found, "write the certificate first, then its intermediates, each below what it signed")
        }
        Signed::BySelf => Finding::warn(
            what,
            format!("{found}, and signed by itself"),
            "have every sender trust this very certificate",
        ),
        Signed::ByNext | Signed::ByOther if chain.not_after < subject.now.plus(RENEW_BEFORE) => {
            Finding::warn(what, found, "renew it now; afterwards senders refuse it")
        }
        Signed::ByNext | Signed::ByOther => Finding::ok(what, found),
    }
}

/// A certificate that can be read, with the key that belongs to it, on a day on which it is good.
fn sound(subject: &Subject<'_>, given: &Certificate, what: &str) -> Result<certificate::Certificate, Finding> {
    let read = fs::read(&given.chain).map_err(|error| format!("cannot read it: {error}"));
    let chain = match read.and_then(|bytes| certificate::read(&bytes).map_err(|error| error.to_string())) {
        Ok(chain) => chain,
        Err(found) => {
            return Err(Finding::fail(what, found, "put the certificate there in PEM, its intermediates behind it"));
        }
    };
    let key = given.key.display();
    let matched = fs::read(&given.key).map_err(|error| format!("cannot read its key {key}: {error}"));
    match matched.and_then(|bytes| chain.key_match(&bytes).map_err(|error| error.to_string())) {
        Ok(KeyMatch::Matches) => {}
        Ok(KeyMatch::Differs) => {
            let found = format!("{key} is the key of another one");
            return Err(Finding::fail(what, found, "put the two together that are one"));
        }
        Err(found) => return Err(Finding::fail(what, found, format!("put its private key into {key}, in PEM"))),
    }
    if fs::metadata(&given.key).is_ok_and(|about| about.mode() & 0o077 != 0) {
        let found = format!("its key {key} can be read by others");
        let advice = format!("chmod 600 {key}; if others use this machine, get a new one");
        return Err(Finding::fail(what, found, advice));
    }
    match chain.validity(subject.now) {
        Validity::Expired => {
            let found = format!("it ended at {}", chain.not_after);
            Err(Finding::fail(what, found, "renew it: it is refused"))
        }
        Validity::NotYet => {
            let found = format!("it begins at {}", chain.not_before);
            Err(Finding::fail(what, found, "set the clock, or use the certificate that is good now"))
        }
        Validity::Now => Ok(chain),
    }
}

/// What we prove ourselves with to smarthosts.
pub(super) fn proofs(subject: &Subject<'_>) -> Vec<Finding> {
    let routes = &subject.config.routes;
    let certificates = routes.iter().filter_map(|route| route.client_certificate.as_ref());
    let shown = certificates.map(|given| client_certificate(subject, given));
    let logins = routes.iter().filter_map(|route| Some((route, route.login.as_ref()?)));
    shown.chain(logins.map(|(route, login)| password(subject, &route.host, &login.password_file))).collect()
}

fn client_certificate(subject: &Subject<'_>, given: &Certificate) -> Finding {
    let what = format!("client certificate {}", given.chain.display());
    let chain = match sound(subject, given, &what) {
        Ok(chain) => chain,
        Err(finding) => return finding,
    };
    let found = format!("good until {}", chain.not_after);
    if chain.not_after < subject.now.plus(RENEW_BEFORE) {
        return Finding::warn(what, found, "renew it now; afterwards the next hop refuses it");
    }
    Finding::ok(what, found)
}

/// Where systemd lays credentials while the service runs.
const CREDENTIALS: &str = "/run/credentials";

fn password(subject: &Subject<'_>, host: &str, file: &Path) -> Finding {
    let what = format!("password for {host}");
    let given_to_service = file.starts_with(CREDENTIALS) && subject.keys.credentials.is_none();
    match password::read(subject.keys, file) {
        Ok(_) => Finding::ok(what, format!("{} can be read, and by nobody else", file.display())),
        Err(_) if given_to_service => {
            Finding::warn(what, "a credential of the service, which only it can read", "see its log when it starts")
        }
        Err(error) => Finding::fail(
            what,
            error.to_string(),
            "write the password alone into the file, readable by Sealpost only: it does not start without it",
        ),
    }
}

pub(super) fn master_key(subject: &Subject<'_>) -> Finding {
    let server = &subject.config.server;
    let file = match master::load(subject.keys, &server.master_key) {
        Ok((_, Source::Credential(_))) => return Finding::ok("master key", "a systemd credential"),
        Ok((_, Source::Environment)) => {
            return Finding::warn(
                "master key",
                "it stands in the environment, where whatever this user runs can read it",
                "give it as a systemd credential, sealpost.master",
            );
        }
        Ok((_, Source::File(file))) => file,
        Err(KeyringError::NoMasterKey(_)) if is_serving(&server.data_dir) == Serving::Yes => {
            return Finding::ok("master key", "the running Sealpost was given it, and no file here has it");
        }
        Err(error) => {
            let advice = "put it back, or make it again from the recovery code and recovery.wrap; without it, nothing \
                          that is kept can be read. Where the service is given it as a credential, start the service";
            return Finding::fail("master key", error.to_string(), advice);
        }
    };
    let disk = |path: &Path| fs::metadata(path).map(|about| about.dev()).ok();
    match (disk(&file), disk(&server.data_dir)) {
        (Some(key), Some(data)) if key != data => Finding::ok("master key", "a file on another disk than the data"),
        _ => Finding::warn(
            "master key",
            format!("{} lies on the same disk as what it seals", file.display()),
            "a stolen disk would then be notifiable (45 CFR 164.402): give the key as a systemd credential bound to \
             the machine's TPM, or encrypt the disk",
        ),
    }
}

pub(super) fn data_dir(config: &Config) -> Vec<Finding> {
    let folder = &config.server.data_dir;
    let shown = folder.display();
    let about = match fs::metadata(folder) {
        Ok(about) if about.is_dir() => about,
        Ok(_) => return vec![Finding::fail("data directory", format!("{shown} is not a folder"), "remove it")],
        Err(error) => {
            let advice = format!("install -d -m 700 -o sealpost -g sealpost {shown}");
            return vec![Finding::fail("data directory", format!("{shown}: {error}"), advice)];
        }
    };
    vec![belongs(folder, &about), free_disk(config)]
}

fn belongs(folder: &Path, about: &Metadata) -> Finding {
    let shown = folder.display();
    let us = nix::unistd::geteuid().as_raw();
    if us == 0 && about.uid() != us {
        return Finding::ok(
            "data directory",
            format!("{shown} belongs to user {}, who must be the one that serves", about.uid()),
        );
    }
    if about.uid() != us {
        return Finding::warn(
            "data directory",
            format!("{shown} belongs to user {}, and this check runs as user {us}", about.uid()),
            "run it as the user that serves, as in: sudo -u sealpost sealpost check",
        );
    }
    // Permissions do not tell of a read-only mount; this does.
    if let Err(error) = try_writing(folder) {
        return Finding::fail(
            "data directory",
            format!("{shown}: {error}"),
            "make it writable: nothing can be accepted",
        );
    }
    if about.mode() & 0o077 != 0 {
        let found = format!("{shown} is open to others (mode {:03o})", about.mode() & 0o777);
        return Finding::warn("data directory", found, format!("chmod 700 {shown}"));
    }
    Finding::ok("data directory", format!("{shown} is ours and writable"))
}

fn try_writing(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!("check.{}", std::process::id()));
    fs::File::create_new(&path)?;
    fs::remove_file(&path)
}

fn free_disk(config: &Config) -> Finding {
    let reserve = config.limits.disk_reserve_bytes;
    let free = match nix::sys::statvfs::statvfs(&config.server.data_dir) {
        Ok(disk) => disk.blocks_available().saturating_mul(disk.fragment_size()),
        Err(error) => return Finding::fail("free disk", error.desc(), "see why the disk does not say what is free"),
    };
    let found = format!("{} MiB, of which {} MiB are kept back", free >> 20, reserve >> 20);
    if free < reserve {
        return Finding::fail("free disk", found, "new mail is answered 4xx: make room, or a larger disk");
    }
    if free < reserve.saturating_mul(4) {
        return Finding::warn("free disk", found, "make room before new mail is answered 4xx");
    }
    Finding::ok("free disk", found)
}
