//! The categories of ICD-10-CM, which tell a diagnosis from a room number of the same shape.

use std::sync::LazyLock;

use crate::classify::{checks, lexicon};

/// Characters of the second and the third place: a digit or a letter.
const PLACES: usize = 36;

/// One bit for each possible category.
static CATEGORIES: LazyLock<Vec<bool>> = LazyLock::new(|| {
    let mut all = vec![false; 26 * PLACES * PLACES];
    for line in lexicon::lines(include_str!("lexicon/icd10_category.txt")) {
        let mut words = line.split(' ');
        let Some(chapter) = words.next().and_then(|letter| letter.bytes().next()) else { continue };
        for word in words {
            if let [second, third] = word.as_bytes()
                && let Some(known) = place(chapter, *second, *third).and_then(|at| all.get_mut(at))
            {
                *known = true;
            }
        }
    }
    all
});

fn place(chapter: u8, second: u8, third: u8) -> Option<usize> {
    let value = |octet: u8| char::from(octet).to_digit(36).map(|value| value as usize);
    let chapter = usize::from(chapter.checked_sub(b'A').filter(|letter| *letter < 26)?);
    Some((chapter * PLACES + value(second)?) * PLACES + value(third)?)
}

/// Whether a text with a point is a diagnosis: its shape, and a category that there is.
pub(super) fn is_diagnosis(text: &str) -> bool {
    let [first, second, third, b'.', ..] = text.as_bytes() else { return false };
    let known = place(*first, *second, *third).and_then(|at| CATEGORIES.get(at));
    checks::icd10(text) && known == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnosis_has_a_category_that_there_is() {
        for text in ["E11.9", "S52.501A", "C7A.1", "Z99.11", "I10.0"] {
            assert!(is_diagnosis(text), "{text}");
        }
        for text in ["B12.5x", "E11", "Y39.1", "e11.9", "X7", "V07.1", "É11.9"] {
            assert!(!is_diagnosis(text), "{text}");
        }
    }
}
