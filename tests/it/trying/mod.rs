//! Policy that is tried before it counts, and taken back when it does not do what it should.

mod adds;
mod cases;
mod checked;
mod going_back;
mod observer;
mod replay;

pub(crate) use crate::clinic::{Clinic, letter, queued};

pub(crate) const CHART: &str =
    "Patient: Maribel Quist, MRN 00482913, DOB 03/14/1962, has type 2 diabetes and takes metformin.";
