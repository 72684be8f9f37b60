//! Texts with one identifier each, and near misses: what each is, and what it must not be taken for.

use crate::classify::detect;
use crate::phi::Kind;

fn found(text: &str) -> Vec<(Kind, &str)> {
    detect(text, 100).0.kept.iter().map(|hit| (hit.kind, &text[hit.span.clone()])).collect()
}

/// In each text, what stands between ‹ and › is of the kind.
fn holds(kind: Kind, texts: &[&str]) {
    let missed = |text: &&&str| {
        let plain = text.replace(['‹', '›'], "");
        let (_, value) = text.split_once('‹').unwrap();
        let (value, _) = value.split_once('›').unwrap();
        !found(&plain).contains(&(kind, value))
    };
    let missed: Vec<_> = texts.iter().filter(missed).collect();
    assert!(missed.is_empty(), "{kind:?}: {missed:#?}");
}

fn lacks(kind: Kind, texts: &[&str]) {
    let taken: Vec<_> = texts.iter().filter(|text| found(text).iter().any(|(found, _)| *found == kind)).collect();
    assert!(taken.is_empty(), "{kind:?}: {taken:#?}");
}

#[test]
fn numbers_of_a_person() {
    holds(
        Kind::Ssn,
        &[
            "SSN ‹219-09-9999›",
            "her social is ‹219-09-9999›.",
            "Social Security #: ‹219099999›",
            "SS# ‹219 09 9999›",
            "social security number on file: ‹219-09-9999›",
            "Número de seguro social: ‹219-09-9999›",
            "(‹219-09-9999›)",
            "last four of SSN ‹9999›",
            "taxpayer's SSN...‹219-09-9999›",
            "S.S.N. ‹219-09-9999›",
            "Name\tSSN\nQuist\t‹219-09-9999›",
        ],
    );
    lacks(
        Kind::Ssn,
        &[
            "SSN 000-12-3456",
            "SSN: 900-45-1234",
            "SSN 666-12-3456",
            "SSN: 219-00-9999",
            "part 219-09-9999-A",
            "serial no. 5-219-09-9999",
            "order number 219-09-9999",
            "P/N 219-09-9999",
            "catalog no. 219-09-9999",
            "batch no. 219-09-9999",
            "219-09-99991",
            "call 219-099-9999",
        ],
    );
    holds(
        Kind::Mrn,
        &[
            "MRN ‹00482913›",
            "MRN#‹4829130›",
            "mrn:‹E4829130›",
            "Med Rec # ‹12-34-56›",
            "chart no. ‹77120›",
            "Chart # ‹A-77120›",
            "patient ID ‹PT-0048291›",
            "Pt ID: ‹4829130›",
            "Medical Record Number (MRN): ‹4829130›",
            "Hospital number ‹4829130›",
            "MRN for Maribel Quist is: ‹4829130›",
            "‹4829130› (MRN)",
            "Patient | MRN | DOB\nQuist | ‹4829130› | 04/02/1961",
            "expediente no. ‹4829130›",
            "MR# ‹4829130›",
            "Med. Rec. No.: ‹4829130›",
            "MRN/Acct: ‹4829130›",
            "MRN-‹4829130›",
            "Patient # ‹4829130›",
            "our MRN for him is ‹4829130›",
            "MRN (hospital): ‹4829130›",
        ],
    );
    lacks(
        Kind::Mrn,
        &[
            "PR #4829130",
            "Order 4829130 has shipped",
            "the chart of 2019",
            "chart 3 shows",
            "ticket 4829130",
            "MRN: pending",
        ],
    );
    holds(
        Kind::Mbi,
        &["MBI ‹1EG4-TE5-MK73›", "Medicare ID: ‹1EG4TE5MK73›", "Medicare # ‹1EG4 TE5 MK73›", "on card ‹1EG4-TE5-MK73›"],
    );
    lacks(Kind::Mbi, &["MBI 1SG4-TE5-MK73", "license key 1EG4-TE5F-MK73", "MBI: 0EG4TE5MK73"]);
}

