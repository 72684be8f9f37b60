//! A folder as strace saw it written, and the disks that a power cut could leave of it.
//!
//! The model is the strictest that POSIX allows: what was written lasts from the flush of its file on, a name from the flush of
//! its folder on, and what a failed flush was to write is dropped, while readers go on seeing it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::world::Result;

/// Strings that strace writes out whole; anything longer ends in dots, and is an error.
pub(crate) const STRACE_STRING: usize = 4 * 1024 * 1024;
pub(crate) const STRACE_CALLS: &str = "trace=openat,write,writev,pwrite64,pwritev,ftruncate,fallocate,fsync,fdatasync,sync_file_range,unlink,unlinkat,rename,\
     renameat,renameat2,link,linkat,mkdir,mkdirat,rmdir";
/// A torn write ends at a multiple of this, counted from the start of the file.
const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// One thing that happened to the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A file that was not there before, or whose content was thrown away.
    Create(PathBuf),
    MakeFolder(PathBuf),
    /// Behind the end where `at` is not given.
    Write {
        path: PathBuf,
        at: Option<usize>,
        bytes: Vec<u8>,
    },
    Truncate(PathBuf, usize),
    /// What is written from here on is no part of the flush that this thread begins.
    FlushBegins(u32),
    Flush(u32, PathBuf),
    FailedFlush(u32, PathBuf),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    /// Lines written to the daemon's log.
    Log(String),
}

/// Reads what strace wrote with `-f -xx -y`: what happened in `folder`, and what went to `log`, in the order of completion.
pub(crate) fn read_steps(trace: &str, folder: &Path, log: &Path) -> Result<Vec<Step>> {
    let mut begun: HashMap<u32, &str> = HashMap::new();
    let mut steps = Vec::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { continue };
        let (by, rest) = (thread.parse()?, rest.trim_start());
        let resumed = rest.strip_prefix("<... ").and_then(|resumed| resumed.split_once(" resumed>"));
        if resumed.is_none() && (rest.starts_with("fsync") || rest.starts_with("fdatasync")) {
            steps.push(Step::FlushBegins(by));
        }
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(by, start);
            continue;
        }
        let whole = match resumed {
            Some((_, end)) => format!("{}{end}", begun.remove(&by).unwrap_or_default()),
            None => rest.to_owned(),
        };
        if let Some(call) = Call::parse(by, &whole) {
            steps.extend(call.step(folder, log)?);
        }
    }
    Ok(steps)
}

struct Call<'t> {
    by: u32,
    name: &'t str,
    arguments: Vec<&'t str>,
    result: i64,
}

