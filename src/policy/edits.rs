//! What policy changes in a message: tags and foreign fields come off, a subject moves inside, fields and a footer come on.

use crate::mail::MessageId;
use crate::mime::{Edit, Inserted, Tree};
use crate::phi::Phi;
use crate::policy::seen::Ends;
use crate::policy::{Additions, Decision, Marks, Rules, Seen, SubjectFate, marks, subject};

/// 42 CFR 2.32(a)(2): one of the statements that must go with each disclosure of such a record.
const PART2_NOTICE: &str = "42 CFR part 2 prohibits unauthorized use or disclosure of these records.";

/// A message that was decided.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'a> {
    pub tree: &'a Tree,
    pub seen: &'a Seen,
    pub marks: &'a Marks,
    pub decisions: &'a [Decision],
}

/// The edits that policy makes. One text is kept for all recipients, so what one of them calls for, all get.
pub fn edits(rules: &Rules, decided: Decided<'_>, reference: MessageId) -> Vec<Edit> {
    let Decided { tree, seen, marks, decisions } = decided;
    let adds = Additions::united(decisions.iter().map(|decision| &decision.adds));
    let mut edits = marks::edits(marks);
    match seen.ends {
        Ends::Sealed => {}
        Ends::Open => {
            // Behind the tags: the subject that moves has none.
            let subject = marks.subject().unwrap_or(&tree.subject);
            let further = if adds.subject == SubjectFate::Moves { subject::further(tree) } else { None };
            let above = further.map(|further| moved(subject, &further));
            if above.is_some() {
                edits.push(Edit::SubjectStandIn(rules.subject.replace("{reference}", &reference.to_string())));
            }
            let below = below(&adds);
            if above.is_some() || below.is_some() {
                edits.push(Edit::Text(Inserted { above, below }));
            }
        }
    }
    edits.extend(adds.headers.iter().map(|(_, (name, value))| Edit::Prepend(format!("{name}: {value}\r\n"))));
    edits
}

/// Every subject of the header: of several, programs show either.
fn moved(first: &Phi<String>, further: &[&Phi<String>]) -> Phi<String> {
    // They go back into the message that they came from.
    let further = further.iter().filter(|text| text.expose() != first.expose());
    let lines = further.map(|text| format!("\nSubject: {}", text.expose()));
    Phi::new(format!("Subject: {}{}", first.expose(), lines.collect::<String>()))
}

fn below(adds: &Additions) -> Option<String> {
    let notice = adds.part2_notice.then_some(PART2_NOTICE);
    let texts: Vec<&str> = adds.footers.iter().map(|(_, footer)| footer.as_str()).chain(notice).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footers_stand_in_the_order_of_the_rules_and_the_notice_last() {
        let footer = |at, text: &str| Additions { footers: vec![(at, text.into())], ..Additions::default() };
        let notice = Additions { part2_notice: true, ..Additions::default() };
        // In the order of the recipients, the second rule's comes first.
        let adds = Additions::united([&footer(1, "Two."), &footer(0, "One."), &notice]);
        assert_eq!(below(&adds).unwrap(), format!("One.\n\nTwo.\n\n{PART2_NOTICE}"));
        assert_eq!(below(&Additions::default()), None);
    }
}
