//! What a proxy says of the connection that it passes on: the PROXY protocol, versions 1 and 2
//! (haproxy.org, proxy-protocol.txt, 2020/03/05). It comes before the first octet of the client, TLS included.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// §2.1: the longest line of version 1, with its CRLF.
const MAX_V1: usize = 107;
/// The longest header of version 2 that is read: addresses take 36 octets at most, and what a proxy adds beside them
/// is of no use here.
const MAX_V2: usize = 2048;
/// §2.2: what version 2 begins with, which no other protocol does.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const V1: &[u8] = b"PROXY ";
/// `PROXY UNKNOWN` and its CRLF. Version 2 is never shorter either.
const SHORTEST: usize = 15;
const FIXED_V2: usize = 16;
/// §2.2.3: the kind of the addition that holds a checksum of the whole header.
const CRC32C: u8 = 0x03;

/// Who is behind a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxied {
    Client(SocketAddr),
    /// The proxy itself (its health checks), or somebody whose address it does not know.
    Nobody,
}

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// It has at least so many octets more. To read further would take what belongs to the client.
    Wants(usize),
    Whole(Proxied),
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProxyHeader {
    #[error("it is no header of the PROXY protocol")]
    NoHeader,
    #[error("it is too long")]
    TooLong,
    #[error("its addresses cannot be read")]
    BadAddress,
    #[error("its checksum is wrong")]
    BadChecksum,
}

impl ProxyHeader {
    /// Reads what has come so far.
    pub fn read(octets: &[u8]) -> Result<ProxyHeader, BadProxyHeader> {
        let begins = |with: &[u8]| octets.iter().zip(with).all(|(one, other)| one == other);
        match (begins(&SIGNATURE), begins(V1)) {
            (false, false) => Err(BadProxyHeader::NoHeader),
            _ if octets.len() < SHORTEST => Ok(ProxyHeader::Wants(SHORTEST - octets.len())),
            (true, _) => version_2(octets),
            (false, true) => version_1(octets),
        }
    }
}

/// §2.1: `PROXY TCP4 192.0.2.7 198.51.100.1 40001 25`.
fn version_1(octets: &[u8]) -> Result<ProxyHeader, BadProxyHeader> {
    match octets.last() {
        Some(b'\n') => {}
        _ if octets.len() >= MAX_V1 => return Err(BadProxyHeader::TooLong),
        _ => return Ok(ProxyHeader::Wants(1)),
    }
    let line = octets.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
    let line = line.ok_or(BadProxyHeader::NoHeader)?;
    let words: Vec<&str> = line.split(' ').collect();
    let read = |of: fn(&str) -> Option<IpAddr>, source, target, (from, to)| match (of(source), of(target)) {
        (Some(source), Some(_)) => port(to).and(port(from)).map(|port| SocketAddr::new(source, port)),
        _ => None,
    };
    let client = match words.as_slice() {
        // §2.1: what follows UNKNOWN says nothing.
        ["PROXY", "UNKNOWN", ..] => return Ok(ProxyHeader::Whole(Proxied::Nobody)),
        ["PROXY", "TCP4", source, target, from, to] => read(ipv4, source, target, (from, to)),
        ["PROXY", "TCP6", source, target, from, to] => read(ipv6, source, target, (from, to)),
        _ => return Err(BadProxyHeader::NoHeader),
    };
    client.map(|client| ProxyHeader::Whole(Proxied::Client(client))).ok_or(BadProxyHeader::BadAddress)
}

fn ipv4(word: &str) -> Option<IpAddr> {
    word.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

fn ipv6(word: &str) -> Option<IpAddr> {
    word.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
}

/// §2.1: decimal, without a leading zero.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain)
}

