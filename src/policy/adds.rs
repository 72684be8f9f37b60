//! What rules add to whatever way a message goes. What several add comes together, and where that cannot be, the stronger
//! stays: the shorter expiry, the surer proof of who picks it up, the first value of a header field.

use std::time::Duration;

use crate::config::{Rule, Verification};
use crate::mail::Address;

/// What is added to a message for one recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// With the place of the rule in the config.
    pub headers: Vec<(usize, (String, String))>,
    pub footers: Vec<(usize, String)>,
    pub archive: Vec<Address>,
    /// Who is told, by which rule.
    pub notify: Vec<Notified>,
    pub subject: SubjectFate,
    pub part2_notice: bool,
    pub expire: Option<Duration>,
    pub verify: Option<Verification>,
}

/// Whom a rule has told that it matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    pub rule: String,
    pub to: Vec<Address>,
}

/// What becomes of the subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubjectFate {
    #[default]
    Stays,
    /// It is put at the top of the text, and a template stands in for it.
    Moves,
}

impl Additions {
    /// Adds what one rule adds, and says so in words.
    pub(super) fn add(&mut self, (at, rule): (usize, &Rule)) -> Vec<String> {
        let adds = &rule.adds;
        let mut words = Vec::new();
        for (name, value) in &adds.headers {
            words.push(self.add_header(at, (name, value)));
        }
        if let Some(footer) = &adds.footer {
            words.push("puts a footer under it".to_owned());
            self.add_footer(at, footer);
        }
        if let Some(archive) = &adds.archive {
            words.push("sends a copy to the archive".into());
            extend(&mut self.archive, std::slice::from_ref(archive));
        }
        if !adds.notify.is_empty() {
            words.push("sends a notice to those whom it names".into());
            extend(&mut self.notify, &[Notified { rule: rule.name.clone(), to: adds.notify.clone() }]);
        }
        if adds.move_subject {
            words.push("moves the subject inside".into());
            self.subject = SubjectFate::Moves;
        }
        if adds.part2_notice {
            words.push("puts the notice of 42 CFR 2.32 under it".into());
            self.part2_notice = true;
        }
        words.extend(adds.expire.map(|expire| self.add_expiry(expire)));
        words.extend(adds.verify.map(|verify| self.add_verification(verify)));
        words
    }

    fn add_footer(&mut self, at: usize, footer: &str) {
        if !self.footers.iter().any(|(_, known)| known == footer) {
            self.footers.push((at, footer.to_owned()));
        }
    }

    fn add_header(&mut self, at: usize, (name, value): (&str, &str)) -> String {
        let earlier = self.headers.iter().find(|(_, (known, _))| known.eq_ignore_ascii_case(name));
        match earlier {
            Some((_, (_, known))) if known == value => format!("adds {name}, as another rule does"),
            Some(_) => format!("{name} gives way to that of a rule further up"),
            None => {
                self.headers.push((at, (name.to_owned(), value.to_owned())));
                format!("adds {name}")
            }
        }
    }

    /// The sender's wish counts as a rule's does.
    pub(super) fn add_expiry(&mut self, expire: Duration) -> String {
        let told = format!("lets it be picked up for {}", humantime::format_duration(expire));
        match self.expire {
            Some(shorter) if shorter <= expire => format!("{told}; that is shorter already"),
            Some(_) | None => {
                self.expire = Some(expire);
                told
            }
        }
    }

    pub(super) fn add_verification(&mut self, verify: Verification) -> String {
        let told = format!("asks whoever picks it up for {}", verify.name());
        match self.verify {
            Some(surer) if surer >= verify => format!("{told}; as much is asked already"),
            Some(_) | None => {
                self.verify = Some(verify);
                told
            }
        }
    }

    /// What holds for the whole message is what any of its recipients calls for: one text is kept for all.
    pub fn united<'a>(all: impl IntoIterator<Item = &'a Additions>) -> Additions {
        let mut united = Additions::default();
        let (mut headers, mut footers) = (Vec::new(), Vec::new());
        for each in all {
            headers.extend(&each.headers);
            footers.extend(&each.footers);
            extend(&mut united.archive, &each.archive);
            extend(&mut united.notify, &each.notify);
            if each.subject == SubjectFate::Moves {
                united.subject = SubjectFate::Moves;
            }
            united.part2_notice |= each.part2_notice;
        }
        // Whoever comes first among the recipients: the rule further up does.
        headers.sort_by_key(|(at, _)| *at);
        footers.sort_by_key(|(at, _)| *at);
        for (at, (name, value)) in headers {
            united.add_header(*at, (name, value));
        }
        for (at, footer) in footers {
            united.add_footer(*at, footer);
        }
        united
    }
}

fn extend<T: Clone + PartialEq>(list: &mut Vec<T>, with: &[T]) {
    for entry in with {
        if !list.contains(entry) {
            list.push(entry.clone());
        }
    }
}