impl<'t> Call<'t> {
    fn parse(by: u32, line: &'t str) -> Option<Call<'t>> {
        let (call, result) = line.rsplit_once(" = ")?;
        let digits = |letter: char| !letter.is_ascii_digit() && letter != '-';
        let result = result.split(digits).next()?.parse().ok()?;
        let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
        Some(Call { by, name, arguments: arguments.split(", ").collect(), result })
    }

    fn step(&self, folder: &Path, log: &Path) -> Result<Option<Step>> {
        let argument = |index: usize| self.arguments.get(index).copied().unwrap_or_default();
        let first = path(argument(0));
        let here = |path: &Path| path.starts_with(folder) && !path.to_string_lossy().ends_with("-shm");
        if self.name == "write" && first == log {
            return Ok(Some(Step::Log(String::from_utf8_lossy(&content(argument(1))?).into_owned())));
        }
        let step = match self.name {
            "openat" if here(&path(argument(1))) && self.result >= 0 => {
                let flags = argument(2);
                (flags.contains("O_CREAT") || flags.contains("O_TRUNC")).then(|| Step::Create(path(argument(1))))
            }
            _ if !here(&first) => None,
            "fsync" | "fdatasync" if self.result == 0 => Some(Step::Flush(self.by, first)),
            "fsync" | "fdatasync" => Some(Step::FailedFlush(self.by, first)),
            _ if self.result < 0 => None,
            "write" | "pwrite64" => {
                let at = if self.name == "write" { None } else { Some(argument(3).parse()?) };
                let mut bytes = content(argument(1))?;
                bytes.truncate(usize::try_from(self.result)?);
                Some(Step::Write { path: first, at, bytes })
            }
            "ftruncate" => Some(Step::Truncate(first, argument(1).parse()?)),
            "unlink" => Some(Step::Remove(first)),
            "rename" => Some(Step::Rename(first, path(argument(1)))),
            "mkdir" => Some(Step::MakeFolder(first)),
            "openat" => None,
            other => return Err(format!("{other} is not part of the model of a disk").into()),
        };
        Ok(step)
    }
}

/// The path of `"…"`, or of a descriptor such as `7</…>`.
fn path(argument: &str) -> PathBuf {
    let start = argument.find(['"', '<']).map_or(0, |at| at + 1);
    let end = argument.rfind(['"', '>']).unwrap_or(argument.len()).max(start);
    PathBuf::from(String::from_utf8_lossy(&unescaped(&argument[start..end])).into_owned())
}

fn content(argument: &str) -> Result<Vec<u8>> {
    let inner = argument.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.map(unescaped).ok_or_else(|| "strace has cut a string".into())
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let code = rest.strip_prefix("\\x").and_then(|code| code.get(..2));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[4..];
            }
            None => {
                bytes.extend(letter.to_string().into_bytes());
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    bytes
}

/// What is lost of all that was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    /// Names and content.
    All,
    /// All content; the names were written.
    Content,
    /// Every second write, from the first or from the second on.
    EverySecond {
        first: usize,
    },
    /// The last write of each file reached the disk in part.
    Torn,
}

impl Loss {
    pub(crate) const ALL: [Loss; 6] = [
        Loss::Nothing,
        Loss::All,
        Loss::Content,
        Loss::EverySecond { first: 0 },
        Loss::EverySecond { first: 1 },
        Loss::Torn,
    ];
}

#[derive(Clone, Debug)]
enum Name {
    Folder,
    File(usize),
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Debug, Default)]
struct File {
    seen: Vec<u8>,
    flushed: Vec<u8>,
    /// Each with the number of its step.
    waiting: Vec<(usize, Change)>,
}

/// The folder as programs see it, and as the disk holds it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    files: Vec<File>,
    names: BTreeMap<PathBuf, Name>,
    flushed_names: BTreeMap<PathBuf, Name>,
    /// How many steps there were.
    steps: usize,
    /// The flushes under way: the step and the names at which each began.
    flushes: HashMap<u32, (usize, BTreeMap<PathBuf, Name>)>,
}

