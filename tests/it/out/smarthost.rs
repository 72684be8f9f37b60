//! A smarthost that wants a login: a real Postfix with Cyrus SASL, which knows SCRAM from somebody else's hands.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::house::{House, SOON};
use crate::world::authority::{Authority, Kind};
use crate::world::postfix::{Postfix, Wanted};
use crate::world::{Result, until};

const NAME: &str = "smtp.provider.example";
const PASSWORD: &str = "correct horse, battery";

/// Takes mail from who is logged in, and throws it away. A process serves one client, so that `offers` holds at once.
const MAIN: &str = "inet_interfaces = all
local_recipient_maps =
default_transport = discard:
max_use = 1
smtpd_peername_lookup = no
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
";

struct Smarthost {
    postfix: Postfix,
    _folder: tempfile::TempDir,
}

impl Smarthost {
    fn start(address: &str, authority: &Authority) -> Result<Smarthost> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let (chain, key) = authority.issue(NAME, Kind::Valid)?.write(folder.path(), "relay")?;
        let postfix = Postfix::furnish(&Wanted {
            folder: folder.path(),
            name: NAME,
            chain: &chain,
            key: &key,
            user: "clinic",
            password: PASSWORD,
            mechanisms: "SCRAM-SHA-256 PLAIN LOGIN",
            main: MAIN,
            ports: &[address.to_owned()],
        })?;
        postfix.start(&[])?;
        Ok(Smarthost { postfix, _folder: folder })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_smarthost_takes_our_login_in_each_way_and_a_wrong_password_waits() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("Postfix runs as root only: not tried");
        return;
    }
    let mut house = House::furnish(96, "").await;
    let smarthost = Smarthost::start("127.34.96.20:587", &house.authority).unwrap();
    let postfix = &smarthost.postfix;
    let file = house.folder.path().join("smarthost.password");
    let password = |text: &str| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    };
    password(PASSWORD);
    let route = format!(
        "[[route]]\ndomains = [\"lab.example\"]\nhost = \"127.34.96.20:587\"\nname = \"{NAME}\"\nonward = \"final\"\n\
         login = \"clinic\"\npassword_file = \"{}\"\n[delivery]\nidle = \"1s\"\nmessages_per_connection = 1\n",
        file.display()
    );
    house.daemon.configure(&route).unwrap();
    house.daemon.start().unwrap();
    for mechanism in ["SCRAM-SHA-256", "PLAIN", "LOGIN"] {
        let rest = ["SCRAM-SHA-256", "PLAIN", "LOGIN"].into_iter().skip_while(|one| *one != mechanism);
        postfix.offers(&rest.collect::<Vec<_>>().join(" ")).unwrap();
        let id = house.submit(&["bo@lab.example"], mechanism).await;
        assert_eq!(house.settled(&id).await, ["delivered"], "{mechanism}: {}\n{}", house.told(&id), postfix.log());
        let logged = || postfix.log().contains(&format!("sasl_method={mechanism}, sasl_username=clinic")).then_some(());
        until(mechanism, SOON, logged).await.unwrap();
    }
    postfix.offers("SCRAM-SHA-256 PLAIN LOGIN").unwrap();
    password("wrong horse");
    house.daemon.reload().unwrap();
    let id = house.submit(&["bo@lab.example"], "waits").await;
    house.tried(&id, 2).await;
    assert!(house.told(&id).contains("logging in"), "{}", house.told(&id));
    assert!(house.daemon.logs().unwrap().contains("refused our login"));
    let asked = postfix.log().matches("authentication failed").count();
    house.tried(&id, 4).await;
    assert_eq!(
        (asked, postfix.log().matches("authentication failed").count()),
        (1, 1),
        "a provider closes such accounts"
    );
    password(PASSWORD);
    house.daemon.reload().unwrap();
    assert_eq!(house.settled(&id).await, ["delivered"]);
    for secret in ["correct horse", "wrong horse", "Y29ycmVjdCBob3JzZ"] {
        assert!(!house.daemon.logs().unwrap().contains(secret) && !house.told(&id).contains(secret));
        let configs = house.daemon.run(&["audit", "config"]).unwrap().out;
        assert!(!configs.contains(secret));
    }
    house.audited();
}
