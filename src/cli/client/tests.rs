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

/// A certificate that OpenSSL made, and the SHA-256 of its key as OpenSSL tells it.
const DOOR: &str = "\
-----BEGIN CERTIFICATE-----
MIIBkzCCATmgAwIBAgIUZ0P389lr2fiA9bBnb8m1sa6b/YswCgYIKoZIzj0EAwIw
HjEcMBoGA1UEAwwTZG9vci5jbGluaWMuZXhhbXBsZTAgFw0yNjExMjQxMTA1NDla
GA8yMDUxMDcxNjExMDU0OVowHjEcMBoGA1UEAwwTZG9vci5jbGluaWMuZXhhbXBs
ZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABK3pa9A0rxXnHzLZVB88ecpgdNEN
G0t4rUvoS0y67tPjWFNw5U1EYuE95cR7RQ7S0aK69JartFo9EK32k60fXCGjUzBR
MB0GA1UdDgQWBBRcA1f3Mk3CowLiYMZ18gs2Wz7szDAfBgNVHSMEGDAWgBRcA1f3
Mk3CowLiYMZ18gs2Wz7szDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gA
MEUCIAKedGe9q2c9ezQRhWjjhp/hhHyqzlYnLyhIzMXluvGKAiEAmtgC/jC2ZBvq
/BSVj3P/3ogifTmzg1o6ZfOXxlisIxg=
-----END CERTIFICATE-----
";
const DOOR_KEY: &str = "key:cdea589fa4e635f6e0fe9173eabb08897338a7eb039ce9caf421c7e42d642e6a";

fn config() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealpost.toml");
    fs::write(&path, CONFIG).unwrap();
    (folder, path)
}

fn openemr() -> NewClient {
    NewClient {
        name: "openemr".into(),
        profile: Profile::OpenEmr,
        login: NewLogin::AsNamed,
        senders: Vec::new(),
        certificates: Vec::new(),
        networks: Vec::new(),
    }
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
fn a_machine_that_cannot_log_in_is_added_by_its_certificate_and_its_network() {
    let (folder, path) = config();
    let pem = folder.path().join("door.pem");
    fs::write(&pem, DOOR).unwrap();
    let door = NewClient {
        name: "door".into(),
        login: NewLogin::Without,
        certificates: vec![pem.display().to_string(), format!("certificate:{}", "0a".repeat(32))],
        networks: vec!["192.0.2.0/28".into()],
        ..openemr()
    };
    let changed = add(&path, &door, &Password::Made).unwrap();
    assert!(changed.login.is_none() && changed.password.is_none() && !changed.tell().contains("Password"));
    let client = parsed(&path).clients.remove(0);
    assert_eq!(client.certificates[0].to_string(), DOOR_KEY);
    assert!(client.login.is_none() && client.certificates.len() == 2 && client.networks.len() == 1);
    let empty = NewClient { name: "none".into(), certificates: Vec::new(), networks: Vec::new(), ..door.clone() };
    assert!(matches!(add(&path, &empty, &Password::Made), Err(ClientError::WrongAfter(_))));
    let missing = NewClient { name: "none".into(), certificates: vec!["/nowhere.pem".into()], ..door };
    assert!(matches!(add(&path, &missing, &Password::Made), Err(ClientError::Read { .. })));
}

#[test]
fn who_has_no_login_is_told_the_listeners_that_take_it_and_no_others() {
    const DOORS: &str = r#"
[[listener]]
role = "relay"
bind = "127.0.0.1:2525"

[[listener]]
role = "legacy"
bind = "127.0.0.1:2526"
networks = ["192.0.2.7"]
owner = "it@clinic.example"
reason = "a scanner"
until = "2099-03-31"

[[listener]]
role = "submission"
bind = "127.0.0.1:2588"
proxy_from = ["127.0.0.9"]

[[client]]
name = "scanner"
networks = ["192.0.2.7"]
senders = ["scanner@clinic.example"]
"#;
    let (_folder, path) = config();
    let server =
        NewClient { name: "server".into(), login: NewLogin::Without, networks: vec!["192.0.2.8".into()], ..openemr() };
    let nowhere = add(&path, &server, &Password::Made).unwrap().tell();
    assert!(nowhere.contains("no listener takes it yet"), "{nowhere}");
    fs::write(&path, format!("{CONFIG}{DOORS}")).unwrap();
    let told = add(&path, &server, &Password::Made).unwrap().tell();
    assert!(told.contains("relay.clinic.example, port 2525 with STARTTLS\n"), "{told}");
    assert!(told.contains("Known by   its network, 192.0.2.8; it needs no password"), "{told}");
    let ward = NewClient { name: "ward".into(), networks: vec!["192.0.2.0/29".into()], ..server };
    let told = add(&path, &ward, &Password::Made).unwrap().tell();
    assert!(told.contains("port 2525 with STARTTLS, or port 2526 without TLS\n"), "{told}");
    let told = add(&path, &openemr(), &Password::Made).unwrap().tell();
    assert!(told.contains("port 2587 with STARTTLS, or port 2588 with STARTTLS through its load balancer\n"), "{told}");
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
