//! A message as Outlook saves it (MS-OXMSG): subject, text, names, and the files with it.

use std::path::{Path, PathBuf};

use super::{Compound, wide};
use crate::extract::charset::decoded;
use crate::extract::reading::{Place, Reading};
use crate::extract::{Unread, rtf};
use crate::mime::Unreadable;
use crate::phi::Phi;

/// Messages in messages, each a storage in a storage.
const DEEPEST: usize = 8;

pub(super) fn read(reading: &mut Reading<'_>, at: Place<'_>, compound: &mut Compound) {
    let mut waiting = vec![(PathBuf::from("/"), String::new())];
    let mut text = String::new();
    let mut files = 0;
    while let Some((storage, _)) = waiting.pop() {
        // Subject, sender, those it was shown to, text.
        for property in ["0037", "0C1A", "0E04", "0E03", "1000"] {
            match words(compound, &storage, property) {
                Ok(Some(words)) => {
                    text.push_str(&words);
                    text.push('\n');
                }
                Ok(None) => {}
                Err(why) => reading.unreadable(&at.below("rest"), at.media_type, why),
            }
        }
        pages(reading, at, (compound, &storage));
        let attachments = compound.storages(&storage).unwrap_or_else(|why| {
            reading.unreadable(&at.below("more"), at.media_type, why);
            Vec::new()
        });
        for attached in attachments {
            if !attached.file_name().is_some_and(|name| name.to_string_lossy().starts_with("__attach_version1.0_")) {
                continue;
            }
            if let Err(why) = reading.one_more() {
                return reading.unreadable(&at.below("more"), at.media_type, why);
            }
            files += 1;
            let path = at.below(&files.to_string());
            let inside = attached.join("__substg1.0_3701000D");
            if !compound.file.is_storage(&inside) {
                file(reading, compound, (&attached, &path, at.depth));
            } else if inside.components().count() / 2 > DEEPEST {
                reading.unreadable(&path, at.media_type, Unreadable::TooDeep);
            } else {
                waiting.push((inside, path));
            }
        }
    }
    reading.text(at.path, at.media_type, text);
}

/// The text once more, as a page and as rich text; either may say what the plain one does not.
fn pages(reading: &mut Reading<'_>, at: Place<'_>, (compound, storage): (&mut Compound, &Path)) {
    // MS-OXPROPS §2.876: in octets, or as a text.
    for kind in ["0102", "001E"] {
        let path = at.below("page");
        match compound.optional(storage.join(format!("__substg1.0_1013{kind}"))) {
            Ok(Some(page)) => reading.plain(Place { path: &path, ..at }, "page.html", &page),
            Ok(None) => {}
            Err(why) => reading.unreadable(&path, at.media_type, why),
        }
    }
    let path = at.below("rtf");
    let packed = compound.optional(storage.join("__substg1.0_10090102"));
    match packed.and_then(|packed| packed.map(|packed| rtf::unpacked(&packed, reading.room())).transpose()) {
        Ok(Some(rich)) => rtf::read(reading, Place { path: &path, ..at }, &rich),
        Ok(None) => {}
        Err(why) => reading.unreadable(&path, at.media_type, why),
    }
}

fn file(reading: &mut Reading<'_>, compound: &mut Compound, (storage, path, depth): (&Path, &str, usize)) {
    let media_type = "application/octet-stream".to_owned();
    let mut name = String::new();
    for property in ["3707", "3704"] {
        match words(compound, storage, property) {
            Ok(found) if name.is_empty() => name = found.unwrap_or_default(),
            Ok(_) => {}
            Err(why) => reading.unreadable(&format!("{path}.name"), &media_type, why),
        }
    }
    reading.name(path, &name);
    match compound.stream(storage.join("__substg1.0_37010102")) {
        Ok(octets) => {
            let unread = Unread { media_type, name: Some(Phi::new(name)), octets: Phi::new(octets.into()) };
            reading.inner(path, &unread, depth + 1);
        }
        Err(why) => reading.unreadable(path, &media_type, why),
    }
}

/// A property that is text, in UTF-16 or in a code page. An error is that it is there and cannot be read.
fn words(compound: &mut Compound, storage: &Path, property: &str) -> Result<Option<String>, Unreadable> {
    let stream = |kind: &str| storage.join(format!("__substg1.0_{property}{kind}"));
    if let Some(octets) = compound.optional(stream("001F"))? {
        return Ok(Some(wide(&octets)));
    }
    Ok(compound.optional(stream("001E"))?.map(|octets| decoded(&octets, "windows-1252")))
}
