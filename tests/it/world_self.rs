//! The world against itself: its mail server, proxy, DNS, authority and client do what the scenarios rely on.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Resolver, TokioResolver};

use crate::world::authority::{Authority, Kind, credulous_client};
use crate::world::behaviour::{Act, Behaviour, Extension, Override, Step, Tls};
use crate::world::client::{Client, Entry, Mail};
use crate::world::daemon::overlaid;
use crate::world::dns::{Dns, Failure};
use crate::world::mx::{Mx, TAG};
use crate::world::proxy::{Proxy, Recording, judge};

const SOON: Duration = Duration::from_secs(10);

fn mail(recipients: &[&str]) -> Mail {
    Mail {
        sender: "ann@clinic.example".to_owned(),
        recipients: recipients.iter().map(|&recipient| recipient.to_owned()).collect(),
        content: format!("{TAG}: one\r\nSubject: hello\r\n\r\n.a line with a dot\r\nsecond line\r\n").into_bytes(),
    }
}

async fn server(behaviour: Behaviour) -> (Arc<Authority>, Mx) {
    let authority = Arc::new(Authority::new("World CA").unwrap());
    let mx = Mx::start("mx.partner.example", "127.0.0.1:0", behaviour, &authority).await.unwrap();
    (authority, mx)
}

fn trusting(authority: &Authority) -> Entry {
    Entry::StartTls(authority.client().unwrap(), "mx.partner.example".to_owned())
}

#[tokio::test]
async fn a_good_server_takes_a_message_byte_for_byte_under_tls() {
    let (authority, mx) = server(Behaviour::default()).await;
    let mut client = Client::connect(mx.address, &trusting(&authority)).await.unwrap();
    assert!(client.offers("PIPELINING") && client.offers("SIZE") && !client.offers("STARTTLS"));
    let mail = mail(&["bo@partner.example", "cy@partner.example"]);
    assert!(client.send(&mail).await.unwrap().accepted());
    assert!(client.send(&mail).await.unwrap().accepted());
    assert_eq!(client.tls_version(), Some("TLSv1_3"));
    assert_eq!(client.quit().await.unwrap().code, 221);

    let taken = mx.wait_for(2, SOON).await.unwrap();
    assert_eq!(taken[0].content, mail.content);
    assert_eq!((&taken[0].sender, &taken[0].recipients), (&mail.sender, &mail.recipients));
    assert_eq!(taken[0].tls_version.as_deref(), Some("TLSv1_3"));
    assert_eq!(taken[0].header("subject").as_deref(), Some("hello"));
    // The second copy is a duplicate for each of its two recipients.
    assert_eq!(mx.memory().duplicates(), 2);
}

#[tokio::test]
async fn a_bad_certificate_is_bad_in_the_way_that_was_asked_for() {
    let (authority, mx) = server(Behaviour::default()).await;
    for (kind, word) in
        [(Kind::SelfSigned, "UnknownIssuer"), (Kind::WrongName, "not valid for name"), (Kind::Expired, "expired")]
    {
        mx.behave(Behaviour::tls(Tls::With(kind))).unwrap();
        let refused = Client::connect(mx.address, &trusting(&authority)).await.unwrap_err().to_string();
        assert!(refused.contains(word), "{kind:?}: {refused}");
        let entry = Entry::StartTls(credulous_client().unwrap(), "mx.partner.example".to_owned());
        assert!(Client::connect(mx.address, &entry).await.unwrap().send(&mail(&["bo@partner.example"])).await.is_ok());
    }
    mx.behave(Behaviour::tls(Tls::NotOffered)).unwrap();
    let client = Client::connect(mx.address, &Entry::Clear).await.unwrap();
    assert!(!client.offers("STARTTLS"));
    mx.behave(Behaviour::but(&[Override::reply(Step::StartTls, 454, "4.7.0 not now")])).unwrap();
    let refused = Client::connect(mx.address, &trusting(&authority)).await.unwrap_err().to_string();
    assert!(refused.contains("454"), "{refused}");
}

#[tokio::test]
async fn greylisting_ends_after_the_given_number_of_tries() {
    let (authority, mx) = server(Behaviour::greylisting(2)).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(mx.address, &trusting(&authority)).await.unwrap();
        codes.push(client.send(&mail(&["bo@partner.example"])).await.unwrap().last().code);
    }
    assert_eq!(codes, [451, 451, 250]);
    assert_eq!(mx.deliveries().len(), 1);
}