#[test]
fn a_number_goes_on_over_the_hyphens_of_typesetting() {
    for hyphen in "\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2212}".chars() {
        let numbers = [
            (Kind::Ssn, "SSN ‹219-09-9999›"),
            (Kind::Ssn, "her number is ‹219-09-9999›"),
            (Kind::Phone, "call ‹602-555-0143›"),
            (Kind::Phone, "‹(602) 555-0143›"),
            (Kind::Mrn, "Chart # ‹A-77120›"),
            (Kind::Mrn, "Med Rec # ‹12-34-56›"),
            (Kind::Mbi, "on card ‹1EG4-TE5-MK73›"),
            (Kind::DateOfBirth, "DOB ‹04-02-1961›"),
            (Kind::Zip, "ZIP ‹85201-1234›"),
            (Kind::Cpt, "CPT ‹99213-25›"),
        ];
        for (kind, text) in numbers {
            holds(kind, &[&text.replace('-', &hyphen.to_string())]);
        }
        lacks(Kind::Phone, &[&"part 602-555-0143-9".replace('-', &hyphen.to_string())]);
    }
}

#[test]
fn numbers_of_plans_and_orders() {
    holds(
        Kind::MemberId,
        &[
            "Member ID: ‹XQ8812345-01›",
            "member # ‹W210055871›",
            "Subscriber ID ‹8812345›",
            "Medicaid ID ‹12345678A›",
            "health plan ID is ‹H8812345›",
            "Insurance ID: ‹ABC8812345›",
            "Aetna ID ‹W1234567›",
            "número de póliza ‹8812345›",
        ],
    );
    holds(
        Kind::Account,
        &[
            "Account ‹771234›",
            "acct# ‹771234-9›",
            "Claim number: ‹2024-118-0091›",
            "claim ‹E20119981›",
            "Guarantor ‹5512345›",
            "Visit number ‹90011234›",
            "Group number ‹0091234›",
            "card ending, number ‹4111-1111-1111-1111›",
            "ICN: ‹2218809123400›",
            "contract # ‹7712345›",
            "wire to ‹GB82WEST12345698765432›",
            "card no. ‹4111 1111 1111 1111›",
        ],
    );
    lacks(
        Kind::Account,
        &["commit 5b150ae2d2", "tracking 1Z9365D49FFA3ED871", "the account of 2019", "revision 1234567"],
    );
    holds(
        Kind::UniqueId,
        &[
            "Rx# ‹7712345›",
            "Accession number: ‹S24-118877›",
            "Specimen ID ‹L118877›",
            "auth # ‹A1188772›",
            "Referral no. ‹118877›",
            "case number ‹2024-11887›",
            "case # ‹2024-11887›",
        ],
    );
}

#[test]
fn numbers_with_check_digits() {
    holds(
        Kind::Npi,
        &[
            "NPI ‹1234567893›",
            "NPI#: ‹1234567893›",
            "National Provider Identifier ‹1234567893›",
            "N.P.I. ‹1234567893›",
            "NPI/‹1234567893›",
        ],
    );
    lacks(Kind::Npi, &["NPI 1234567890", "epoch 1234567893", "call 1234567893"]);
    holds(Kind::Dea, &["DEA ‹AB1234563›", "DEA number ‹AB1234563›", "(‹AB1234563›)"]);
    lacks(Kind::Dea, &["DEA AB1234560", "flight AB1234"]);
    holds(
        Kind::License,
        &["driver's license ‹D1234567›", "DL# ‹D1234567›", "License No. ‹MD-443322›", "passport ‹531234567›"],
    );
    lacks(Kind::License, &["license key AB12-9981-2214", "license 2.0"]);
    holds(Kind::Vehicle, &["VIN ‹1M8GDM9AXKP042788›", "the van, ‹1M8GDM9AXKP042788›", "license plate ‹7ABC123›"]);
    lacks(Kind::Vehicle, &["VIN 1M8GDM9A1KP042788", "sha 1M8GDM9A1KP0427"]);
    holds(
        Kind::Device,
        &[
            "UDI ‹(01)00012345678905(17)301231(10)A1(21)99›",
            "pacemaker serial ‹PM118877›",
            "serial number: ‹SN-99182-A›",
            "MAC ‹00:1A:2B:3C:4D:5E›",
            "UDI-DI ‹00012345678905›",
            "‹(01) 00012345678905 (17) 301231›",
            "IMEI ‹490154203237518›",
        ],
    );
    lacks(Kind::Device, &["(01)00012345678906", "UDI 00012345678906", "IMEI 490154203237519", "at 10:15:30"]);
}

