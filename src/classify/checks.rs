//! Check digits and alphabets of the numbers that carry them.

/// The Luhn sum (ISO/IEC 7812-1) of ASCII digits, its check digit included.
fn luhn(digits: impl DoubleEndedIterator<Item = u32>) -> bool {
    let doubled = |at: usize, digit: u32| match (at % 2, digit * 2) {
        (0, _) => digit,
        (_, double) if double > 9 => double - 9,
        (_, double) => double,
    };
    digits.rev().enumerate().map(|(at, digit)| doubled(at, digit)).sum::<u32>() % 10 == 0
}

fn digits(text: &str) -> Option<Vec<u32>> {
    text.chars().map(|character| character.to_digit(10)).collect()
}

/// 45 CFR 162.406: ten digits, the first 1 or 2, whose Luhn sum is taken behind the prefix 80840.
pub(super) fn npi(text: &str) -> bool {
    let Some(number) = digits(text).filter(|number| number.len() == 10 && matches!(number[0], 1 | 2)) else {
        return false;
    };
    luhn([8, 0, 8, 4, 0].into_iter().chain(number))
}

/// A DEA registration: two letters and seven digits, the last being (1st+3rd+5th) + 2*(2nd+4th+6th) modulo 10.
pub(super) fn dea(text: &str) -> bool {
    let (Some(letters), Some(number)) = (text.get(..2), text.get(2..).and_then(digits)) else { return false };
    let shaped = letters.starts_with(|c: char| "ABCDEFGHJKLMPRSTUX".contains(c))
        && letters.ends_with(|c: char| c.is_ascii_uppercase() || c == '9');
    let [a, b, c, d, e, f, check] = number[..] else { return false };
    shaped && (a + c + e + 2 * (b + d + f)) % 10 == check
}

/// A social security number that can have been issued: no area 000, 666 or 9xx, no group 00, no serial 0000 (20 CFR 422.103).
pub(super) fn ssn(text: &str) -> bool {
    let number: String = text.chars().filter(char::is_ascii_digit).collect();
    let (Some(area), Some(group), Some(serial)) = (number.get(..3), number.get(3..5), number.get(5..)) else {
        return false;
    };
    number.len() == 9 && area != "000" && area != "666" && !area.starts_with('9') && group != "00" && serial != "0000"
}

/// A Medicare beneficiary identifier: eleven characters, each position with its own alphabet; S, L, O, I, B, Z are never used.
pub(super) fn mbi(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_uppercase() && !"SLOIBZ".contains(c);
    let either = |c: char| letter(c) || c.is_ascii_digit();
    let characters: Vec<char> = text.chars().filter(|c| *c != '-').collect();
    let [a, b, c, d, e, f, g, h, i, j, k] = characters[..] else { return false };
    ('1'..='9').contains(&a)
        && [b, e, h, i].into_iter().all(letter)
        && [c, f].into_iter().all(either)
        && [d, g, j, k].into_iter().all(|c| c.is_ascii_digit())
}

