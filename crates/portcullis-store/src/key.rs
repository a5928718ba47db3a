//! What a backend is addressed by: [`Key`] for a session, [`UserKey`] for the index of a user's sessions.

use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// A name space of sessions: customers and staff of one application are two realms.
///
/// 1 to 32 characters of `a-z`, `0-9`, `_` and `-`, so that it can be part of any store's key.
/// A clone is one atomic increment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Realm(Arc<str>);

/// A realm's name was empty, over 32 characters, or held something other than `a-z`, `0-9`, `_`, `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRealm;

/// The public half of a session's token: 128 random bits that find the record, and prove nothing.
///
/// It is kept in its text form, 22 characters of base64url without padding (RFC 4648, section 5). It is not a
/// secret: logs and device lists show it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
// In whole words, with zeros behind the text, as it is copied and compared: a processor waits when it reads bytes by another
// measure than they were just written by.
#[repr(align(8))]
pub struct Locator([u8; WORDS * 8]);

/// How many words a locator takes.
const WORDS: usize = Locator::LEN.div_ceil(8);

/// Where one session's record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    /// The realm that the session belongs to.
    pub realm: &'a Realm,
    /// Which session.
    pub locator: Locator,
}

/// Where the index of one user's sessions is kept.
///
/// `user` is a hash of issuer and subject in the form of a [`Locator`], so a backend learns no names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserKey<'a> {
    /// The realm that the sessions belong to.
    pub realm: &'a Realm,
    /// Which user: the first 128 bits of a hash of issuer and subject.
    pub user: Locator,
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Realm {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Realm {
    type Err = InvalidRealm;

    fn from_str(name: &str) -> Result<Self, InvalidRealm> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if (1..=32).contains(&name.len()) && name.bytes().all(legal) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidRealm)
        }
    }
}

impl Default for Realm {
    /// The realm named `default`.
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidRealm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a realm's name is 1 to 32 characters of a-z, 0-9, '_' and '-'")
    }
}

impl Error for InvalidRealm {}

impl Locator {
    /// The length of the text form, in bytes.
    pub const LEN: usize = 22;

    /// The locator of these 128 bits.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        // 128 bits are 21 groups of six and two bits over; the last character carries those two and four zeros.
        let bits = u128::from_be_bytes(bytes);
        let mut text = [0; WORDS * 8];
        for (group, character) in (0u32..).zip(text.iter_mut().take(Self::LEN)) {
            let sextet = match 122u32.checked_sub(6 * group) {
                Some(shift) => bits >> shift,
                None => bits << 4,
            };
            *character = sextet_character(sextet);
        }
        Self(text)
    }

    /// Reads the text form; `None` unless it is exactly the text that [`Locator::as_str`] would give.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_ascii(text.as_bytes().try_into().ok()?)
    }

    /// The same of text that is not known to be any, such as part of a header's value.
    #[must_use]
    pub fn from_ascii(text: &[u8; Self::LEN]) -> Option<Self> {
        let is_legal = |byte: &u8| byte.is_ascii_alphanumeric() | (*byte == b'-') | (*byte == b'_');
        // Every byte is looked at, sixteen at a time, which takes less time than stopping at the first bad one would save.
        let blocks: [Option<&[u8; 16]>; 2] = [text.first_chunk(), text.last_chunk()];
        let all_legal = |block: &[u8; 16]| block.iter().fold(true, |all, byte| all & is_legal(byte));
        let legal = blocks.into_iter().flatten().fold(true, |all, block| all & all_legal(block));
        // The last character holds two bits of the value, so only four of the 64 are canonical there.
        let canonical = matches!(text.last(), Some(b'A' | b'Q' | b'g' | b'w'));
        let mut words = [0; WORDS * 8];
        *words.first_chunk_mut()? = *text;
        (legal && canonical).then_some(Self(words))
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text form's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        let [text @ .., _, _] = &self.0;
        text
    }
}

fn sextet_character(sextet: u128) -> u8 {
    let index = (sextet & 0x3f) as usize;
    ALPHABET.get(index).copied().unwrap_or(b'A')
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// In whole words: a hasher takes longer over bytes of any number.
impl Hash for Locator {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (words, _) = self.0.as_chunks::<8>();
        words.iter().for_each(|word| state.write_u64(u64::from_ne_bytes(*word)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_is_base64url_without_padding() {
        // Computed with Python: base64.urlsafe_b64encode(bytes(...)).rstrip(b'=')
        let cases: [(&str, [u8; 16], &str); 4] = [
            ("zeros", [0; 16], "AAAAAAAAAAAAAAAAAAAAAA"),
            ("ones", [255; 16], "_____________________w"),
            ("counting", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], "AAECAwQFBgcICQoLDA0ODw"),
            (
                "sixty-two and sixty-three",
                [
                    0xfb, 0xff, 0xfe, 0xfb, 0xff, 0xfe, 0xfb, 0xff, 0xfe, 0xfb, 0xff, 0xfe, 0xfb, 0xff, 0xfe,
                    0x40,
                ],
                "-__--__--__--__--__-QA",
            ),
        ];
        for (name, bytes, text) in cases {
            assert_eq!(Locator::from_bytes(bytes).as_str(), text, "{name}");
            assert_eq!(Locator::parse(text), Some(Locator::from_bytes(bytes)), "{name}");
        }
    }

    #[test]
    fn every_byte_counts_for_a_locator_s_hash() {
        use std::hash::{BuildHasher, RandomState};
        let hasher = RandomState::new();
        let locator = Locator::from_bytes([0; 16]);
        let copy = Locator::from_ascii(locator.as_bytes()).unwrap();
        assert_eq!(hasher.hash_one(locator), hasher.hash_one(copy));
        for at in 0..Locator::LEN {
            let mut other = locator;
            other.0[at] = b'B';
            assert_ne!(hasher.hash_one(locator), hasher.hash_one(other), "{at}");
        }
    }

    #[test]
    fn only_the_canonical_text_is_a_locator() {
        let cases = [
            ("empty", ""),
            ("short", "AAAAAAAAAAAAAAAAAAAAA"),
            ("long", "AAAAAAAAAAAAAAAAAAAAAAA"),
            ("standard alphabet", "+/AAAAAAAAAAAAAAAAAAAA"),
            ("padding", "AAAAAAAAAAAAAAAAAAAAA="),
            ("trailing bits", "AAAAAAAAAAAAAAAAAAAAAB"),
            ("not ascii", "AAAAAAAAAAAAAAAAAAAAé"),
            ("nul", "AAAAAAAAAAAAAAAAAAAA\0A"),
        ];
        for (name, text) in cases {
            assert_eq!(Locator::parse(text), None, "{name}");
        }
    }

    #[test]
    fn a_realm_is_a_plain_short_name() {
        for name in ["default", "staff-2", "a_b", &"x".repeat(32)] {
            assert!(name.parse::<Realm>().is_ok(), "{name}");
        }
        for name in ["", "Staff", "a:b", "a b", "{a}", "é", &"x".repeat(33)] {
            assert_eq!(name.parse::<Realm>(), Err(InvalidRealm), "{name}");
        }
    }
}
