//! Numbers that are known by the word in front of them: `MRN: 00482913`, `Member ID 88-1`.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::classify::{Detector, Hit, Hits, checks, stands_alone};
use crate::phi::Kind;

pub(super) struct Labels;

/// The labels of each kind, as alternatives of one expression; the group's name says what the value must be.
static LABELLED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    const NUMBER: &str = r"(?:[ \t]*(?:number|num\b|no\b|nbr|id\b|#|code)\.?)*";
    let kinds = [
        (
            "mrn",
            r"mrn|medical[ \t]+record|med\.?[ \t]+rec|chart[ \t]*(?:number|no\b|#)|patient[ \t]*(?:id|number|no\b|#)|pt[ \t]*id",
        ),
        ("mbi", r"mbi|medicare(?:[ \t]+beneficiary)?"),
        (
            "member",
            r"member|subscriber|beneficiary|medicaid|insurance[ \t]+(?:id|number|no\b|#|policy)|health[ \t]+plan[ \t]+(?:id|number|no\b)|plan[ \t]+id",
        ),
        (
            "account",
            r"(?:patient[ \t]+|group[ /]+)?(?:account|acct\.?|policy)|group[ \t]+(?:number|no\b|#|id)|claim|guarantor|visit[ \t]+(?:number|no\b|#|id)|encounter[ \t]+(?:number|no\b|#|id)",
        ),
        ("npi", r"npi"),
        ("dea", r"dea"),
        ("license", r"(?:driver'?s?[ \t]+)?licen[sc]e|dl[ \t]*#"),
        ("code", r"cpt|hcpcs|procedure[ \t]+code|billing[ \t]+code|bill(?:ed)?|proc[ \t]+code"),
        ("icd", r"icd(?:-?(?:9|10))?(?:-cm)?|dx|diagnos[ie]s(?:[ \t]+codes?)?"),
        ("ndc", r"ndc"),
        ("loinc", r"loinc"),
        ("zip", r"zip|postal"),
        ("udi", r"serial|udi|device[ \t]+(?:id|identifier)|implant"),
    ];
    let labels: Vec<String> = kinds.iter().map(|(name, label)| format!("(?P<{name}>{label})")).collect();
    let value = r"(?P<value>[a-z0-9][a-z0-9]*(?:[-/.][a-z0-9]+){0,4})";
    let text = format!(r"(?i-u)\b(?:{}){NUMBER}[ \t]*(?:is\b)?[ \t]*[:#=]?\s{{0,4}}{value}", labels.join("|"));
    Regex::new(&text).ok()
});

const KINDS: [(&str, Kind); 13] = [
    ("mrn", Kind::Mrn),
    ("mbi", Kind::Mbi),
    ("member", Kind::MemberId),
    ("account", Kind::Account),
    ("npi", Kind::Npi),
    ("dea", Kind::Dea),
    ("license", Kind::License),
    ("code", Kind::Cpt),
    ("icd", Kind::Icd10),
    ("ndc", Kind::Ndc),
    ("loinc", Kind::Loinc),
    ("zip", Kind::Zip),
    ("udi", Kind::Device),
];

impl Detector for Labels {
    fn detect(&self, text: &str, hits: &mut Hits) {
        let Some(labelled) = LABELLED.as_ref() else { return };
        let mut at = 0;
        while let Some(found) = labelled.captures_at(text, at) {
            let Some(value) = found.name("value") else { return };
            let label = KINDS.iter().find_map(|(name, kind)| found.name(name).map(|label| (label.end(), *kind)));
            let Some((end, kind)) = label else { return };
            // Where the value is no number, it may be the label of the next one: "patient ID MRN 12".
            at = if value.as_str().bytes().any(|byte| byte.is_ascii_digit()) { value.end() } else { end };
            hits.extend(judge(kind, text, &value.range()));
        }
    }
}

/// Whether the value is one of its kind, and how sure that is.
fn judge(kind: Kind, text: &str, span: &Range<usize>) -> Option<Hit> {
    let value = &text[span.clone()];
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let (kind, confidence) = match kind {
        Kind::Mrn if digits >= 4 => (kind, 0.95),
        Kind::MemberId if checks::mbi(value) => (Kind::Mbi, 0.95),
        Kind::MemberId | Kind::Account if digits >= 5 => (kind, 0.9),
        Kind::License if digits >= 5 => (kind, 0.8),
        Kind::Mbi if checks::mbi(value) => (kind, 0.98),
        Kind::Npi if checks::npi(value) => (kind, 0.98),
        Kind::Dea if checks::dea(value) => (kind, 0.98),
        Kind::Cpt if checks::cpt(value) => (kind, 0.9),
        Kind::Cpt if checks::hcpcs(value) => (Kind::Hcpcs, 0.9),
        Kind::Icd10 if checks::icd10(value) => (kind, 0.95),
        Kind::Ndc if digits >= 9 && value.contains('-') => (kind, 0.95),
        Kind::Loinc if checks::loinc(value) => (kind, 0.95),
        Kind::Zip if is_zip(value) => (kind, 0.95),
        Kind::Device if digits >= 5 => (kind, 0.6),
        _ => return None,
    };
    stands_alone(text, span).then(|| Hit::new(kind, span.clone(), confidence))
}

pub(super) fn is_zip(value: &str) -> bool {
    let digits = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    match value.split_once('-') {
        Some((zip, extension)) => digits(zip, 5) && digits(extension, 4),
        None => digits(value, 5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(Kind, &str)]) {
        let mut hits = Hits::within(100);
        Labels.detect(text, &mut hits);
        let got: Vec<_> = hits.kept.iter().map(|hit| (hit.kind, &text[hit.span.clone()])).collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn a_labelled_number_is_found_behind_its_label() {
        check("MRN: 00482913, MRN# Q5508", &[(Kind::Mrn, "00482913"), (Kind::Mrn, "Q5508")]);
        check("Medical record number T90017", &[(Kind::Mrn, "T90017")]);
        check("Member ID: XQ8812345-01.", &[(Kind::MemberId, "XQ8812345-01")]);
        check("Policy no. 7120055-02", &[(Kind::Account, "7120055-02")]);
        check("patient account #: 771234", &[(Kind::Account, "771234")]);
        check("Medicare id 1EG4-TE5-MK73", &[(Kind::Mbi, "1EG4-TE5-MK73")]);
        check("her NPI is 1234567893", &[(Kind::Npi, "1234567893")]);
        check("DEA: AB1234563", &[(Kind::Dea, "AB1234563")]);
        check("CPT 99213 and HCPCS J1885", &[(Kind::Cpt, "99213"), (Kind::Hcpcs, "J1885")]);
        check("Dx: E11.9", &[(Kind::Icd10, "E11.9")]);
        check("LOINC: 2345-7", &[(Kind::Loinc, "2345-7")]);
        check("postal code 85004-1234", &[(Kind::Zip, "85004-1234")]);
        check("NDC 00093-1048-01", &[(Kind::Ndc, "00093-1048-01")]);
        check("license no. D1234567", &[(Kind::License, "D1234567")]);
    }

    #[test]
    fn what_fails_its_check_or_has_no_label_is_not_found() {
        for text in [
            "issue #40071122 closed",
            "parcel 20051177",
            "NPI: 1234567890",
            "DEA: AB1234560",
            "MBI: 1SG4TE5MK73",
            "LOINC 2345-8",
            "hall 20417",
            "column 61250",
            "revision 00fe12ab90",
            "MRN pending",
            "the policy of 2019",
        ] {
            check(text, &[]);
        }
    }
}
