//! The lines of a text, whatever ends them.

use memchr::memchr2;

#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a> {
    pub(super) rest: &'a str,
}

impl<'a> Lines<'a> {
    /// The next line, if it is one of these; else it stays.
    pub(super) fn next_if(&mut self, wanted: impl Fn(&str) -> bool) -> Option<&'a str> {
        let mut ahead = *self;
        let line = ahead.next().filter(|line| wanted(line))?;
        *self = ahead;
        Some(line)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr2(b'\r', b'\n', self.rest.as_bytes()).unwrap_or(self.rest.len());
        let (line, after) = self.rest.split_at(end);
        let after = after.strip_prefix('\r').unwrap_or(after);
        self.rest = if after.len() < self.rest.len() - end {
            after.strip_prefix('\n').unwrap_or(after)
        } else {
            after.get(1..).unwrap_or_default()
        };
        Some(line)
    }
}
