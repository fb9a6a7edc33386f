use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, MX, NS, TXT};
use hickory_resolver::proto::rr::{RData, Record};
use resto_testing::FakeApi;
use serde_json::json;
use tokio::net::UdpSocket;

use super::*;
use crate::REGISTRAR;

type Answers = Vec<(&'static str, RData)>;

/// A name server on loopback that knows these records.
async fn server(ip: [u8; 4], port: u16, answers: Answers) -> SocketAddr {
    let socket = UdpSocket::bind(SocketAddr::from((ip, port))).await.unwrap();
    let address = socket.local_addr().unwrap();
    let answers = Arc::new(answers);
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let _ = socket.send_to(&answer(&question, &answers), from).await;
        }
    });
    address
}

fn answer(question: &Message, answers: &Answers) -> Vec<u8> {
    let query = &question.queries[0];
    let mut reply = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    reply.add_query(query.clone());
    let name = query.name().to_utf8();
    for (_, data) in answers.iter().filter(|(at, data)| {
        name.trim_end_matches('.') == *at && data.record_type() == query.query_type()
    }) {
        reply.add_answer(Record::from_rdata(query.name().clone(), 120, data.clone()));
    }
    if reply.answers.is_empty() {
        reply.metadata.response_code = ResponseCode::NXDomain;
    }
    reply.to_vec().unwrap()
}

fn a(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn name(text: &str) -> Name {
    Name::from_utf8(text).unwrap()
}

/// A domain with two name servers on loopback, which show `own`, and public resolvers that show
/// `public` each.
async fn world(own: [Answers; 2], public: Vec<Answers>) -> Resolvers {
    let (first, second) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    let [one, two] = own;
    let port = server(first, 0, one).await.port();
    server(second, port, two).await;
    let mut resolvers = Vec::new();
    for mut answers in public {
        answers.extend([
            ("acme.com", RData::NS(NS(name("ns1.host.example.")))),
            ("acme.com", RData::NS(NS(name("ns2.host.example.")))),
            ("ns1.host.example", RData::A(A(first.into()))),
            ("ns2.host.example", RData::A(A(second.into()))),
        ]);
        resolvers.push(("Public", server([127, 0, 0, 1], 0, answers).await));
    }
    Resolvers {
        public: resolvers,
        port,
        accept: |ip: IpAddr| ip.is_loopback(),
        patience: Duration::from_secs(3),
    }
}

async fn checked(arguments: serde_json::Value, resolvers: &Resolvers) -> Propagation {
    check(&serde_json::from_value(arguments).unwrap(), resolvers).await.unwrap()
}

fn views(propagation: &Propagation) -> Vec<(Role, View)> {
    propagation.servers.iter().map(|server| (server.role, server.view)).collect()
}

#[tokio::test]
async fn is_visible_when_everybody_shows_it() {
    let www = || vec![("www.acme.com", a(1))];
    let resolvers = world([www(), www()], vec![www(), www()]).await;
    let wanted =
        json!({"domain": "acme.com", "name": "www", "type": "A", "expected": ["192.0.2.1"]});
    let seen = checked(wanted, &resolvers).await;
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
    let new = || vec![("acme.com", a(2))];
    let resolvers = world([new(), new()], vec![vec![("acme.com", a(1))], new()]).await;
    let wanted = json!({"domain": "acme.com", "type": "ALIAS", "expected": ["192.0.2.2"]});
    let seen = checked(wanted, &resolvers).await;
    assert!(!seen.propagated);
    assert_eq!(seen.wait_at_most_seconds, Some(120));
    assert!(seen.explanation.contains("remember the old answer for up to 120 seconds"));
    assert_eq!(views(&seen)[2..], [(Role::Public, View::Differs), (Role::Public, View::Matches)]);
}

#[tokio::test]
async fn blames_the_domains_own_servers_first() {
    let new = || vec![("acme.com", a(2))];
    let resolvers = world([new(), Vec::new()], vec![new()]).await;
    let seen =
        checked(json!({"domain": "acme.com", "type": "A", "expected": ["192.0.2.2"]}), &resolvers)
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
    let mail = |last: &str| {
        vec![
            ("acme.com", RData::MX(MX::new(5, name("mx.example.net.")))),
            (
                "_dmarc.acme.com",
                RData::TXT(TXT::new(vec!["v=DMARC1; ".to_owned(), last.to_owned()])),
            ),
        ]
    };
    let resolvers =
        world([mail("p=none"), mail("p=none")], vec![mail("p=none"), mail("p=reject")]).await;
    let seen = checked(json!({"domain": "acme.com", "type": "MX"}), &resolvers).await;
    assert!(seen.propagated, "{seen:?}");
    assert_eq!(seen.servers[3].answers, ["5 mx.example.net"]);
    let seen =
        checked(json!({"domain": "acme.com", "name": "_dmarc", "type": "TXT"}), &resolvers).await;
    assert_eq!(seen.servers[0].answers, ["v=DMARC1; p=none"]);
    assert_eq!((seen.propagated, seen.servers[3].view), (false, View::Differs));
}

#[tokio::test]
async fn asks_no_server_inside_our_own_network() {
    let www = || vec![("www.acme.com", a(1))];
    let mut resolvers = world([www(), www()], vec![www()]).await;
    resolvers.accept = resto_core::is_public;
    let seen = checked(json!({"domain": "acme.com", "name": "www", "type": "A"}), &resolvers).await;
    assert_eq!(views(&seen), [(Role::Public, View::Matches)]);
    assert!(!seen.propagated && seen.explanation.contains("could not be asked"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_hides_nothing() {
    let www = || vec![("www.acme.com", a(1))];
    let mut resolvers = world([www(), www()], vec![www()]).await;
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    resolvers.public.push(("Silent", silent.local_addr().unwrap()));
    resolvers.patience = Duration::from_millis(200);
    let seen = checked(json!({"domain": "acme.com", "name": "www", "type": "A"}), &resolvers).await;
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
