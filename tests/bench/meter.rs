//! What a relay costs: CPU and memory of its control group, flushes of the disk, and what strangers took meanwhile.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::stat::{major, minor};
use nix::sys::time::TimeValLike;

use crate::world::Result;

/// Ticks per second of /proc/stat; the same on every Linux that we know (USER_HZ).
const TICKS: f64 = 100.0;
const MEBIBYTE: f64 = 1_048_576.0;

/// A control group of either version, made for one relay and removed when dropped.
#[derive(Debug)]
pub struct Group {
    cpu: PathBuf,
    memory: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug)]
enum Version {
    One,
    Two,
}

impl Group {
    pub fn new(name: &str) -> Result<Group> {
        let root = Path::new("/sys/fs/cgroup");
        let own = format!("sealpost-bench-{}-{name}", std::process::id());
        let (version, cpu, memory) = if root.join("cgroup.controllers").exists() {
            (Version::Two, root.join(&own), root.join(&own))
        } else {
            (Version::One, root.join("cpuacct").join(&own), root.join("memory").join(&own))
        };
        for folder in [&cpu, &memory] {
            fs::create_dir_all(folder).map_err(|error| {
                format!("the benchmark needs root and control groups: {}: {error}", folder.display())
            })?;
        }
        Ok(Group { cpu, memory, version })
    }

    /// A command to put in front of another one, so that it and its children run in this group.
    pub fn entrance(&self) -> Vec<String> {
        let script = r#"echo $$ > "$1" && echo $$ > "$2" && shift 2 && exec "$@""#;
        let tasks = |folder: &Path| folder.join("cgroup.procs").to_string_lossy().into_owned();
        vec!["sh".into(), "-c".into(), script.into(), "sh".into(), tasks(&self.cpu), tasks(&self.memory)]
    }

    /// Whether no process is left in it.
    pub fn is_empty(&self) -> bool {
        fs::read_to_string(self.cpu.join("cgroup.procs")).is_ok_and(|tasks| tasks.trim().is_empty())
    }

    pub fn cpu_seconds(&self) -> Result<f64> {
        Ok(match self.version {
            Version::One => fs::read_to_string(self.cpu.join("cpuacct.usage"))?.trim().parse::<f64>()? / 1e9,
            Version::Two => field(&self.cpu.join("cpu.stat"), "usage_usec")? / 1e6,
        })
    }

    /// Anonymous memory; the page cache is the kernel's.
    pub fn memory_mebibytes(&self) -> Result<f64> {
        let key = match self.version {
            Version::One => "total_rss",
            Version::Two => "anon",
        };
        Ok(field(&self.memory.join("memory.stat"), key)? / MEBIBYTE)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in [&self.cpu, &self.memory] {
            // The second is gone already with version two.
            fs::remove_dir(folder).ok();
        }
    }
}

fn field(file: &Path, key: &str) -> Result<f64> {
    let text = fs::read_to_string(file)?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    Ok(value.ok_or_else(|| format!("no {key} in {}", file.display()))?.trim().parse()?)
}

/// The disk that a folder lies on.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    device: (u64, u64),
}

impl Disk {
    pub fn of(folder: &Path) -> Result<Disk> {
        let device = fs::metadata(folder)?.dev();
        let disk = Disk { device: (major(device), minor(device)) };
        disk.flushes().map(|_| disk)
    }

    /// Cache flushes so far, of everyone who uses the disk.
    pub fn flushes(self) -> Result<u64> {
        let text = fs::read_to_string("/proc/diskstats")?;
        let wanted = [self.device.0.to_string(), self.device.1.to_string()];
        let found = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|f| f[..2] == wanted);
        // Field 18 of Documentation/admin-guide/iostats.rst, counted behind the name, since Linux 5.5.
        let flushes = found.and_then(|fields| fields.get(18).map(|field| field.parse()));
        Ok(flushes.ok_or("the working folder's disk does not count its flushes; name another by TMPDIR")??)
    }
}

/// CPU seconds that the whole machine has spent.
pub fn machine_cpu() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let first = text.lines().next().ok_or("/proc/stat is empty")?;
    let ticks: std::result::Result<Vec<f64>, _> = first.split_whitespace().skip(1).take(8).map(str::parse).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let busy: f64 =
        ticks?.iter().enumerate().filter(|(index, _)| ![3, 4].contains(index)).map(|(_, ticks)| ticks).sum();
    Ok(busy / TICKS)
}

/// CPU seconds of this process.
pub fn own_cpu() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}

/// One line on where this was measured.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = value(&text("/proc/cpuinfo"), "model name");
    let memory = value(&text("/proc/meminfo"), "MemTotal");
    let system = text("/etc/os-release");
    let system =
        system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or_default().trim_matches('"');
    let kernel = text("/proc/sys/kernel/osrelease");
    format!("{cores} cores ({model}), memory {memory}, {system}, Linux {}", kernel.trim())
}

/// The file system that a folder lies on, with the options that say how it flushes.
pub fn file_system(folder: &Path) -> String {
    let mounts = text("/proc/mounts");
    let lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).filter(|fields| fields.len() >= 4);
    let over = lines.filter(|fields| folder.starts_with(fields[1]));
    let nearest = over.max_by_key(|fields| fields[1].len());
    nearest.map_or_else(|| "unknown".to_owned(), |fields| format!("{} ({})", fields[2], fields[3]))
}

/// The first line that a command prints; empty when there is no such command.
pub fn first_line(command: &str, arguments: &[&str]) -> String {
    let printed = std::process::Command::new(command).args(arguments).output();
    let printed = printed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    printed.lines().next().unwrap_or_default().trim().to_owned()
}

fn text(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn value(text: &str, key: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}
