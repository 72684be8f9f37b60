//! From letters on paper to lines of text: what stands side by side is one line, with its columns apart.

use hayro_interpret::kurbo::{Affine, Point};

/// A letter, or several that are one sign.
pub(super) struct Glyph {
    pub text: String,
    /// Where it begins and ends along its line, and how far down the page that lies, as the one who reads the line turns the paper.
    along: f64,
    end: f64,
    down: f64,
    size: f64,
    /// Quarters by which the line is turned.
    turned: u8,
}

/// In heights of a letter: a step down that begins another line, a gap that parts words, and one that parts columns.
const NEXT_LINE: f64 = 0.4;
const WORD: f64 = 0.15;
const COLUMN: f64 = 1.2;
/// How wide a letter is taken to be whose font does not say.
const USUAL_WIDTH: f32 = 500.0;
/// The unit of a font's own measures.
const EM: f64 = 1000.0;

impl Glyph {
    /// `transform` leads from the font's thousandths of an em to the page, whose ordinate grows upwards.
    pub(super) fn new(text: String, width: Option<f32>, transform: Affine) -> Glyph {
        let start = transform * Point::ZERO;
        let across = transform * Point::new(EM, 0.0) - start;
        let up = transform * Point::new(0.0, EM) - start;
        let (turned, (x, y)) = if across.x.abs() >= across.y.abs() {
            if across.x >= 0.0 { (0, (1.0, 0.0)) } else { (2, (-1.0, 0.0)) }
        } else if across.y >= 0.0 {
            (1, (0.0, 1.0))
        } else {
            (3, (0.0, -1.0))
        };
        let size = up.hypot().clamp(0.01, 10_000.0);
        let width = f64::from(width.filter(|width| (0.0..20_000.0).contains(width)).unwrap_or(USUAL_WIDTH)) / EM * size;
        let along = finite(start.x * x + start.y * y);
        Glyph { text, along, end: along + width, down: finite(start.x * y - start.y * x), size, turned }
    }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// Line for line from the top, words by spaces and columns by tabs apart.
pub(super) fn text(mut glyphs: Vec<Glyph>) -> String {
    glyphs.sort_by(|one, other| one.turned.cmp(&other.turned).then(one.down.total_cmp(&other.down)));
    let mut text = String::with_capacity(glyphs.len() * 2);
    let mut rest = glyphs.as_mut_slice();
    while let Some(first) = rest.first() {
        let (turned, mut down, mut size) = (first.turned, first.down, first.size);
        let mut length = 0;
        for glyph in rest.iter() {
            if glyph.turned != turned || glyph.down - down > NEXT_LINE * size.min(glyph.size) {
                break;
            }
            // A line that slants goes on; one of many small steps ends where the paper does.
            (down, size) = (glyph.down, glyph.size);
            length += 1;
        }
        let (line, after) = rest.split_at_mut(length.max(1));
        write_line(line, &mut text);
        rest = after;
    }
    text
}

fn write_line(line: &mut [Glyph], text: &mut String) {
    // The order of the file stays where places are the same.
    line.sort_by(|one, other| one.along.total_cmp(&other.along));
    let mut before: Option<&Glyph> = None;
    for glyph in line.iter() {
        if let Some(before) = before {
            let size = before.size.min(glyph.size);
            // Bold letters are often drawn twice, a hair apart.
            if glyph.text == before.text && (glyph.along - before.along).abs() < WORD * size / 2.0 {
                continue;
            }
            let gap = glyph.along - before.end;
            if gap > COLUMN * size {
                text.push('\t');
            } else if gap > WORD * size && !text.ends_with(' ') && glyph.text != " " {
                text.push(' ');
            }
        }
        text.push_str(&glyph.text);
        before = Some(glyph);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters half an em wide, of ten points, in the order given.
    fn page(words: &[(f64, f64, &str)]) -> String {
        let letters = words.iter().flat_map(|(x, y, word)| {
            word.chars().enumerate().map(move |(at, letter)| {
                let x = *x + 5.0 * f64::from(u32::try_from(at).unwrap());
                Glyph::new(letter.to_string(), None, Affine::new([0.01, 0.0, 0.0, 0.01, x, *y]))
            })
        });
        text(letters.collect())
    }

    #[test]
    fn a_row_is_one_line_in_whatever_order_it_was_drawn() {
        let rows = [(100.0, 700.0, "DOB"), (10.0, 685.0, "Quist"), (10.0, 700.0, "Name"), (100.0, 686.0, "1950")];
        assert_eq!(page(&rows), "Name\tDOB\nQuist\t1950\n");
    }

    #[test]
    fn words_that_only_a_gap_parts_are_parted() {
        assert_eq!(page(&[(10.0, 700.0, "blood"), (38.0, 700.0, "test")]), "blood test\n");
        assert_eq!(page(&[(10.0, 700.0, "blood"), (35.0, 700.0, "test")]), "bloodtest\n");
    }

    #[test]
    fn a_letter_that_is_drawn_twice_is_read_once() {
        assert_eq!(page(&[(10.0, 700.0, "bold"), (10.2, 700.0, "bold")]), "bold\n");
    }

    #[test]
    fn lines_up_the_margin_are_read_too() {
        let up = |at: u32, letter: &str| {
            Glyph::new(letter.into(), None, Affine::new([0.0, 0.01, -0.01, 0.0, 20.0, f64::from(at) * 5.0]))
        };
        assert_eq!(text(vec![up(1, "b"), up(0, "a"), up(2, "c")]), "abc\n");
    }

    #[test]
    fn places_that_are_no_numbers_lose_no_letter() {
        let odd = Glyph::new("x".into(), Some(f32::NAN), Affine::new([f64::NAN; 6]));
        assert_eq!(text(vec![odd]), "x\n");
    }
}
