//! [`Payload`]: what a session's record holds behind its header. The store does not look into it.
//!
//! ```text
//! realm      u8 length, text
//! identity   u32 length (0 = anonymous), packed words
//! device     u16 length, label; if there is a network, U+001F and the first address of it
//! values     u16 count, then each: u8 flags, u8 key length, u32 value length, key, value
//! ```
//!
//! The identity stands apart from the application's values, so that no change of theirs can lock anybody out.
//! The network stands in the device's section, as text: a record without one is no byte longer, and whoever knows of
//! labels only takes it for a part of the label instead of a record that cannot be read.

use std::borrow::Cow;
use std::net::IpAddr;

use smallvec::SmallVec;

use super::login::NetworkPrefix;
use crate::Identity;
use crate::identity::Words;

/// A payload taken apart, to be changed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Payload {
    /// At most 32 bytes, so it stands here.
    pub(crate) realm: SmallVec<[u8; 32]>,
    pub(crate) identity: Option<Who>,
    pub(crate) device: Box<str>,
    pub(crate) network: Option<NetworkPrefix>,
    pub(crate) values: Vec<Value>,
}

/// Who is signed in.
#[derive(Clone)]
pub(crate) enum Who {
    /// As it was read before: a clone is one atomic increment.
    Known(Identity),
    /// As it stands in the payload.
    Read(Words),
}

/// One value of the application's, as its codec wrote it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) key: Cow<'static, str>,
    /// Whether an anonymous session's value goes along when its user signs in.
    pub(crate) keep_on_login: bool,
    pub(crate) bytes: Vec<u8>,
}

/// The bytes are not a payload. The record is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

const KEEP_ON_LOGIN: u8 = 1;

/// Between label and network. No label holds a control character.
const SEPARATOR: char = '\u{1f}';

impl Payload {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        put_u8(&mut out, &self.realm);
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        if let Some(who) = &self.identity {
            who.words().encode(&mut out);
        }
        let len = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX).to_be_bytes();
        for (slot, byte) in out.iter_mut().skip(start).zip(len) {
            *slot = byte;
        }
        put_u16(&mut out, self.device_section().as_bytes());
        let count = u16::try_from(self.values.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_be_bytes());
        for value in self.values.iter().take(usize::from(count)) {
            out.push(if value.keep_on_login { KEEP_ON_LOGIN } else { 0 });
            out.push(u8::try_from(value.key.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(&u32::try_from(value.bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(value.key.as_bytes());
            out.extend_from_slice(&value.bytes);
        }
        out
    }

    /// How many bytes [`encode`](Self::encode) gives.
    pub(crate) fn encoded_len(&self) -> usize {
        let identity = self.identity.as_ref().map_or(0, |who| who.words().encoded_len());
        let values: usize = self.values.iter().map(|value| 6 + value.key.len() + value.bytes.len()).sum();
        1 + self.realm.len() + 4 + identity + 2 + self.device_section().len() + 2 + values
    }

    fn device_section(&self) -> Cow<'_, str> {
        match self.network {
            Some(network) => format!("{}{SEPARATOR}{}", self.device, network.address()).into(),
            None => Cow::Borrowed(&self.device),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::decode_of(bytes, None)
    }

    /// The same of a payload whose identity has been read already.
    pub(crate) fn decode_of(bytes: &[u8], known: Option<&Identity>) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let sections = reader.sections().ok_or(Malformed)?;
        let mut values = Vec::with_capacity(usize::from(sections.count));
        for _ in 0..sections.count {
            let entry = reader.entry().ok_or(Malformed)?;
            let key = std::str::from_utf8(entry.key).map_err(|_| Malformed)?;
            let keep_on_login = entry.flags & KEEP_ON_LOGIN != 0;
            values.push(Value { key: key.to_owned().into(), keep_on_login, bytes: entry.value.to_owned() });
        }
        let whole = reader.0.is_empty();
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| Malformed);
        let (device, network) = device_and_network(text(sections.device)?);
        let realm = sections.realm.into();
        let identity = match known {
            Some(identity) => Some(Who::Known(identity.clone())),
            None => sections.identity()?.map(Who::Read),
        };
        let payload = Self { realm, identity, device: device.into(), network, values };
        if whole { Ok(payload) } else { Err(Malformed) }
    }

    /// The bytes of the value under `key`.
    pub(crate) fn value(&self, key: &str) -> Option<&[u8]> {
        self.values.iter().find(|value| value.key == key).map(|value| &*value.bytes)
    }

    /// Sets the value under `key`.
    pub(crate) fn set(&mut self, key: Cow<'static, str>, keep_on_login: bool, bytes: Vec<u8>) {
        match self.values.iter_mut().find(|value| value.key == key) {
            Some(value) => (value.keep_on_login, value.bytes) = (keep_on_login, bytes),
            None => self.values.push(Value { key, keep_on_login, bytes }),
        }
    }

    /// Takes the value under `key` away.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Vec<u8>> {
        let index = self.values.iter().position(|value| value.key == key)?;
        Some(self.values.remove(index).bytes)
    }
}

