//! Rules that never decide: their conditions contradict each other, a more protective rule covers all that they cover, or no
//! client can send what they ask for. What cannot be told for sure is not reported.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Adds, Cannot, Client, Config, Policy, Rule, Scope, When};
use crate::mail::ClientName;
use crate::phi::Kind;
use crate::policy::compare_rules;

/// A rule that never decides, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idle {
    pub rule: String,
    pub cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No message can meet its conditions.
    Dead(String),
    /// These rules together cover all that it covers, and each protects more, or as much and stands before it.
    Shadowed(Vec<String>),
    /// No client of the config can send what it asks for.
    Unreachable(String),
}

/// In the order of the rules.
pub fn idle(config: &Config) -> Vec<Idle> {
    let rules = &config.policy.rules;
    let all: Vec<Conditions> = rules.iter().map(|rule| Conditions::of(rule, config)).collect();
    let cause = |at: usize| {
        let rule = &rules[at];
        let own = contradiction(&rule.when, &all[at]).map(Cause::Dead);
        let own = own.or_else(|| out_of_reach(rule, (&all[at], config)).map(Cause::Unreachable));
        own.or_else(|| shadow(at, &config.policy, &all).map(Cause::Shadowed))
    };
    let idle = |(at, rule): (usize, &Rule)| Some(Idle { rule: rule.name.clone(), cause: cause(at)? });
    rules.iter().enumerate().filter_map(idle).collect()
}

/// What a rule asks for, each in a form in which one rule's can be compared with another's.
#[derive(Clone, Debug, Default)]
struct Conditions {
    clients: BTreeSet<ClientName>,
    /// Patterns of addresses; of each list, one must fit.
    senders: Vec<Vec<String>>,
    /// Patterns that every author fits: those of the scope, and those as which the clients may send at all.
    scope: Vec<Vec<String>>,
    may: Vec<Vec<String>>,
    recipients: Vec<Vec<String>>,
    flags: BTreeMap<&'static str, bool>,
    /// Of each list, one must be there.
    lists: BTreeMap<&'static str, BTreeSet<String>>,
    /// More than so much of it.
    more_than: BTreeMap<String, u64>,
    /// It asks for something else, of which is not said here what it covers.
    further: bool,
}

/// Conditions that are true or false of each message, so that two rules may share all mail between them.
const FLAGS: [&str; 2] = ["phi", "marked"];

impl Conditions {
    fn of(rule: &Rule, config: &Config) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.add_people(rule, config);
        conditions.add_findings(&rule.when, config);
        conditions.add_shape(&rule.when);
        conditions
    }

    fn add_people(&mut self, rule: &Rule, config: &Config) {
        let when = &rule.when;
        let welcome = welcome(rule, config);
        self.clients = welcome.iter().map(|one| one.name.clone()).collect();
        // RFC 6409 §6.1: every author is one that the client may speak for, so these hold as well as what is written.
        self.may = filled([welcome.iter().flat_map(|one| one.senders.clone()).collect()]);
        self.scope = match &rule.scope {
            Scope::Everybody | Scope::Client(_) => Vec::new(),
            Scope::Domain(domains) => vec![domains.iter().map(whole).collect()],
            Scope::User(users) => vec![users.clone()],
        };
        let groups = [&when.sender_group, &when.recipient_group].map(|names| members(names, config));
        self.further |= groups.iter().any(|members| members.as_ref().is_some_and(Vec::is_empty));
        let [senders, recipients] = groups.map(Option::unwrap_or_default);
        self.senders = filled([when.sender.clone(), senders]);
        let domains = when.recipient_domain.iter().map(whole).collect();
        self.recipients = filled([when.recipient.clone(), recipients, domains]);
    }

    fn add_findings(&mut self, when: &When, config: &Config) {
        let phi = if when.point.is_some_and(|point| point != config.policy.point) { "phi elsewhere" } else { "phi" };
        let flags = [(phi, when.phi), ("marked", when.marked)];
        self.flags.extend(flags.into_iter().filter_map(|(name, flag)| Some((name, flag?))));
        if is_about_the_unreadable(when) {
            // docs/decisions/0008-unreadable-is-phi.md
            self.flags.entry("phi").or_insert(true);
            self.flags.insert("unreadable", true);
        }
        self.add_list("kinds", when.kinds.iter().map(|kind| kind.name().to_owned()).collect());
        self.add_list("labels", when.labels.iter().map(|label| label.name().to_owned()).collect());
        self.more_than.extend(when.score_at_least.map(|least| ("score".to_owned(), u64::from(least))));
        self.more_than.extend(when.more_than.iter().map(|(counted, most)| (format!("{counted:?}"), *most as u64)));
    }

    fn add_shape(&mut self, when: &When) {
        if !when.unreadable.contains(&Cannot::Any) {
            self.add_list("unreadable", when.unreadable.iter().map(|cannot| format!("{cannot:?}")).collect());
        }
        self.add_list("types", when.attachment_types.iter().cloned().collect());
        self.add_list("extensions", when.attachment_extensions.iter().cloned().collect());
        self.add_list("tags", when.tags.iter().cloned().collect());
        let sizes = [("message", when.larger_than), ("attachment", when.attachment_larger_than)];
        self.more_than.extend(sizes.into_iter().filter_map(|(what, size)| Some((what.to_owned(), size?))));
        self.further |= when.not.is_some() || !when.any.is_empty() || !when.headers.is_empty();
    }

    fn add_list(&mut self, name: &'static str, entries: BTreeSet<String>) {
        if !entries.is_empty() {
            self.lists.insert(name, entries);
        }
    }

    /// Whether this one holds wherever the other one does.
    fn covers(&self, other: &Conditions) -> bool {
        let all_within = |narrow: &[String], wide: &[String]| {
            narrow.iter().all(|one| wide.iter().any(|other| is_within(one, other)))
        };
        let met = |wide: &[Vec<String>], by: &[Vec<String>]| {
            wide.iter().all(|wide| by.iter().any(|narrow| all_within(narrow, wide)))
        };
        let authors = [other.scope.clone(), other.may.clone()].concat();
        let senders = [other.senders.clone(), authors.clone()].concat();
        !self.further
            && other.clients.is_subset(&self.clients)
            && met(&self.senders, &senders)
            && met(&self.scope, &authors)
            && met(&self.recipients, &other.recipients)
            && self.flags.iter().all(|(name, flag)| other.flags.get(name) == Some(flag))
            && self.lists.iter().all(|(name, wide)| other.lists.get(name).is_some_and(|narrow| narrow.is_subset(wide)))
            && self.more_than.iter().all(|(what, most)| other.more_than.get(what).is_some_and(|more| more >= most))
    }
}

