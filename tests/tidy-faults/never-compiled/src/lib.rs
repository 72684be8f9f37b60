//! A house.

pub mod mail;
