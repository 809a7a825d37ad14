//! Addresses: how far they reach, and which of a peer's claims are worth keeping.

use std::net::{IpAddr, Ipv6Addr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// How far an address reaches; ordered from near to far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    Loopback,
    Private,
    Public,
}

/// The first host of an address; `None` for relayed addresses and those that cannot be dialled.
pub(crate) fn reach(address: &Multiaddr) -> Option<Reach> {
    if address.iter().any(|p| matches!(p, Protocol::P2pCircuit)) {
        return None;
    }
    match address.iter().next()? {
        Protocol::Ip4(ip) => ip_reach(ip.into()),
        Protocol::Ip6(ip) => ip_reach(ip.into()),
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_) => {
            Some(Reach::Public)
        }
        _ => None,
    }
}

/// The addresses among `claimed` that make sense to us, who met the peer at `met`.
///
/// What reaches less far than the way we met is of no use to us or to those whom we tell.
pub(crate) fn sensible(claimed: &[Multiaddr], met: &Multiaddr, max: usize) -> Vec<Multiaddr> {
    let least = reach(met).unwrap_or(Reach::Public);
    let fits = |a: &&Multiaddr| reach(a).is_some_and(|far| least <= far) && a.len() <= 128;
    claimed.iter().filter(fits).take(max).cloned().collect()
}

/// Address and subnet (/24 or /48) for limits; `None` where limits do not apply.
pub(crate) fn neighbourhood(address: &Multiaddr) -> Option<(IpAddr, IpAddr)> {
    let ip = match address.iter().next()? {
        Protocol::Ip4(ip) => IpAddr::from(ip),
        Protocol::Ip6(ip) => IpAddr::from(ip),
        _ => return None,
    };
    if ip_reach(ip) != Some(Reach::Public) {
        return None;
    }
    let subnet = match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
    };
    Some((ip, subnet))
}

/// The address without a trailing `/p2p/<peer>`, and that peer.
pub(crate) fn split(address: &Multiaddr) -> (Multiaddr, Option<libp2p::PeerId>) {
    let mut bare = address.clone();
    match bare.pop() {
        Some(Protocol::P2p(peer)) => (bare, Some(peer)),
        Some(_) | None => (address.clone(), None),
    }
}

/// Whether an address means all interfaces.
pub(crate) fn is_wildcard(address: &str) -> bool {
    address.starts_with("/ip4/0.0.0.0/") || address.starts_with("/ip6/::/")
}

fn ip_reach(ip: IpAddr) -> Option<Reach> {
    if ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    let private = match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    Some(match (ip.is_loopback(), private) {
        (true, _) => Reach::Loopback,
        (false, true) => Reach::Private,
        (false, false) => Reach::Public,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn what_reaches_less_far_than_we_met_is_dropped() {
        let claimed = all(&[
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/10.0.0.1/tcp/1",
            "/ip4/203.0.113.9/tcp/1",
            "/ip4/0.0.0.0/tcp/1",
        ]);
        let kept = |met: &str| sensible(&claimed, &met.parse().unwrap(), 8).len();
        assert_eq!(kept("/ip4/127.0.0.1/tcp/9"), 3);
        assert_eq!(kept("/ip4/192.168.1.1/tcp/9"), 2);
        assert_eq!(kept("/ip4/198.51.100.1/tcp/9"), 1);
    }

    #[test]
    fn limits_by_subnet_do_not_apply_near_by() {
        for near in all(&["/ip4/127.0.0.1/tcp/1", "/ip4/10.1.2.3/tcp/1", "/ip6/::1/tcp/1"]) {
            assert_eq!(neighbourhood(&near), None, "{near}");
        }
        let far = "/ip4/203.0.113.9/tcp/1".parse().unwrap();
        let (ip, subnet) = neighbourhood(&far).unwrap();
        assert_eq!(
            (ip.to_string().as_str(), subnet.to_string().as_str()),
            ("203.0.113.9", "203.0.113.0")
        );
    }
}