/// Folders, and files with their content, by their paths.
pub(crate) type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl Disk {
    pub(crate) fn apply(&mut self, step: &Step) {
        self.steps += 1;
        let now = self.steps;
        match step {
            Step::Log(_) => {}
            Step::FlushBegins(by) => drop(self.flushes.insert(*by, (now, self.names.clone()))),
            Step::Create(path) => {
                if !self.names.contains_key(path) {
                    self.files.push(File::default());
                    self.names.insert(path.clone(), Name::File(self.files.len() - 1));
                }
            }
            Step::MakeFolder(path) => drop(self.names.insert(path.clone(), Name::Folder)),
            Step::Write { path, at, bytes } => {
                if let Some(file) = self.file(path) {
                    let at = at.unwrap_or(file.seen.len());
                    file.change(now, Change::Write(at, bytes.clone()));
                }
            }
            Step::Truncate(path, length) => {
                if let Some(file) = self.file(path) {
                    file.change(now, Change::Truncate(*length));
                }
            }
            Step::Flush(by, path) => {
                let Some((began, names)) = self.flushes.remove(by) else { return };
                match self.file(path) {
                    Some(file) => file.flush(began),
                    None => self.flush_names(path, &names),
                }
            }
            Step::FailedFlush(by, path) => {
                let Some((began, _)) = self.flushes.remove(by) else { return };
                if let Some(file) = self.file(path) {
                    file.waiting.retain(|(number, _)| *number > began);
                }
            }
            Step::Remove(path) => drop(self.names.remove(path)),
            Step::Rename(from, to) => {
                if let Some(name) = self.names.remove(from) {
                    self.names.insert(to.clone(), name);
                }
            }
        }
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        match self.names.get(path) {
            Some(Name::File(number)) => self.files.get_mut(*number),
            Some(Name::Folder) | None => None,
        }
    }

    fn flush_names(&mut self, folder: &Path, then: &BTreeMap<PathBuf, Name>) {
        let inside = |path: &PathBuf| path.parent() == Some(folder);
        self.flushed_names.retain(|path, _| !inside(path));
        let flushed = then.iter().filter(|(path, _)| inside(path)).map(|(path, name)| (path.clone(), name.clone()));
        self.flushed_names.extend(flushed);
    }

    /// The disk after a power cut at this moment.
    pub(crate) fn cut(&self, loss: Loss) -> Image {
        let names = if loss == Loss::All { &self.flushed_names } else { &self.names };
        let mut image = Image::new();
        for (path, name) in names {
            // A name in a folder that is not there cannot be reached. The outermost folder stands in neither map.
            let folder = path.parent().map(Path::to_owned).unwrap_or_default();
            let known = self.names.contains_key(&folder) || self.flushed_names.contains_key(&folder);
            if known && !image.contains_key(&folder) {
                continue;
            }
            let content = match name {
                Name::Folder => None,
                Name::File(number) => Some(self.files[*number].cut(loss)),
            };
            image.insert(path.clone(), content);
        }
        image
    }

    /// Takes over a folder that nobody writes to: all of it counts as flushed.
    pub(crate) fn of(folder: &Path) -> Result<Disk> {
        let mut disk = Disk::default();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path.clone());
                    disk.names.insert(path, Name::Folder);
                } else if path.is_file() && !path.to_string_lossy().ends_with("-shm") {
                    let content = std::fs::read(&path)?;
                    disk.files.push(File { seen: content.clone(), flushed: content, waiting: Vec::new() });
                    disk.names.insert(path, Name::File(disk.files.len() - 1));
                }
            }
        }
        disk.flushed_names = disk.names.clone();
        Ok(disk)
    }
}

impl File {
    fn change(&mut self, number: usize, change: Change) {
        change.make(&mut self.seen);
        self.waiting.push((number, change));
    }

    fn flush(&mut self, began: usize) {
        for (number, change) in std::mem::take(&mut self.waiting) {
            if number < began {
                change.make(&mut self.flushed);
            } else {
                self.waiting.push((number, change));
            }
        }
    }

    fn cut(&self, loss: Loss) -> Vec<u8> {
        let mut content = self.flushed.clone();
        for (number, (_, change)) in self.waiting.iter().enumerate() {
            match loss {
                Loss::Nothing => change.make(&mut content),
                Loss::All | Loss::Content => {}
                Loss::EverySecond { first } => {
                    if number % 2 == first {
                        change.make(&mut content);
                    }
                }
                Loss::Torn if number + 1 < self.waiting.len() => change.make(&mut content),
                Loss::Torn => change.torn().make(&mut content),
            }
        }
        content
    }
}

impl Change {
    fn make(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
            Change::Truncate(length) => content.resize(*length, 0),
        }
    }

    /// What a cut in the middle of it leaves: up to the first page that it crosses into, else up to half of its sectors.
    fn torn(&self) -> Change {
        match self {
            Change::Truncate(length) => Change::Truncate(*length),
            Change::Write(at, bytes) => {
                let to_page = PAGE - at % PAGE;
                let keep = if to_page < bytes.len() { to_page } else { bytes.len() / 2 / SECTOR * SECTOR };
                Change::Write(*at, bytes[..keep].to_vec())
            }
        }
    }
}

