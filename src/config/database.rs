//! `[database]` and `[retention]`: where state is kept, and for how long.

use std::fmt;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::reader::Table;
use crate::config::value::{self, bytes, duration};

/// `[database]`. `Debug` does not show the url: it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// `sqlite`, or `postgres://…`.
    pub url: String,
    /// Bodies from this size on lie in files of their own.
    pub body_file_bytes: usize,
}

impl Database {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Database {
        Database { url: table.setting("url", url), body_file_bytes: table.setting("body_file_bytes", bytes) }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("body_file_bytes", &self.body_file_bytes).finish_non_exhaustive()
    }
}

/// It may hold a password, so it is not shown again.
fn url(written: &DeValue<'_>) -> Result<String, String> {
    let url = value::text(written)?;
    let known = url == "sqlite" || url.starts_with("postgres://") || url.starts_with("postgresql://");
    if known { Ok(url) } else { Err("write \"sqlite\", or \"postgres://user:password@host/name\"".into()) }
}

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Evidence and audit (45 CFR 164.316(b)(2)(i): six years).
    pub evidence: Duration,
    pub sweep: Duration,
}

impl Retention {
    pub(super) fn read(table: &mut Table<'_, '_>) -> Retention {
        Retention { evidence: table.setting("evidence", duration), sweep: table.setting("sweep", duration) }
    }
}