impl Who {
    fn words(&self) -> &Words {
        match self {
            Self::Known(identity) => identity.words(),
            Self::Read(words) => words,
        }
    }
}

/// They are the same if they are written the same.
impl PartialEq for Who {
    fn eq(&self, other: &Self) -> bool {
        self.words() == other.words()
    }
}

impl Eq for Who {}

/// A network that cannot be read is none: it is not worth a session.
fn device_and_network(section: &str) -> (&str, Option<NetworkPrefix>) {
    match section.split_once(SEPARATOR) {
        Some((device, address)) => (device, address.parse::<IpAddr>().ok().map(NetworkPrefix::from)),
        None => (section, None),
    }
}

/// The identity in an encoded payload, and whether the payload is of this realm, without taking the rest apart.
pub(crate) fn identity_in(payload: &[u8], realm: &str) -> Result<Option<Words>, Malformed> {
    let sections = Reader(payload).sections().ok_or(Malformed)?;
    if sections.realm != realm.as_bytes() {
        return Err(Malformed);
    }
    sections.identity()
}

/// Whether two encoded payloads are of one realm and say the same of who is signed in.
pub(crate) fn same_identity(one: &[u8], other: &[u8]) -> bool {
    match (Reader(one).sections(), Reader(other).sections()) {
        (Some(one), Some(other)) => one.realm == other.realm && one.identity == other.identity,
        _ => false,
    }
}

/// The value under `key` in an encoded payload, found in place.
pub(crate) fn value_in<'a>(payload: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut reader = Reader(payload);
    let count = reader.sections()?.count;
    (0..count)
        .map_while(|_| reader.entry())
        .find(|entry| entry.key == key.as_bytes())
        .map(|entry| entry.value)
}

struct Reader<'a>(&'a [u8]);

struct Sections<'a> {
    realm: &'a [u8],
    identity: &'a [u8],
    device: &'a [u8],
    count: u16,
}

struct Entry<'a> {
    flags: u8,
    key: &'a [u8],
    value: &'a [u8],
}

impl<'a> Reader<'a> {
    fn sections(&mut self) -> Option<Sections<'a>> {
        let realm_len = usize::from(u8::from_be_bytes(self.array()?));
        // No realm is empty: this is no payload, or an encrypted one.
        let realm = self.take(realm_len).filter(|realm| !realm.is_empty())?;
        let identity_len = u32::from_be_bytes(self.array()?) as usize;
        let identity = self.take(identity_len)?;
        let device_len = usize::from(u16::from_be_bytes(self.array()?));
        let device = self.take(device_len)?;
        let count = u16::from_be_bytes(self.array()?);
        Some(Sections { realm, identity, device, count })
    }

    fn entry(&mut self) -> Option<Entry<'a>> {
        let [flags, key_len] = self.array()?;
        let value_len = u32::from_be_bytes(self.array()?) as usize;
        let key = self.take(usize::from(key_len))?;
        let value = self.take(value_len)?;
        Some(Entry { flags, key, value })
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

impl Sections<'_> {
    fn identity(&self) -> Result<Option<Words>, Malformed> {
        if self.identity.is_empty() {
            Ok(None)
        } else {
            Words::decode(self.identity).map(Some).ok_or(Malformed)
        }
    }
}

fn put_u8(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    out.push(len);
    out.extend(bytes.iter().take(usize::from(len)));
}

