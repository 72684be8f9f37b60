//! Whether the conditions of a rule hold for one recipient of one message; and if not, which one does not.

use crate::classify::{self, Verdict};
use crate::config::{Cannot, Counted, HeaderIs, Rule, Scope, When};
use crate::mail::Address;
use crate::mime::{self, Content};
use crate::phi::Label;
use crate::policy::{Belief, Marks, Rules, Submission};

/// One recipient of one message, as the rules see it.
pub(super) struct Case<'a> {
    pub(super) rules: &'a Rules,
    pub(super) submission: &'a Submission<'a>,
    pub(super) verdict: &'a Verdict,
    pub(super) marks: &'a Marks,
    pub(super) recipient: &'a Address,
}

impl Case<'_> {
    /// The first condition of a rule that does not hold, in words. Never the value it was compared with, which may be a
    /// person.
    pub(super) fn unmet(&self, rule: &Rule) -> Option<String> {
        if let Some(condition) = self.out_of_scope(&rule.scope) {
            return Some(condition.to_owned());
        }
        let when = &rule.when;
        if let Some(condition) = self.plain(when) {
            return Some(condition.to_owned());
        }
        if when.not.as_deref().is_some_and(|not| self.plain(not).is_none()) {
            return Some("what stands in not does not hold".to_owned());
        }
        let mut unmet = Vec::new();
        for one in &when.any {
            match self.plain(one) {
                None => return None,
                Some(condition) => unmet.push(condition),
            }
        }
        (!unmet.is_empty()).then(|| format!("one of any holds: {}", unmet.join(", or ")))
    }

    fn out_of_scope(&self, scope: &Scope) -> Option<&'static str> {
        match scope {
            Scope::Everybody => None,
            Scope::Client(clients) => {
                let covered = self.submission.client.is_some_and(|client| clients.contains(client));
                (!covered).then_some("the client is in the rule's scope")
            }
            Scope::Domain(domains) => {
                let covered = |author: &Address| domains.iter().any(|pattern| author.domain().matches(pattern));
                (!self.authors(covered)).then_some("the sender's domain is in the rule's scope")
            }
            Scope::User(users) => {
                (!self.authors(|author| any(users, author))).then_some("the sender is in the rule's scope")
            }
        }
    }

    /// Whether every author is covered: a scope may relax, and who stands beside somebody else must not gain by it.
    fn authors(&self, covered: impl Fn(&Address) -> bool) -> bool {
        let from = &self.submission.tree.from;
        match (from.is_empty(), self.submission.envelope.sender().mailbox()) {
            (true, sender) => sender.is_some_and(covered),
            (false, _) => from.iter().all(covered),
        }
    }

    /// The first condition that does not hold, of those that stand side by side.
    fn plain(&self, when: &When) -> Option<&'static str> {
        self.people(when).or_else(|| self.findings(when)).or_else(|| self.shape(when)).or_else(|| self.marked(when))
    }

    fn people(&self, when: &When) -> Option<&'static str> {
        let submission = self.submission;
        if !when.client.is_empty() && !submission.client.is_some_and(|client| when.client.contains(client)) {
            return Some("the client is one of those named");
        }
        // People know a sender by From:. MAIL may name whom a CRM counts bounces by, or whomever the client likes.
        let senders = || submission.tree.from.iter().chain(submission.envelope.sender().mailbox());
        if !when.sender.is_empty() && !senders().any(|sender| any(&when.sender, sender)) {
            return Some("the sender fits one of the patterns");
        }
        if !when.sender_group.is_empty() && !senders().any(|sender| self.rules.is_member(&when.sender_group, sender)) {
            return Some("the sender is in one of the groups");
        }
        if !when.recipient.is_empty() && !any(&when.recipient, self.recipient) {
            return Some("the recipient fits one of the patterns");
        }
        if !when.recipient_group.is_empty() && !self.rules.is_member(&when.recipient_group, self.recipient) {
            return Some("the recipient is in one of the groups");
        }
        let domain = self.recipient.domain();
        if !when.recipient_domain.is_empty() && !when.recipient_domain.iter().any(|pattern| domain.matches(pattern)) {
            return Some("the recipient's domain fits one of the patterns");
        }
        None
    }

    fn findings(&self, when: &When) -> Option<&'static str> {
        let phi = classify::is_phi(self.verdict, when.point.unwrap_or(self.rules.point));
        if when.phi.is_some_and(|expected| expected != phi) {
            return Some(if phi { "no health information was found" } else { "health information was found" });
        }
        let score = |least: u8| self.verdict.score >= f32::from(least) / 100.0;
        if when.score_at_least.is_some_and(|least| !score(least)) {
            return Some("the score is as high as that");
        }
        if !when.kinds.is_empty() && !self.verdict.findings.iter().any(|finding| when.kinds.contains(&finding.kind)) {
            return Some("one of the kinds was found");
        }
        if !when.labels.is_empty() && !when.labels.iter().any(|label| self.is_labelled(*label)) {
            return Some("it is about one of the topics");
        }
        if when.more_than.iter().any(|(counted, least)| self.count(*counted) <= *least) {
            return Some("there are more than that");
        }
        None
    }

    fn is_labelled(&self, label: Label) -> bool {
        self.verdict.labels.contains(&label) || self.marks.labels.contains(&label)
    }

    fn count(&self, counted: Counted) -> usize {
        match counted {
            Counted::Patients => self.verdict.persons,
            Counted::Recipients => self.submission.envelope.recipients().len(),
            Counted::Attachments => self.submission.seen.attachments.len(),
            Counted::Kind(kind) => self.verdict.findings.iter().filter(|finding| finding.kind == kind).count(),
        }
    }

    /// What it consists of.
    fn shape(&self, when: &When) -> Option<&'static str> {
        let seen = self.submission.seen;
        if !when.unreadable.is_empty() && !self.is_unreadable(&when.unreadable) {
            return Some("a part cannot be read for one of the reasons");
        }
        if !when.attachment_types.is_empty() && !self.has_type(&when.attachment_types) {
            return Some("an attachment is of one of the types");
        }
        if !when.attachment_extensions.is_empty() && !self.has_extension(&when.attachment_extensions) {
            return Some("an attachment's name has one of the ends");
        }
        if when.larger_than.is_some_and(|limit| seen.bytes <= limit) {
            return Some("the message is larger than that");
        }
        let largest = seen.attachments.iter().map(|attached| attached.bytes).max().unwrap_or(0);
        if when.attachment_larger_than.is_some_and(|limit| largest <= limit) {
            return Some("an attachment is larger than that");
        }
        None
    }

    fn is_unreadable(&self, reasons: &[Cannot]) -> bool {
        let fits = |why: mime::Unreadable| {
            reasons.iter().any(|reason| match reason {
                Cannot::Any => true,
                Cannot::For(name) => *name == why.name(),
            })
        };
        self.submission.tree.parts.iter().any(|part| match part.content {
            Content::Unreadable(why) => fits(why),
            Content::Text(_) => false,
        })
    }

    fn has_type(&self, types: &[String]) -> bool {
        let fits = |media_type: &str| {
            types.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(main) => media_type.starts_with(main),
                None => media_type == wanted,
            })
        };
        // Of what lies in an archive, only the tree knows.
        let named = self.submission.tree.parts.iter().filter(|part| part.name.is_some());
        let mut attached = self.submission.seen.attachments.iter().map(|attached| attached.media_type.as_str());
        attached.any(fits) || named.map(|part| part.media_type.as_str()).any(fits)
    }

    fn has_extension(&self, ends: &[String]) -> bool {
        let mut attached = self.submission.seen.attachments.iter().filter_map(|attached| attached.extension.as_ref());
        let names = self.submission.tree.parts.iter().filter_map(|part| part.name.as_ref());
        // Only the end of a file's name is looked at.
        attached.any(|end| ends.contains(end))
            || names.filter_map(|name| mime::extension(name.expose())).any(|end| ends.contains(&end))
    }

    fn marked(&self, when: &When) -> Option<&'static str> {
        let marked = !self.marks.asks.is_empty();
        if when.marked.is_some_and(|expected| expected != marked) {
            return Some(if marked { "the sender asked for no protection" } else { "the sender asked for protection" });
        }
        if !when.tags.is_empty() && !when.tags.iter().any(|tag| self.marks.tags.contains(tag)) {
            return Some("the subject carries one of the tags");
        }
        if when.headers.iter().any(|wanted| !self.has_header(wanted)) {
            return Some("a header field says so");
        }
        None
    }

    /// A field steers only where the client is believed.
    fn has_header(&self, wanted: &HeaderIs) -> bool {
        let says = |value: &str| {
            let value = value.trim().to_lowercase();
            wanted.values.iter().any(|wanted| wanted == "*" || *wanted == value)
        };
        match self.submission.marks {
            Belief::NotBelieved => false,
            // Compared with the words of a rule; no part of it is kept.
            Belief::Believed => self.submission.seen.values(&wanted.name).any(|value| says(value.expose())),
        }
    }
}

pub(super) fn any(patterns: &[String], address: &Address) -> bool {
    patterns.iter().any(|pattern| address.matches(pattern))
}

#[cfg(test)]
mod tests;
