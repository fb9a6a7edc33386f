use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use resto_testing::{DnsServer, FakeApi};
use serde_json::json;
use tokio::net::UdpSocket;

use super::*;
use crate::REGISTRAR;

type Answers = Vec<(&'static str, &'static str, &'static str)>;

/// The internet as a test knows it: its servers run as long as this is there.
struct World {
    resolvers: Resolvers,
    _servers: Vec<DnsServer>,
}

/// A domain with two name servers on loopback, which show `own`, and public resolvers that show
/// `public` each.
fn world(own: [Answers; 2], public: Vec<Answers>) -> World {
    let [one, two] = own;
    let first = DnsServer::start(&one);
    let port = first.address.port();
    let second = DnsServer::at(SocketAddr::from(([127, 0, 0, 2], port)), &two);
    let mut servers = vec![first, second];
    let mut resolvers = Vec::new();
    for mut answers in public {
        answers.extend([
            ("acme.com", "NS", "ns1.host.example"),
            ("acme.com", "NS", "ns2.host.example"),
            ("ns1.host.example", "A", "127.0.0.1"),
            ("ns2.host.example", "A", "127.0.0.2"),
        ]);
        let server = DnsServer::start(&answers);
        resolvers.push(("Public", server.address));
        servers.push(server);
    }
    let resolvers = Resolvers {
        public: resolvers,
        port,
        accept: |ip: IpAddr| ip.is_loopback(),
        patience: Duration::from_secs(3),
    };
    World { resolvers, _servers: servers }
}

async fn checked(arguments: serde_json::Value, resolvers: &Resolvers) -> Propagation {
    check(&serde_json::from_value(arguments).unwrap(), resolvers).await.unwrap()
}

fn views(propagation: &Propagation) -> Vec<(Role, View)> {
    propagation.servers.iter().map(|server| (server.role, server.view)).collect()
}

#[tokio::test]
async fn is_visible_when_everybody_shows_it() {
    let www = || vec![("www.acme.com", "A", "192.0.2.1")];
    let world = world([www(), www()], vec![www(), www()]);
    let wanted =
        json!({"domain": "acme.com", "name": "www", "type": "A", "expected": ["192.0.2.1"]});
    let seen = checked(wanted, &world.resolvers).await;
    assert!(seen.propagated, "{seen:?}");
    assert_eq!(seen.name, "www.acme.com");
    let asked: Vec<(&str, Role)> =
        seen.servers.iter().map(|one| (one.name.as_str(), one.role)).collect();
    assert_eq!(
        asked,
        [
            ("ns1.host.example", Role::Authoritative),
            ("ns2.host.example", Role::Authoritative),
            ("Public", Role::Public),
            ("Public", Role::Public)
        ]
    );
    assert_eq!(
        (&seen.servers[0].answers, seen.servers[0].ttl_seconds),
        (&vec!["192.0.2.1".to_owned()], Some(120))
    );
}

#[tokio::test]
async fn tells_how_long_resolvers_remember_the_old() {
    let new = || vec![("acme.com", "A", "192.0.2.2")];
    let world = world([new(), new()], vec![vec![("acme.com", "A", "192.0.2.1")], new()]);
    let wanted = json!({"domain": "acme.com", "type": "ALIAS", "expected": ["192.0.2.2"]});
    let seen = checked(wanted, &world.resolvers).await;
    assert!(!seen.propagated);
    assert_eq!(seen.wait_at_most_seconds, Some(120));
    assert!(seen.explanation.contains("remember the old answer for up to 120 seconds"));
    assert_eq!(views(&seen)[2..], [(Role::Public, View::Differs), (Role::Public, View::Matches)]);
}

#[tokio::test]
async fn blames_the_domains_own_servers_first() {
    let new = || vec![("acme.com", "A", "192.0.2.2")];
    let world = world([new(), Vec::new()], vec![new()]);
    let seen = checked(
        json!({"domain": "acme.com", "type": "A", "expected": ["192.0.2.2"]}),
        &world.resolvers,
    )
    .await;
    assert!(!seen.propagated);
    assert_eq!(
        views(&seen),
        [
            (Role::Authoritative, View::Matches),
            (Role::Authoritative, View::Nothing),
            (Role::Public, View::Matches)
        ]
    );
    assert!(seen.explanation.contains("own name servers do not all show it"));
}

#[tokio::test]
async fn all_have_to_agree_where_nothing_is_expected() {
    let mail = |last: &'static str| {
        vec![("acme.com", "MX", "5 mx.example.net"), ("_dmarc.acme.com", "TXT", last)]
    };
    let world = world(
        [mail("v=DMARC1; p=none"), mail("v=DMARC1; p=none")],
        vec![mail("v=DMARC1; p=none"), mail("v=DMARC1; p=reject")],
    );
    let seen = checked(json!({"domain": "acme.com", "type": "MX"}), &world.resolvers).await;
    assert!(seen.propagated, "{seen:?}");
    assert_eq!(seen.servers[3].answers, ["5 mx.example.net"]);
    let seen =
        checked(json!({"domain": "acme.com", "name": "_dmarc", "type": "TXT"}), &world.resolvers)
            .await;
    assert_eq!(seen.servers[0].answers, ["v=DMARC1; p=none"]);
    assert_eq!((seen.propagated, seen.servers[3].view), (false, View::Differs));
}

#[tokio::test]
async fn asks_no_server_inside_our_own_network() {
    let www = || vec![("www.acme.com", "A", "192.0.2.1")];
    let mut world = world([www(), www()], vec![www()]);
    world.resolvers.accept = resto_core::is_public;
    let seen =
        checked(json!({"domain": "acme.com", "name": "www", "type": "A"}), &world.resolvers).await;
    assert_eq!(views(&seen), [(Role::Public, View::Matches)]);
    assert!(!seen.propagated && seen.explanation.contains("could not be asked"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_hides_nothing() {
    let www = || vec![("www.acme.com", "A", "192.0.2.1")];
    let mut world = world([www(), www()], vec![www()]);
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    world.resolvers.public.push(("Silent", silent.local_addr().unwrap()));
    world.resolvers.patience = Duration::from_millis(200);
    let seen =
        checked(json!({"domain": "acme.com", "name": "www", "type": "A"}), &world.resolvers).await;
    assert_eq!(views(&seen)[3], (Role::Public, View::Silent));
    assert!(seen.propagated && seen.servers[3].problem.is_some(), "{seen:?}");
}

#[tokio::test]
async fn refuses_what_no_record_is_called() {
    let fake = FakeApi::of(&REGISTRAR, "namecom").await;
    let wrong = json!({"domain": "acme.com", "name": "a b", "type": "A"});
    let error = fake.run::<CheckPropagation>(wrong).await.unwrap_err();
    assert_eq!(error.details().field.as_deref(), Some("name"));
}
