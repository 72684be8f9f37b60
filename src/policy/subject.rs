//! What a subject may not show, and what stands in its place.

use crate::classify::Verdict;
use crate::mime::{Content, Part, Tree};
use crate::phi::{Kind, Phi};

/// Whether the subject names a person or a fact of somebody's health. A word such as "appointment", a day or a web address
/// alone does neither.
pub(super) fn holds_phi(verdict: &Verdict) -> bool {
    verdict
        .findings
        .iter()
        .any(|finding| (finding.part == "subject" || is_further(&finding.part)) && tells(finding.kind))
}

/// The subjects behind the first, where the header has several; none when there are more than are read.
pub(super) fn further<'t>(tree: &'t Tree) -> Option<Vec<&'t Phi<String>>> {
    let further = tree.parts.iter().filter(|part| is_further(&part.path));
    let text = |part: &'t Part| match &part.content {
        Content::Text(text) => Some(text),
        Content::Unreadable(_) => None,
    };
    further.map(text).collect()
}

fn is_further(part: &str) -> bool {
    part.starts_with("subject~")
}

const fn tells(kind: Kind) -> bool {
    match kind {
        Kind::Name
        | Kind::DateOfBirth
        | Kind::Phone
        | Kind::Ssn
        | Kind::Mrn
        | Kind::Mbi
        | Kind::MemberId
        | Kind::Account
        | Kind::Device
        | Kind::Diagnosis
        | Kind::Icd10
        | Kind::Drug
        | Kind::Ndc
        | Kind::Procedure
        | Kind::Cpt
        | Kind::Hcpcs
        | Kind::Loinc
        | Kind::Lab
        | Kind::Dose
        | Kind::Symptom
        | Kind::Vital
        | Kind::Biometric
        | Kind::UniqueId
        | Kind::Record => true,
        Kind::Address
        | Kind::Zip
        | Kind::Date
        | Kind::Fax
        | Kind::Email
        | Kind::Npi
        | Kind::Dea
        | Kind::License
        | Kind::Vehicle
        | Kind::Url
        | Kind::Age
        | Kind::Photo
        | Kind::Ip
        | Kind::Care
        | Kind::Billing
        | Kind::Unreadable => false,
    }
}
