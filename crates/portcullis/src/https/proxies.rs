//! [`Proxies`]: the networks whose word about a request's scheme is taken. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::error::{HttpsConfigError, Kind};

/// The networks whose word is taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Adds an address, or a network in CIDR notation without host bits.
    pub(super) fn add(&mut self, text: &str) -> Result<(), HttpsConfigError> {
        let fail = |kind| HttpsConfigError::new(kind, text);
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse::<IpNet>().or_else(|_| address()).map_err(|_| fail(Kind::NotANetwork))?;
        if network.trunc() != network {
            return Err(fail(Kind::HostBits));
        }
        if mapped().contains(&network) {
            return Err(fail(Kind::MappedNetwork));
        }
        self.0.push(network);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this peer is one of them. The address is canonical, that is, of IPv4 where it can be.
    pub(super) fn trust(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&peer))
    }

    /// Whether a program on this machine could be one of them.
    pub(super) fn have_loopback(&self) -> bool {
        let four = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
        let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let overlaps = |network: &IpNet| {
            network.contains(&six) || network.contains(&IpNet::V4(four)) || IpNet::V4(four).contains(network)
        };
        self.0.iter().any(overlaps)
    }
}

/// `::ffff:0:0/96`: addresses of IPv4 as sockets of IPv6 show them. A peer's is read as IPv4, so no such network matches.
fn mapped() -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(networks: &[&str]) -> Result<Proxies, HttpsConfigError> {
        let mut proxies = Proxies::default();
        networks.iter().try_for_each(|network| proxies.add(network))?;
        Ok(proxies)
    }

    #[test]
    fn a_network_is_an_address_or_written_in_cidr() {
        let rows = [
            ("an address", "10.0.0.7", true),
            ("an address of IPv6", "2001:db8::1", true),
            ("a network", "10.0.0.0/8", true),
            ("a network of IPv6", "fd00::/8", true),
            ("everybody", "0.0.0.0/0", true),
            ("host bits", "10.0.0.1/8", false),
            ("host bits of IPv6", "fd00::1/8", false),
            ("too long a prefix", "10.0.0.0/33", false),
            ("a name", "proxy.internal", false),
            ("a port", "10.0.0.7:80", false),
            ("a mask", "10.0.0.0/255.0.0.0", false),
            ("a range", "10.0.0.1-10.0.0.9", false),
            ("mapped, which no peer is", "::ffff:10.0.0.0/104", false),
            ("a mapped address", "::ffff:10.0.0.7", false),
            ("empty", "", false),
        ];
        for (name, text, is_legal) in rows {
            assert_eq!(proxies(&[text]).is_ok(), is_legal, "{name}");
        }
    }

    #[test]
    fn only_members_are_trusted() {
        let proxies = proxies(&["10.1.0.0/16", "192.0.2.7", "fd00:1::/32"]).unwrap();
        let rows = [
            ("10.1.0.0", true),
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("10.0.255.255", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd00:1::9", true),
            ("fd00:2::9", false),
            ("::1", false),
            ("127.0.0.1", false),
        ];
        for (peer, trusted) in rows {
            assert_eq!(proxies.trust(peer.parse().unwrap()), trusted, "{peer}");
        }
    }

    #[test]
    fn a_network_that_reaches_into_loopback_is_noticed() {
        let rows = [
            ("127.0.0.1", true),
            ("127.8.0.0/16", true),
            ("127.0.0.0/8", true),
            ("126.0.0.0/7", true),
            ("0.0.0.0/0", true),
            ("::1", true),
            ("::/0", true),
            ("10.0.0.0/8", false),
            ("128.0.0.0/8", false),
            ("fd00::/8", false),
        ];
        for (network, expected) in rows {
            assert_eq!(proxies(&[network]).unwrap().have_loopback(), expected, "{network}");
        }
    }
}
