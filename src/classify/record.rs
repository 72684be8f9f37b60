//! Records of one patient in the formats of health care: HL7 v2, X12, FHIR, C-CDA.

use memchr::memmem;

use crate::classify::{Hit, Hits, Sense};
use crate::phi::Kind;

/// Finds what makes a text a record of a patient.
pub(super) fn detect(text: &str, hits: &mut Hits) {
    let found = [hl7(text), x12(text), fhir_json(text), fhir_xml(text), ccda(text)];
    let record = |at: (usize, usize)| Hit {
        kind: Kind::Record,
        span: at.0..at.0 + at.1,
        confidence: 0.99,
        sense: Sense::Record,
    };
    hits.extend(found.into_iter().flatten().map(record));
}

/// Where a format shows itself, and the length of what shows it.
type Place = Option<(usize, usize)>;

/// HL7 v2: a message header and a patient identification segment, each at the start of a line.
fn hl7(text: &str) -> Place {
    let header = segment(text, "MSH|").or_else(|| segment(text, "FHS|")).or_else(|| segment(text, "BHS|"))?;
    segment(text, "PID|").or_else(|| segment(text, "IN1|")).or_else(|| segment(text, "MRG|")).map(|_| (header, 4))
}

fn find(text: &str, sign: &str) -> Option<usize> {
    memmem::find(text.as_bytes(), sign.as_bytes())
}

fn holds(text: &str, sign: &str) -> bool {
    find(text, sign).is_some()
}

fn segment(text: &str, name: &str) -> Option<usize> {
    let begins = |at: usize| at == 0 || matches!(text.as_bytes()[at - 1], b'\r' | b'\n' | 0x0b | b'>' | b'\t');
    memmem::find_iter(text.as_bytes(), name).find(|at| begins(*at))
}

/// X12: an interchange with a patient, an insured or a corrected insured (NM1 with QC, IL or 74).
fn x12(text: &str) -> Place {
    let at = segment(text, "ISA")?;
    let separator = text[at + 3..].chars().next().filter(char::is_ascii_punctuation)?;
    let person = |code: &str| holds(text, &format!("NM1{separator}{code}{separator}"));
    (person("QC") || person("IL") || person("74")).then_some((at, 3))
}

/// FHIR in JSON: a Patient, or a resource whose subject, patient or beneficiary is one.
fn fhir_json(text: &str) -> Place {
    const TYPE: &str = "\"resourceType\"";
    let at = find(text, TYPE)?;
    let person =
        |name: &str| text.match_indices(name).any(|(at, _)| text[at + name.len()..].trim_start().starts_with(':'));
    let patient = text.match_indices(TYPE).any(|(at, _)| {
        let value = text[at + TYPE.len()..].trim_start().trim_start_matches(':').trim_start();
        value.starts_with("\"Patient\"") || value.starts_with("\"RelatedPerson\"")
    });
    let subject = ["\"subject\"", "\"patient\"", "\"beneficiary\""].into_iter().any(person);
    (patient || (subject && names_somebody(text))).then_some((at, TYPE.len()))
}

/// A reference that leads to a person, or shows a name.
fn names_somebody(text: &str) -> bool {
    ["Patient/", "urn:uuid:", "\"reference\"", "\"display\""].into_iter().any(|sign| holds(text, sign))
}

fn fhir_xml(text: &str) -> Place {
    let at = find(text, "http://hl7.org/fhir\"")?;
    let patient = holds(text, "<Patient") || (holds(text, "<subject") && holds(text, "Patient/"));
    (patient || (holds(text, "<patient>") && holds(text, "Patient/"))).then_some((at, 19))
}

/// C-CDA: a clinical document names its patient as the record target.
fn ccda(text: &str) -> Place {
    let at = find(text, "ClinicalDocument")?;
    holds(text, "recordTarget").then_some((at, 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, found: bool) {
        let mut hits = Hits::within(100);
        detect(text, &mut hits);
        assert_eq!(!hits.kept.is_empty(), found, "{text}");
    }

    #[test]
    fn a_record_of_a_patient_is_known_by_its_format() {
        check("MSH|^~\\&|A|B\r\nPID|1||X\r\n", true);
        check("ISA*00*~ST*270~NM1*IL*1*QUIST*MARIBEL~", true);
        check("ISA|00|~NM1|QC|1|QUIST~", true);
        check("{\"resourceType\" : \"Patient\"}", true);
        check("{\"resourceType\":\"Observation\",\"subject\":{\"reference\":\"Patient/7\"}}", true);
        check("<Patient xmlns=\"http://hl7.org/fhir\"/>", true);
        check("<ClinicalDocument><recordTarget/></ClinicalDocument>", true);
    }

    #[test]
    fn formats_without_a_patient_are_no_record() {
        check("MSH|^~\\&|A|B\r\nMFI|x\r\n", false);
        check("we parse MSH| and PID| segments", false);
        check("ISA*00*~NM1*41*2*CLEARING~", false);
        check("{\"resourceType\":\"ValueSet\",\"subject\":1}", false);
        check("<ValueSet xmlns=\"http://hl7.org/fhir\"/>", false);
        check("ISA", false);
        check("<ClinicalDocument/>", false);
    }
}
