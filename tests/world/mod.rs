//! The world around Sealpost, for tests, the demo and the benchmark: a certificate authority, mail servers that
//! misbehave as told, recording proxies, DNS, a daemon of our own and a client that submits.
//!
//! Nothing here panics or waits without a limit; what goes wrong is a `Result`.

#![allow(dead_code, unreachable_pub, reason = "three binaries share this folder and each uses a part of it")]

pub mod authority;
pub mod behaviour;
pub mod client;
pub mod daemon;
pub mod dns;
pub mod hostile;
pub mod mx;
pub mod postfix;
pub mod proxy;
pub mod wire;

use std::error::Error;
use std::time::Duration;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The longest that one step of a dialog may take.
pub const STEP: Duration = Duration::from_secs(20);

/// Asks again and again until there is an answer or the time is up.
pub async fn until<T, F>(what: &str, limit: Duration, mut ask: F) -> Result<T>
where
    F: FnMut() -> Option<T>,
{
    let end = tokio::time::Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if tokio::time::Instant::now() > end {
            return Err(format!("waited {} s in vain for {what}", limit.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