/// A vehicle identification number with its check digit (49 CFR 565.15(c)).
pub(super) fn vin(text: &str) -> bool {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let value = |c: char| match c {
        '0'..='9' => c.to_digit(10),
        'A'..='H' => Some(u32::from(c) - u32::from('A') + 1),
        'J'..='N' => Some(u32::from(c) - u32::from('J') + 1),
        'P' => Some(7),
        'R' => Some(9),
        'S'..='Z' => Some(u32::from(c) - u32::from('S') + 2),
        _ => None,
    };
    let Some(values) = text.chars().map(value).collect::<Option<Vec<u32>>>().filter(|all| all.len() == 17) else {
        return false;
    };
    let sum: u32 = values.iter().zip(WEIGHTS).map(|(value, weight)| value * weight).sum();
    let expected = char::from_digit(sum % 11, 10).unwrap_or('X');
    text.chars().nth(8) == Some(expected) && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// A GTIN-14, with the GS1 modulo-10 check digit (21 CFR 801.20 has devices carry it as their identifier).
pub(super) fn gtin(text: &str) -> bool {
    let Some(number) = digits(text).filter(|number| number.len() == 14) else { return false };
    let sum: u32 = number.iter().enumerate().map(|(at, digit)| if at % 2 == 0 { digit * 3 } else { *digit }).sum();
    sum.is_multiple_of(10)
}

/// A LOINC code: one to seven digits, a hyphen, and their Luhn digit.
pub(super) fn loinc(text: &str) -> bool {
    let Some((number, check)) = text.split_once('-') else { return false };
    check.len() == 1
        && (1..=7).contains(&number.len())
        && digits(&format!("{number}{check}")).is_some_and(|all| luhn(all.into_iter()))
}

/// The shape of an ICD-10-CM code: a letter, a digit, a digit or letter, and up to four more behind a point. Of the chapter U,
/// which is kept for new diseases, U07 (COVID-19) and U09 are in use.
pub(super) fn icd10(text: &str) -> bool {
    let (category, rest) = text.split_once('.').unwrap_or((text, ""));
    let [first, second, third] = category.as_bytes() else { return false };
    first.is_ascii_uppercase()
        && (*first != b'U' || matches!(category, "U07" | "U09"))
        && second.is_ascii_digit()
        && (third.is_ascii_digit() || matches!(third, b'A' | b'B'))
        && rest.len() <= 4
        && (!text.contains('.') || !rest.is_empty())
        && rest.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// The same as it is sent in claims, without the point.
pub(super) fn icd10_without_point(text: &str) -> bool {
    text.split_at_checked(3).is_some_and(|(category, rest)| !rest.is_empty() && icd10(&format!("{category}.{rest}")))
        && !text.contains('.')
}

/// The number of a payment card (ISO/IEC 7812-1): sixteen digits with their Luhn digit, or fifteen that begin with 34 or 37.
pub(super) fn card(text: &str) -> bool {
    let number: String = text.chars().filter(char::is_ascii_digit).collect();
    let long = number.len() == 16 && !number.starts_with('0');
    let short = number.len() == 15 && (number.starts_with("34") || number.starts_with("37"));
    (long || short) && digits(&number).is_some_and(|all| luhn(all.into_iter()))
}

/// The identity of a mobile device (3GPP TS 23.003 §6.2.1): fifteen digits, the last being their Luhn digit.
pub(super) fn imei(text: &str) -> bool {
    let number: String = text.chars().filter(char::is_ascii_digit).collect();
    number.len() == 15 && digits(&number).is_some_and(|all| luhn(all.into_iter()))
}

/// The number of a bank account as ISO 13616 writes it: a country, two check digits, and up to thirty characters; modulo 97
/// it leaves 1 (ISO/IEC 7064).
pub(super) fn iban(text: &str) -> bool {
    let (Some(country), Some(check)) = (text.get(..2), text.get(2..4)) else { return false };
    let shaped = (15..=34).contains(&text.len())
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && check.bytes().all(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let turned = text.chars().cycle().skip(4).take(text.len()).filter_map(|character| character.to_digit(36));
    let left = turned.fold(0, |left, value| (left * if value > 9 { 100 } else { 10 } + value) % 97);
    shaped && left == 1
}

/// A level II code: a letter that is in use and four digits.
pub(super) fn hcpcs(text: &str) -> bool {
    let letter = text.starts_with(|c: char| "ABCDEGHJKLMPQRSTV".contains(c));
    text.len() == 5 && letter && text.bytes().skip(1).all(|byte| byte.is_ascii_digit())
}

/// The shape of a procedure code of level I: five digits, or four and a category letter.
pub(super) fn cpt(text: &str) -> bool {
    let (number, end) = text.split_at_checked(4).unwrap_or(("", ""));
    digits(number).is_some_and(|all| all.len() == 4)
        && (matches!(end, "F" | "T" | "U") || (end.len() == 1 && end.bytes().all(|byte| byte.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(valid: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(valid(text), "{text} is valid");
        }
        for text in bad {
            assert!(!valid(text), "{text} is not valid");
        }
    }

    #[test]
    fn npi_is_checked_with_its_prefix() {
        check(npi, &["1234567893"], &["1234567890", "3234567893", "123456789", "12345678931", "123456789x"]);
    }

    #[test]
    fn dea_has_letters_and_a_check_digit() {
        check(dea, &["AB1234563", "F91234563"], &["AB1234560", "IB1234563", "A11234563", "AB123456", "éB1234563"]);
    }

    #[test]
    fn ssn_follows_the_rules_of_area_group_and_serial() {
        check(
            ssn,
            &["219-99-8765", "219998765"],
            &["000-12-3456", "666-12-3456", "912-12-3456", "219-00-8765", "219-99-0000", "219-99-876"],
        );
    }

    #[test]
    fn mbi_has_an_alphabet_for_each_position() {
        check(
            mbi,
            &["1EG4-TE5-MK73", "1EG4TE5MK73"],
            &["0EG4TE5MK73", "1SG4TE5MK73", "1EG4TE5MK7", "1EGATE5MK73", "1eG4TE5MK73"],
        );
    }

    #[test]
    fn vin_has_a_check_digit_in_the_middle() {
        check(
            vin,
            &["1M8GDM9AXKP042788"],
            &["1M8GDM9A1KP042788", "1M8GDM9AXKP04278", "IM8GDM9AXKP042788", "11111111111111111"],
        );
    }

    #[test]
    fn gtin_loinc_and_codes_have_their_shapes() {
        check(gtin, &["00012345678905"], &["00012345678906", "0001234567890"]);
        check(loinc, &["2345-7", "4548-4"], &["2345-8", "-7", "2345", "12345678-1"]);
        check(
            icd10,
            &["E11.9", "S52.501A", "I10", "C7A.1", "U07.1", "U09.9"],
            &["E11.", "11.9", "E1.9", "E11.12345", "U07.1x", "U11.5", "e11.9"],
        );
        check(icd10_without_point, &["E119", "S52501A"], &["E11", "E11.9", "119E"]);
        check(
            card,
            &["4111-1111-1111-1111", "378282246310005"],
            &["4111-1111-1111-1112", "0000000000000000", "358282246310005"],
        );
        check(imei, &["490154203237518"], &["490154203237519", "49015420323751"]);
        check(
            iban,
            &["DE89370400440532013000", "GB82WEST12345698765432"],
            &["DE88370400440532013000", "de89370400440532013000", "GB82WEST1234", "12345678901234567"],
        );
        check(hcpcs, &["J1885", "G0439"], &["X1885", "J188", "J188A", "O1234"]);
        check(cpt, &["99213", "0001F"], &["9921", "9921A", "992133", "A9213"]);
    }
}
