//! Whether a message carries more than anybody asked for: a whole record, where a page would do (45 CFR 164.502(b)).

use serde::{Deserialize, Serialize};

use crate::classify::Verdict;
use crate::mime::{self, Content, Part, Tree};
use crate::phi::{Axis, Kind};

/// Such a long attachment with so much of health in it is a chart.
const CHART_OCTETS: usize = 30_000;
const CHART_FINDINGS: usize = 40;
/// Formats say early what they are.
const LOOKED_AT: usize = 64 * 1024;

/// In what form the whole of a record, or many, came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WholeRecord {
    Ccda,
    FhirBundle,
    X12,
    Hl7Batch,
    Chart,
}

impl WholeRecord {
    pub(super) fn words(self) -> &'static str {
        match self {
            WholeRecord::Ccda => "a whole clinical document (C-CDA)",
            WholeRecord::FhirBundle => "a bundle of records (FHIR)",
            WholeRecord::X12 => "a file of several claims or benefits (X12)",
            WholeRecord::Hl7Batch => "a batch of messages about patients (HL7)",
            WholeRecord::Chart => "a long chart",
        }
    }
}

/// The first attachment that is a whole record.
pub(super) fn whole_record(tree: &Tree, verdict: &Verdict) -> Option<WholeRecord> {
    tree.parts.iter().find_map(|part| by_its_name(part).or_else(|| by_its_text(part, verdict)))
}

fn by_its_name(part: &Part) -> Option<WholeRecord> {
    // What a file's name ends with says what it is, and not whose.
    let end = part.name.as_ref().and_then(|name| mime::extension(name.expose()));
    let named = end.is_some_and(|end| ["ccda", "ccd", "cda"].contains(&end.as_str()));
    let ccda = part.media_type == "application/hl7-cda+xml" || named;
    ccda.then_some(WholeRecord::Ccda)
}

fn by_its_text(part: &Part, verdict: &Verdict) -> Option<WholeRecord> {
    let Content::Text(text) = &part.content else { return None };
    // Looked at for what formats begin with; none of it is kept.
    let text = text.expose();
    let start = start(text);
    if start.contains("<ClinicalDocument") {
        Some(WholeRecord::Ccda)
    } else if start.contains("\"resourceType\"") && start.contains("\"Bundle\"") {
        Some(WholeRecord::FhirBundle)
    } else if start.starts_with("ISA*") && start.matches("CLM*").count().max(start.matches("TRN*").count()) > 1 {
        Some(WholeRecord::X12)
    } else if start.matches("MSH|^~\\&").count() > 1 {
        Some(WholeRecord::Hl7Batch)
    } else if part.name.is_some() && is_a_chart(text, &part.path, verdict) {
        Some(WholeRecord::Chart)
    } else {
        None
    }
}

fn is_a_chart(text: &str, path: &str, verdict: &Verdict) -> bool {
    let of_health = |kind: Kind| kind.axis() == Axis::Health;
    text.len() >= CHART_OCTETS
        && verdict.findings.iter().filter(|found| found.part == path && of_health(found.kind)).count() >= CHART_FINDINGS
}

fn start(text: &str) -> &str {
    let mut end = text.len().min(LOOKED_AT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{Finding, Grounds, Points};
    use crate::phi::Phi;

    fn attached(name: &str, text: &str, findings: usize) -> Option<WholeRecord> {
        let content = Content::Text(Phi::new(text.to_owned()));
        let part = Part {
            path: "2".into(),
            media_type: "application/octet-stream".into(),
            name: Some(Phi::new(name.to_owned())),
            content,
        };
        let tree = Tree {
            subject: Phi::default(),
            from: Vec::new(),
            message_id: None,
            parts: vec![part],
            control: Vec::new(),
        };
        let finding = Finding { kind: Kind::Drug, part: "2".into(), start: 0, end: 1, confidence: 0.9 };
        let verdict = Verdict {
            phi: true,
            score: 1.0,
            points: Points { strict: true, balanced: true },
            grounds: Grounds::default(),
            findings: vec![finding; findings],
            persons: 1,
            labels: Vec::new(),
            version: "test".into(),
        };
        whole_record(&tree, &verdict)
    }

    #[test]
    fn whole_records_are_known_by_their_formats() {
        let claim = "CLM*1~";
        let header = "MSH|^~\\&|A|B\r";
        for (name, text, found) in [
            ("x.xml", "<?xml version=\"1.0\"?>\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\">", Some(WholeRecord::Ccda)),
            ("Export.CCDA", "", Some(WholeRecord::Ccda)),
            ("x.json", "{\"resourceType\": \"Bundle\", \"entry\": []}", Some(WholeRecord::FhirBundle)),
            ("x.json", "{\"resourceType\": \"Patient\"}", None),
            ("x.x12", &format!("ISA*00*~{claim}{claim}"), Some(WholeRecord::X12)),
            ("x.x12", &format!("ISA*00*~{claim}"), None),
            ("x.hl7", &format!("FHS|^~\\&|\r{header}{header}"), Some(WholeRecord::Hl7Batch)),
            ("x.hl7", header, None),
        ] {
            assert_eq!(attached(name, text, 0), found, "{text}");
        }
    }

    #[test]
    fn a_chart_is_long_and_full_of_health() {
        let long = "word ".repeat(CHART_OCTETS / 5);
        assert_eq!(attached("chart.txt", &long, CHART_FINDINGS), Some(WholeRecord::Chart));
        assert_eq!(attached("chart.txt", &long, CHART_FINDINGS - 1), None);
        assert_eq!(attached("page.txt", &long[10..], CHART_FINDINGS), None);
    }
}
