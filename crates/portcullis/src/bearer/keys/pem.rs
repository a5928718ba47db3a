//! Public keys in PEM (RFC 7468).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::algorithm::Algorithm;
use super::super::error::{BuildError, BuildErrorKind};
use super::der::PublicKeyInfo;
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
            "RSA PUBLIC KEY" => of_rsa(&self.der),
            _ => return Err(BuildErrorKind::NotAPublicKey.into()),
        };
        found.map_err(|_| BuildErrorKind::NoUsableKey.into())
    }

    /// `SubjectPublicKeyInfo`: it says itself of which type it is.
    fn of_any_type(&self) -> Result<Vec<Key>, Unusable> {
        match PublicKeyInfo::read(&self.der)? {
            PublicKeyInfo::Curve(algorithm, key) => {
                Ok(vec![Key::new(None, algorithm, on_curve(algorithm, key)?)])
            }
            PublicKeyInfo::Rsa(der) => of_rsa(der),
        }
    }
}

fn of_rsa(der: &[u8]) -> Result<Vec<Key>, Unusable> {
    let key = RsaKey::of_der(der)?;
    Algorithm::RSA
        .into_iter()
        .map(|algorithm| Ok(Key::new(None, algorithm, key.material(algorithm)?)))
        .collect()
}
