//! wellknown
