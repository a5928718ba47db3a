//! [`Jws`]: a token in its three parts (RFC 7515, section 7.1); [`Signed`]: what is behind its header, decoded. Nothing of
//! them has been verified.

mod header;

use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use memchr::memchr;

pub(in crate::bearer) use self::header::JoseHeader;
use super::keys::{Key, KeySet};
use super::refusal::Refusal;

/// The longest token, in bytes.
pub(super) const MAX_TOKEN: usize = 8 * 1024;

/// The longest header, in bytes of its base64url.
const MAX_HEADER: usize = 1024;

/// The longest signature, that of an RSA key of 8192 bits, in bytes of its base64url.
const MAX_SIGNATURE: usize = 1366;

/// A compact serialisation: its parts in base64url, as they came.
#[derive(Clone, Copy)]
pub(super) struct Jws<'a> {
    header: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
    /// What is signed: header, dot, payload.
    message: &'a [u8],
}

/// What was signed, and the signature.
pub(super) struct Signed<'a> {
    message: &'a [u8],
    /// Payload and signature, decoded, end to end.
    bytes: Vec<u8>,
    /// Where the payload ends.
    end: usize,
}

/// Room for any header, decoded.
pub(super) struct Room([u8; MAX_HEADER / 4 * 3]);

impl Room {
    pub(super) const fn new() -> Self {
        Self([0; MAX_HEADER / 4 * 3])
    }
}

impl<'a> Jws<'a> {
    /// Takes the token apart.
    pub(super) fn split(token: &'a [u8]) -> Result<Self, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err(Refusal::TooLarge);
        }
        let (header, rest) = split(token).ok_or(Refusal::NotThreeParts)?;
        let (payload, signature) = split(rest).ok_or(Refusal::NotThreeParts)?;
        if split(signature).is_some() {
            return Err(Refusal::NotThreeParts);
        }
        if header.len() > MAX_HEADER {
            return Err(Refusal::HeaderTooLarge);
        }
        if signature.len() > MAX_SIGNATURE {
            return Err(Refusal::NotBase64url);
        }
        let message = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        Ok(Self { header, payload, signature, message })
    }

    /// The header in base64url.
    pub(super) const fn header(&self) -> &'a [u8] {
        self.header
    }

    /// Reads the header. A part that is not base64url is what is wrong first, whichever it is.
    pub(super) fn read_header<'r>(&self, room: &'r mut Room) -> Result<JoseHeader<'r>, Refusal> {
        let header = self.decode_header(room)?;
        JoseHeader::parse(header).map_err(|refusal| self.check().err().unwrap_or(refusal))
    }

    fn decode_header<'r>(&self, room: &'r mut Room) -> Result<&'r [u8], Refusal> {
        let header = URL_SAFE_NO_PAD.decode(self.header, room.0.as_mut_slice().as_out());
        header.map(|header| &*header).map_err(|_| Refusal::NotBase64url)
    }

    /// Decodes payload and signature: base64url without padding, and without stray bits at the end (RFC 7515, section 2).
    pub(super) fn decode(&self) -> Result<Signed<'a>, Refusal> {
        // Both decoded are shorter than this, so nothing is moved while it grows.
        let mut bytes = Vec::with_capacity(self.payload.len() + self.signature.len());
        let mut decode = |part: &[u8]| match URL_SAFE_NO_PAD.decode_append(part, &mut bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(Refusal::NotBase64url),
        };
        let end = decode(self.payload)?;
        decode(self.signature)?;
        Ok(Signed { message: self.message, bytes, end })
    }

    /// Whether payload and signature could be decoded, at less cost than to do it.
    fn check(&self) -> Result<(), Refusal> {
        let is_sound = |part: &[u8]| URL_SAFE_NO_PAD.check(part).is_ok();
        let are_sound = is_sound(self.payload) && is_sound(self.signature);
        if are_sound { Ok(()) } else { Err(Refusal::NotBase64url) }
    }
}

impl Signed<'_> {
    pub(super) fn payload(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or_default()
    }

    fn signature(&self) -> &[u8] {
        self.bytes.get(self.end..).unwrap_or_default()
    }

    /// Verifies the signature by a key of the set that the header means, and says by which.
    pub(super) fn verify<'k>(&self, header: &JoseHeader<'_>, keys: &'k KeySet) -> Result<&'k Key, Refusal> {
        keys.verify(header.algorithm, header.kid.as_deref(), self.message, self.signature())
    }
}

