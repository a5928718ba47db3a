//! [`Authority`] and [`Host`]: where a request goes to, parsed so that two spellings of one place are equal.
//!
//! The types are borrowed from a request (`T = &[u8]`, no allocation) or kept in a policy (`T = Box<[u8]>`).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::{ConfigError, ConfigErrorKind};

/// A host and a port, as in `Host` and `:authority`; without userinfo, which has no business there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authority<T = Box<[u8]>> {
    pub(super) host: Host<T>,
    /// Only if it is written.
    pub(super) port: Option<u16>,
}

/// A host's name or address. Names are compared without regard to case.
#[derive(Clone, Copy, Debug)]
pub(super) enum Host<T = Box<[u8]>> {
    /// A name in ASCII, or an IPv4 address.
    Name(T),
    /// An IPv6 address, which has more than one spelling.
    Ip6(Ipv6Addr),
}

impl<'a> Authority<&'a [u8]> {
    /// Reads `host[:port]`; `None` for userinfo, an empty host, an empty port or a character that hosts do not have.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (host, rest) = Host::split(text)?;
        let port = match rest {
            [] => None,
            [b':', digits @ ..] => Some(parse_port(digits)?),
            _ => return None,
        };
        Some(Self { host, port })
    }
}

fn parse_port(digits: &[u8]) -> Option<u16> {
    // u16's own parser would take a sign.
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

impl<'a> Host<&'a [u8]> {
    /// Reads a host as far as it goes.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        if let Some(inner) = text.strip_prefix(b"[") {
            let end = inner.iter().position(|&byte| byte == b']')?;
            let (address, rest) = inner.split_at_checked(end)?;
            let address = std::str::from_utf8(address).ok()?.parse().ok()?;
            return Some((Self::Ip6(address), rest.strip_prefix(b"]")?));
        }
        let end = text.iter().position(|&byte| !is_of_name(byte)).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        (!name.is_empty()).then_some((Self::Name(name), rest))
    }

    /// Reads a host of the configuration, which must be one that clients send.
    pub(super) fn configured(text: &'a str) -> Result<Host, ConfigError> {
        let fail = |kind| ConfigError::new(kind, text);
        if !text.is_ascii() {
            return Err(fail(ConfigErrorKind::NotAscii));
        }
        let Some((host, [])) = Self::split(text.as_bytes()) else {
            return Err(fail(ConfigErrorKind::NotAHost));
        };
        if host.is_sent() { Ok(host.to_owned()) } else { Err(fail(ConfigErrorKind::NeverSent)) }
    }

    /// Whether clients can send this: a name of legal labels; and if its last label is a number, an IPv4 address in
    /// the one spelling that browsers reduce all others to (WHATWG URL, section 3.5).
    pub(super) fn is_sent(&self) -> bool {
        let Self::Name(name) = self else { return true };
        let Ok(name) = std::str::from_utf8(name) else { return false };
        let name = name.strip_suffix('.').unwrap_or(name);
        let last = name.rsplit('.').next().unwrap_or(name);
        if last.starts_with(|first: char| first.is_ascii_digit()) && is_number(last) {
            return name.parse::<Ipv4Addr>().is_ok();
        }
        name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
    }

    pub(super) fn to_owned(self) -> Host {
        match self {
            Self::Name(name) => Host::Name(name.into()),
            Self::Ip6(address) => Host::Ip6(address),
        }
    }
}

fn is_of_name(byte: u8) -> bool {
    // A table, because this is asked about each byte of each host.
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, and a byte is below 256")]
    const OF_NAME: [bool; 256] = {
        let mut table = [false; 256];
        let mut rest: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_";
        while let [byte, more @ ..] = rest {
            table[*byte as usize] = true;
            rest = more;
        }
        table
    };
    OF_NAME.get(usize::from(byte)).copied().unwrap_or(false)
}

/// In decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

impl<T: AsRef<[u8]>> Host<T> {
    /// Whether both are one host.
    pub(super) fn is<U: AsRef<[u8]>>(&self, other: &Host<U>) -> bool {
        match (self, other) {
            (Self::Name(one), Host::Name(other)) => {
                let (one, other) = (one.as_ref(), other.as_ref());
                // Most are spelled alike, and that is seen faster.
                one == other || one.eq_ignore_ascii_case(other)
            }
            (Self::Ip6(one), Host::Ip6(other)) => one == other,
            (Self::Name(_), Host::Ip6(_)) | (Self::Ip6(_), Host::Name(_)) => false,
        }
    }
}
