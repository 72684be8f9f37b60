//! What the child gives up before it reads the first octet: files, network, other programs, and more than its share.

use std::collections::BTreeMap;
use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, Scope};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// What reading and writing two pipes and asking for memory takes. Whatever is not named here is refused.
const CALLS: &[i64] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What one child may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Address space; a reader that asks for more ends.
    pub memory_bytes: u64,
    pub cpu_seconds: u64,
}

/// Gives everything up. A child that cannot must not read anything.
pub(super) fn enter(share: Share) -> io::Result<()> {
    // What is in memory here stays here: no core file, no other process that looks in.
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    landlock().map_err(io::Error::other)?;
    for (resource, most) in [
        (Resource::RLIMIT_AS, share.memory_bytes),
        (Resource::RLIMIT_CPU, share.cpu_seconds),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_NOFILE, 0),
    ] {
        setrlimit(resource, most, most)?;
    }
    seccomp().map_err(io::Error::other)
}

/// No file, no TCP port, no signal to others. A kernel that has less of it enforces what it has: the calls that would open
/// anything are refused by `seccomp` as well.
fn landlock() -> Result<(), RulesetError> {
    let newest = ABI::V6;
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(newest))?
        .handle_access(AccessNet::from_all(newest))?
        .scope(Scope::from_all(newest))?;
    rules.create()?.restrict_self()?;
    Ok(())
}

/// A call that is not listed fails, as it would without the permission.
fn seccomp() -> Result<(), seccompiler::Error> {
    let allowed: BTreeMap<i64, _> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(allowed, refused, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
}
