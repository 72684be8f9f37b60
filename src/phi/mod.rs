//! Protected health information: a wrapper that cannot be printed, and the kinds of things that make text PHI.

mod kind;
mod label;

use std::fmt;

pub use kind::{Axis, Kind};
pub use label::Label;

/// A value that may hold PHI. It prints as `[phi]`, has no `Display` and no `Serialize`;
/// `expose` is the one way out, and each call of it says why.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    pub const fn new(value: T) -> Phi<T> {
        Phi(value)
    }

    pub const fn expose(&self) -> &T {
        &self.0
    }

    pub fn into_exposed(self) -> T {
        self.0
    }

    /// Works on the value without letting it out of the wrapper.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Phi<U> {
        Phi(change(self.0))
    }
}

impl<T> fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

impl<T> From<T> for Phi<T> {
    fn from(value: T) -> Phi<T> {
        Phi(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_does_not_print_what_it_holds() {
        assert_eq!(format!("{:?}", Phi::new("Maribel Quist")), "[phi]");
    }
}
