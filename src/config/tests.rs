//! The config against its reference, its examples, and the wrong configs that it must refuse.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::{Absent, Reader};
use super::*;

/// The smallest config: what has no default, and nothing else.
pub(crate) const SMALLEST: &str = r#"
[server]
hostname = "relay.clinic.example"
[notify]
postmaster = "it@clinic.example"
[[tls.certificate]]
chain = "tls/chain.pem"
key = "tls/key.pem"
[[listener]]
role = "submission"
bind = "127.0.0.1:2587"
"#;

/// The table of a client with a login.
pub(crate) fn client(name: &str, senders: &str) -> String {
    format!(
        "[[client]]\nname = \"{name}\"\nlogin = \"{name}\"\nsenders = [\"{senders}\"]\n\
         password_hash = \"$argon2id$v=19$m=19456,t=2,p=1$writtenBy$sealpostClientPasswd\"\n"
    )
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(here(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files
}

fn tell(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("{mistake}\n")).collect()
}

/// Compares a written file with what it should say; with `UPDATE_DOCS` set it is written anew.
fn check_written(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, expected).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        found,
        expected,
        "{} is stale: run the tests once with UPDATE_DOCS=1, and read the change",
        path.display()
    );
}

/// Every leaf of a table, dotted, with the text of its first value.
fn leaves(prefix: &str, table: &toml::Table) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => all.extend(leaves(&path, inner)),
            toml::Value::Array(entries) if entries.iter().any(toml::Value::is_table) => {
                all.extend(entries.iter().filter_map(toml::Value::as_table).flat_map(|inner| leaves(&path, inner)));
            }
            toml::Value::String(_)
            | toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_) => all.push((path, value.to_string())),
        }
    }
    all
}

#[test]
fn the_whole_reference_is_a_config_without_a_mistake() {
    let mistakes = parse(reference::whole()).map(drop).err().unwrap_or_default();
    assert_eq!(tell(&mistakes), "");
}

#[test]
fn the_reader_and_the_reference_know_the_same_settings() {
    let mut reader = Reader::new(reference::whole());
    reader.read(reference::schema(), super::read);
    let written = leaves("", &toml::from_str(reference::whole()).unwrap());
    let standing = leaves("", &toml::from_str(REFERENCE).unwrap());
    for (key, _) in &written {
        assert!(reader.asked.contains_key(key), "the reference has {key}, and nothing reads it");
    }
    for (key, absent) in &reader.asked {
        // What a condition means is told once; in `not` and `any` it means the same.
        let told = key.replace(".when.not.", ".when.").replace(".when.any.", ".when.");
        assert!(written.iter().any(|(name, _)| *name == told), "{key} is read, and the reference does not have it");
        let once_per_thing = ["client.", "listener.", "route.", "policy.rule.", "policy.group.", "tls.certificate."];
        let by_default = *absent == Absent::Default && !once_per_thing.iter().any(|table| key.starts_with(table));
        let stands = standing.iter().any(|(name, _)| name == key);
        assert_eq!(stands, by_default, "{key} must stand commented out unless the reference gives its default");
    }
}

#[test]
fn what_is_not_written_is_as_the_reference_says() {
    let smallest = parse(SMALLEST).unwrap();
    let spelt_out = parse(&format!("{}\n{SMALLEST}", without_tables(REFERENCE, &["server", "notify"]))).unwrap();
    let shown = |config: &Config| format!("{:?}", Config { server: smallest.server.clone(), ..config.clone() });
    assert_eq!(shown(&smallest), shown(&spelt_out));
    assert_eq!(smallest.limits.message_bytes, 50 << 20);
    assert_eq!(smallest.limits.disk_reserve_bytes, 256 << 20);
    assert_eq!(smallest.queue.retry, [60, 300, 900, 3600].map(Duration::from_secs));
    assert_eq!(smallest.queue.expire, Duration::from_secs(5 * 86_400));
    assert_eq!(smallest.retention.evidence, Duration::from_secs(2192 * 86_400));
    assert_eq!(smallest.http.bind, Some("127.0.0.1:9465".parse().unwrap()));
    assert_eq!(smallest.notify.from.expose(), "postmaster@relay.clinic.example");
    let methods: Vec<_> = smallest.policy.default.iter().map(|method| method.name()).collect();
    assert_eq!(methods, ["smime", "pgp", "tls:valid", "portal"]);
}

