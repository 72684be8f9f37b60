//! Nothing but greeting, EHLO, STARTTLS and QUIT crosses a connection on which the floor is not met, and there is no
//! MAIL FROM before it is.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::house::{ANN, House, Partner, text};
use crate::world::authority::Kind;
use crate::world::behaviour::{Act, Behaviour, Override, Step, Tls};
use crate::world::proxy::Proxy;

const HELD: &str = "held:methods_exhausted";

/// Every server that offers less than a valid certificate, and the words for it in the explanation.
fn below_valid() -> Vec<(&'static str, Behaviour, &'static str)> {
    let stripped = "mx.stripped.example greets you\nXXXXXXXA\nSIZE 1000000";
    vec![
        ("selfsigned.example", Behaviour::tls(Tls::With(Kind::SelfSigned)), "self-signed"),
        ("wrongname.example", Behaviour::tls(Tls::With(Kind::WrongName)), "does not carry the name"),
        ("expired.example", Behaviour::tls(Tls::With(Kind::Expired)), "expired"),
        ("none.example", Behaviour::tls(Tls::NotOffered), "does not offer STARTTLS"),
        ("stripped.example", Behaviour::but(&[Override::reply(Step::Ehlo, 250, stripped)]), "does not offer STARTTLS"),
        (
            "refused.example",
            Behaviour::but(&[Override::reply(Step::StartTls, 454, "4.7.0 TLS not available")]),
            "does not start TLS",
        ),
        ("gone.example", Behaviour::but(&[Override::act(Step::StartTls, Act::Disconnect)]), "closed the connection"),
    ]
}

fn heard_of_mail(partner: &Partner) -> bool {
    partner.mx.memory().commands.iter().any(|(_, line)| line.to_uppercase().starts_with("MAIL"))
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_valid_certificate_nothing_crosses_and_the_message_is_held_and_told() {
    let house = House::open(20, "[queue]\nexpire = \"1h\"").await;
    let mut all = Vec::new();
    for (index, (domain, behaviour, words)) in below_valid().into_iter().enumerate() {
        let partner = house.partner(20 + u8::try_from(index).unwrap(), domain, behaviour).await;
        let id = house.submit(&[&format!("bo@{domain}")], domain).await;
        all.push((partner, id, domain, words));
    }
    for (partner, id, domain, words) in &all {
        // A connection that only breaks says nothing of the floor: that one waits.
        let expected = if *domain == "gone.example" { "queued" } else { HELD };
        match expected {
            "queued" => drop(house.tried(id, 3).await),
            _ => assert_eq!(house.settled(id).await, [expected], "{domain}"),
        }
        assert!(partner.crossed_cleanly() > 0, "{domain}");
        assert!(!heard_of_mail(partner) && partner.took().is_empty(), "{domain}");
        let told = house.told(id);
        assert!(told.contains(words), "{domain}: {told}");
        if expected == HELD {
            let notice = house.notice(id).await;
            assert_eq!(notice.recipients, [ANN, "it@clinic.example"], "{domain}");
            assert!(!text(&notice).contains("noon"));
        }
    }
    house.home.crossed_cleanly();
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_for_encrypted_delivers_to_whoever_starts_tls_and_to_nobody_else() {
    let rule = "[[policy.rule]]\nname = \"any TLS\"\nwhen = { sender = [\"ann@clinic.example\"] }\n\
                deliver = [\"tls:encrypted\"]\n[policy]\ndefault = [\"tls:encrypted\"]";
    let house = House::open(21, rule).await;
    let mut all = Vec::new();
    for (index, (domain, behaviour, _)) in below_valid().into_iter().enumerate() {
        let starts_tls = matches!(behaviour.tls, Tls::With(Kind::SelfSigned | Kind::WrongName | Kind::Expired));
        let partner = house.partner(20 + u8::try_from(index).unwrap(), domain, behaviour).await;
        let id = house.submit(&[&format!("bo@{domain}")], domain).await;
        all.push((partner, id, domain, starts_tls));
    }
    for (partner, id, domain, starts_tls) in &all {
        match (*domain, starts_tls) {
            ("gone.example", _) => drop(house.tried(id, 3).await),
            (_, true) => assert_eq!(house.settled(id).await, ["delivered"], "{domain}"),
            (_, false) => assert_eq!(house.settled(id).await, [HELD], "{domain}"),
        }
        assert_eq!((partner.took().len() == 1, heard_of_mail(partner)), (*starts_tls, *starts_tls), "{domain}");
        assert!(partner.took().iter().all(|delivery| delivery.tls_version.is_some()));
        partner.crossed_cleanly();
    }
}

/// Says `220` to STARTTLS with a reply to the next command right behind it, in clear (CVE-2021-23993 and its kin).
fn injecting(listener: TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A relay that hangs up is what this is about.
            inject(stream).await.ok();
        }
    })
}

