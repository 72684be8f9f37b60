//! Mistakes of people that are caught, or can be undone, before anybody has read them.

mod take_back;
