//! Policy.

use crate::{mail::Address, store};