/// §2.2: the signature, version and command, family, length, and what is so long.
fn version_2(octets: &[u8]) -> Result<ProxyHeader, BadProxyHeader> {
    let Some((fixed, rest)) = octets.split_at_checked(FIXED_V2) else {
        return Ok(ProxyHeader::Wants(FIXED_V2 - octets.len()));
    };
    let [.., command, family, high, low] = fixed else { return Err(BadProxyHeader::NoHeader) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if FIXED_V2 + length > MAX_V2 {
        return Err(BadProxyHeader::TooLong);
    }
    if rest.len() < length {
        return Ok(ProxyHeader::Wants(length - rest.len()));
    }
    let (proxied, added) = match command {
        // §2.2: LOCAL; what follows is skipped.
        0x20 => return Ok(ProxyHeader::Whole(Proxied::Nobody)),
        0x21 => addresses(*family, rest)?,
        _ => return Err(BadProxyHeader::NoHeader),
    };
    check_added(octets, added)?;
    Ok(ProxyHeader::Whole(proxied))
}

/// The client's address, and what comes behind the addresses.
fn addresses(family: u8, rest: &[u8]) -> Result<(Proxied, &[u8]), BadProxyHeader> {
    let cut = |length| rest.split_at_checked(length).ok_or(BadProxyHeader::BadAddress);
    let client = |ip: IpAddr, port: &[u8]| match port {
        [high, low] => Ok(Proxied::Client(SocketAddr::new(ip.to_canonical(), u16::from_be_bytes([*high, *low])))),
        _ => Err(BadProxyHeader::BadAddress),
    };
    match family {
        // §2.2: unspecified, or a socket of the proxy's own machine: the connection is nobody's that has an address.
        0x00 => Ok((Proxied::Nobody, &[])),
        0x31 => Ok((Proxied::Nobody, cut(216)?.1)),
        0x11 => {
            let (fields, added) = cut(12)?;
            let source: [u8; 4] = fields[..4].try_into().map_err(|_| BadProxyHeader::BadAddress)?;
            Ok((client(source.into(), &fields[8..10])?, added))
        }
        0x21 => {
            let (fields, added) = cut(36)?;
            let source: [u8; 16] = fields[..16].try_into().map_err(|_| BadProxyHeader::BadAddress)?;
            Ok((client(source.into(), &fields[32..34])?, added))
        }
        // §2.2: other values must be rejected. Datagrams are no connection.
        _ => Err(BadProxyHeader::BadAddress),
    }
}

/// §2.2.1: additions are skipped, but for the checksum, which must be right where it is given (§2.2.3).
fn check_added(header: &[u8], mut added: &[u8]) -> Result<(), BadProxyHeader> {
    while let [kind, high, low, rest @ ..] = added {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, behind) = rest.split_at_checked(length).ok_or(BadProxyHeader::NoHeader)?;
        if *kind == CRC32C {
            let at = header.len() - rest.len();
            let told: [u8; 4] = value.try_into().map_err(|_| BadProxyHeader::BadChecksum)?;
            let zeroed = header.iter().enumerate().map(|(i, octet)| if (at..at + 4).contains(&i) { 0 } else { *octet });
            if crc32c(zeroed) != u32::from_be_bytes(told) {
                return Err(BadProxyHeader::BadChecksum);
            }
        }
        added = behind;
    }
    if added.is_empty() { Ok(()) } else { Err(BadProxyHeader::NoHeader) }
}

