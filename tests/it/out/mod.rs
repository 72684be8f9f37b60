//! How mail leaves: to whom, over what, and what becomes of it when that does not work.

mod connections;
mod floors;
mod hostile_hops;
mod mail_exchangers;
mod replies;
mod reports;
mod smarthost;
