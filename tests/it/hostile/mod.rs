//! Peers that mean harm, against the whole daemon: they get a reply or an end, it keeps its memory, and the log stays ours.

#![cfg(test)]

mod bombs;
mod floods;
mod log_lines;
mod strangers;

use crate::clinic::Clinic;

/// Mebibytes by which the daemon's memory may have grown at its highest. What one message costs while it is read is the most
/// of it.
const MOST_GROWTH: u64 = 256;

/// The daemon's memory, watched from here on.
struct Memory<'a> {
    clinic: &'a Clinic,
    before: u64,
}

impl Memory<'_> {
    fn watch(clinic: &Clinic) -> Memory<'_> {
        let before = kib(clinic, "VmRSS:");
        Memory { clinic, before }
    }

    /// The highest that it ever was, in mebibytes above what it was.
    fn growth(&self) -> u64 {
        kib(self.clinic, "VmHWM:").saturating_sub(self.before) / 1024
    }

    fn check(&self, what: &str) {
        let growth = self.growth();
        assert!(growth < MOST_GROWTH, "{what}: {growth} MiB more");
    }
}

fn kib(clinic: &Clinic, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", clinic.daemon.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
