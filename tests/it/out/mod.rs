//! How mail leaves: to whom, over what, and what becomes of it when that does not work.

mod connections;
mod asked;
mod floors;
mod hostile_hops;
mod mail_exchangers;
mod many_recipients;
mod promised_tls;
mod replies;
mod reports;
mod smarthost;
