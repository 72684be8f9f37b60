//! The policy: rules that never decide, and mail that goes nowhere.

use crate::cli::check::Finding;
use crate::config::Config;
use crate::policy::idle;

pub(super) fn policy(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let idle: Vec<String> = idle(config).into_iter().map(|idle| format!("\"{}\"", idle.rule)).collect();
    if !idle.is_empty() {
        let found = format!("never decides: {}", idle.join(", "));
        findings.push(Finding::warn(
            "policy",
            found,
            "`sealpost policy check` says why: mend the rule, or take it out",
        ));
    }
    let observer: Vec<&str> = config.policy.trial.observer.iter().map(|client| client.0.as_str()).collect();
    if !observer.is_empty() {
        let found = format!("mail of {} is only observed, and goes nowhere", observer.join(", "));
        let advice = "right for a client that sends copies; any other is to be taken out of policy.observer";
        findings.push(Finding::warn("policy", found, advice));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_never_decides_and_mail_that_goes_nowhere_are_told() {
        let text = include_str!("../../../config/examples/clinic.toml");
        let head = text.split("[policy]").next().unwrap();
        let client = "[[client]]\nname = \"mirror\"\nnetworks = [\"192.0.2.7\"]\nsenders = [\"*@clinic.example\"]\n";
        let config = |policy: &str| crate::config::parse(&format!("{head}{client}[policy]\n{policy}")).unwrap();
        assert_eq!(policy(&config("")), []);
        let rule = "[[policy.rule]]\nname = \"a\"\nwhen = { sender = [\"*@elsewhere.example\"] }\nhold = \"look\"\n";
        let found: Vec<String> = policy(&config(&format!("observer = [\"mirror\"]\n{rule}")))
            .into_iter()
            .map(|finding| finding.found)
            .collect();
        assert_eq!(found, ["never decides: \"a\"", "mail of mirror is only observed, and goes nowhere"]);
    }
}
