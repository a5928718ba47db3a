//! [`NetworkPrefix`]: from what network somebody signed in, with the address itself cut off.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The network of an address: 24 bits of an IPv4 address, 48 of an IPv6 one, the rest zero.
///
/// It holds nothing else, so the whole address is in no store, log or `Debug`. An IPv6 address that embeds an IPv4
/// address in these 48 bits (6to4, RFC 3056) or is one in another notation (IPv4-mapped, RFC 4291, section 2.5.5.2)
/// counts as that one.
///
/// ```
/// use std::net::IpAddr;
///
/// use portcullis::session::NetworkPrefix;
///
/// let peer: IpAddr = "203.0.113.77".parse()?;
/// assert_eq!(NetworkPrefix::from(peer).to_string(), "203.0.113.0/24");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetworkPrefix(IpAddr);

impl NetworkPrefix {
    /// The first address of the network.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.0
    }

    /// How many bits of the address are the network's: 24 or 48.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        if self.0.is_ipv4() { 24 } else { 48 }
    }
}

impl From<IpAddr> for NetworkPrefix {
    fn from(address: IpAddr) -> Self {
        let embedded = match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(address) => address.to_ipv4_mapped().or_else(|| of_6to4(address)),
        };
        Self(match (embedded, address) {
            (Some(address), _) | (None, IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Ipv4Addr::new(a, b, c, 0).into()
            }
            (None, IpAddr::V6(address)) => {
                let [a, b, c, ..] = address.segments();
                Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
            }
        })
    }
}

/// The whole IPv4 address that stands in the first 48 bits of a 6to4 address.
fn of_6to4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.octets() {
        [0x20, 0x02, a, b, c, d, ..] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

impl fmt::Display for NetworkPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, self.prefix_len())
    }
}

impl fmt::Debug for NetworkPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkPrefix({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_cut_to_its_network() {
        let rows = [
            ("IPv4", "203.0.113.77", "203.0.113.0/24"),
            ("its last", "203.0.113.255", "203.0.113.0/24"),
            ("its first", "203.0.113.0", "203.0.113.0/24"),
            ("the next one", "203.0.114.1", "203.0.114.0/24"),
            ("all ones", "255.255.255.255", "255.255.255.0/24"),
            ("loopback", "127.0.0.1", "127.0.0.0/24"),
            ("IPv6", "2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("zeros in the prefix", "2001:db8::1", "2001:db8::/48"),
            ("all ones of IPv6", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::/48"),
            ("loopback of IPv6", "::1", "::/48"),
            ("link-local", "fe80::1234:5678", "fe80::/48"),
            ("IPv4-mapped", "::ffff:203.0.113.77", "203.0.113.0/24"),
            ("IPv4-mapped, in hexadecimal", "::ffff:cb00:714d", "203.0.113.0/24"),
            ("IPv4-compatible is IPv6", "::203.0.113.77", "::/48"),
            ("6to4", "2002:cb00:714d:1::1", "203.0.113.0/24"),
            ("NAT64", "64:ff9b::203.0.113.77", "64:ff9b::/48"),
        ];
        for (name, address, network) in rows {
            let prefix = NetworkPrefix::from(address.parse::<IpAddr>().unwrap());
            assert_eq!(prefix.to_string(), network, "{name}");
            assert_eq!(format!("{prefix:?}"), format!("NetworkPrefix({network})"), "{name}");
            assert_eq!(format!("{}/{}", prefix.address(), prefix.prefix_len()), network, "{name}");
            assert_eq!(NetworkPrefix::from(prefix.address()), prefix, "{name}: its own network");
        }
    }
}
