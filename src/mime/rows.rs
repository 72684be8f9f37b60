//! Tables that are files: each cell with its column's name in front, so that a number says what it is.

/// A name of a column is no longer; a first line of longer ones names nothing.
const LONGEST_NAME: usize = 60;
/// Columns that have names; further cells stand alone.
const MAX_COLUMNS: usize = 500;
/// How many times its size a table may grow to by the names; from there on, cells stand alone.
const GROWTH: usize = 4;
/// Octets that are looked at to see what parts the cells.
const LOOKED_AT: usize = 4 << 10;

/// A table as text: rows in lines, cells a tab apart, each as `MRN: 00482913`. What is no table stays as it is.
pub(super) fn text(table: &str) -> String {
    match separator(table) {
        Some(separator) => named(table, separator),
        None => table.to_owned(),
    }
}

/// A table whose cells this parts, as text.
pub(super) fn named(table: &str, separator: char) -> String {
    let mut cells = Cells { rest: table, separator };
    let names = names(&mut cells);
    let mut text = String::with_capacity(table.len() * 2);
    if names.is_empty() {
        cells.rest = table;
    }
    let most = table.len().saturating_mul(GROWTH);
    let mut column = 0;
    while let Some((cell, end)) = cells.next() {
        let name = names.get(column).filter(|name| !name.is_empty() && text.len() < most && !cell.trim().is_empty());
        if column > 0 {
            text.push('\t');
        }
        if let Some(name) = name {
            text.push_str(name);
            text.push_str(": ");
        }
        push(&mut text, &cell);
        column += 1;
        if end == End::Row {
            text.push('\n');
            column = 0;
        }
    }
    if names.is_empty() { text } else { heading(&names) + &text }
}

fn heading(names: &[String]) -> String {
    let mut line = names.join("\t");
    line.push('\n');
    line
}

/// A cell on its way to the text: its own line ends are none of the table's.
fn push(text: &mut String, cell: &str) {
    let lines = cell.trim().split(['\r', '\n', '\t']).filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        if number > 0 {
            text.push(' ');
        }
        text.push_str(line);
    }
}

/// What parts the cells of the first line that has any, outside of quotes.
fn separator(table: &str) -> Option<char> {
    let start = &table[..table.floor_char_boundary(LOOKED_AT)];
    let line = start.lines().find(|line| !line.trim().is_empty())?;
    let mut counts = [('\t', 0_usize), (',', 0), (';', 0), ('|', 0)];
    let mut quoted = false;
    for character in line.chars() {
        quoted ^= character == '"';
        if let Some((_, count)) = counts.iter_mut().find(|(mark, _)| !quoted && *mark == character) {
            *count += 1;
        }
    }
    // Of as many, the one that stands in no words.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).filter(|(_, count)| *count > 0).map(|(mark, _)| mark)
}

/// The names of the columns: the first line, if all in it are short and none is a number or a date.
fn names(cells: &mut Cells<'_>) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((cell, end)) = cells.next() {
        let name: String = cell.trim().trim_start_matches('\u{feff}').chars().filter(|c| !c.is_control()).collect();
        let digits = name.bytes().filter(u8::is_ascii_digit).count();
        if name.len() > LONGEST_NAME || digits * 2 > name.len() || name.contains('@') {
            return Vec::new();
        }
        if names.len() < MAX_COLUMNS {
            names.push(name.trim_end_matches(':').to_owned());
        }
        if end == End::Row {
            break;
        }
    }
    if names.iter().any(|name| name.chars().any(char::is_alphabetic)) { names } else { Vec::new() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Cell,
    Row,
}

struct Cells<'a> {
    rest: &'a str,
    separator: char,
}

impl Cells<'_> {
    /// RFC 4180 §2: a cell, and whether its row ends with it.
    fn next(&mut self) -> Option<(String, End)> {
        if self.rest.is_empty() {
            return None;
        }
        let mut cell = String::new();
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let mut at = 0;
            while let Some(end) = quoted[at..].find('"').map(|found| at + found) {
                cell.push_str(&quoted[at..end]);
                at = end + 1;
                if !quoted[at..].starts_with('"') {
                    self.rest = &quoted[at..];
                    return Some(self.up_to_the_end(cell));
                }
                cell.push('"');
                at += 1;
            }
            // A quote that is never closed would swallow all further rows: it is a character like others.
            cell.clear();
            cell.push('"');
            self.rest = quoted;
        }
        Some(self.up_to_the_end(cell))
    }

    fn up_to_the_end(&mut self, mut cell: String) -> (String, End) {
        let bytes = self.rest.as_bytes();
        // Each separator is one octet.
        let is_end = |byte: &u8| *byte == b'\n' || char::from(*byte) == self.separator;
        let end = bytes.iter().position(is_end).unwrap_or(bytes.len());
        cell.push_str(&self.rest[..end]);
        let row = bytes.get(end).is_none_or(|byte| *byte == b'\n');
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        (cell, if row { End::Row } else { End::Cell })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(table: &str, expected: &str) {
        assert_eq!(text(table), expected, "{table}");
    }

    #[test]
    fn a_cell_says_what_it_is() {
        check(
            "Name,MRN,Dx\r\n\"Quist, Ann\",00482913,asthma\r\nBo Roe,,gout\r\n",
            "Name\tMRN\tDx\nName: Quist, Ann\tMRN: 00482913\tDx: asthma\nName: Bo Roe\t\tDx: gout\n",
        );
        check("Name\tMRN\r\nAnn Quist\t7\r\n", "Name\tMRN\nName: Ann Quist\tMRN: 7\n");
        check("MRN;Name\n7;\"a \"\"b\"\"\nc\"\n", "MRN\tName\nMRN: 7\tName: a \"b\" c\n");
        check("\u{feff}MRN|DOB:\n7|1980-01-02", "MRN\tDOB\nMRN: 7\tDOB: 1980-01-02\n");
    }

    #[test]
    fn a_table_without_names_keeps_its_cells() {
        check("Ann,00482913\r\nBo,00482914\r\n", "Ann\t00482913\nBo\t00482914\n");
        check("just words\r\nand more\r\n", "just words\r\nand more\r\n");
        check("", "");
    }

    #[test]
    fn an_open_quote_swallows_no_rows() {
        check("MRN,Name\n7,\"Ann\n8,Bo\n", "MRN\tName\nMRN: 7\tName: \"Ann\nMRN: 8\tName: Bo\n");
    }

    #[test]
    fn hostile_tables_are_read_in_one_pass_and_grow_within_bounds() {
        let started = std::time::Instant::now();
        let names = ["name of a column that is as long as it may be"; 400].join(",");
        for rows in [
            "1,".repeat(300_000),
            "\"".repeat(500_000),
            "\"a".repeat(300_000),
            "\",\n".repeat(200_000),
            "1\n".repeat(300_000),
        ] {
            let table = format!("{names}\n{rows}");
            assert!(text(&table).len() <= (GROWTH + 2) * table.len());
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