#[test]
fn ways_to_reach_a_person() {
    holds(
        Kind::Phone,
        &[
            "‹(602) 555-0143›",
            "602-555-0143 or ‹602-555-0144›",
            "call ‹602.555.0143›",
            "cell: ‹6025550143›",
            "‹+1 602 555 0143›",
            "‹1-602-555-0143›",
            "phone ‹602 555 0143›",
            "‹602-555-0143 ext. 12›",
            "‹602-555-0143 x12›",
            "‹+44 20 7946 0958›",
            "home ph ‹555-0143›",
            "teléfono ‹602-555-0143›",
            "‹602/555-0143›",
        ],
    );
    lacks(
        Kind::Phone,
        &[
            "ISBN 978-0-974-14582-6",
            "IP 10.220.14.35",
            "lib/foo.c:328:",
            "part 602-555-0143-9",
            "6025550143",
            "2024-05-12",
            "order 602-555-0143",
        ],
    );
    holds(
        Kind::Fax,
        &[
            "Fax: ‹602-555-0143›",
            "fax to ‹(602) 555-0143›",
            "fax # ‹602.555.0143›",
            "Facsimile ‹602-555-0143›",
            "faxed to ‹602-555-0143›",
        ],
    );
    lacks(Kind::Fax, &["Faxes sent: 9039", "fax machine 2"]);
    holds(Kind::Email, &["‹m.quist@mail.example.org›", "email:‹q_1+x@example.com›,"]);
    lacks(Kind::Email, &["npm i @scope/partner@1.3.0", "@quist", "a @ b.example"]);
    holds(Kind::Url, &["‹https://portal.example/p/1›", "see ‹www.clinic.example/q›,", "at ‹clinic.example/q›"]);
    lacks(Kind::Url, &["std::large::protect", "a/b/c.html"]);
    holds(Kind::Ip, &["IP ‹183.170.130.194›", "from ‹10.0.0.7›.", "‹2001:db8:0:1::7›", "‹183.170.130.194/24›"]);
    lacks(
        Kind::Ip,
        &["version 2.417.0.9", "version 1.2.3.4", "1.2.3", "1.2.3.4.5", "upgrade to 6.53.7.15", "nginx 8.244.3.9"],
    );
}

#[test]
fn where_a_person_lives() {
    holds(
        Kind::Address,
        &[
            "‹12 Oak Street›",
            "lives at ‹4410 N. 7th Ave., Apt 3, Mesa, AZ 85201›",
            "‹379 Amy Parkways Apt. 531, West Sara, OH 45310›",
            "‹77 Cantu Spring\nLake Tammy, DE 72311›",
            "‹P.O. Box 118, Mesa, AZ 85201›",
            "‹9 Martin Luther King Jr Blvd›",
            "‹1200 W Elm St #4, Mesa AZ 85201-1234›",
            "She lives in ‹Flagstaff› with her son",
            "‹18340 Hwy 99, Lynnwood, WA 98037›",
            "‹123 1/2 Main Street, Bisbee, AZ 85603›",
            "vive en ‹calle 12 Norte 345, Mesa, AZ 85201›",
            "‹812 Broadway, Nashville, TN 37203›",
            "‹RR 2 Box 118, Ava, MO 65608›",
            "lives at ‹12 oak street› now",
        ],
    );
    lacks(
        Kind::Address,
        &[
            "Section 11 CFR 183",
            "3 ways to",
            "take 2 steps down the road",
            "in 2019 Court rulings",
            "5 people in the street",
            "5 Star Court rulings",
            "the 2 Lane highway bill",
        ],
    );
    holds(
        Kind::Zip,
        &["ZIP ‹85201›", "zip code: ‹85201-1234›", "Mesa, AZ ‹85201›", "postal code ‹85201›", "the ‹85201› ZIP code"],
    );
    lacks(Kind::Zip, &["port 15479", "room 85201", "85201", "$ 85201", "OK 85201 rows"]);
}

