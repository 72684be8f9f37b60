//! Mail goes where the DNS says, in the order that it says, and nowhere else.

use crate::house::{House, text};
use crate::world::behaviour::{Behaviour, Override, Step};
use crate::world::dns::{Entry, Failure};
use crate::world::proxy::Proxy;
use crate::world::until;

#[tokio::test(flavor = "multi_thread")]
async fn the_preferred_exchanger_is_asked_first_and_the_next_one_when_it_cannot() {
    // Each message on a connection of its own, so that each meets the door anew.
    let house = House::open(10, "[delivery]\nmessages_per_connection = 1").await;
    let first = house.host(11, "a.lab.example", Behaviour::default()).await;
    let second = house.host(12, "b.lab.example", Behaviour::default()).await;
    house.mx("lab.example", &[(20, "b.lab.example"), (10, "a.lab.example")]);
    assert_eq!(house.settled(&house.submit(&["bo@lab.example"], "one").await).await, ["delivered"]);
    assert_eq!((first.took().len(), second.took().len()), (1, 0));

    // Busy at the door.
    first.mx.behave(Behaviour::but(&[Override::reply(Step::Banner, 421, "busy")])).unwrap();
    house.mx("pay.example", &[(10, "a.lab.example"), (20, "b.lab.example")]);
    assert_eq!(house.settled(&house.submit(&["bo@pay.example"], "two").await).await, ["delivered"]);
    // Nobody there.
    house.dns.set("gone.lab.example", Entry { addresses: vec![house.address(13)], ..Entry::default() });
    house.mx("gone.example", &[(5, "gone.lab.example"), (6, "no-such-host.lab.example"), (20, "b.lab.example")]);
    assert_eq!(house.settled(&house.submit(&["bo@gone.example"], "three").await).await, ["delivered"]);
    assert_eq!((first.took().len(), second.took().len()), (1, 2));
    // The log and the evidence name the host that took it.
    let id = house.submit(&["bo@pay.example"], "four").await;
    assert_eq!(house.settled(&id).await, ["delivered"]);
    assert!(house.told(&id).contains("b.lab.example"), "{}", house.told(&id));
    first.crossed_cleanly();
    second.crossed_cleanly();
    house.audited();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_without_mx_is_its_own_host_and_every_address_of_it_is_tried() {
    let house = House::open(11, "").await;
    let bare = house.host(11, "bare.example", Behaviour::default()).await;
    // The first address of the host is dead.
    let addresses = vec![house.address(12), house.address(11)];
    house.dns.set("bare.example", Entry { addresses, ..Entry::default() });
    assert_eq!(house.settled(&house.submit(&["bo@bare.example"], "one").await).await, ["delivered"]);
    assert_eq!(bare.took().len(), 1);
    assert!(house.dns.asked().contains(&("bare.example".to_owned(), "MX".to_owned())));
    bare.crossed_cleanly();
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_over_ipv6_by_mx_and_by_route() {
    let house = House::furnish(12, "").await;
    let six = house.host(11, "six.lab.example", Behaviour::default()).await;
    let routed = Proxy::start("[::1]:0", six.mx.address).await.unwrap();
    let route = format!(
        "[[route]]\ndomains = [\"routed.example\"]\nhost = \"{}\"\nname = \"six.lab.example\"\nonward = \"final\"",
        routed.address
    );
    house.daemon.configure(&route).unwrap();
    let mut house = house;
    house.daemon.start().unwrap();
    assert_eq!(house.settled(&house.submit(&["bo@routed.example"], "one").await).await, ["delivered"]);
    let found = Proxy::start("[::1]:25", six.mx.address).await.unwrap();
    house.dns.mail_domain("six.example", "six.lab.example", "::1".parse().unwrap());
    assert_eq!(house.settled(&house.submit(&["bo@six.example"], "two").await).await, ["delivered"]);
    for proxy in [&routed, &found] {
        let summary = proxy.summary();
        assert_eq!((summary.under_tls, summary.faults), (1, Vec::new()));
    }
    assert_eq!(six.proxy.summary().connections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_takes_no_mail_or_does_not_exist_bounces_with_its_own_code() {
    let house = House::open(13, "").await;
    house.dns.null_mx("nomail.example");
    house.dns.set("empty.example", Entry::default());
    for (domain, status) in [("nomail.example", "5.1.10"), ("missing.example", "5.1.2"), ("empty.example", "5.1.2")] {
        let id = house.submit(&[&format!("bo@{domain}")], domain).await;
        assert_eq!(house.settled(&id).await, ["bounced"], "{domain}");
        let report = text(&house.notice(&format!("rfc822; bo@{domain}")).await);
        assert!(report.contains(&format!("Status: {status}\r\n")), "{report}");
        assert!(report.contains("Action: failed\r\n") && report.contains(&id), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_servers_that_fail_make_mail_wait() {
    let house = House::open(14, "").await;
    house.dns.failing("broken.example", Failure::ServFail);
    house.dns.failing("silent.example", Failure::Silence);
    // The MX is known, and its address is not to be had.
    house.mx("half.example", &[(10, "mx.half.example")]);
    house.dns.failing("mx.half.example", Failure::ServFail);
    let domains = ["broken.example", "silent.example", "half.example"];
    let mut waiting = Vec::new();
    for domain in domains {
        let id = house.submit(&[&format!("bo@{domain}")], domain).await;
        assert_eq!(house.tried(&id, 2).await["standing"]["state"], "queued", "{domain}");
        waiting.push(id);
    }
    let partner = house.host(11, "mx.half.example", Behaviour::default()).await;
    for domain in ["broken.example", "silent.example"] {
        house.mx(domain, &[(10, "mx.half.example")]);
    }
    for id in waiting {
        assert_eq!(house.settled(&id).await, ["delivered"]);
    }
    assert_eq!(partner.took().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_unless_a_route_or_the_config_allows_it() {
    let route = "[[route]]\ndomains = [\"routed.example\"]\nhost = \"127.34.15.11\"\nname = \"mx.lab.example\"\n\
                 onward = \"final\"\n[delivery]\nallow_networks = [\"127.34.15.9/32\"]";
    let mut house = House::open(15, route).await;
    let partner = house.partner(11, "lab.example", Behaviour::default()).await;
    let refused = house.submit(&["bo@lab.example"], "one").await;
    assert_eq!(house.settled(&refused).await, ["bounced"]);
    assert!(house.told(&refused).contains("private"), "{}", house.told(&refused));
    // An address literal and a loopback IPv6 address are no way around.
    for domain in ["[127.34.15.11]", "[IPv6:::1]"] {
        let id = house.submit(&[&format!("bo@{domain}")], "literal").await;
        assert_eq!(house.settled(&id).await, ["bounced"], "{domain}");
    }
    assert_eq!(partner.proxy.summary().connections, 0);
    let report = text(&house.notice("rfc822; bo@lab.example").await);
    assert!(report.contains("Status: 5.4.4\r\n"), "{report}");

    assert_eq!(house.settled(&house.submit(&["bo@routed.example"], "two").await).await, ["delivered"]);
    house.daemon.configure("[delivery]\nallow_networks = [\"127.34.15.0/24\"]").unwrap();
    house.daemon.reload().unwrap();
    assert_eq!(house.settled(&house.submit(&["bo@lab.example"], "three").await).await, ["delivered"]);
    until("both", crate::house::SOON, || (partner.took().len() == 2).then_some(())).await.unwrap();
}