/// The clients that are not suspended, and that a rule names, where it names some.
fn welcome<'a>(rule: &Rule, config: &'a Config) -> Vec<&'a Client> {
    let named = |one: &&Client| {
        let scope = match &rule.scope {
            Scope::Client(clients) => clients.contains(&one.name),
            Scope::Everybody | Scope::Domain(_) | Scope::User(_) => true,
        };
        scope && !one.suspended && (rule.when.client.is_empty() || rule.when.client.contains(&one.name))
    };
    config.clients.iter().filter(named).collect()
}

/// The members of groups; none where no group is named.
fn members(names: &[String], config: &Config) -> Option<Vec<String>> {
    let of = |name: &String| config.policy.groups.iter().find(|group| group.name == *name);
    let all = names.iter().filter_map(of).flat_map(|group| group.members.clone()).collect();
    (!names.is_empty()).then_some(all)
}

/// Whether only what could not be read meets the conditions.
fn is_about_the_unreadable(when: &When) -> bool {
    let kinds = !when.kinds.is_empty() && when.kinds.iter().all(|kind| *kind == Kind::Unreadable);
    kinds || !when.unreadable.is_empty()
}

/// The rules that together leave nothing to this one, if there are such.
fn shadow(at: usize, policy: &Policy, all: &[Conditions]) -> Option<Vec<String>> {
    let rules = &policy.rules;
    let rule = &rules[at];
    // What several rules ask for of these comes together, so that it counts beside the rule that decides.
    if !rule.delay.is_zero() || rule.receipt || adds(&rule.adds) {
        return None;
    }
    let relaxed = policy.may_relax || rules.iter().any(|rule| rule.may_relax);
    let stronger = |other: usize| {
        // What may be relaxed stands back where this one need not.
        if rules[other].may_relax && !rule.may_relax {
            return false;
        }
        let level = rules[other].scope.level().cmp(&rule.scope.level());
        match (compare_rules(rules[other].then.as_ref(), rule.then.as_ref()), level) {
            (None | Some(Ordering::Less), _) | (_, Ordering::Greater) => false,
            (Some(Ordering::Greater), Ordering::Equal) => true,
            (Some(Ordering::Equal), Ordering::Equal) => other < at,
            // docs/decisions/0028-rules-in-scopes.md: what is narrower decides where it protects more, or may relax.
            (Some(Ordering::Greater), Ordering::Less) => !relaxed,
            (Some(Ordering::Equal), Ordering::Less) => !relaxed && other < at,
        }
    };
    let rivals: Vec<(&Rule, &Conditions)> = (0..rules.len())
        .filter(|other| *other != at && stronger(*other))
        .map(|other| (&rules[other], &all[other]))
        .collect();
    let mut names = covered(&all[at], &rivals, &FLAGS)?;
    names.sort_by_key(|name| rules.iter().position(|rule| rule.name == *name));
    names.dedup();
    Some(names)
}

