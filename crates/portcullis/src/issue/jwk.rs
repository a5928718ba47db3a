//! [`PrivateJwk`]: a private key as a JWK (RFC 7518, section 6; RFC 8037, section 2), read to be signed with.

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::error::{BuildError, BuildErrorKind};
use crate::bearer::Algorithm;

/// The members that matter. A member that stands twice is an error, as is one of another type.
#[derive(Deserialize)]
pub(super) struct PrivateJwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    x: Bytes,
    #[serde(default)]
    y: Bytes,
    #[serde(default)]
    n: Bytes,
    #[serde(default)]
    e: Bytes,
    #[serde(default)]
    d: Bytes,
    #[serde(default)]
    p: Bytes,
    #[serde(default)]
    q: Bytes,
    #[serde(default)]
    dp: Bytes,
    #[serde(default)]
    dq: Bytes,
    #[serde(default)]
    qi: Bytes,
    #[serde(default)]
    k: Bytes,
}

/// What a base64url member holds.
#[derive(Default)]
struct Bytes(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = URL_SAFE_NO_PAD.decode(text.as_bytes()).map(Zeroizing::new);
        bytes.map(Self).map_err(|_| serde::de::Error::custom("not base64url"))
    }
}

impl PrivateJwk {
    pub(super) fn parse(json: &str) -> Result<Self, BuildError> {
        // What serde says could quote the text.
        let jwk: Self = serde_json::from_str(json).map_err(|_| BuildErrorKind::MalformedKey)?;
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        if signs { Ok(jwk) } else { Err(BuildErrorKind::MalformedKey.into()) }
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What `alg` says, or else the curve, if they are of the key's type.
    pub(super) fn algorithm(&self) -> Result<Algorithm, BuildError> {
        let wrong = BuildErrorKind::WrongAlgorithm;
        let of_curve = match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => Some(Algorithm::ES256),
            ("EC", Some("P-384")) => Some(Algorithm::ES384),
            ("OKP", Some("Ed25519")) => Some(Algorithm::EdDSA),
            ("RSA" | "oct", _) => None,
            _ => return Err(wrong.into()),
        };
        let stated = self.alg.as_deref().map(|alg| Algorithm::named(alg).ok_or(wrong)).transpose()?;
        match (of_curve, stated) {
            (Some(own), None) => Ok(own),
            (Some(own), Some(stated)) if own == stated => Ok(own),
            (None, Some(stated)) if stated.is_symmetric() == (self.kty == "oct") && !is_of_curve(stated) => {
                Ok(stated)
            }
            _ => Err(wrong.into()),
        }
    }

    pub(super) fn ecdsa(&self, curve: &'static EcdsaSigningAlgorithm) -> Result<EcdsaKeyPair, BuildError> {
        let point = [&[4][..], &self.x.0, &self.y.0].concat();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(curve, &self.d.0, &point);
        pair.map_err(|_| BuildErrorKind::MalformedKey.into())
    }

    pub(super) fn ed25519(&self) -> Result<Ed25519KeyPair, BuildError> {
        let pair = Ed25519KeyPair::from_seed_and_public_key(&self.d.0, &self.x.0);
        pair.map_err(|_| BuildErrorKind::MalformedKey.into())
    }

    pub(super) fn rsa(&self) -> Result<RsaKeyPair, BuildError> {
        if self.n.0.len() < 256 || self.n.0.len() > 1024 {
            return Err(BuildErrorKind::WeakKey.into());
        }
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: &self.n.0[..], e: &self.e.0[..] },
            d: &self.d.0[..],
            p: &self.p.0[..],
            q: &self.q.0[..],
            dP: &self.dp.0[..],
            dQ: &self.dq.0[..],
            qInv: &self.qi.0[..],
        };
        RsaKeyPair::from_components(&components).map_err(|_| BuildErrorKind::MalformedKey.into())
    }

    pub(super) fn secret(&self) -> Result<&[u8], BuildError> {
        if self.k.0.is_empty() { Err(BuildErrorKind::MalformedKey.into()) } else { Ok(&self.k.0) }
    }
}

fn is_of_curve(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA)
}