/// Lays an image out under another folder.
pub(crate) fn lay_out(image: &Image, from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for (path, content) in image {
        let target = to.join(path.strip_prefix(from)?);
        match content {
            None => std::fs::create_dir(target)?,
            Some(bytes) => std::fs::write(target, bytes)?,
        }
    }
    Ok(())
}

#[test]
fn a_disk_keeps_what_was_flushed_and_forgets_what_a_flush_lost() {
    let path = |name: &str| PathBuf::from("/d").join(name);
    let write = |at, bytes: &[u8]| Step::Write { path: path("a"), at: Some(at), bytes: bytes.to_vec() };
    let mut disk = Disk::default();
    let flush = |path: PathBuf| [Step::FlushBegins(1), Step::Flush(1, path)];
    for step in [Step::Create(path("a")), write(0, b"one")].iter().chain(&flush(path("a"))) {
        disk.apply(step);
    }
    assert!(disk.cut(Loss::All).is_empty(), "the folder was not flushed");
    flush("/d".into()).iter().for_each(|step| disk.apply(step));
    disk.apply(&write(3, b"two"));
    disk.apply(&write(6, b"six"));
    let content = |disk: &Disk, loss| disk.cut(loss)[&path("a")].clone().unwrap();
    assert_eq!(content(&disk, Loss::Nothing), b"onetwosix");
    assert_eq!(content(&disk, Loss::All), b"one");
    assert_eq!(content(&disk, Loss::EverySecond { first: 0 }), b"onetwo");
    assert_eq!(content(&disk, Loss::EverySecond { first: 1 }), b"one\0\0\0six");
    for step in [Step::FlushBegins(1), Step::FailedFlush(1, path("a")), write(9, b"end")] {
        disk.apply(&step);
    }
    // What is written while a flush is under way is no part of it.
    for step in [Step::FlushBegins(1), write(12, b"late"), Step::Flush(1, path("a"))] {
        disk.apply(&step);
    }
    assert_eq!(content(&disk, Loss::Nothing), b"one\0\0\0\0\0\0endlate");
    assert_eq!(content(&disk, Loss::All), b"one\0\0\0\0\0\0end");
    assert_eq!(disk.files[0].seen, b"onetwosixendlate");
}

#[test]
fn a_trace_is_read_in_the_order_of_completion() {
    let trace = concat!(
        "7  openat(AT_FDCWD</>, \"\\x2f\\x64\\x2f\\x61\", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 9<\\x2f\\x64\\x2f\\x61>\n",
        "7  fsync(9<\\x2f\\x64\\x2f\\x61> <unfinished ...>\n",
        "8  pwrite64(9<\\x2f\\x64\\x2f\\x61>, \"\\x6f\\x6e\", 2, 4096) = 2\n",
        "7  <... fsync resumed>)              = 0\n",
        "7  write(2<\\x2f\\x6c>, \"\\x68\\x69\", 2) = 2\n",
        "7  write(4<\\x2f\\x65>, \"\\x01\", 1) = 1\n",
        "7  fsync(9<\\x2f\\x64\\x2f\\x61>) = -1 EIO (Input/output error) (INJECTED)\n",
    );
    let a = PathBuf::from("/d/a");
    let expected = [
        Step::Create(a.clone()),
        Step::FlushBegins(7),
        Step::Write { path: a.clone(), at: Some(4096), bytes: b"on".to_vec() },
        Step::Flush(7, a.clone()),
        Step::Log("hi".into()),
        Step::FlushBegins(7),
        Step::FailedFlush(7, a),
    ];
    assert_eq!(read_steps(trace, Path::new("/d"), Path::new("/l")).unwrap(), expected);
}
