//! The addresses of one host: dialled one behind the other, a moment apart, and the first that answers is taken.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::smtp::client::{Answer, Means, Stage};

/// RFC 8305 §5: how long the next address waits for the one before it.
const STAGGER: Duration = Duration::from_millis(250);

/// What is still to be dialled of one host, and how many more dials its attempt may make.
#[derive(Debug)]
pub(super) struct Race<'a> {
    pub(super) waiting: VecDeque<SocketAddr>,
    pub(super) dials: &'a mut usize,
    pub(super) patience: Duration,
}

/// A dial's result, with its address.
type Dialled<T> = (SocketAddr, T);

impl Race<'_> {
    /// The first address that answers, and those that failed before it. Dials that were still under way are broken off
    /// before a word was said on them, and wait again, in case the winner turns out to be no good.
    pub(super) async fn run(&mut self) -> (Option<Dialled<TcpStream>>, Vec<Dialled<Answer>>) {
        let mut failed = Vec::new();
        let mut under_way: JoinSet<Dialled<Result<TcpStream, Answer>>> = JoinSet::new();
        let mut dialled: Vec<SocketAddr> = Vec::new();
        let mut next = Instant::now();
        loop {
            let more = !self.waiting.is_empty() && *self.dials > 0;
            if under_way.is_empty() && !more {
                return (None, failed);
            }
            tokio::select! {
                biased;
                Some(done) = under_way.join_next() => {
                    // A dial neither panics nor is broken off while this waits for it.
                    let Ok((address, result)) = done else { continue };
                    dialled.retain(|other| *other != address);
                    match result {
                        Ok(tcp) => {
                            dialled.into_iter().rev().for_each(|other| self.waiting.push_front(other));
                            return (Some((address, tcp)), failed);
                        }
                        Err(answer) => failed.push((address, answer)),
                    }
                    // RFC 8305 §5: a failure is no reason to wait.
                    next = Instant::now();
                }
                () = tokio::time::sleep_until(next), if more => {
                    let Some(address) = self.waiting.pop_front() else { continue };
                    *self.dials -= 1;
                    dialled.push(address);
                    let patience = self.patience;
                    under_way.spawn(async move { (address, dial(address, patience).await) });
                    next = Instant::now() + STAGGER;
                }
            }
        }
    }
}

async fn dial(address: SocketAddr, patience: Duration) -> Result<TcpStream, Answer> {
    let words = match tokio::time::timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(tcp)) => {
            // Without this, the small packets of the dialog wait for each other's acknowledgements.
            if tcp.set_nodelay(true).is_ok() {
                return Ok(tcp);
            }
            "the connection broke at once".to_owned()
        }
        Ok(Err(error)) => format!("the connection failed: {}", error.kind()),
        Err(_) => format!("no answer to the connection for {} s", patience.as_secs()),
    };
    Err(Answer::ours(Stage::Connect, Means::Later, words))
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// An address that swallows connections: its backlog is full and nobody accepts.
    struct Swallowing {
        address: SocketAddr,
        _held: (TcpListener, Vec<TcpStream>),
    }

    async fn swallowing(address: &str) -> Swallowing {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address.parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        // Beyond the backlog the kernel drops what asks, as a firewall does.
        while let Ok(Ok(tcp)) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
            held.push(tcp);
        }
        Swallowing { address, _held: (listener, held) }
    }

    async fn race(waiting: &[SocketAddr], dials: &mut usize) -> (Option<SocketAddr>, usize, VecDeque<SocketAddr>) {
        let mut race = Race { waiting: waiting.iter().copied().collect(), dials, patience: PATIENCE };
        let (won, failed) = race.run().await;
        (won.map(|(address, _)| address), failed.len(), race.waiting)
    }

    #[tokio::test]
    async fn an_address_that_says_nothing_costs_a_quarter_of_a_second_and_not_its_whole_patience() {
        let mute = swallowing("127.35.1.1:0").await;
        let live = TcpListener::bind("127.35.1.2:0").await.unwrap();
        let (live, start, mut dials) = (live.local_addr().unwrap(), Instant::now(), 12);
        let (won, failed, waiting) = race(&[mute.address, live], &mut dials).await;
        assert_eq!((won, failed, dials), (Some(live), 0, 10));
        assert!(start.elapsed() >= STAGGER && start.elapsed() < PATIENCE, "{:?}", start.elapsed());
        assert_eq!(waiting, [mute.address], "it did not fail, and may be wanted still");
    }

    #[tokio::test]
    async fn an_address_that_refuses_gives_way_at_once_and_a_later_one_is_not_dialled_beside_the_winner() {
        let gone = TcpListener::bind("127.35.1.3:0").await.unwrap().local_addr().unwrap();
        let (live, spare) = (TcpListener::bind("127.35.1.4:0").await.unwrap(), "127.35.1.5:25".parse().unwrap());
        let (live, mut dials) = (live.local_addr().unwrap(), 12);
        let (won, failed, waiting) = race(&[gone, live, spare], &mut dials).await;
        assert_eq!((won, failed, dials), (Some(live), 1, 10));
        assert_eq!(waiting, [spare]);
    }

    #[tokio::test]
    async fn the_number_of_dials_is_bounded() {
        let gone = TcpListener::bind("127.35.1.6:0").await.unwrap().local_addr().unwrap();
        let mut dials = 3;
        let (won, failed, waiting) = race(&[gone; 5], &mut dials).await;
        assert_eq!((won, failed, dials, waiting.len()), (None, 3, 0, 2));
    }
}
