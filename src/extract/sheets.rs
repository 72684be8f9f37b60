//! Spreadsheets: every sheet, hidden ones too, a row a line and its cells apart by tabs.

use std::io::Cursor;

use bytes::Bytes;
use calamine::{DataType, ExcelDateTime, Reader, Sheet, SheetType, Sheets, Xls, XlsError, open_workbook_auto_from_rs};

use crate::extract::reading::{Place, Reading};
use crate::mime::{self, Unreadable};

/// Empty cells between two that are not; wider gaps say no more than this.
const WIDEST_GAP: u32 = 20;
/// How far from its start a table of strings says how many they are.
const HEAD: usize = 2 << 10;

/// Whether a table of strings can hold as many as it says, for which room is made before they are read.
pub(super) fn plausible(table: &[u8]) -> Result<(), Unreadable> {
    let start = String::from_utf8_lossy(&table[..table.len().min(HEAD)]).into_owned();
    let count = start.split_once("uniqueCount=").and_then(|(_, rest)| rest.get(1..)).unwrap_or_default();
    let digits: String = count.chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() || digits.parse().is_ok_and(|count: usize| count <= table.len()) {
        Ok(())
    } else {
        Err(Unreadable::Broken)
    }
}

/// XLSX, XLSM, XLSB.
pub(super) fn read(reading: &mut Reading<'_>, at: Place<'_>, octets: Bytes) {
    let Ok(mut book) = open_workbook_auto_from_rs(Cursor::new(octets)) else {
        return reading.unreadable(at.path, at.media_type, Unreadable::Broken);
    };
    let tables = tables(&book);
    if tables.is_empty() {
        return reading.unreadable(at.path, at.media_type, Unreadable::Broken);
    }
    for (number, name) in tables.iter().enumerate() {
        if let Err(why) = reading.one_more() {
            return reading.unreadable(&at.below("more"), at.media_type, why);
        }
        let text = written_sheet(&mut book, name, reading.room());
        sheet(reading, at, (number, name, text));
    }
}

/// The sheets that have cells, hidden ones too: the cells of a diagram are on another one.
fn tables<R: Reader<Cursor<Bytes>>>(book: &R) -> Vec<String> {
    let has_cells = |sheet: &&Sheet| matches!(sheet.typ, SheetType::WorkSheet | SheetType::MacroSheet);
    book.sheets_metadata().iter().filter(has_cells).map(|sheet| sheet.name.clone()).collect()
}

fn written_sheet(book: &mut Sheets<Cursor<Bytes>>, name: &str, room: usize) -> Result<String, Unreadable> {
    let broken = |_| Unreadable::Broken;
    match book {
        Sheets::Xlsx(book) => {
            let mut cells = book.worksheet_cells_reader(name).map_err(broken)?;
            rows(
                || {
                    let cell = cells.next_cell().map_err(broken)?;
                    Ok(cell.map(|cell| (cell.get_position(), written(cell.get_value()))))
                },
                room,
            )
        }
        Sheets::Xlsb(book) => {
            let mut cells = book.worksheet_cells_reader(name).map_err(|_| Unreadable::Broken)?;
            rows(
                || {
                    let cell = cells.next_cell().map_err(|_| Unreadable::Broken)?;
                    Ok(cell.map(|cell| (cell.get_position(), written(cell.get_value()))))
                },
                room,
            )
        }
        Sheets::Xls(_) | Sheets::Ods(_) => Err(Unreadable::Broken),
    }
}

/// The binary format of Excel 5 to 2003.
pub(super) fn legacy(reading: &mut Reading<'_>, at: Place<'_>, octets: Bytes) {
    let mut book = match Xls::new(Cursor::new(octets)) {
        Ok(book) => book,
        Err(XlsError::Password) => return reading.unreadable(at.path, at.media_type, Unreadable::Encrypted),
        Err(_) => return reading.unreadable(at.path, at.media_type, Unreadable::Broken),
    };
    let tables = tables(&book);
    if tables.is_empty() {
        return reading.unreadable(at.path, at.media_type, Unreadable::Broken);
    }
    for (number, name) in tables.iter().enumerate() {
        if let Err(why) = reading.one_more() {
            return reading.unreadable(&at.below("more"), at.media_type, why);
        }
        let room = reading.room();
        let text = book.worksheet_range(name).map_err(|_| Unreadable::Broken).and_then(|range| {
            let start = range.start().unwrap_or_default();
            let mut cells = range.used_cells().map(|(row, column, value)| {
                let position = (start.0.saturating_add(small(row)), start.1.saturating_add(small(column)));
                (position, written(value))
            });
            rows(|| Ok(cells.next()), room)
        });
        sheet(reading, at, (number, name, text));
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn sheet(reading: &mut Reading<'_>, at: Place<'_>, (number, name, text): (usize, &str, Result<String, Unreadable>)) {
    let path = at.below(&format!("sheet{}", number + 1));
    reading.name(&path, name);
    match text {
        Ok(text) => reading.text(&path, at.media_type, headed(&text)),
        Err(why) => reading.unreadable(&path, at.media_type, why),
    }
}

/// Each cell with the name of its column, which stands in the first row that has several: a title may stand above it.
fn headed(text: &str) -> String {
    let titles = text.split_inclusive('\n').take_while(|row| !row.contains('\t')).map(str::len).sum();
    if titles == text.len() {
        return mime::table(text);
    }
    let (titles, rows) = text.split_at(titles);
    titles.to_owned() + &mime::table(rows)
}

type Placed = ((u32, u32), String);

fn rows(mut next: impl FnMut() -> Result<Option<Placed>, Unreadable>, most: usize) -> Result<String, Unreadable> {
    let mut text = String::new();
    let mut last = None;
    while let Some(((row, column), value)) = next()? {
        if value.is_empty() {
            continue;
        }
        match last {
            Some((same, before)) if same == row => {
                let gap = column.saturating_sub(before).clamp(1, WIDEST_GAP);
                (0..gap).for_each(|_| text.push('\t'));
            }
            Some(_) => text.push('\n'),
            None => {}
        }
        // A cell of several lines stays in its row.
        text.extend(value.chars().map(|letter| if matches!(letter, '\n' | '\r' | '\t') { ' ' } else { letter }));
        last = Some((row, column));
        if text.len() > most {
            return Err(Unreadable::TooLarge);
        }
    }
    text.push('\n');
    Ok(text)
}

/// A cell as Excel shows it, near enough: what is a date is written as one.
fn written(value: &impl DataType) -> String {
    if let Some(text) = value.get_string() {
        text.to_owned()
    } else if let Some(number) = value.get_int() {
        number.to_string()
    } else if let Some(number) = value.get_float() {
        number.to_string()
    } else if let Some(date) = value.get_datetime() {
        moment(&date)
    } else if let Some(text) = value.get_datetime_iso().or_else(|| value.get_duration_iso()) {
        text.to_owned()
    } else {
        value.get_bool().map(|value| value.to_string()).unwrap_or_default()
    }
}

fn moment(date: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, ..) = date.to_ymd_hms_milli();
    if date.is_duration() || date.as_f64() < 1.0 {
        format!("{hour}:{minute:02}")
    } else if (hour, minute) == (0, 0) {
        format!("{month:02}/{day:02}/{year}")
    } else {
        format!("{month:02}/{day:02}/{year} {hour}:{minute:02}")
    }
}