fn put_u16(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend(bytes.iter().take(usize::from(len)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Payload {
        let identity = Identity::new("ada").role("admin").claim("n", &1).unwrap().build();
        let mut payload = Payload {
            realm: b"staff"[..].into(),
            identity: Some(Who::Known(identity)),
            device: "Firefox".into(),
            network: Some(network("2001:db8:1:2::3")),
            values: Vec::new(),
        };
        payload.set(Cow::from("cart"), true, b"[1,2]".to_vec());
        payload.set(Cow::from("note"), false, Vec::new());
        payload
    }

    fn network(address: &str) -> NetworkPrefix {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_payload_reads_back_as_it_was_written() {
        let payloads = [
            sample(),
            Payload { network: None, ..sample() },
            Payload { device: Box::default(), ..sample() },
            Payload { network: Some(network("203.0.113.77")), ..sample() },
            Payload { realm: b"default"[..].into(), ..Payload::default() },
        ];
        for payload in payloads {
            let bytes = payload.encode();
            assert_eq!(bytes.len(), payload.encoded_len());
            assert!(Payload::decode(&bytes) == Ok(payload));
        }
    }

    #[test]
    fn values_are_found_in_place() {
        let bytes = sample().encode();
        assert_eq!(value_in(&bytes, "cart"), Some(&b"[1,2]"[..]));
        assert_eq!(value_in(&bytes, "note"), Some(&b""[..]));
        assert_eq!(value_in(&bytes, "car"), None);
        assert!(identity_in(&bytes, "staff").is_ok_and(|words| words.is_some()));
    }

    #[test]
    fn a_network_costs_a_record_without_one_no_byte_and_locks_nobody_out() {
        let rows: [(&str, &[u8], &str, Option<NetworkPrefix>); 6] = [
            ("a record from before", b"Phone", "Phone", None),
            ("neither", b"", "", None),
            ("both", b"Phone\x1f203.0.113.0", "Phone", Some(network("203.0.113.77"))),
            ("no label", b"\x1f2001:db8:1::", "", Some(network("2001:db8:1::9"))),
            ("a whole address is cut", b"\x1f203.0.113.77", "", Some(network("203.0.113.0"))),
            ("no address", b"Phone\x1fhome", "Phone", None),
        ];
        for (name, section, device, network) in rows {
            let mut bytes = b"\x05staff\0\0\0\0".to_vec();
            put_u16(&mut bytes, section);
            bytes.extend_from_slice(&[0, 0]);
            let read = Payload::decode(&bytes);
            assert!(
                read.as_ref().is_ok_and(|read| *read.device == *device && read.network == network),
                "{name}"
            );
            let as_written = !["a whole address is cut", "no address"].contains(&name);
            assert_eq!(read.is_ok_and(|read| read.encode() == bytes), as_written, "{name}");
        }
    }

    #[test]
    fn a_record_of_another_realm_is_not_read() {
        let (here, there) =
            (sample().encode(), Payload { realm: b"default"[..].into(), ..sample() }.encode());
        assert!(identity_in(&here, "default").is_err());
        assert!(!same_identity(&here, &there) && !same_identity(&here, b"") && same_identity(&here, &here));
    }

    #[test]
    fn no_truncation_and_no_flipped_byte_panics() {
        let bytes = sample().encode();
        for len in 0..bytes.len() {
            assert!(Payload::decode(&bytes[..len]).is_err(), "{len}");
        }
        for at in 0..bytes.len() {
            for flip in [1, 2, 0x40, 0x80, 0xff] {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                let _ = Payload::decode(&bad);
                let _ = (value_in(&bad, "cart"), identity_in(&bad, "staff"));
            }
        }
    }

    #[test]
    fn setting_replaces_and_removing_takes_away() {
        let mut payload = sample();
        payload.set(Cow::from("cart"), false, b"[]".to_vec());
        assert_eq!(payload.value("cart"), Some(&b"[]"[..]));
        assert_eq!(payload.remove("cart"), Some(b"[]".to_vec()));
        assert_eq!(payload.value("cart"), None);
        assert_eq!(payload.remove("cart"), None);
    }

    #[test]
    fn whoever_sets_a_value_last_says_whether_it_goes_along() {
        let mut payload = sample();
        for mark in [false, true, false] {
            payload.set(Cow::from("cart"), mark, Vec::new());
            assert_eq!(payload.values.iter().find(|value| value.key == "cart").unwrap().keep_on_login, mark);
        }
    }

    #[test]
    fn bytes_that_are_left_over_are_malformed() {
        let mut bytes = sample().encode();
        bytes.push(0);
        assert!(Payload::decode(&bytes).is_err());
    }
}
