//! The operator's door: a unix socket in the data directory. Who connects is known by the kernel, and becomes the actor
//! of what is done. The command line speaks to it; without a daemon it takes the same desk into its own hands.

mod desk;
mod lockouts;
mod protocol;
mod replay;
mod socket;
mod watch;

pub use desk::{Daemon, Desk, Reload};
pub use protocol::{Failure, Find, Move, Purpose, Request};
pub use socket::{Caller, SOCKET, actor_of_this_process, bind, serve};
