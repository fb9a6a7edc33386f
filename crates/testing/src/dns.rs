//! A name server on loopback that knows a few records and nothing else.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, CNAME, MX, NS, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record};

/// Runs until it is dropped.
pub struct DnsServer {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl DnsServer {
    /// Knows these records, each a name, a type and a content: `("acme.com", "MX", "10 mx.acme.com")`.
    #[must_use]
    pub fn start(records: &[(&str, &str, &str)]) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), records)
    }

    /// The same at this address; with port 0 on a free one.
    #[must_use]
    pub fn at(address: SocketAddr, records: &[(&str, &str, &str)]) -> Self {
        let records: Vec<(String, String, String)> = records
            .iter()
            .map(|(name, kind, content)| {
                ((*name).to_owned(), (*kind).to_owned(), (*content).to_owned())
            })
            .collect();
        Self::bound(address, move || records.clone())
    }

    /// Knows at each question what `records` gives then.
    #[must_use]
    pub fn showing(records: impl Fn() -> Vec<(String, String, String)> + Send + 'static) -> Self {
        Self::bound(SocketAddr::from(([127, 0, 0, 1], 0)), records)
    }

    fn bound(
        address: SocketAddr,
        records: impl Fn() -> Vec<(String, String, String)> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                // What is no question ends it.
                let Ok(question) = Message::from_vec(&buffer[..length]) else { return };
                let query = &question.queries[0];
                let name = query.name().to_utf8();
                let name = name.trim_end_matches('.');
                log.lock().unwrap().push(format!("{name} {}", query.query_type()));
                let records: Vec<(String, RData)> = records()
                    .into_iter()
                    .map(|(name, kind, content)| (name, data(&kind, &content)))
                    .collect();
                let _ = socket.send_to(&answer(&question, &records), from);
            }
        });
        Self { address, asked }
    }

    /// What it was asked: `acme.com MX`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        let _ = UdpSocket::bind("127.0.0.1:0").map(|socket| socket.send_to(&[0], self.address));
    }
}

fn answer(question: &Message, records: &[(String, RData)]) -> Vec<u8> {
    let query = &question.queries[0];
    let mut reply = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    reply.add_query(query.clone());
    let name = query.name().to_utf8();
    for (_, data) in records.iter().filter(|(at, data)| {
        name.trim_end_matches('.') == at && data.record_type() == query.query_type()
    }) {
        reply.add_answer(Record::from_rdata(query.name().clone(), 120, data.clone()));
    }
    if reply.answers.is_empty() {
        reply.metadata.response_code = ResponseCode::NXDomain;
    }
    reply.to_vec().unwrap()
}

fn data(kind: &str, content: &str) -> RData {
    let name = |text: &str| Name::from_utf8(format!("{text}.")).unwrap();
    match kind {
        "A" => RData::A(A(content.parse().unwrap())),
        "CNAME" => RData::CNAME(CNAME(name(content))),
        "NS" => RData::NS(NS(name(content))),
        // Cut into several strings, as long ones have to be: a reader joins them.
        "TXT" => {
            let letters: Vec<char> = content.chars().collect();
            RData::TXT(TXT::new(letters.chunks(12).map(|part| part.iter().collect()).collect()))
        }
        "MX" => {
            let (priority, host) = content.split_once(' ').unwrap();
            RData::MX(MX::new(priority.parse().unwrap(), name(host)))
        }
        _ => panic!("records of type {kind} are not served"),
    }
}
