//! What of `[policy]` is for trying it: the file of cases.

use std::path::PathBuf;

use crate::config::reader::Table;
use crate::config::value;

/// How policy is tried before it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// The file of cases that must pass before a config comes into force.
    pub tests: Option<PathBuf>,
}

impl Trial {
    /// Its keys stand in `[policy]` itself.
    pub(super) fn read(policy: &mut Table<'_, '_>) -> Trial {
        Trial { tests: policy.optional("tests", value::path) }
    }
}
