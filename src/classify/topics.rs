//! Topics that ask for more care: substance use (42 CFR Part 2), HIV, reproduction, mental health, minors.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::RegexSet;

use crate::phi::Label;

/// The words of each label, in the order of `Label::ALL`; words, not stems of others.
static WORDS: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    let words = [
        r"substance (?:use|abuse)|opioid use disorder|alcohol (?:use disorder|dependence|detox)|addiction (?:treatment|counseling|medicine)|methadone|buprenorphine|suboxone|naltrexone|drug rehab|rehab(?:ilitation)? for (?:alcohol|drugs)|42 cfr part 2|adicción|metadona|f1[0-69]\.\d+",
        r"hiv(?:-?1)?|viral load|cd4(?: count)?|antiretroviral|biktarvy|truvada|descovy|prep for hiv|vih|sida|b20|z21",
        r"abortion|miscarriage|pregnan(?:t|cy)|prenatal|obstetric|contracepti(?:ve|on)|iud|ivf|fertility|mifepristone|misoprostol|embarazo|embarazada|aborto|o0\d\.\d+|z3[0-9]\.\d+",
        r"depressi(?:on|ve disorder)|bipolar|schizophrenia|psychiatr(?:y|ic|ist)|psychotherapy|suicid(?:e|al)|ptsd|anxiety disorder|sertraline|lithium|quetiapine|phq-?9|gad-?7|depresión|psiquiatra|f[2-5]\d\.\d+",
        r"pediatric|paediatric|well[- ]child|minor child|your (?:son|daughter|child|baby|infant)|newborn|(?:1[0-7]|[1-9])[- ]year[- ]old|su (?:hijo|hija|bebé)|immunization record",
    ];
    RegexSet::new(words.map(|words| format!(r"(?i)\b(?:{words})\b"))).ok()
});

/// Adds the labels that a text's words call for.
pub(super) fn add(text: &str, labels: &mut BTreeSet<Label>) {
    let Some(words) = WORDS.as_ref() else { return };
    labels.extend(words.matches(text).into_iter().filter_map(|at| Label::ALL.get(at)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_has_its_words_and_only_whole_ones() {
        let labels = |text: &str| {
            let mut labels = BTreeSet::new();
            add(text, &mut labels);
            labels.into_iter().map(Label::name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels("She continues buprenorphine 8 mg daily."), "part2");
        assert_eq!(labels("HIV-1 viral load undetectable"), "hiv");
        assert_eq!(labels("Your IUD visit"), "reproductive");
        assert_eq!(labels("PHQ-9 of 17, started sertraline"), "mental_health");
        assert_eq!(labels("your daughter is due for a well-child visit"), "minor");
        assert_eq!(labels("The shiver of a presidential minority"), "");
    }
}
