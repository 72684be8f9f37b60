//! The store.

use crate::queue::Job;