#[test]
fn dates_and_ages() {
    holds(
        Kind::DateOfBirth,
        &[
            "DOB ‹04/02/1961›",
            "D.O.B.: ‹4-2-61›",
            "born ‹April 2, 1961›",
            "date of birth ‹1961-04-02›",
            "Birth date: ‹02-Apr-1961›",
            "born on ‹2 April 1961›",
            "fecha de nacimiento: ‹2 de abril de 1961›",
            "DOB: ‹19610402›",
            "Name | DOB\nQuist | ‹04/02/1961›",
            "b.d. ‹04/02/1961›",
            "b. ‹04/02/1961›",
            "DOB ‹02APR1961›",
            "DOB-‹04/02/1961›",
        ],
    );
    lacks(
        Kind::DateOfBirth,
        &["Meeting on 22-Apr-1940", "Released 1961-03-08", "admitted 04/02/2024", "DOB unknown. Seen 04/02/2024"],
    );
    holds(
        Kind::Date,
        &[
            "admitted ‹04/02/2024›",
            "seen on ‹March 3rd, 2024›",
            "‹2024-03-03› visit",
            "died ‹3 Mar 2024›",
            "appointment on ‹March 3›",
            "3.4.2024 to ‹5.4.2024›",
            "DOI: ‹04/02/2024›",
        ],
    );
    lacks(
        Kind::Date,
        &["13/45/2024", "1/2 cup", "version 1.2.3", "may 5 people", "99-99-9999", "doi: 10.1056/2024.11.5"],
    );
    holds(
        Kind::Age,
        &["a ‹92-year-old› man", "age ‹94›", "‹91 y/o› female", "‹92F›", "aged ‹101›", "‹93 años de edad›"],
    );
    lacks(Kind::Age, &["92 patients", "92 mg", "page 92"]);
}

#[test]
fn codes_of_health_care() {
    holds(
        Kind::Icd10,
        &[
            "Dx: ‹E11.9›",
            "ICD-10 ‹S52.501A›",
            "diagnosis code ‹I10›",
            "positive, ‹U07.1›",
            "Dx: ‹U071›",
            "(‹M54.50›)",
            "ICD10: ‹E119›",
        ],
    );
    lacks(Kind::Icd10, &["room U115", "gate D1", "vitamin B12", "size A4.5", "V07.1 release", "model X692"]);
    holds(
        Kind::Cpt,
        &[
            "CPT ‹99213›",
            "procedure code ‹27447›",
            "CPT codes 99213, ‹99214›",
            "billed ‹90837›",
            "CPT(s): ‹99213-25›",
            "CPT-‹99213›",
        ],
    );
    lacks(Kind::Cpt, &["room 99213", "99213", "ZIP 99213", "code 99213"]);
    holds(Kind::Hcpcs, &["HCPCS ‹J1885›", "bill ‹A4253› x1", "HCPCS code ‹G0439›", "supply code ‹A4253›"]);
    lacks(Kind::Hcpcs, &["model J1885", "gate A4253", "HCPCS O1234", "error code E0601"]);
    holds(Kind::Ndc, &["NDC ‹0093-1048-01›", "NDC: ‹00093104801›", "‹50580-449-05›"]);
    lacks(Kind::Ndc, &["call 264-737-4634", "ISBN 0093-1048-01"]);
    holds(Kind::Loinc, &["LOINC ‹2345-7›", "LOINC code: ‹33914-3›"]);
    lacks(Kind::Loinc, &["LOINC 2345-8", "2345-7"]);
}

#[test]
fn what_is_measured() {
    holds(Kind::Dose, &["take ‹10 mg› at night", "‹2 tablets› daily", "metformin ‹500mg›", "‹25 mcg/hr›"]);
    lacks(Kind::Dose, &["10 mgmt tasks", "40 MB", "5 miles"]);
    holds(Kind::Vital, &["BP ‹142/90›", "temp ‹101.4›", "pulse is ‹88›", "O2 sat ‹94›%"]);
    holds(Kind::Lab, &["A1c was ‹8.2›", "potassium ‹3.1 mmol/L›", "TSH: ‹4.6›", "‹140 mg/dL›"]);
}

#[test]
fn marks_of_a_body() {
    holds(Kind::Biometric, &["her ‹fingerprints› are on file", "by ‹voice print›", "‹huella digital›"]);
    holds(Kind::Photo, &["a ‹full-face photo› is attached", "‹photos of the patient› before surgery"]);
    lacks(Kind::Photo, &["photo of the new wing", "team photo"]);
}

#[test]
fn words_of_health() {
    holds(Kind::Symptom, &["‹throwing up› again", "‹short of breath› since", "‹dolor de cabeza›", "‹blood in urine›"]);
    holds(Kind::Vital, &["‹O2 sats› are low", "she is ‹afebrile›", "‹signos vitales›"]);
    holds(Kind::Drug, &["takes ‹Wegovy›", "‹tiotropium›", "‹amoxicilina›"]);
    lacks(Kind::Drug, &["the redis library", "our kafka cluster", "a lodash upgrade"]);
}