#[tokio::test]
async fn every_step_can_be_refused() {
    let (authority, mx) = server(Behaviour::default()).await;
    let entry = trusting(&authority);
    for step in [Step::Mail, Step::Rcpt, Step::Data, Step::EndOfData] {
        for code in [451, 550] {
            mx.behave(Behaviour::but(&[Override::reply(step, code, "no").first(1)])).unwrap();
            let mut client = Client::connect(mx.address, &entry).await.unwrap();
            let refused = client.send(&mail(&["bo@partner.example"])).await.unwrap();
            assert_eq!(refused.last().code, code, "{step:?}");
            client.command("RSET").await.unwrap();
            assert!(client.send(&mail(&["bo@partner.example"])).await.unwrap().accepted(), "{step:?}");
        }
        mx.behave(Behaviour::but(&[Override::act(step, Act::Disconnect)])).unwrap();
        let mut client = Client::connect(mx.address, &entry).await.unwrap();
        assert!(client.send(&mail(&["bo@partner.example"])).await.is_err(), "{step:?}");
    }
    assert_eq!(mx.deliveries().len(), 8);
    mx.behave(Behaviour::but(&[Override::reply(Step::Banner, 554, "go away")])).unwrap();
    let mut client = Client::connect(mx.address, &Entry::Clear).await.unwrap();
    assert_eq!(client.greeting.code, 554);
    assert!(client.closed().await);
    mx.behave(Behaviour::but(&[Override::reply(Step::Ehlo, 421, "busy")])).unwrap();
    let mut client = Client::connect(mx.address, &Entry::Clear).await.unwrap();
    assert!(client.extensions.is_empty() && client.closed().await);
}

#[tokio::test]
async fn one_recipient_is_refused_and_the_other_taken_in_a_pipeline() {
    let refusal = Override::reply(Step::Rcpt, 550, "5.1.1 unknown").to("bo@partner.example");
    let (authority, mx) = server(Behaviour::but(&[refusal])).await;
    let mut client = Client::connect(mx.address, &trusting(&authority)).await.unwrap();
    let lines = [
        "MAIL FROM:<ann@clinic.example> BODY=8BITMIME",
        "RCPT TO:<bo@partner.example>",
        "RCPT TO:<cy@partner.example>",
        "DATA",
    ];
    let replies = client.pipeline(&lines).await.unwrap();
    assert_eq!(replies.iter().map(|reply| reply.code).collect::<Vec<_>>(), [250, 550, 250, 354]);
    client.write(b"Subject: x\r\n\r\n.\r\n").await.unwrap();
    assert_eq!(client.reply().await.unwrap().code, 250);
    assert_eq!(mx.deliveries()[0].recipients, ["cy@partner.example"]);
    assert!(mx.memory().commands.iter().any(|(_, line)| line.ends_with("BODY=8BITMIME")));
}

#[tokio::test]
async fn a_server_can_take_a_message_and_leave_without_a_word() {
    let (authority, mx) = server(Behaviour::but(&[Override::act(Step::EndOfData, Act::TakeThenDisconnect)])).await;
    let mut client = Client::connect(mx.address, &trusting(&authority)).await.unwrap();
    assert!(client.send(&mail(&["bo@partner.example"])).await.is_err());
    let taken = mx.wait_for(1, SOON).await.unwrap();
    assert!(!taken[0].answered);
}

#[tokio::test]
async fn extensions_can_be_missing() {
    let few = Behaviour { extensions: [Extension::Size(1000)].into(), ..Behaviour::default() };
    let (authority, mx) = server(few).await;
    let client = Client::connect(mx.address, &trusting(&authority)).await.unwrap();
    assert_eq!(client.extensions, ["SIZE 1000"]);
}

#[tokio::test]
async fn the_proxy_sees_everything_and_finds_no_fault_with_a_dialog_under_tls() {
    let (authority, mx) = server(Behaviour::default()).await;
    let proxy = Proxy::start("127.0.0.1:0", mx.address).await.unwrap();
    let mut client = Client::connect(proxy.address, &trusting(&authority)).await.unwrap();
    assert!(client.send(&mail(&["bo@partner.example"])).await.unwrap().accepted());
    client.quit().await.unwrap();
    let summary = proxy.summary();
    assert_eq!((summary.connections, summary.under_tls, summary.faults), (1, 1, Vec::new()));
    assert!(proxy.saw("STARTTLS") && !proxy.saw("bo@partner.example"));
}

#[tokio::test]
async fn the_proxy_finds_fault_with_mail_in_clear() {
    let (_authority, mx) = server(Behaviour::tls(Tls::NotOffered)).await;
    let proxy = Proxy::start("127.0.0.1:0", mx.address).await.unwrap();
    let mut client = Client::connect(proxy.address, &Entry::Clear).await.unwrap();
    assert!(client.send(&mail(&["bo@partner.example"])).await.unwrap().accepted());
    let faults = proxy.summary().faults;
    assert!(faults.contains(&"MAIL crossed in clear".to_owned()), "{faults:?}");
    assert!(proxy.saw("bo@partner.example"));
    assert_eq!(mx.deliveries()[0].tls_version, None);
}

