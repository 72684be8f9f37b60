//! The queue.

use sqlx::Row;
