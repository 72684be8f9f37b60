//! The way back when the master key is lost: a code on paper opens a wrap that lies beside the config.
//!
//! The code is 160 random bits, written as 32 base32 letters (RFC 4648 §6). The key that wraps is HKDF-SHA-256
//! (RFC 5869) of those bits, salt `sealpost-recovery-1`, info `wrap`: a code of full entropy needs no slow hash.
//! The wrap is AES-256-GCM of the master key, with the salt as associated data. Neither half is worth anything alone.

use std::fmt;
use std::path::Path;

use data_encoding::{BASE32, BASE64};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::crypto::{self, Key, hmac_sha256};
use crate::keyring::KeyringError;
use crate::keyring::file::{self, Access, Present};

/// The name of the file beside the config.
pub const FILE: &str = "recovery.wrap";

const FORMAT: &str = "sealpost-recovery-1";
const LETTERS: usize = 32;

/// The code that is printed once and kept on paper. `Debug` shows nothing of it.
pub struct Code(Zeroizing<String>);

impl Code {
    /// In eight groups of four letters, to be printed once.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[recovery code]")
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrap {
    format: String,
    sealed: String,
}

/// Wraps the master key under a new code: the code for paper, and the text for the file.
pub fn wrap(master: &Key) -> Result<(Code, String), KeyringError> {
    let secret = Zeroizing::new(crypto::random::<20>()?);
    let sealed = crypto::seal(&wrapping_key(&*secret), FORMAT.as_bytes(), master.expose())?;
    let letters = Zeroizing::new(BASE32.encode(&*secret));
    let mut code = Zeroizing::new(String::with_capacity(LETTERS + LETTERS / 4));
    for (at, letter) in letters.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            code.push('-');
        }
        code.push(letter);
    }
    Ok((Code(code), format!("{{\"format\":\"{FORMAT}\",\"sealed\":\"{}\"}}\n", BASE64.encode(&sealed))))
}

/// The master key again, from the text of the file and the code as somebody types it off paper.
pub fn recover(wrap: &str, code: &str) -> Result<Key, KeyringError> {
    let wrap: Wrap = serde_json::from_str(wrap).map_err(|_| KeyringError::NotAWrap)?;
    let sealed = BASE64.decode(wrap.sealed.as_bytes()).map_err(|_| KeyringError::NotAWrap)?;
    if wrap.format != FORMAT {
        return Err(KeyringError::NotAWrap);
    }
    let secret = read_code(code)?;
    let master = crypto::open(&wrapping_key(&secret), FORMAT.as_bytes(), &sealed);
    let master = Zeroizing::new(master.map_err(|_| KeyringError::CodeWrong)?);
    Key::from_slice(&master).ok_or(KeyringError::NotAWrap)
}

/// Writes the wrap beside the config, in the place of an older one: it is of use only with the newest master key.
pub fn store(path: &Path, wrap: &str) -> Result<(), KeyringError> {
    file::write(path, wrap.as_bytes(), (Access::OwnerOnly, Present::Replace))
}

fn wrapping_key(secret: &[u8]) -> Key {
    // RFC 5869 §2.2 and §2.3, of which one block of 32 octets is needed.
    let extracted = hmac_sha256(FORMAT.as_bytes(), secret);
    Key::new(hmac_sha256(extracted.as_bytes(), b"wrap\x01").0)
}

/// Case, dashes and spaces do not matter, and the two digits that no code has are read as the letters they look like.
fn read_code(code: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let mut letters = Zeroizing::new(String::with_capacity(LETTERS));
    for character in code.chars().filter(|character| !character.is_whitespace() && *character != '-') {
        match character.to_ascii_uppercase() {
            '0' => letters.push('O'),
            '8' => letters.push('B'),
            letter @ ('A'..='Z' | '2'..='7') => letters.push(letter),
            other => return Err(KeyringError::CodeLetter(other)),
        }
    }
    if letters.len() != LETTERS {
        return Err(KeyringError::CodeMistyped(letters.len()));
    }
    let secret = BASE32.decode(letters.as_bytes()).map_err(|_| KeyringError::CodeMistyped(letters.len()))?;
    Ok(Zeroizing::new(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_opens_the_wrap_however_it_is_typed() {
        let master = Key::generate().unwrap();
        let (code, text) = wrap(&master).unwrap();
        assert_eq!(code.expose().split('-').map(str::len).collect::<Vec<_>>(), [4; 8]);
        let typed = code.expose().to_lowercase().replace('-', " ").replace('o', "0").replace('b', "8");
        for code in [code.expose(), &typed, &format!("  {typed}\n")] {
            assert_eq!(recover(&text, code).unwrap().expose(), master.expose());
        }
        assert_eq!(format!("{code:?}"), "[recovery code]");
    }

    #[test]
    fn a_wrong_code_is_refused() {
        let master = Key::generate().unwrap();
        let (_, text) = wrap(&master).unwrap();
        let (other, _) = wrap(&master).unwrap();
        assert!(matches!(recover(&text, other.expose()), Err(KeyringError::CodeWrong)));
        assert!(matches!(recover(&text, "ABCD-EFGH"), Err(KeyringError::CodeMistyped(8))));
        assert!(matches!(recover(&text, "ABCD!"), Err(KeyringError::CodeLetter('!'))));
    }

    #[test]
    fn an_altered_wrap_is_refused() {
        let (code, text) = wrap(&Key::generate().unwrap()).unwrap();
        let altered = text.replacen("\"sealed\":\"", "\"sealed\":\"AAAA", 1);
        assert!(matches!(recover(&altered, code.expose()), Err(KeyringError::CodeWrong)));
        assert!(matches!(recover("{}", code.expose()), Err(KeyringError::NotAWrap)));
        let newer = text.replace(FORMAT, "sealpost-recovery-2");
        assert!(matches!(recover(&newer, code.expose()), Err(KeyringError::NotAWrap)));
    }

    #[test]
    fn the_wrapping_key_is_hkdf_as_the_page_says() {
        // Computed with Python's hmac: HMAC(HMAC("sealpost-recovery-1", 20 zero octets), "wrap" 01).
        let expected = "d4e559523e5040c6a9ebafc9e34da38623133b9c17e1913586d415af2e3a7a4a";
        assert_eq!(data_encoding::HEXLOWER.encode(wrapping_key(&[0; 20]).expose()), expected);
    }
}