async fn inject(stream: TcpStream) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mx.inject.example ESMTP\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let reply: &[u8] = match line.split_whitespace().next() {
            Some("EHLO") => b"250-mx.inject.example\r\n250 STARTTLS\r\n",
            Some("STARTTLS") => b"220 go ahead\r\n250 injected\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(reply).await?;
        line.clear();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_injected_behind_the_220_to_starttls_end_the_connection() {
    let rule = "[policy]\ndefault = [\"tls:encrypted\"]";
    let house = House::open(22, rule).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let serving = injecting(listener);
    let proxy = Proxy::start("127.34.22.11:25", target).await.unwrap();
    house.dns.mail_domain("inject.example", "mx.inject.example", house.address(11));
    let id = house.submit(&["bo@inject.example"], "one").await;
    assert_eq!(house.settled(&id).await, [HELD]);
    assert!(house.told(&id).contains("more bytes in clear"), "{}", house.told(&id));
    let recordings = proxy.recordings();
    assert!(!recordings.is_empty());
    for recording in recordings {
        assert_eq!(String::from_utf8_lossy(&recording.to_server), "EHLO relay.clinic.example\r\nSTARTTLS\r\n");
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_floor_is_the_higher_one_of_route_and_decision() {
    let mut house = House::furnish(23, "").await;
    let good = house.host(11, "mx.lab.example", Behaviour::default()).await;
    let weak = house.host(12, "weak.lab.example", Behaviour::tls(Tls::With(Kind::SelfSigned))).await;
    let ca = house.folder.path().join("partners-ca.pem");
    let route = |domain: &str, last: u8, more: &str| {
        let name = if last == 11 { "mx.lab.example" } else { "weak.lab.example" };
        format!("[[route]]\ndomains = [\"{domain}\"]\nhost = \"127.34.23.{last}\"\nname = \"{name}\"\n{more}\n")
    };
    let own = format!("tls = \"authenticated\"\nca_file = \"{}\"\nonward = \"final\"", ca.display());
    let routes = [
        // The route asks for more than the decision: a public certificate does not do, a CA of one's own does.
        route("higher.example", 11, "tls = \"authenticated\"\nonward = \"final\""),
        route("own.example", 11, &own),
        // The decision asks for more than the route.
        route("lower.example", 12, "tls = \"encrypted\"\nonward = \"final\""),
        route("enforced.example", 11, "onward = \"enforced\""),
        route("unknown.example", 11, ""),
    ];
    house.daemon.configure(&routes.concat()).unwrap();
    house.daemon.start().unwrap();
    let expected = [
        ("higher.example", HELD),
        ("own.example", "delivered"),
        ("lower.example", HELD),
        ("enforced.example", "delivered"),
        ("unknown.example", HELD),
    ];
    for (domain, end) in expected {
        let id = house.submit(&[&format!("bo@{domain}")], domain).await;
        assert_eq!(house.settled(&id).await, [end], "{domain}");
        let told = house.told(&id);
        match domain {
            "own.example" => assert!(told.contains("own CA"), "{told}"),
            "unknown.example" => assert!(told.contains("what lies behind"), "{told}"),
            _ => {}
        }
    }
    let tags: Vec<_> = good.took().into_iter().filter_map(|delivery| delivery.tag).collect();
    assert_eq!(tags, ["own.example", "enforced.example"]);
    assert!(weak.took().is_empty() && !heard_of_mail(&weak));
    good.crossed_cleanly();
    weak.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_of_which_nobody_knows_what_lies_behind_carries_notices_only() {
    let mut house = House::furnish(24, "").await;
    let route = "[[route]]\ndomains = [\"clinic.example\", \"lab.example\"]\nhost = \"127.34.24.9\"\n\
                 name = \"mx.clinic.example\"";
    house.daemon.configure(route).unwrap();
    house.daemon.start().unwrap();
    let id = house.submit(&["bo@lab.example"], "one").await;
    assert_eq!(house.settled(&id).await, [HELD]);
    // The notice of it goes by that very route.
    assert_eq!(house.notice(&id).await.recipients, [ANN, "it@clinic.example"]);
    assert!(house.home.took().iter().all(|delivery| delivery.sender.is_empty()));
    house.home.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_floor_that_stays_unmet_gives_way_to_the_next_method_of_the_list() {
    let policy = "[policy]\ndefault = [\"tls:authenticated\", \"tls:valid\"]\n[queue]\nfloor_patience = \"3s\"";
    let house = House::open(25, policy).await;
    let good = house.partner(11, "lab.example", Behaviour::default()).await;
    let weak = house.partner(12, "weak.example", Behaviour::tls(Tls::With(Kind::SelfSigned))).await;
    let (one, two) = (house.submit(&["bo@lab.example"], "one").await, house.submit(&["bo@weak.example"], "two").await);
    let waiting = house.tried(&one, 1).await;
    assert_eq!((&waiting["standing"]["state"], waiting["methods"].as_array().unwrap().len()), (&"queued".into(), 2));
    assert_eq!(house.settled(&one).await, ["delivered"]);
    assert_eq!(house.settled(&two).await, [HELD]);
    assert!(house.rows(&one)[0]["attempts"].as_u64().unwrap() >= 3);
    let told = house.told(&one);
    assert!(told.contains("tls:authenticated") && told.contains("tls:valid"), "{told}");
    house.notice(&two).await;
    assert!(weak.took().is_empty() && good.took().len() == 1);
    good.crossed_cleanly();
    weak.crossed_cleanly();
    house.audited();
}
