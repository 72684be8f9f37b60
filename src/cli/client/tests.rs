//! Clients are added, changed and removed in the config, and nothing else there is touched.

use super::list::{list, tell};
use super::*;

const CONFIG: &str = r#"# Kept by hand.
[server]
hostname = "relay.clinic.example" # the name

[notify]
postmaster = "it@clinic.example"

[[tls.certificate]]
chain = "tls/chain.pem"
key = "tls/key.pem"

# Only from inside.
[[listener]]
role = "submission"
bind = "127.0.0.1:2587"

[queue]
expire = "2d"
"#;

fn config() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealpost.toml");
    fs::write(&path, CONFIG).unwrap();
    (folder, path)
}

fn openemr() -> NewClient {
    NewClient { name: "openemr".into(), profile: Profile::OpenEmr, login: None, senders: Vec::new() }
}

fn parsed(path: &Path) -> Config {
    config::parse(&fs::read_to_string(path).unwrap()).unwrap()
}

fn hash(path: &Path) -> String {
    parsed(path).clients.remove(0).login.unwrap().password_hash.unwrap()
}

#[test]
fn a_client_is_added_and_everything_else_stays_as_it_was_written() {
    let (_folder, path) = config();
    let changed = add(&path, &openemr(), &Password::Made).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(CONFIG), "{text}");
    let client = &parsed(&path).clients[0];
    let password = changed.password.clone().unwrap();
    let login = client.login.clone().unwrap();
    assert_eq!((login.name.as_str(), client.profile), ("openemr", Profile::OpenEmr));
    assert_eq!(client.senders, ["*@clinic.example"]);
    assert_eq!(crypto::verify_password(&password, &login.password_hash.unwrap()), Ok(true));
    assert!(text.contains("\nscram = \"SCRAM-SHA-256$100000:") && login.scram.is_some());
    assert!(changed.tell().contains("relay.clinic.example, port 2587 with STARTTLS\n"), "{}", changed.tell());
    assert!(password.len() == 24 && !text.contains(&password) && changed.tell().contains(&password));
    assert!(matches!(add(&path, &openemr(), &Password::Made), Err(ClientError::Taken(_))));
}

#[test]
fn a_given_password_is_taken_when_it_is_long_enough_and_not_shown_again() {
    let (_folder, path) = config();
    let given = |text: &str| Password::Given(Zeroizing::new(text.to_owned()));
    assert!(matches!(add(&path, &openemr(), &given("short")), Err(ClientError::WeakPassword)));
    assert!(matches!(add(&path, &openemr(), &given("long enough\r\n but two")), Err(ClientError::WeakPassword)));
    let changed = add(&path, &openemr(), &given("correct horse battery")).unwrap();
    assert!(changed.password.is_none());
    assert_eq!(crypto::verify_password("correct horse battery", &hash(&path)), Ok(true));
}

#[test]
fn a_client_is_suspended_resumed_given_another_password_and_removed() {
    let (_folder, path) = config();
    let first = add(&path, &openemr(), &Password::Made).unwrap().password.unwrap();
    suspend(&path, "openemr").unwrap();
    assert!(list(&path, &[]).unwrap()[0].suspended && tell(&list(&path, &[]).unwrap()).contains("suspended"));
    resume(&path, "openemr").unwrap();
    assert!(!list(&path, &[]).unwrap()[0].suspended);
    let second = passwd(&path, "openemr", &Password::Made).unwrap().password.unwrap();
    let hash = hash(&path);
    assert_eq!(crypto::verify_password(&second, &hash), Ok(true));
    assert_eq!(crypto::verify_password(&first, &hash), Ok(false));
    remove(&path, "openemr").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), CONFIG);
    assert!(matches!(remove(&path, "openemr"), Err(ClientError::Unknown(_))));
}

#[test]
fn a_client_that_is_let_in_by_scram_only_stays_so_with_another_password() {
    let (_folder, path) = config();
    add(&path, &openemr(), &Password::Made).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let without: String = text.split_inclusive('\n').filter(|line| !line.starts_with("password_hash")).collect();
    fs::write(&path, without).unwrap();
    let before = parsed(&path).clients.remove(0).login.unwrap();
    passwd(&path, "openemr", &Password::Made).unwrap();
    let after = parsed(&path).clients.remove(0).login.unwrap();
    assert!(after.password_hash.is_none() && after.scram.is_some() && after.scram != before.scram);
}

#[test]
fn a_password_that_programs_would_send_in_different_ways_is_refused() {
    let (_folder, path) = config();
    let odd = Password::Given(Zeroizing::new("half \u{627}1 right to left".to_owned()));
    assert!(matches!(add(&path, &openemr(), &odd), Err(ClientError::OddPassword)));
}

#[test]
fn a_change_that_would_make_the_config_wrong_leaves_it_as_it_is() {
    let (_folder, path) = config();
    let bad = NewClient { senders: vec!["everybody".into()], ..openemr() };
    assert!(matches!(add(&path, &bad, &Password::Made), Err(ClientError::WrongAfter(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), CONFIG);
    let rule = "[[policy.rule]]\nname = \"EHR\"\nwhen = { client = [\"openemr\"] }\nhold = \"look\"\n";
    add(&path, &openemr(), &Password::Made).unwrap();
    let with_rule = fs::read_to_string(&path).unwrap() + rule;
    fs::write(&path, &with_rule).unwrap();
    let error = remove(&path, "openemr").unwrap_err();
    assert!(error.to_string().contains("no [[client]] has this name"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), with_rule);
}

#[test]
fn a_client_that_is_known_by_its_networks_has_no_password_to_change() {
    let (_folder, path) = config();
    let scanner = "[[client]]\nname = \"scanner\"\nnetworks = [\"192.0.2.9\"]\nsenders = [\"*@clinic.example\"]\n";
    let certified = format!("{}certificate = [\"key:{}\"]\n", scanner.replace("\"scanner", "\"door"), "0a".repeat(32));
    fs::write(&path, format!("{CONFIG}{scanner}{certified}")).unwrap();
    assert!(matches!(passwd(&path, "scanner", &Password::Made), Err(ClientError::NoLogin(_))));
    assert_eq!(
        tell(&list(&path, &[]).unwrap()),
        "\
CLIENT   LOGIN  KNOWN BY     PROFILE   STATE   SENDERS
scanner  -      network      standard  active  *@clinic.example
door     -      certificate  standard  active  *@clinic.example
"
    );
    suspend(&path, "scanner").unwrap();
    assert!(parsed(&path).clients[0].suspended);
}

#[test]
fn a_comment_above_the_first_client_stays_above_it() {
    let (_folder, path) = config();
    fs::write(&path, format!("{CONFIG}\n# Who may send.\n")).unwrap();
    add(&path, &openemr(), &Password::Made).unwrap();
    add(&path, &NewClient { name: "billing".into(), ..openemr() }, &Password::Made).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&format!("{CONFIG}\n# Who may send.\n[[client]]\nname = \"openemr\"")), "{text}");
}

#[test]
fn edits_at_once_lose_none() {
    let (_folder, path) = config();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let path = &path;
            scope.spawn(move || {
                let new = NewClient { name: format!("client-{number}"), ..openemr() };
                add(path, &new, &Password::Made).unwrap();
            });
        }
    });
    assert_eq!(list(&path, &[]).unwrap().len(), 4);
}

#[test]
fn the_file_keeps_its_mode_and_nothing_is_left_beside_it() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = config();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    add(&path, &openemr(), &Password::Made).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
