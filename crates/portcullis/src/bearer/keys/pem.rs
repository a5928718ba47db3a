//! Public keys in PEM (RFC 7468).

use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::algorithm::Algorithm;
use super::super::error::{BuildError, BuildErrorKind};
use super::rsa::RsaKey;
use super::{Key, MAX_KEYS, Unusable, on_curve};

/// All keys of the text. Unlike in a key set, which another party publishes, one bad key is an error.
pub(super) fn load(text: &str) -> Result<Vec<Key>, BuildError> {
    let mut keys = Vec::new();
    let mut rest = text;
    for _ in 0..=MAX_KEYS {
        let Some((block, after)) = next_block(rest)? else { return Ok(keys) };
        keys.extend(block.keys()?);
        rest = after;
    }
    Err(BuildErrorKind::TooManyKeys.into())
}

struct Block {
    label: String,
    der: Vec<u8>,
}

fn next_block(text: &str) -> Result<Option<(Block, &str)>, BuildError> {
    let Some((_, begun)) = text.split_once("-----BEGIN ") else { return Ok(None) };
    let read = || {
        let (label, body) = begun.split_once("-----")?;
        let (body, rest) = body.split_once(&format!("-----END {label}-----"))?;
        let base64: String = body.split_ascii_whitespace().collect();
        let der = STANDARD.decode(base64).ok()?;
        Some((Block { label: label.to_owned(), der }, rest))
    };
    read().map(Some).ok_or_else(|| BuildErrorKind::MalformedKeys.into())
}

impl Block {
    fn keys(&self) -> Result<Vec<Key>, BuildError> {
        let found = match self.label.as_str() {
            "PUBLIC KEY" => self.of_any_type(),
            "RSA PUBLIC KEY" => self.of_rsa(),
            _ => return Err(BuildErrorKind::NotAPublicKey.into()),
        };
        found.map_err(|_| BuildErrorKind::NoUsableKey.into())
    }

    /// `SubjectPublicKeyInfo` (RFC 5280, section 4.1): it says itself of which type it is.
    fn of_any_type(&self) -> Result<Vec<Key>, Unusable> {
        // Without this a bare point or a bare Ed25519 key would be taken too.
        if self.der.first() != Some(&0x30) || self.der.len() <= 32 {
            return Err(Unusable::BadParameter);
        }
        let curves = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
        match curves.into_iter().find_map(|curve| Some((curve, on_curve(curve, &self.der).ok()?))) {
            Some((algorithm, material)) => Ok(vec![Key::new(None, algorithm, material)]),
            None => self.of_rsa(),
        }
    }

    fn of_rsa(&self) -> Result<Vec<Key>, Unusable> {
        let key = RsaPublicKey::from_der(&self.der).map_err(|_| Unusable::BadParameter)?;
        let key = RsaKey::of_der(key.as_ref())?;
        Algorithm::RSA
            .into_iter()
            .map(|algorithm| Ok(Key::new(None, algorithm, key.material(algorithm)?)))
            .collect()
    }
}
