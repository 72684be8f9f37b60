//! What a piece of text was recognised as: HIPAA's identifiers, and the signs of health, care and payment.

use serde::{Deserialize, Serialize};

/// Which half of PHI a finding belongs to: who somebody is, or what concerns their health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Points at a person (45 CFR 164.514(b)(2)).
    Identifier,
    /// Says something of health, care, or payment for care (45 CFR 160.103).
    Health,
    /// Could not be read, and is treated as PHI.
    Unreadable,
}

macro_rules! kinds {
    ($($variant:ident $name:literal $axis:ident),+ $(,)?) => {
        /// What a finding is. The names are the ones that `sealpost classify` prints.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $(#[serde(rename = $name)] $variant,)+
        }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),+];

            pub const fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name),+ }
            }

            pub const fn axis(self) -> Axis {
                match self { $(Kind::$variant => Axis::$axis),+ }
            }

            pub fn from_name(name: &str) -> Option<Kind> {
                Kind::ALL.iter().copied().find(|kind| kind.name().eq_ignore_ascii_case(name))
            }
        }
    };
}

kinds! {
    Name "NAME" Identifier,
    Address "ADDRESS" Identifier,
    Zip "ZIP" Identifier,
    Date "DATE" Identifier,
    DateOfBirth "DOB" Identifier,
    Phone "PHONE" Identifier,
    Fax "FAX" Identifier,
    Email "EMAIL" Identifier,
    Ssn "SSN" Identifier,
    Mrn "MRN" Identifier,
    Mbi "MBI" Identifier,
    MemberId "MEMBER_ID" Identifier,
    Account "ACCOUNT" Identifier,
    Npi "NPI" Identifier,
    Dea "DEA" Identifier,
    License "LICENSE" Identifier,
    Vehicle "VIN" Identifier,
    Device "UDI" Identifier,
    Url "URL" Identifier,
    Ip "IP" Identifier,
    Age "AGE" Identifier,
    Biometric "BIOMETRIC" Identifier,
    Photo "PHOTO" Identifier,
    UniqueId "UNIQUE_ID" Identifier,
    Diagnosis "DIAGNOSIS" Health,
    Icd10 "ICD10" Health,
    Drug "DRUG" Health,
    Ndc "NDC" Health,
    Procedure "PROCEDURE" Health,
    Cpt "CPT" Health,
    Hcpcs "HCPCS" Health,
    Loinc "LOINC" Health,
    Lab "LAB" Health,
    Dose "DOSE" Health,
    Symptom "SYMPTOM" Health,
    Vital "VITAL" Health,
    Care "CARE" Health,
    Billing "BILLING" Health,
    Record "RECORD" Health,
    Unreadable "UNREADABLE" Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(&kind.name().to_lowercase()), Some(*kind));
        }
    }
}
