//! What stands in braces in a case: `{from}`, `{to}`, `{id}`, `{500*a}`, `{b64:…}`.

use data_encoding::BASE64;

/// Who sends what to whom in one case.
#[derive(Clone, Debug)]
pub struct Words {
    pub from: String,
    pub to: String,
    pub to2: String,
    pub login: String,
    pub password: String,
    /// Names this playing of this case; every message carries it.
    pub id: String,
    /// What stands behind 220.
    pub server: String,
}

/// The most that a repetition may make.
const MAX_OCTETS: usize = 64 * 1024 * 1024;

impl Words {
    /// The text with each brace put in, from the inside out. `n` counts repetitions of the line.
    pub fn put_in(&self, text: &str, n: usize) -> Result<String, String> {
        let mut text = text.to_owned();
        while let Some(end) = text.find('}') {
            let Some(start) = text[..end].rfind('{') else {
                return Err("a brace is closed that was not opened".into());
            };
            let put = self.word(&text[start + 1..end], n)?;
            text.replace_range(start..=end, &put);
        }
        Ok(text)
    }

    fn word(&self, name: &str, n: usize) -> Result<String, String> {
        if let Some(text) = name.strip_prefix("b64:") {
            return Ok(BASE64.encode(&written_out(text)?));
        }
        if let Some(text) = name.strip_prefix("size:") {
            return Ok(written_out(text)?.len().to_string());
        }
        if let Some((count, text)) = name.split_once('*')
            && let Ok(count) = count.parse::<usize>()
        {
            return if count * text.len() > MAX_OCTETS { Err("too long".into()) } else { Ok(text.repeat(count)) };
        }
        Ok(match name {
            "from" => self.from.clone(),
            "to" => self.to.clone(),
            "to2" => self.to2.clone(),
            "from.local" => part(&self.from, 0),
            "from.domain" => part(&self.from, 1),
            "to.local" => part(&self.to, 0),
            "to.domain" => part(&self.to, 1),
            "login" => self.login.clone(),
            "password" => self.password.clone(),
            "plain" => BASE64.encode(format!("\0{}\0{}", self.login, self.password).as_bytes()),
            "id" => self.id.clone(),
            "server" => self.server.clone(),
            "n" => n.to_string(),
            "header" => self.header(),
            _ => return Err(format!("nothing is called {{{name}}}")),
        })
    }

    fn header(&self) -> String {
        format!(
            "From: <{}>\r\nTo: <{}>\r\nSubject: {}\r\nDate: Mon, 05 Jan 2026 10:00:00 +0000\r\nMessage-ID: <{}@{}>",
            self.from,
            self.to,
            self.id,
            self.id,
            part(&self.from, 1)
        )
    }
}

fn part(address: &str, at: usize) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    if at == 0 { local } else { domain }.to_owned()
}

/// Octets written with `\r`, `\n`, `\0`, `\t`, `\\` and `\xHH`.
pub fn written_out(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            octets.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        octets.push(match rest.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('0') => 0,
            Some('t') => b'\t',
            Some('\\') => b'\\',
            Some('x') => {
                let hex: String = rest.by_ref().take(2).collect();
                u8::from_str_radix(&hex, 16).map_err(|_| format!("\\x{hex} is no octet"))?
            }
            _ => return Err("a backslash stands before one of r n 0 t x and itself".into()),
        });
    }
    Ok(octets)
}
