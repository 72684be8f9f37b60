//! The child's whole life: it gives up what it does not need, then reads files from stdin and writes their parts to stdout.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read};
use std::os::fd::AsFd;

use crate::extract::frame::{self, Ask};
use crate::extract::sandbox::{self, Share};
use crate::extract::{Unread, read};
use crate::mime::Part;
use crate::phi::Phi;

/// Reads until stdin ends. An error is that the sandbox could not be entered, or that the parent is gone.
pub fn serve(share: Share) -> io::Result<()> {
    let out = own_stdout()?;
    // A panic's words may quote what is read.
    std::panic::set_hook(Box::new(|_| {}));
    sandbox::enter(share)?;
    answer(&mut io::stdin().lock(), &mut BufWriter::new(out))
}

/// The pipe to the parent, under a number of our own: what a reader's crate prints goes nowhere.
fn own_stdout() -> io::Result<File> {
    let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
    Ok(out)
}

fn answer(input: &mut impl Read, out: &mut impl io::Write) -> io::Result<()> {
    while let Some((ask, octets)) = frame::read_ask(input)? {
        frame::write_parts(out, &parts(ask, octets))?;
    }
    Ok(())
}

fn parts(ask: Ask, octets: Vec<u8>) -> Vec<Part> {
    let Ask { media_type, name, budget } = ask;
    read(&Unread { media_type, name: name.map(Phi::new), octets: Phi::new(octets.into()) }, &budget)
}
