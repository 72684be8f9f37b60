//! A name server for tests: it knows what it is told, on a real socket.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, MX};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

use crate::config::Dns;

/// Domains below this are answered with a failure of the server.
const BROKEN: &str = "broken.example.";

pub(crate) struct NameServer {
    records: Vec<Record>,
}

impl NameServer {
    pub(crate) fn new() -> NameServer {
        NameServer { records: Vec::new() }
    }

    pub(crate) fn mx(self, domain: &str, preference: u16, host: &str) -> NameServer {
        self.with(domain, RData::MX(MX::new(preference, name(host))))
    }

    pub(crate) fn address(self, host: &str, address: &str) -> NameServer {
        let data = match address.parse().unwrap() {
            IpAddr::V4(v4) => RData::A(v4.into()),
            IpAddr::V6(v6) => RData::AAAA(v6.into()),
        };
        self.with(host, data)
    }

    /// An alias, answered without what it stands for.
    pub(crate) fn alias(self, alias: &str, host: &str) -> NameServer {
        self.with(alias, RData::CNAME(CNAME(name(host))))
    }

    fn with(mut self, owner: &str, data: RData) -> NameServer {
        self.records.push(Record::from_rdata(name(owner), 60, data));
        self
    }

    /// Serves until the test ends; gives the config that asks it.
    pub(crate) async fn start(self) -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut bytes).await {
                let answer = self.answer(&Message::from_vec(&bytes[..length]).unwrap());
                socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
            }
        });
        Dns { servers: vec![address], timeout: Duration::from_secs(2) }
    }

    fn answer(&self, question: &Message) -> Message {
        let query = question.queries.first().unwrap();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.recursion_available = true;
        answer.add_query(query.clone());
        let of_name = |record: &&Record| record.name.to_lowercase() == query.name().to_lowercase();
        if query.name().to_string().to_lowercase().ends_with(BROKEN) {
            answer.metadata.response_code = ResponseCode::ServFail;
        } else if !self.records.iter().any(|record| of_name(&record)) {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        let wanted = [query.query_type(), RecordType::CNAME];
        let fitting = |record: &&Record| of_name(record) && wanted.contains(&record.record_type());
        answer.add_answers(self.records.iter().filter(fitting).cloned().collect::<Vec<_>>());
        answer
    }
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}
