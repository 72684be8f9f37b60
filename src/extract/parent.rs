//! The parent's side: one fresh child for each message, fed file by file, and ended when its time is over.

use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::extract::format::{Format, is_picture};
use crate::extract::frame::{self, Ask};
use crate::extract::{Budget, Share};
use crate::mime::{Content, File, Origin, Part, Tree, Unreadable};
use crate::phi::Phi;

/// Our own program. It stays this one when an update replaces the file.
const OURSELVES: &str = "/proc/self/exe";

/// What the attachments of one message may cost.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    pub budget: Budget,
    pub time: Duration,
    pub memory_bytes: u64,
}

/// Reads attachments in children. A child reads one message and ends, so that nothing of one patient's is there when the
/// next one's is read; a fresh one waits meanwhile, so that nobody waits for its start.
#[derive(Debug)]
pub struct Readers {
    program: PathBuf,
    spare: Mutex<Option<(Share, Worker)>>,
}

impl Default for Readers {
    fn default() -> Readers {
        Readers::of(OURSELVES.into())
    }
}

impl Readers {
    /// With another program than the one that runs, which must know `extract`.
    pub fn of(program: PathBuf) -> Readers {
        Readers { program, spare: Mutex::new(None) }
    }

    /// Puts into the tree what is in the files. It waits for the child: not for a thread that others wait for.
    pub fn fill(&self, tree: &mut Tree, files: Vec<File>, allowance: &Allowance) {
        let until = Instant::now() + allowance.time;
        let mut task = Task { readers: self, allowance, until, left: allowance.budget, worker: None };
        // From the last to the first, so that the places of those that are still to be read stay as they are.
        for file in files.into_iter().rev() {
            let Some(part) = tree.parts.get(file.at) else { continue };
            // It is opened by the child; here, only how it begins is looked at.
            let octets = file.octets.expose();
            if Format::of(octets).is_none() {
                if is_picture(octets)
                    && let Some(part) = tree.parts.get_mut(file.at)
                {
                    part.content = Content::Unreadable(Unreadable::Scanned);
                }
                continue;
            }
            let parts = task.read(part, &file.octets).unwrap_or_else(|why| {
                let content = Content::Unreadable(why);
                vec![Part { path: String::new(), media_type: part.media_type.clone(), name: None, content }]
            });
            put(tree, file.at, parts);
        }
        if task.worker.is_some() {
            drop(task);
            self.keep_spare(Share::of(allowance));
        }
    }

    fn worker(&self, share: Share) -> io::Result<Worker> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        match spare {
            Some((its, worker)) if its == share => Ok(worker),
            Some(_) | None => Worker::start(&self.program, share),
        }
    }

    fn keep_spare(&self, share: Share) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.is_none() {
            // Without one, the next message starts its own.
            *spare = Worker::start(&self.program, share).ok().map(|worker| (share, worker));
        }
    }
}

/// The parts of one file, in its place: what it is itself keeps the name it came under.
fn put(tree: &mut Tree, at: usize, mut parts: Vec<Part>) {
    let Some(file) = tree.parts.get_mut(at) else { return };
    let own = parts.iter().position(|part| part.path.is_empty()).map(|own| parts.remove(own));
    // An archive is nothing but what is in it.
    file.content = own.map_or_else(|| Content::Text(Phi::default()), |own| own.content);
    let path = file.path.clone();
    let below = parts.into_iter().map(|part| {
        let path = if part.path.is_empty() { path.clone() } else { format!("{path}.{}", part.path) };
        Part { path, ..part }
    });
    tree.parts.splice(at + 1..at + 1, below.collect::<Vec<_>>());
}

impl Share {
    fn of(allowance: &Allowance) -> Share {
        // The parent ends it sooner, unless the parent itself cannot.
        Share { memory_bytes: allowance.memory_bytes, cpu_seconds: allowance.time.as_secs() + 1 }
    }
}

/// The files of one message.
struct Task<'a> {
    readers: &'a Readers,
    allowance: &'a Allowance,
    until: Instant,
    /// What the files that were read so far have left to the others.
    left: Budget,
    worker: Option<Worker>,
}

impl Task<'_> {
    fn read(&mut self, part: &Part, octets: &Phi<bytes::Bytes>) -> Result<Vec<Part>, Unreadable> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Unreadable::TooSlow);
        }
        if self.left.bytes == 0 {
            return Err(Unreadable::TooLarge);
        }
        if self.left.parts == 0 {
            return Err(Unreadable::TooManyParts);
        }
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            // A machine that has no room for a child has none for reading: the message goes on, as unread.
            None => self.readers.worker(Share::of(self.allowance)).map_err(|_| Unreadable::Crashed)?,
        };
        // The name helps to tell formats that begin alike.
        let name = part.name.as_ref().map(|name| name.expose().clone());
        let ask = Ask { media_type: part.media_type.clone(), name, budget: self.left };
        // What the child is for.
        let parts = worker.read(&ask, octets.expose(), left)?;
        self.worker = Some(worker);
        self.count(&parts);
        Ok(parts)
    }

    /// Takes from what is left what came out of one file: its text, and the files in it, which may have a name each.
    fn count(&mut self, parts: &[Part]) {
        let length = |part: &Part| match &part.content {
            // No more than how long it is.
            Content::Text(text) => text.expose().len(),
            Content::Unreadable(_) => 0,
        };
        let inside = parts.iter().filter(|part| !part.path.is_empty() && part.origin() != Origin::FileName).count();
        self.left.bytes = self.left.bytes.saturating_sub(parts.iter().map(length).sum());
        self.left.parts = self.left.parts.saturating_sub(inside);
    }
}

/// A child, and the pipes to it. It is killed and awaited when it is dropped.
#[derive(Debug)]
struct Worker {
    child: Arc<Mutex<Child>>,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(program: &PathBuf, share: Share) -> io::Result<Worker> {
        let mut child = Command::new(program)
            .args(["extract", &share.memory_bytes.to_string(), &share.cpu_seconds.to_string()])
            // Nothing of ours is its business, the master key least of all.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Worker { child: Arc::new(Mutex::new(child)), input, output: BufReader::new(output) })
    }

    fn read(&mut self, ask: &Ask, octets: &[u8], left: Duration) -> Result<Vec<Part>, Unreadable> {
        let watch = Watch::set(Arc::clone(&self.child), left);
        let parts = frame::write_ask(&mut self.input, ask, octets)
            .and_then(|()| frame::read_parts(&mut self.output, &ask.budget));
        let ended = watch.end();
        parts.map_err(|_| if ended == Ended::Killed { Unreadable::TooSlow } else { Unreadable::Crashed })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        end(&self.child);
    }
}

fn end(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    // It has ended already, or ends now.
    let _ = child.kill();
    let _ = child.wait();
}

/// Ends a child that takes too long; its pipes end with it, and so does the wait for them.
struct Watch {
    done: Sender<()>,
    thread: JoinHandle<Ended>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    InTime,
    Killed,
}

impl Watch {
    fn set(child: Arc<Mutex<Child>>, left: Duration) -> Watch {
        let (done, over) = mpsc::channel();
        let thread = thread::spawn(move || match over.recv_timeout(left) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Ended::InTime,
            Err(RecvTimeoutError::Timeout) => {
                end(&child);
                Ended::Killed
            }
        });
        Watch { done, thread }
    }

    fn end(self) -> Ended {
        drop(self.done);
        self.thread.join().unwrap_or(Ended::Killed)
    }
}

#[cfg(test)]
#[path = "parent_tests.rs"]
mod tests;