#[test]
fn the_judge_knows_clear_from_tls() {
    let server_hello = b"220 hi\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n\x16\x03\x03\x00\x02ab\x17\x03\x03\x00\x01c";
    let check = |to_server: &[u8], faults: &[&str]| {
        let recording = Recording { to_server: to_server.to_vec(), to_client: server_hello.to_vec(), truncated: false };
        assert_eq!(judge(&recording).faults, faults, "{}", String::from_utf8_lossy(to_server));
    };
    check(b"EHLO a\r\nSTARTTLS\r\n\x16\x03\x01\x00\x02ab\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x05cut", &[]);
    check(b"EHLO a\r\nQUIT\r\n", &[]);
    check(b"EHLO a\r\nMAIL FROM:<a@b>\r\n", &["MAIL crossed in clear"]);
    check(b"EHLO a\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n", &["to the server: a byte 0x4d where a TLS record starts"]);
    check(
        b"EHLO a\r\nSTARTTLS\r\n\x16\x03\x01\x00\x01aMAIL",
        &["to the server: a byte 0x4d where a TLS record starts"],
    );
    check(b"EHLO a\r\nSTARTTLS\r\n\x16\x09\x01\x00\x01a", &["to the server: a TLS record of no known version"]);
    check(b"EHLO a\r\nSECRET", &["a line without an end crossed in clear"]);
    let refused = Recording {
        to_server: b"EHLO a\r\nSTARTTLS\r\nMAIL FROM:<a@b>\r\n".to_vec(),
        to_client: b"220 hi\r\n250 STARTTLS\r\n454 no\r\n250 ok\r\n".to_vec(),
        truncated: false,
    };
    assert_eq!(judge(&refused).faults, ["MAIL crossed in clear"]);
    assert!(!judge(&Recording { truncated: true, ..Recording::default() }).faults.is_empty());
}

fn resolver(dns: &Dns, transport: impl Fn(std::net::IpAddr) -> NameServerConfig) -> TokioResolver {
    let mut server = transport(dns.address.ip());
    for connection in &mut server.connections {
        connection.port = dns.address.port();
    }
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_millis(300);
    options.attempts = 1;
    let builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
    builder.build().unwrap()
}

#[tokio::test]
async fn dns_answers_from_its_table_over_udp_and_tcp() {
    let dns = Dns::start("127.0.0.1:0").await.unwrap();
    dns.mail_domain("partner.example", "mx.partner.example", Ipv4Addr::new(127, 0, 0, 7).into());
    dns.null_mx("nomail.example");
    dns.failing("broken.example", Failure::ServFail);
    dns.failing("silent.example", Failure::Silence);
    for transport in [NameServerConfig::udp, NameServerConfig::tcp] {
        let resolver = resolver(&dns, transport);
        let found = resolver.mx_lookup("partner.example.").await.unwrap();
        assert_eq!(format!("{}", found.answers()[0].data), "10 mx.partner.example.");
        let found = resolver.lookup_ip("mx.partner.example.").await.unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), [Ipv4Addr::new(127, 0, 0, 7)]);
        let found = resolver.mx_lookup("nomail.example.").await.unwrap();
        assert_eq!(format!("{}", found.answers()[0].data), "0 .");
        let missing = resolver.mx_lookup("missing.example.").await.unwrap_err();
        assert!(missing.is_nx_domain(), "{missing}");
        let broken = resolver.mx_lookup("broken.example.").await.unwrap_err();
        assert!(!broken.is_nx_domain(), "{broken}");
        assert!(resolver.mx_lookup("silent.example.").await.is_err());
    }
    assert!(dns.asked().contains(&("partner.example".to_owned(), "MX".to_owned())));
}

#[test]
fn an_overlay_replaces_keys_and_whole_arrays_of_tables() {
    let config = "[queue]\nexpire = \"5d\"\nlease = \"1m\"\n\n[[listener]]\nbind = \"a\"\n[[listener]]\nbind = \"b\"\n[policy]\ndefault = []\n";
    let overlay = "[queue]\nexpire = \"1s\"\n[[listener]]\nbind = \"c\"\n[[policy.rule]]\nname = \"r\"\n[limits]\nrecipients = 3\n";
    let whole: toml::Table = overlaid(config, overlay).unwrap().parse().unwrap();
    let expected: toml::Table = "queue = { expire = \"1s\", lease = \"1m\" }\nlistener = [{ bind = \"c\" }]\n\
                                 policy = { default = [], rule = [{ name = \"r\" }] }\nlimits = { recipients = 3 }\n"
        .parse()
        .unwrap();
    assert_eq!(whole, expected);
}

#[tokio::test]
async fn a_server_can_hang_at_a_step() {
    let (authority, mx) = server(Behaviour::but(&[Override::act(Step::Mail, Act::Hang)])).await;
    let mut client = Client::connect(mx.address, &trusting(&authority)).await.unwrap();
    let waiting = client.command("MAIL FROM:<ann@clinic.example>");
    assert!(tokio::time::timeout(Duration::from_millis(300), waiting).await.is_err());
    assert_eq!(mx.memory().open, 1);
}

#[tokio::test]
async fn a_proxy_before_a_dead_server_closes_at_once() {
    let dead = crate::world::daemon::free_address().unwrap();
    let proxy = Proxy::start("127.0.0.1:0", dead).await.unwrap();
    assert!(Client::connect(proxy.address, &Entry::Clear).await.is_err());
    let summary = proxy.summary();
    assert_eq!((summary.connections, summary.under_tls), (1, 0));
}
