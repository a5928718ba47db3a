//! Public keys in DER: as much of ASN.1 as they need, read strictly.

use super::Unusable;
use crate::bearer::Algorithm;

/// A public key as `SubjectPublicKeyInfo` holds it (RFC 5280, section 4.1).
pub(super) enum PublicKeyInfo<'a> {
    /// A point of the algorithm's curve (RFC 5480), or a key of Ed25519 (RFC 8410).
    Curve(Algorithm, &'a [u8]),
    /// `RSAPublicKey` (RFC 8017, section A.1.1).
    Rsa(&'a [u8]),
}

/// `rsaEncryption` with no parameters (RFC 3279, section 2.3.1).
const RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// `id-ecPublicKey` on `secp256r1` (RFC 5480, section 2.1.1).
const P256: &[u8] = &[
    0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07,
];

/// `id-ecPublicKey` on `secp384r1`.
const P384: &[u8] =
    &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];

/// `id-Ed25519` (RFC 8410, section 3).
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

impl<'a> PublicKeyInfo<'a> {
    /// Reads `SEQUENCE { SEQUENCE { algorithm, parameters }, BIT STRING }`.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, Unusable> {
        let (algorithm, key) = info(der).ok_or(Unusable::BadParameter)?;
        match algorithm {
            RSA => Ok(Self::Rsa(key)),
            P256 => point(Algorithm::ES256, key, 32),
            P384 => point(Algorithm::ES384, key, 48),
            ED25519 if key.len() == 32 => Ok(Self::Curve(Algorithm::EdDSA, key)),
            ED25519 => Err(Unusable::BadParameter),
            _ => Err(Unusable::UnknownType),
        }
    }
}

/// What the algorithm's `SEQUENCE` holds, and the key.
fn info(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, nothing) = value(SEQUENCE, der)?;
    let (algorithm, rest) = value(SEQUENCE, content)?;
    let (bits, no_more) = value(BIT_STRING, rest)?;
    // The first byte says how many bits of the last one do not count.
    let (unused, key) = bits.split_first()?;
    (nothing.is_empty() && no_more.is_empty() && *unused == 0).then_some((algorithm, key))
}

/// Uncompressed or compressed (SEC 1, section 2.3.3), of a curve with coordinates of so many bytes.
fn point(algorithm: Algorithm, key: &[u8], len: usize) -> Result<PublicKeyInfo<'_>, Unusable> {
    let is_sound = match key.first() {
        Some(4) => key.len() == 1 + 2 * len,
        Some(2 | 3) => key.len() == 1 + len,
        Some(_) | None => false,
    };
    if is_sound { Ok(PublicKeyInfo::Curve(algorithm, key)) } else { Err(Unusable::BadParameter) }
}

/// Modulus and exponent of `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }` (RFC 8017, section
/// A.1.1).
pub(super) fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = value(SEQUENCE, der)?;
    let (n, numbers) = value(INTEGER, sequence)?;
    let (e, more) = value(INTEGER, numbers)?;
    (rest.is_empty() && more.is_empty()).then_some((n, e))
}

/// A value of this tag, and what follows it.
fn value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (len, rest) = match short {
        0x00..=0x7f => (usize::from(short), rest),
        0x81..=0x82 => {
            let (long, rest) = rest.split_at_checked(usize::from(short - 0x80))?;
            (long.iter().fold(0, |len, &byte| len * 256 + usize::from(byte)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(len))?
}
