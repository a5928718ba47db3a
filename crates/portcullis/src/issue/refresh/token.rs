//! [`Presented`]: the text of a refresh token, `rt1.<family>.<generation>.<secret>.<mac>`, read and written. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_store::Locator;

/// Where a family is kept. In the text both stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) user: Locator,
    pub(super) family: Locator,
}

/// A text that has the form of a token. Nothing of it is proved.
#[derive(PartialEq, Eq)]
pub(super) struct Presented {
    pub(super) place: Place,
    pub(super) generation: u64,
    pub(super) secret: [u8; SECRET_LEN],
    pub(super) mac: [u8; MAC_LEN],
}

/// 256 bits.
pub(super) const SECRET_LEN: usize = 32;

/// All of HMAC-SHA-256.
pub(super) const MAC_LEN: usize = 32;

/// Form and version of the text.
const PREFIX: &str = "rt1.";

impl Presented {
    /// Only the text that [`write`](Self::write) gives is read.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(PREFIX)?.split('.');
        let mut next = || parts.next();
        let (user, family) = next()?.split_at_checked(Locator::LEN)?;
        let (generation, secret, mac) = (next()?, next()?, next()?);
        if next().is_some() {
            return None;
        }
        let place = Place { user: Locator::parse(user)?, family: Locator::parse(family)? };
        Some(Self { place, generation: number(generation)?, secret: bytes(secret)?, mac: bytes(mac)? })
    }

    pub(super) fn write(&self) -> String {
        let Self { place, generation, secret, mac } = self;
        let (secret, mac) = (URL_SAFE_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(mac));
        format!("{PREFIX}{}{}.{generation}.{secret}.{mac}", place.user, place.family)
    }
}

/// Digits, without zeros or a sign in front.
fn number(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with(['0', '+']);
    is_canonical.then(|| text.parse().ok())?
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    // 43 characters; fewer would leave zeros.
    let len = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (len == bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Presented {
        let place = Place { user: Locator::from_bytes([1; 16]), family: Locator::from_bytes([2; 16]) };
        Presented { place, generation: 12, secret: [3; 32], mac: [4; 32] }
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_in_no_other_form() {
        let text = token().write();
        assert!(Presented::parse(&text) == Some(token()));
        assert_eq!(text.len(), 4 + 44 + 1 + 2 + 1 + 43 + 1 + 43);
        let parts: Vec<_> = text.split('.').collect();
        let with = |at: usize, part: &str| {
            let mut parts = parts.clone();
            parts[at] = part;
            parts.join(".")
        };
        let long = "A".repeat(44);
        for (name, text) in [
            ("nothing", String::new()),
            ("another version", with(0, "rt2")),
            ("a part more", format!("{text}.")),
            ("a part less", text.rsplit_once('.').unwrap().0.to_owned()),
            ("a short family", with(1, "AAAA")),
            ("a family that is not canonical", with(1, &"B".repeat(44))),
            ("no number", with(2, "x")),
            ("an empty number", with(2, "")),
            ("a zero in front", with(2, "012")),
            ("a plus in front", with(2, "+12")),
            ("too large a number", with(2, "18446744073709551616")),
            ("a short secret", with(3, "AAAA")),
            ("a long secret", with(3, &long)),
            ("stray bits", with(4, &format!("{}B", "A".repeat(42)))),
            ("padding", with(4, &format!("{}=", "A".repeat(43)))),
            ("not ascii", with(1, &"é".repeat(22))),
        ] {
            assert!(Presented::parse(&text).is_none(), "{name}");
        }
    }
}