/// The text without some of its tables.
fn without_tables(text: &str, tables: &[&str]) -> String {
    let mut keep = true;
    let mut kept = String::new();
    for line in text.lines() {
        if let Some(table) = line.strip_prefix('[') {
            keep = !tables.contains(&table.trim_end_matches(']'));
        }
        if keep {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[test]
fn the_entries_of_a_list_of_tables_have_the_defaults_that_the_reference_shows() {
    let text = format!(
        "{SMALLEST}[[client]]\nname = \"front-desk\"\nlogin = \"front-desk\"\nsenders = [\"*@clinic.example\"]\n\
         password_hash = \"$argon2id$v=19$m=19456,t=2,p=1$writtenBy$sealpostClientPasswd\"\n\
         [[route]]\ndomains = [\"lab.example\"]\nhost = \"mx.lab.example\"\n\
         [[policy.rule]]\nname = \"all\"\ndeliver = [\"tls:valid\"]\n"
    );
    let config = parse(&text).unwrap();
    let client = &config.clients[0];
    assert_eq!((client.profile, client.on_refusal, client.suspended), (Profile::Standard, OnRefusal::Reject, false));
    assert!(client.networks.is_empty());
    let route = &config.routes[0];
    assert_eq!((route.port, route.name.as_str(), route.onward), (25, "mx.lab.example", Onward::Unknown));
    assert_eq!(route.tls.name(), "valid");
    assert!(matches!(&config.policy.rules[0].then, Some(Then::Deliver(methods, Last::Hold)) if methods.len() == 1));
}

#[test]
fn the_openemr_profile_is_not_refused_but_held() {
    let client = "[[client]]\nname = \"openemr\"\nprofile = \"openemr\"\nlogin = \"o\"\nsenders = [\"*@clinic.example\"]\n\
         password_hash = \"$argon2id$v=19$m=19456,t=2,p=1$writtenBy$sealpostClientPasswd\"\n";
    let on_refusal = |text: String| parse(&text).unwrap().clients[0].on_refusal;
    assert_eq!(on_refusal(format!("{SMALLEST}{client}")), OnRefusal::AcceptAndHold);
    assert_eq!(on_refusal(format!("{SMALLEST}{client}on_refusal = \"reject\"\n")), OnRefusal::Reject);
}

#[test]
fn a_profile_gives_what_its_kind_needs_and_the_table_goes_first() {
    let client = |profile: &str, more: &str| {
        let text = format!(
            "{SMALLEST}[[client]]\nname = \"c\"\nprofile = \"{profile}\"\nnetworks = [\"10.0.0.1\"]\n\
             senders = [\"*@clinic.example\"]\n{more}"
        );
        parse(&text).unwrap().clients.remove(0)
    };
    for profile in Profile::ALL {
        let client = client(profile.name(), "");
        assert_eq!((client.profile, client.on_refusal), (profile, profile.on_refusal()));
        assert_eq!(client.return_paths, profile.return_paths());
    }
    assert_eq!(client("scanner", "").on_refusal, OnRefusal::AcceptAndHold);
    assert_eq!(client("salesforce", "").return_paths, ["*@*.bnc.salesforce.com"]);
    let own = client("salesforce", "return_paths = [\"*@bounces.crm.example\"]\n");
    assert_eq!(own.return_paths, ["*@bounces.crm.example"]);
    assert!(client("salesforce", "return_paths = []\n").return_paths.is_empty());
}

#[test]
fn paths_start_where_the_config_lies() {
    let config = parse(SMALLEST).unwrap().resolve(Path::new("/etc/sealpost"));
    assert_eq!(config.tls.certificates[0].key, Path::new("/etc/sealpost/tls/key.pem"));
    assert_eq!(config.server.master_key, Path::new("/etc/sealpost/master.key"));
    assert_eq!(config.server.data_dir, Path::new("/var/lib/sealpost"));
}

#[test]
fn every_wrong_config_is_refused_with_every_mistake() {
    let wrong = files("tests/bad-config", "toml");
    assert!(wrong.len() >= 25, "{} wrong configs", wrong.len());
    for path in wrong {
        let mistakes = parse(&read(&path)).map(drop).err().unwrap_or_default();
        assert!(!mistakes.is_empty(), "{} is taken", path.display());
        check_written(&path.with_extension("expected"), &tell(&mistakes));
    }
}

#[test]
fn a_mistake_shows_neither_people_nor_secrets() {
    for path in files("tests/bad-config", "expected") {
        let text = read(&path);
        for secret in ["quist", "hunter2", "postgre:"] {
            assert!(!text.to_lowercase().contains(secret), "{} shows {secret}", path.display());
        }
    }
}

#[test]
fn every_example_is_a_config_without_a_mistake() {
    let examples = files("config/examples", "toml");
    let names: Vec<_> = examples.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    assert_eq!(names, ["behind-nat", "clinic", "postgres", "servers", "smarthost", "strict"]);
    for path in examples {
        let mistakes = parse(&read(&path)).map(drop).err().unwrap_or_default();
        assert_eq!(tell(&mistakes), "", "{}", path.display());
    }
}

#[test]
fn a_config_that_is_cut_anywhere_is_taken_or_refused_with_a_reason() {
    let text = reference::whole();
    for cut in (0..text.len()).step_by(97) {
        if let Err(mistakes) = parse(&text[..text.floor_char_boundary(cut)]) {
            assert!(!mistakes.is_empty(), "cut at {cut}");
        }
    }
}

#[test]
fn the_page_of_settings_is_the_reference() {
    check_written(&here("docs/reference/config.md"), &reference_page());
}

#[test]
fn no_login_address_or_password_is_shown_by_debug() {
    let text = format!(
        "{SMALLEST}[database]\nurl = \"postgres://u:secret@[::1]/x\"\n\
         [[client]]\nname = \"ehr\"\nlogin = \"quist\"\nsenders = [\"quist@clinic.example\"]\n\
         password_hash = \"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$c2VjcmV0c2VjcmV0c2VjcmV0\"\n\
         [[policy.rule]]\nname = \"one\"\nwhen = {{ recipient = [\"quist@lab.example\"] }}\nhold = \"why\"\n"
    );
    let shown = format!("{:?}", parse(&text).unwrap());
    for hidden in ["quist", "secret", "argon2id"] {
        assert!(!shown.contains(hidden), "{hidden}");
    }
}
