//! The header of a proxy: however it comes in, the same is read, nothing behind it is asked for, and the whole of it is bounded.

use sealpost::smtp::{BadProxyHeader, Proxied, ProxyHeader};

/// As much as a header may have: 16 octets and 65,535 behind them would be the format's own.
const MOST: usize = 16 + 65_535;

pub fn check(data: &[u8]) {
    let (at_once, used) = read(data, usize::MAX);
    let (bit_by_bit, again) = read(data, 1);
    assert!(used <= MOST && again <= MOST);
    match at_once {
        Some(Ok(proxied)) => {
            assert_eq!((bit_by_bit, again), (Some(Ok(proxied)), used), "it depends on how it comes in");
            // The client's first octet comes behind the header, wherever the proxy cuts.
            assert!((0..used).all(|shorter| !matches!(ProxyHeader::read(&data[..shorter]), Ok(ProxyHeader::Whole(_)))));
        }
        Some(Err(_)) => assert!(matches!(bit_by_bit, Some(Err(_))), "refused only when it comes at once"),
        None => assert!(!matches!(bit_by_bit, Some(Ok(_))), "whole only when it comes bit by bit"),
    }
}

/// Gives what is wanted, as far as it is there, and never more; `most` at once.
fn read(data: &[u8], most: usize) -> (Option<Result<Proxied, BadProxyHeader>>, usize) {
    let mut had = 0;
    loop {
        match ProxyHeader::read(&data[..had]) {
            Err(fault) => return (Some(Err(fault)), had),
            Ok(ProxyHeader::Whole(proxied)) => return (Some(Ok(proxied)), had),
            Ok(ProxyHeader::Wants(more)) => {
                assert!(more > 0, "it waits for nothing");
                if had == data.len() {
                    return (None, had);
                }
                had = (had + more.min(most)).min(data.len());
            }
        }
    }
}