/// RFC 4960, appendix B.
fn crc32c(octets: impl Iterator<Item = u8>) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
    !octets.fold(u32::MAX, |crc, octet| (0..8).fold(crc ^ u32::from(octet), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Result<ProxyHeader, BadProxyHeader> {
        Ok(ProxyHeader::Whole(Proxied::Client(address.parse().unwrap())))
    }

    const NOBODY: Result<ProxyHeader, BadProxyHeader> = Ok(ProxyHeader::Whole(Proxied::Nobody));

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// 192.0.2.7:40001 to 198.51.100.1:25.
    const TCP4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x41, 0, 25];

    #[test]
    fn a_line_of_version_1_names_the_client() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.7 198.51.100.1 40001 25\r\n", client("192.0.2.7:40001")),
            ("PROXY TCP6 2001:db8::7 2001:db8::1 40001 25\r\n", client("[2001:db8::7]:40001")),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::1 40001 25\r\n", client("192.0.2.7:40001")),
            ("PROXY UNKNOWN\r\n", NOBODY),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", NOBODY),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 40001 25\n", Err(BadProxyHeader::NoHeader)),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 40001\r\n", Err(BadProxyHeader::NoHeader)),
            ("PROXY TCP4  192.0.2.7 198.51.100.1 1 25\r\n", Err(BadProxyHeader::NoHeader)),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 65536 25\r\n", Err(BadProxyHeader::BadAddress)),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 +1 25\r\n", Err(BadProxyHeader::BadAddress)),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 01 25\r\n", Err(BadProxyHeader::BadAddress)),
            ("PROXY TCP4 192.0.2.07 198.51.100.1 1 25\r\n", Err(BadProxyHeader::BadAddress)),
            ("PROXY TCP4 2001:db8::7 2001:db8::1 1 25\r\n", Err(BadProxyHeader::BadAddress)),
            ("PROXY UDP4 192.0.2.7 198.51.100.1 1 25\r\n", Err(BadProxyHeader::NoHeader)),
            ("EHLO proxy.example\r\n", Err(BadProxyHeader::NoHeader)),
        ] {
            assert_eq!(ProxyHeader::read(line.as_bytes()), expected, "{line}");
        }
        assert_eq!(ProxyHeader::read(&[V1, &[b'x'; MAX_V1]].concat()), Err(BadProxyHeader::TooLong));
    }

    #[test]
    fn a_header_of_version_2_names_the_client_and_what_it_adds_is_skipped() {
        let tcp6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0x9c, 0x41, 0, 25]].concat();
        let added = [&TCP4[..], &[0x01, 0, 2, b'h', b'2', 0x04, 0, 0]].concat();
        for (header, expected) in [
            (v2(0x21, 0x11, &TCP4), client("192.0.2.7:40001")),
            (v2(0x21, 0x21, &tcp6), client("[2001:db8::7]:40001")),
            (v2(0x21, 0x11, &added), client("192.0.2.7:40001")),
            (v2(0x20, 0x11, &TCP4), NOBODY),
            (v2(0x20, 0x00, &[]), NOBODY),
            (v2(0x21, 0x00, &[9; 30]), NOBODY),
            (v2(0x21, 0x31, &[0; 216]), NOBODY),
            (v2(0x21, 0x12, &TCP4), Err(BadProxyHeader::BadAddress)),
            (v2(0x21, 0x11, &TCP4[..11]), Err(BadProxyHeader::BadAddress)),
            (v2(0x21, 0x11, &[&TCP4[..], &[1, 0, 9, 1]].concat()), Err(BadProxyHeader::NoHeader)),
            (v2(0x11, 0x11, &TCP4), Err(BadProxyHeader::NoHeader)),
            (v2(0x22, 0x11, &TCP4), Err(BadProxyHeader::NoHeader)),
            (v2(0x21, 0x11, &[0; 2033]), Err(BadProxyHeader::TooLong)),
        ] {
            assert_eq!(ProxyHeader::read(&header), expected, "{header:?}");
        }
    }

    #[test]
    fn a_checksum_that_is_given_must_be_right() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c([0; 32].into_iter()), 0x8A91_36AA);
        let with = |sum: u32| v2(0x21, 0x11, &[&TCP4[..], &[CRC32C, 0, 4], &sum.to_be_bytes()].concat());
        let sum = crc32c(with(0).into_iter());
        assert_eq!(ProxyHeader::read(&with(sum)), client("192.0.2.7:40001"));
        assert_eq!(ProxyHeader::read(&with(sum ^ 1)), Err(BadProxyHeader::BadChecksum));
    }

    /// What is read beyond the header would be missing from the client's TLS.
    #[test]
    fn no_octet_behind_the_header_is_asked_for() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 40001 25\r\n".to_vec();
        for header in [line, b"PROXY UNKNOWN\r\n".to_vec(), v2(0x21, 0x11, &TCP4), v2(0x20, 0x00, &[])] {
            let mut read = 0;
            while let ProxyHeader::Wants(more) = ProxyHeader::read(&header[..read]).unwrap() {
                assert!(more > 0);
                read += more;
                assert!(read <= header.len(), "{header:?}");
            }
            assert_eq!(read, header.len());
        }
    }
}
