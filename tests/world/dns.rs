//! A DNS server that answers from a table, over UDP and TCP.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hickory_resolver::proto::op::{Message, Metadata, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::world::{Result, STEP};

const MAX_QUERY: usize = 4096;
const TTL: u32 = 1;

/// What is known of one name. A name without an entry does not exist.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub mx: Vec<(u16, String)>,
    pub addresses: Vec<IpAddr>,
    pub texts: Vec<String>,
    pub fails: Option<Failure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    ServFail,
    Refused,
    /// No reply at all.
    Silence,
}

#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<String, Entry>,
    asked: Vec<(String, String)>,
}

/// Stops when dropped.
#[derive(Debug)]
pub struct Dns {
    pub address: SocketAddr,
    table: Arc<Mutex<Table>>,
    serving: JoinHandle<()>,
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Dns {
    /// Serves on an address such as `127.0.0.53:5353`; port 0 takes one that is free for UDP and TCP.
    pub async fn start(bind: &str) -> Result<Dns> {
        let stream = TcpListener::bind(bind).await?;
        let address = stream.local_addr()?;
        let datagrams = UdpSocket::bind(address).await?;
        let table = Arc::new(Mutex::new(Table::default()));
        let serving = tokio::spawn(serve(datagrams, stream, Arc::clone(&table)));
        Ok(Dns { address, table, serving })
    }

    pub fn set(&self, name: &str, entry: Entry) {
        lock(&self.table).entries.insert(name.to_lowercase(), entry);
    }

    /// A domain whose MX is one host at one address.
    pub fn mail_domain(&self, domain: &str, host: &str, address: IpAddr) {
        self.set(domain, Entry { mx: vec![(10, host.to_owned())], ..Entry::default() });
        self.set(host, Entry { addresses: vec![address], ..Entry::default() });
    }

    /// A domain that takes no mail (RFC 7505).
    pub fn null_mx(&self, domain: &str) {
        self.set(domain, Entry { mx: vec![(0, ".".to_owned())], ..Entry::default() });
    }

    pub fn failing(&self, name: &str, failure: Failure) {
        self.set(name, Entry { fails: Some(failure), ..Entry::default() });
    }

    pub fn remove(&self, name: &str) {
        lock(&self.table).entries.remove(&name.to_lowercase());
    }

    /// Every question so far: name and type.
    pub fn asked(&self) -> Vec<(String, String)> {
        lock(&self.table).asked.clone()
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(datagrams: UdpSocket, listener: TcpListener, table: Arc<Mutex<Table>>) {
    let mut connections = JoinSet::new();
    let mut query = vec![0; MAX_QUERY];
    loop {
        tokio::select! {
            Ok((count, peer)) = datagrams.recv_from(&mut query) => {
                if let Some(reply) = reply(&query[..count], &table) {
                    datagrams.send_to(&reply, peer).await.ok();
                }
            }
            Ok((stream, _)) = listener.accept() => {
                let table = Arc::clone(&table);
                connections.spawn(async move {
                    // A resolver that leaves early is no fault of the server.
                    timeout(STEP, connection(stream, &table)).await.ok();
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// RFC 1035 §4.2.2: each message has its length in front.
async fn connection(mut stream: TcpStream, table: &Mutex<Table>) -> Result<()> {
    while let Ok(length) = stream.read_u16().await {
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let Some(reply) = reply(&query, table) else { return Ok(()) };
        stream.write_u16(u16::try_from(reply.len())?).await?;
        stream.write_all(&reply).await?;
    }
    Ok(())
}

fn reply(query: &[u8], table: &Mutex<Table>) -> Option<Vec<u8>> {
    let request = Message::from_vec(query).ok()?;
    let question = request.queries.first()?.clone();
    let name = question.name().to_lowercase().to_utf8().trim_end_matches('.').to_owned();
    let mut table = lock(table);
    table.asked.push((name.clone(), question.query_type().to_string()));
    let mut response = Message::response(request.metadata.id, OpCode::Query);
    response.metadata = Metadata::response_from_request(&request.metadata);
    response.metadata.authoritative = true;
    response.metadata.recursion_available = true;
    let entry = table.entries.get(&name);
    response.metadata.response_code = match entry.map(|entry| entry.fails) {
        None => ResponseCode::NXDomain,
        Some(None) => ResponseCode::NoError,
        Some(Some(Failure::ServFail)) => ResponseCode::ServFail,
        Some(Some(Failure::Refused)) => ResponseCode::Refused,
        Some(Some(Failure::Silence)) => return None,
    };
    response.add_answers(entry.map(|entry| answers(entry, &question)).unwrap_or_default());
    response.add_query(question);
    response.to_vec().ok()
}

fn answers(entry: &Entry, question: &Query) -> Vec<Record> {
    let record = |data| Record::from_rdata(question.name().clone(), TTL, data);
    let data: Vec<RData> = match question.query_type() {
        RecordType::MX => entry.mx.iter().filter_map(mx).collect(),
        RecordType::A => entry.addresses.iter().filter_map(v4).collect(),
        RecordType::AAAA => entry.addresses.iter().filter_map(v6).collect(),
        RecordType::TXT => entry.texts.iter().map(|text| RData::TXT(TXT::new(vec![text.clone()]))).collect(),
        _ => Vec::new(),
    };
    data.into_iter().map(record).collect()
}

fn mx((preference, host): &(u16, String)) -> Option<RData> {
    let mut name = Name::from_str(host).ok()?;
    name.set_fqdn(true);
    Some(RData::MX(MX::new(*preference, name)))
}

fn v4(address: &IpAddr) -> Option<RData> {
    match address {
        IpAddr::V4(address) => Some(RData::A(A(*address))),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: &IpAddr) -> Option<RData> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(RData::AAAA(AAAA(*address))),
    }
}
