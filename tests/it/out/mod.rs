//! How mail leaves: to whom, over what, and what becomes of it when that does not work.

mod floors;
mod mail_exchangers;