/// What stands before the first dot, and behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, rest) = bytes.split_at_checked(memchr(b'.', bytes)?)?;
    rest.split_first().map(|(_, behind)| (before, behind))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as REFERENCE;

    use super::*;

    /// What the reference makes of a token's parts; `None` if one of them is not base64url.
    fn reference(parts: [&str; 3]) -> Option<[Vec<u8>; 3]> {
        let [header, payload, signature] = parts.map(|part| REFERENCE.decode(part).ok());
        Some([header?, payload?, signature?])
    }

    fn decode(parts: [&str; 3]) -> Option<[Vec<u8>; 3]> {
        let token = parts.join(".");
        let jws = Jws::split(token.as_bytes()).unwrap();
        let (mut room, signed) = (Room::new(), jws.decode());
        assert_eq!(jws.check(), signed.as_ref().map(drop).map_err(|refusal| *refusal), "{token:?}");
        match (jws.decode_header(&mut room), signed) {
            (Ok(header), Ok(signed)) => {
                assert_eq!(signed.message, [parts[0], parts[1]].join(".").as_bytes());
                Some([header, signed.payload(), signed.signature()].map(<[u8]>::to_vec))
            }
            (header, signed) => {
                let refusals = header.err().into_iter().chain(signed.err());
                refusals.for_each(|refusal| assert_eq!(refusal, Refusal::NotBase64url, "{token:?}"));
                None
            }
        }
    }

    /// SplitMix64.
    fn random(state: &mut u64) -> usize {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize
    }

    fn pick(state: &mut u64, from: &[u8]) -> char {
        char::from(from[random(state) % from.len()])
    }

    #[test]
    fn the_longest_signature_and_the_longest_header_fit() {
        for (len, fits) in [(0, true), (1023, true), (1024, true), (1025, false)] {
            let token = format!("..{}", REFERENCE.encode(vec![0xff; len]));
            assert_eq!(
                Jws::split(token.as_bytes())
                    .and_then(|jws| jws.decode())
                    .map(|signed| signed.signature().len())
                    .ok(),
                fits.then_some(len)
            );
        }
        let token = |header: usize| format!("{}..", "A".repeat(header));
        assert!(Jws::split(token(MAX_HEADER).as_bytes()).is_ok());
        assert_eq!(Jws::split(token(MAX_HEADER + 1).as_bytes()).err(), Some(Refusal::HeaderTooLarge));
        let token = |payload: usize| format!(".{}.", "A".repeat(payload));
        assert!(Jws::split(token(MAX_TOKEN - 4).as_bytes()).is_ok());
        assert_eq!(Jws::split(token(MAX_TOKEN - 1).as_bytes()).err(), Some(Refusal::TooLarge));
    }

    #[test]
    fn a_token_has_three_parts() {
        for (token, is_refused) in [
            ("", true),
            ("AA", true),
            ("AA.AA", true),
            ("AA.AA.AA", false),
            ("..", false),
            ("AA.AA.AA.AA", true),
            ("...", true),
        ] {
            let refused = Jws::split(token.as_bytes()).err() == Some(Refusal::NotThreeParts);
            assert_eq!(refused, is_refused, "{token:?}");
        }
    }

    /// At each place of a part of each length, so wherever the decoder changes from many characters at once to single ones.
    #[test]
    fn each_character_is_accepted_or_refused_as_the_reference_does_it() {
        for len in 0..=70 {
            for place in 0..len {
                for byte in (0..=0x7fu8).filter(|&byte| byte != b'.') {
                    let mut part = vec![b'A'; len];
                    part[place] = byte;
                    let part = String::from_utf8(part).unwrap();
                    let parts = [&*part, "AA", "AA"];
                    assert_eq!(decode(parts), reference(parts), "{part:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_longer_than_the_bytes_it_holds_is_refused() {
        for part in [
            "A", "AB", "AAB", "AAAAA", "AA==", "AAA=", "AAAA=", "AA AA", "AAAA\n", " AAAA", "AA\r\n", "+/+/",
            "\u{e9}AA",
        ] {
            for parts in [[part, "AA", "AA"], ["AA", part, "AA"], ["AA", "AA", part]] {
                assert_eq!((decode(parts), reference(parts)), (None, None), "{part:?}");
            }
        }
    }

    #[test]
    fn random_parts_decode_as_the_reference_decodes_them() {
        let mut state = 5;
        let mut accepted = 0;
        for _ in 0..4_000 {
            let mut part = || {
                let len = random(&mut state) % 220;
                let mut part =
                    REFERENCE.encode((0..len).map(|_| random(&mut state) as u8).collect::<Vec<_>>());
                match random(&mut state) % 8 {
                    0 => part
                        .insert(random(&mut state) % (part.len() + 1), pick(&mut state, b"=+/ \n\0~@[`{A")),
                    // Stray bits, mostly, or a length that no number of bytes has.
                    1 => {
                        part.pop();
                        part.push(pick(&mut state, b"ABCQgw_"));
                    }
                    2 => part.push('A'),
                    _ => {}
                }
                part
            };
            let parts = [part(), part(), part()];
            let parts = [&*parts[0], &*parts[1], &*parts[2]];
            let expected = reference(parts);
            accepted += usize::from(expected.is_some());
            assert_eq!(decode(parts), expected, "{parts:?}");
        }
        assert!((500..3500).contains(&accepted), "{accepted}");
    }
}
