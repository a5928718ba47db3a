//! [`PublicKey`]: a key as it is published. It has no place for a private member, so none can get out by it.

use aws_lc_rs::digest;
use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::{BuildError, BuildErrorKind};
use super::key::Form;
use super::pem;
use crate::bearer::{Algorithm, KeySet, rsa_numbers};

/// A public key and the one algorithm that it is used with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    parameters: Parameters,
}

/// The members that make a key what it is, in the order of RFC 7638, section 3.2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
enum Parameters {
    #[serde(rename = "EC")]
    Ec { crv: String, x: String, y: String },
    #[serde(rename = "OKP")]
    Okp { crv: String, x: String },
    #[serde(rename = "RSA")]
    Rsa { e: String, n: String },
}

/// A key in a set.
#[derive(Serialize)]
pub(super) struct PublicJwk<'a> {
    #[serde(flatten)]
    parameters: &'a Parameters,
    kid: &'a str,
    alg: &'a str,
    #[serde(rename = "use")]
    usage: &'static str,
}

impl PublicKey {
    /// The `PUBLIC KEY` of a PEM text (RFC 7468), as key management services give it.
    ///
    /// # Errors
    /// [`BuildErrorKind::MalformedKey`], or [`BuildErrorKind::WrongAlgorithm`] when it cannot be used with this algorithm.
    pub fn pem(text: &str, algorithm: Algorithm) -> Result<Self, BuildError> {
        let der = pem::decode(text, "PUBLIC KEY").ok_or(BuildErrorKind::MalformedKey)?;
        // A point, or a key of Ed25519, is the end of the structure (RFC 5480, section 2; RFC 8410, section 4).
        let end = |len: usize| der.len().checked_sub(len).and_then(|at| der.get(at..));
        let parameters = match Form::of(algorithm) {
            Form::Ecdsa(_) if algorithm == Algorithm::ES384 => {
                end(97).and_then(|point| Parameters::point("P-384", point))
            }
            Form::Ecdsa(_) => end(65).and_then(|point| Parameters::point("P-256", point)),
            Form::Ed25519 => end(32).map(Parameters::ed25519),
            Form::Rsa(_) => RsaPublicKey::from_der(&der).ok().and_then(|key| Parameters::rsa(key.as_ref())),
            Form::Hmac(_) => None,
        };
        Self::new(algorithm, parameters.ok_or(BuildErrorKind::WrongAlgorithm)?)
    }

    /// A public JWK (RFC 7517). Of a private one the private members are not read.
    ///
    /// # Errors
    /// [`BuildErrorKind::MalformedKey`], or [`BuildErrorKind::WrongAlgorithm`] when it cannot be used with this algorithm.
    pub fn jwk(json: &str, algorithm: Algorithm) -> Result<Self, BuildError> {
        let parameters = serde_json::from_str(json).map_err(|_| BuildErrorKind::MalformedKey)?;
        Self::new(algorithm, parameters)
    }

    /// The algorithm that it is used with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its thumbprint (RFC 7638), 43 characters: the id that a key has unless it is given another.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let json = self.parameters.canonical();
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, json.as_bytes()))
    }

    pub(super) fn point(algorithm: Algorithm, point: &[u8]) -> Result<Self, BuildError> {
        let curve = if algorithm == Algorithm::ES384 { "P-384" } else { "P-256" };
        let parameters = Parameters::point(curve, point).ok_or(BuildErrorKind::MalformedKey)?;
        Self::new(algorithm, parameters)
    }

    pub(super) fn ed25519(key: &[u8]) -> Result<Self, BuildError> {
        Self::new(Algorithm::EdDSA, Parameters::ed25519(key))
    }

    pub(super) fn rsa(algorithm: Algorithm, key: &RsaPublicKey) -> Result<Self, BuildError> {
        let parameters = Parameters::rsa(key.as_ref()).ok_or(BuildErrorKind::MalformedKey)?;
        Self::new(algorithm, parameters)
    }

    pub(super) fn as_jwk<'a>(&'a self, kid: &'a str) -> PublicJwk<'a> {
        PublicJwk { parameters: &self.parameters, kid, alg: self.algorithm.name(), usage: "sig" }
    }

    /// What verifiers would drop is refused: so it is read as they read it.
    fn new(algorithm: Algorithm, parameters: Parameters) -> Result<Self, BuildError> {
        let key = Self { algorithm, parameters };
        let json = serde_json::json!({ "keys": [key.as_jwk("key")] }).to_string();
        match KeySet::jwks(&json) {
            Ok(_) => Ok(key),
            Err(_) if key.is_weak() => Err(BuildErrorKind::WeakKey.into()),
            Err(_) => Err(BuildErrorKind::WrongAlgorithm.into()),
        }
    }

    /// RSA whose modulus is out of bounds, or made by a broken generator.
    fn is_weak(&self) -> bool {
        matches!((Form::of(self.algorithm), &self.parameters), (Form::Rsa(_), Parameters::Rsa { .. }))
    }
}

impl Parameters {
    /// An uncompressed point (SEC 1, section 2.3.3).
    fn point(crv: &str, point: &[u8]) -> Option<Self> {
        let (&4, coordinates) = point.split_first()? else { return None };
        let (x, y) = coordinates.split_at_checked(coordinates.len() / 2)?;
        Some(Self::Ec { crv: crv.into(), x: URL_SAFE_NO_PAD.encode(x), y: URL_SAFE_NO_PAD.encode(y) })
    }

    fn ed25519(key: &[u8]) -> Self {
        Self::Okp { crv: "Ed25519".into(), x: URL_SAFE_NO_PAD.encode(key) }
    }

    /// `RSAPublicKey` (RFC 8017, section A.1.1).
    fn rsa(der: &[u8]) -> Option<Self> {
        let (n, e) = rsa_numbers(der)?;
        Some(Self::Rsa { e: URL_SAFE_NO_PAD.encode(e), n: URL_SAFE_NO_PAD.encode(n) })
    }

    /// The required members in the order of their names, without white space. Base64url needs no escapes.
    fn canonical(&self) -> String {
        match self {
            Self::Ec { crv, x, y } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Okp { crv, x } => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
            Self::Rsa { e, n } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        // RFC 7638, section 3.1; RFC 8037, section A.3.
        let rsa = concat!(
            r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR"#,
            "1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FD",
            "W2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0",
            r#"fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}"#,
        );
        let ed = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let print = |json, algorithm| PublicKey::jwk(json, algorithm).unwrap().thumbprint();
        assert_eq!(print(rsa, Algorithm::RS256), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(print(ed, Algorithm::EdDSA), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_is_used_with_its_own_kind_of_algorithm_only() {
        let ed = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::HS256] {
            let refused = PublicKey::jwk(ed, algorithm).unwrap_err();
            assert_eq!(refused.kind(), BuildErrorKind::WrongAlgorithm, "{algorithm}");
        }
        let short = r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#;
        assert_eq!(PublicKey::jwk(short, Algorithm::RS256).unwrap_err().kind(), BuildErrorKind::WeakKey);
    }

    #[test]
    fn private_members_are_not_read() {
        let private = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let key = PublicKey::jwk(private, Algorithm::EdDSA).unwrap();
        let published = serde_json::to_string(&key.as_jwk("k")).unwrap();
        assert!(!published.contains("\"d\""), "{published}");
        assert!(!format!("{key:?}").contains("nWGxne"));
    }
}