fn adds(adds: &Adds) -> bool {
    let Adds { headers, footer, archive, notify, move_subject, part2_notice, expire, verify } = adds;
    let texts = !headers.is_empty() || footer.is_some() || archive.is_some() || !notify.is_empty();
    texts || *move_subject || *part2_notice || expire.is_some() || verify.is_some()
}

/// By which rules all is covered that meets these conditions: by one, or by some for each value of a flag.
fn covered(these: &Conditions, rivals: &[(&Rule, &Conditions)], flags: &[&'static str]) -> Option<Vec<String>> {
    if let Some((rule, _)) = rivals.iter().find(|(_, conditions)| conditions.covers(these)) {
        return Some(vec![rule.name.clone()]);
    }
    let (flag, rest) = flags.split_first()?;
    if these.flags.contains_key(flag) {
        return covered(these, rivals, rest);
    }
    let mut names = Vec::new();
    for value in [true, false] {
        let mut half = these.clone();
        half.flags.insert(flag, value);
        names.extend(covered(&half, rivals, rest)?);
    }
    Some(names)
}

/// Why no message can meet the conditions, whoever sends it.
fn contradiction(when: &When, conditions: &Conditions) -> Option<String> {
    let lists = &conditions.recipients;
    let apart = |(at, one): (usize, &Vec<String>)| lists[at + 1..].iter().any(|other| !overlap(one, other));
    if lists.iter().enumerate().any(apart) {
        return Some("no recipient fits each of recipient, recipient_group and recipient_domain that it writes".into());
    }
    (is_about_the_unreadable(when) && when.phi == Some(false)).then(|| {
        "what cannot be read counts as health information, so that phi = false leaves nothing of it".to_owned()
    })
}

/// Why no client can send what the conditions ask for.
fn out_of_reach(rule: &Rule, (conditions, config): (&Conditions, &Config)) -> Option<String> {
    let welcome = welcome(rule, config);
    let names = !rule.when.client.is_empty() || matches!(rule.scope, Scope::Client(_));
    if welcome.is_empty() {
        return names.then(|| "every client that it names is suspended, or out of its scope".into());
    }
    let of = if names { "a client that it names" } else { "a client" };
    let may_send = |one: &&Client| {
        let meets = |list: &Vec<String>| overlap(&one.senders, list) || overlap(&one.return_paths, list);
        conditions.senders.iter().all(meets) && conditions.scope.iter().all(|list| overlap(&one.senders, list))
    };
    if !welcome.iter().any(may_send) {
        return Some(format!("no sender that it names is one that {of} may use"));
    }
    let believed = |one: &&Client| one.trust_headers || !one.is_known_by_network();
    (rule.when.marked == Some(true) && !welcome.iter().any(believed))
        .then(|| format!("the marks of {of} are not believed: it is known by its network alone, without trust_headers"))
}

fn filled<const N: usize>(lists: [Vec<String>; N]) -> Vec<Vec<String>> {
    lists.into_iter().filter(|list| !list.is_empty()).collect()
}

/// A pattern of domains as one of addresses.
fn whole(domain: &String) -> String {
    format!("*@{domain}")
}

fn overlap(one: &[String], other: &[String]) -> bool {
    one.iter().any(|a| other.iter().any(|b| meets(a, b)))
}

/// Whether an address may fit both patterns: then one of the domains lies within the other.
fn meets(one: &str, other: &str) -> bool {
    let (Some((one, a)), Some((other, b))) = (one.rsplit_once('@'), other.rsplit_once('@')) else {
        return one == other;
    };
    let locals = one == "*" || other == "*" || bare(one) == bare(other);
    locals && (domain_within(a, b) || domain_within(b, a))
}

/// Whether every address that fits the first pattern fits the second; or every domain, of patterns of domains.
pub fn is_within(narrow: &str, wide: &str) -> bool {
    let (Some((one, a)), Some((other, b))) = (narrow.rsplit_once('@'), wide.rsplit_once('@')) else {
        return !narrow.contains('@') && !wide.contains('@') && domain_within(narrow, wide);
    };
    (other == "*" || bare(one) == bare(other)) && domain_within(a, b)
}

/// RFC 5321 §4.1.2: quotes that nobody needs make no other address.
fn bare(local: &str) -> String {
    local.trim_matches('"').to_lowercase()
}

fn domain_within(narrow: &str, wide: &str) -> bool {
    let below = |name: &str, parent: &str| name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
    match (narrow.strip_prefix("*."), wide.strip_prefix("*.")) {
        _ if wide == "*" => true,
        _ if narrow == "*" => false,
        (None, None) => narrow == wide,
        (None, Some(parent)) => below(narrow, parent),
        (Some(_), None) => false,
        (Some(name), Some(parent)) => name == parent || below(name, parent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rules: &str) -> Vec<Idle> {
        let text = include_str!("../../config/examples/clinic.toml");
        let head = text.split("[policy]").next().unwrap();
        let clients = "[[client]]\nname = \"scanner\"\nnetworks = [\"192.0.2.7\"]\nsenders = [\"scans@clinic.example\"]\n\
                       [[client]]\nname = \"old\"\nnetworks = [\"192.0.2.8\"]\nsenders = [\"*@clinic.example\"]\n\
                       suspended = true\n[policy]\ndefault = [\"tls:valid\"]\n";
        idle(&crate::config::parse(&format!("{head}{clients}{rules}")).unwrap())
    }

    fn rule(name: &str, when: &str, then: &str) -> String {
        format!("[[policy.rule]]\nname = \"{name}\"\nwhen = {{ {when} }}\n{then}\n")
    }

    fn shadowed(one: &str, other: &str) -> Vec<(String, Vec<String>)> {
        found(&format!("{one}{other}"))
            .into_iter()
            .map(|Idle { rule, cause }| match cause {
                Cause::Shadowed(by) => (rule, by),
                other => panic!("{rule}: {other:?}"),
            })
            .collect()
    }

    const HOLD: &str = "hold = \"look\"";
    const VALID: &str = "deliver = [\"tls:valid\"]";
    const ANY: &str = "deliver = [\"tls:encrypted\"]";

    #[test]
    fn a_rule_gives_way_to_a_more_protective_one_that_covers_it_wherever_that_stands() {
        let wide = rule("wide", "recipient_domain = [\"*.lab.example\"]", HOLD);
        for narrow in [
            r#"recipient_domain = ["a.lab.example", "*.b.lab.example"]"#,
            r#"recipient = ["bo@a.lab.example"], phi = true"#,
        ] {
            let narrow = rule("narrow", narrow, VALID);
            let expected = vec![("narrow".to_owned(), vec!["wide".to_owned()])];
            assert_eq!(shadowed(&wide, &narrow), expected);
            assert_eq!(shadowed(&narrow, &wide), expected);
        }
    }

    #[test]
    fn what_covers_something_else_or_protects_less_shadows_nothing() {
        let wide = rule("wide", "recipient_domain = [\"*.lab.example\"]", HOLD);
        for other in [
            rule("other", "recipient_domain = [\"lab.example\"]", VALID),
            rule("other", "recipient_domain = [\"a.lab.example\"]", "reject = \"no\""),
            rule("other", "phi = true", VALID),
            rule("other", "recipient_domain = [\"a.lab.example\"]", "deliver = [\"tls:valid\"]\ndelay = \"3m\""),
        ] {
            assert_eq!(found(&format!("{wide}{other}")), [], "{other}");
        }
        let kinds = rule("kinds", "kinds = [\"SSN\"]", HOLD);
        assert_eq!(found(&(kinds + &rule("other", "kinds = [\"SSN\", \"MRN\"]", VALID))), []);
    }

    #[test]
    fn of_equals_the_later_one_never_decides() {
        let twins = (rule("first", "phi = true", VALID), rule("second", "phi = true, kinds = [\"SSN\"]", VALID));
        assert_eq!(shadowed(&twins.0, &twins.1), [("second".to_owned(), vec!["first".to_owned()])]);
        assert_eq!(shadowed(&twins.1, &twins.0), []);
    }

    #[test]
    fn two_rules_may_share_all_mail_between_them() {
        let both = rule("with", "phi = true", HOLD) + &rule("without", "phi = false", VALID);
        let expected = vec![("all".to_owned(), vec!["with".to_owned(), "without".to_owned()])];
        assert_eq!(shadowed(&both, &rule("all", "", ANY)), expected);
        assert_eq!(shadowed(&rule("with", "phi = true", HOLD), &rule("all", "", ANY)), []);
    }

    #[test]
    fn who_the_clients_are_counts() {
        let senders = rule("ours", "sender = [\"*@clinic.example\"]", HOLD);
        let scans = rule("scans", "client = [\"scanner\"]", VALID);
        assert_eq!(shadowed(&senders, &scans), [("scans".to_owned(), vec!["ours".to_owned()])]);
    }

    #[test]
    fn groups_limits_and_lists_are_compared_and_what_is_not_known_covers_nothing() {
        let group = "[[policy.group]]\nname = \"labs\"\nmembers = [\"*.lab.example\"]\n";
        let wide = rule("wide", "recipient_group = [\"labs\"], more_than = { patients = 5 }", HOLD);
        for (narrow, covered) in [
            (r#"recipient_domain = ["a.lab.example"], more_than = { patients = 20 }"#, true),
            (r#"recipient_domain = ["a.lab.example"], more_than = { patients = 2 }"#, false),
            (r#"recipient_domain = ["a.lab.example"], more_than = { attachments = 20 }"#, false),
            (r#"recipient_group = ["labs"], more_than = { patients = 5 }, tags = ["[fax]"]"#, true),
        ] {
            let found = found(&format!("{group}{wide}{}", rule("narrow", narrow, VALID)));
            assert_eq!(!found.is_empty(), covered, "{narrow}");
        }
        let not = rule("wide", "phi = true, not = { labels = [\"hiv\"] }", HOLD);
        assert_eq!(found(&(not + &rule("narrow", "phi = true, kinds = [\"SSN\"]", VALID))), []);
    }

    #[test]
    fn a_narrower_scope_gives_way_unless_it_protects_more_or_may_relax() {
        let wide = rule("wide", "phi = true", HOLD);
        let narrow = |then: &str| {
            rule("narrow", "phi = true", &format!("scope = {{ user = [\"ann@clinic.example\"] }}\n{then}"))
        };
        let expected = [("narrow".to_owned(), vec!["wide".to_owned()])];
        assert_eq!(shadowed(&wide, &narrow(VALID)), expected);
        // The narrow one stands first, and of equals the first decides.
        assert_eq!(shadowed(&narrow(HOLD), &wide), []);
        assert_eq!(shadowed(&wide, &narrow("reject = \"no\"")), []);
        assert_eq!(shadowed(&rule("wide", "phi = true", &format!("{HOLD}\nmay_relax = true")), &narrow(VALID)), []);
        // What stands back for a narrower rule covers nothing that does not.
        let relaxed = rule("wide", "phi = true", &format!("{HOLD}\nmay_relax = true"));
        assert_eq!(shadowed(&relaxed, &rule("other", "phi = true", VALID)), []);
        // A wide rule stands in for the default, whatever a narrower one says.
        assert_eq!(shadowed(&rule("wide", "phi = true", VALID), &narrow(HOLD)), []);
    }

    #[test]
    fn a_rule_that_only_adds_shadows_nothing_and_is_not_shadowed() {
        let adds = rule("adds", "phi = true", "footer = \"Sent protected.\"");
        assert_eq!(shadowed(&rule("wide", "phi = true", HOLD), &adds), []);
        assert_eq!(shadowed(&adds, &rule("narrow", "phi = true, kinds = [\"SSN\"]", VALID)), []);
    }

    #[test]
    fn conditions_that_nothing_can_meet_are_dead() {
        for when in [
            r#"recipient = ["bo@lab.example"], recipient_domain = ["*.lab.example"]"#,
            r#"kinds = ["UNREADABLE"], phi = false"#,
        ] {
            assert!(matches!(found(&rule("a", when, HOLD))[..], [Idle { cause: Cause::Dead(_), .. }]), "{when}");
        }
        assert_eq!(
            found(&rule("a", r#"recipient = ["bo@a.lab.example"], recipient_domain = ["*.lab.example"]"#, HOLD)),
            []
        );
    }

    #[test]
    fn what_no_client_can_send_is_unreachable() {
        for when in [
            r#"client = ["old"]"#,
            r#"sender = ["*@elsewhere.example"]"#,
            r#"client = ["scanner"], sender = ["ann@clinic.example"]"#,
            r#"client = ["scanner"], marked = true"#,
            r#"client = ["scanner"] }
scope = { user = ["ann@clinic.example"]"#,
        ] {
            let found = found(&rule("a", when, HOLD));
            assert!(matches!(found[..], [Idle { cause: Cause::Unreachable(_), .. }]), "{when} {found:?}");
        }
        assert_eq!(
            found(&rule("a", r#"client = ["scanner"], sender = ["scans@clinic.example"], phi = true"#, HOLD)),
            []
        );
    }
}
