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
            if let Some(words) = words(compound, &storage, property) {
                text.push_str(&words);
                text.push('\n');
            }
        }
        if let Ok(page) = compound.stream(storage.join("__substg1.0_10130102")) {
            reading.plain(Place { path: &at.below("page"), ..at }, "page.html", &page);
        }
        if let Ok(packed) = compound.stream(storage.join("__substg1.0_10090102")) {
            let path = at.below("rtf");
            match rtf::unpacked(&packed, reading.room()) {
                Ok(rich) => rtf::read(reading, Place { path: &path, ..at }, &rich),
                Err(why) => reading.unreadable(&path, at.media_type, why),
            }
        }
        for attached in compound.storages(&storage) {
            if !attached.file_name().is_some_and(|name| name.to_string_lossy().starts_with("__attach_version1.0_")) {
                continue;
            }
            if let Err(why) = reading.one_more() {
                return reading.unreadable(&at.below("more"), at.media_type, why);
            }
            files += 1;
            let path = at.below(&files.to_string());
            let inside = attached.join("__substg1.0_3701000D");
            if !compound.storages(&attached).contains(&inside) {
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

fn file(reading: &mut Reading<'_>, compound: &mut Compound, (storage, path, depth): (&Path, &str, usize)) {
    let name = words(compound, storage, "3707").or_else(|| words(compound, storage, "3704")).unwrap_or_default();
    reading.name(path, &name);
    let media_type = "application/octet-stream".to_owned();
    match compound.stream(storage.join("__substg1.0_37010102")) {
        Ok(octets) => {
            let unread = Unread { media_type, name: Some(Phi::new(name)), octets: Phi::new(octets.into()) };
            reading.inner(path, &unread, depth + 1);
        }
        Err(why) => reading.unreadable(path, &media_type, why),
    }
}

/// A property that is text, in UTF-16 or in a code page.
fn words(compound: &mut Compound, storage: &Path, property: &str) -> Option<String> {
    let stream = |kind: &str| storage.join(format!("__substg1.0_{property}{kind}"));
    let unicode = compound.stream(stream("001F")).ok().map(|octets| wide(&octets));
    unicode.or_else(|| compound.stream(stream("001E")).ok().map(|octets| decoded(&octets, "windows-1252")))
}
