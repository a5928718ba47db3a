//! JWK sets (RFC 7517): which of their keys are used, and with which algorithms.
//!
//! Each key stands by itself: a member of an odd type spoils the key that has it, not the set.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::super::algorithm::Algorithm;
use super::super::error::{BuildError, BuildErrorKind};
use super::rsa::RsaKey;
use super::{Key, MAX_KEYS, Unusable, on_curve};

/// Of a member that stands twice in a key the last one counts (RFC 7517, section 4).
#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

/// A key of the set, as it came.
#[derive(Clone, Copy)]
struct Jwk<'a>(&'a Value);

/// The usable keys of the set.
pub(super) fn load(json: &str) -> Result<Vec<Key>, BuildError> {
    let set: Jwks = serde_json::from_str(json).map_err(|_| BuildErrorKind::MalformedKeys)?;
    if set.keys.len() > MAX_KEYS {
        return Err(BuildErrorKind::TooManyKeys.into());
    }
    let symmetric = set.keys.iter().filter(|&key| Jwk(key).is_symmetric()).count();
    if symmetric != 0 && symmetric != set.keys.len() {
        return Err(BuildErrorKind::MixedKeys.into());
    }
    let mut keys = Vec::new();
    for (index, key) in set.keys.iter().enumerate() {
        match Jwk(key).keys(index, &set.keys) {
            Ok(found) => keys.extend(found),
            Err(reason) => tracing::warn!(index, reason = reason.label(), "a key of a JWK set is not used"),
        }
    }
    Ok(keys)
}

impl<'a> Jwk<'a> {
    fn keys(self, index: usize, all: &[Value]) -> Result<Vec<Key>, Unusable> {
        if !self.0.is_object() {
            return Err(Unusable::NotAnObject);
        }
        self.check_twins(index, all)?;
        self.check_use()?;
        let keys = match self.text("kty")? {
            "EC" => self.ec(),
            "OKP" => self.okp(),
            "RSA" => self.rsa(),
            "oct" => Err(Unusable::Symmetric),
            _ => Err(Unusable::UnknownType),
        }?;
        let issuer = self.issuer()?;
        Ok(keys.into_iter().map(|key| key.of_issuer(issuer.clone())).collect())
    }

    /// Two different keys of one id and algorithm: it cannot be told which is meant, so neither is used. Two of the
    /// same are one, and the first is used.
    fn check_twins(self, index: usize, all: &[Value]) -> Result<(), Unusable> {
        let twin = |&(at, other): &(usize, &Value)| {
            let other = Jwk(other);
            at != index && self.is_confused_with(other) && (at < index || self.material() != other.material())
        };
        if all.iter().enumerate().any(|pair| twin(&pair)) { Err(Unusable::Ambiguous) } else { Ok(()) }
    }

    fn is_confused_with(self, other: Self) -> bool {
        let same = |name| self.0.get(name) == other.0.get(name);
        // A key that names no algorithm could be meant for any of its type.
        let same_algorithm = same("alg") || self.0.get("alg").is_none() || other.0.get("alg").is_none();
        self.0.get("kid").is_some() && same("kid") && same("kty") && same_algorithm
    }

    /// What makes it this key (RFC 7638, section 3.2).
    fn material(self) -> [Option<&'a Value>; 6] {
        ["crv", "x", "y", "n", "e", "k"].map(|name| self.0.get(name))
    }

    fn is_symmetric(self) -> bool {
        self.0.get("kty").is_some_and(|kty| kty == "oct")
    }

    /// `use` is `sig`, and `key_ops` has `verify`, where they are there.
    fn check_use(self) -> Result<(), Unusable> {
        let signs = self.0.get("use").is_none_or(|usage| usage == "sig");
        let verifies = self.0.get("key_ops").is_none_or(|operations| {
            operations.as_array().is_some_and(|operations| operations.iter().any(|it| it == "verify"))
        });
        if signs && verifies { Ok(()) } else { Err(Unusable::NotForVerifying) }
    }

    fn ec(self) -> Result<Vec<Key>, Unusable> {
        let (algorithm, len) = match self.text("crv")? {
            "P-256" => (Algorithm::ES256, 32),
            "P-384" => (Algorithm::ES384, 48),
            _ => return Err(Unusable::UnknownType),
        };
        let (x, y) = (self.bytes("x")?, self.bytes("y")?);
        if x.len() != len || y.len() != len {
            return Err(Unusable::BadParameter);
        }
        // An uncompressed point (SEC 1, section 2.3.3).
        let point = [&[4][..], &x, &y].concat();
        self.curve_key(algorithm, &point)
    }

    fn okp(self) -> Result<Vec<Key>, Unusable> {
        if self.text("crv")? != "Ed25519" {
            return Err(Unusable::UnknownType);
        }
        let x = self.bytes("x")?;
        if x.len() != 32 {
            return Err(Unusable::BadParameter);
        }
        self.curve_key(Algorithm::EdDSA, &x)
    }

    fn curve_key(self, algorithm: Algorithm, bytes: &[u8]) -> Result<Vec<Key>, Unusable> {
        if self.algorithm()?.is_some_and(|own| own != algorithm) {
            return Err(Unusable::WrongAlgorithm);
        }
        Ok(vec![Key::new(self.kid()?, algorithm, on_curve(algorithm, bytes)?)])
    }

    fn rsa(self) -> Result<Vec<Key>, Unusable> {
        let (n, e) = (self.bytes("n")?, self.bytes("e")?);
        let key = RsaKey::new(&n, &e)?;
        let own = self.algorithm()?;
        let algorithms = own.as_ref().map_or(&Algorithm::RSA[..], std::slice::from_ref);
        algorithms
            .iter()
            .map(|&algorithm| Ok(Key::new(self.kid()?, algorithm, key.material(algorithm)?)))
            .collect()
    }

    fn algorithm(self) -> Result<Option<Algorithm>, Unusable> {
        match self.0.get("alg") {
            None => Ok(None),
            Some(name) => name.as_str().and_then(Algorithm::named).map(Some).ok_or(Unusable::WrongAlgorithm),
        }
    }

    fn kid(self) -> Result<Option<Box<str>>, Unusable> {
        self.optional("kid")
    }

    /// Whose key it is, as Entra says it in the set of all its tenants' keys.
    fn issuer(self) -> Result<Option<Box<str>>, Unusable> {
        self.optional("issuer")
    }

    fn optional(self, name: &str) -> Result<Option<Box<str>>, Unusable> {
        match self.0.get(name) {
            None => Ok(None),
            Some(text) => text.as_str().map(|text| Some(text.into())).ok_or(Unusable::BadParameter),
        }
    }

    fn text(self, name: &str) -> Result<&'a str, Unusable> {
        self.0.get(name).and_then(Value::as_str).ok_or(Unusable::BadParameter)
    }

    fn bytes(self, name: &str) -> Result<Vec<u8>, Unusable> {
        URL_SAFE_NO_PAD.decode(self.text(name)?).map_err(|_| Unusable::BadParameter)
    }
}
