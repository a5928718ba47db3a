//! [`PublicJwk`]: the key that a proof brings along (RFC 7517), read strictly, and its thumbprint (RFC 7638).
//!
//! * An object without duplicate members, whose parameters are strings.
//! * A member of a private key spoils it (RFC 9449, section 4.3): whoever sends one has lost the key. So does a shared
//!   secret.
//! * `alg`, `use`, `kid` and the like are skipped. What a key is known by is what makes it this key, and no more.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use smallvec::SmallVec;

use super::refusal::ProofRefusal;
use crate::bearer::algorithm::Algorithm;
use crate::bearer::confirmation::Thumbprint;
use crate::bearer::crypto::sha256;
use crate::bearer::json::Text;
use crate::bearer::keys::LoneKey;

/// The members that matter.
#[derive(Debug, Default)]
pub(super) struct PublicJwk<'a> {
    kty: Option<Cow<'a, str>>,
    crv: Option<Cow<'a, str>>,
    x: Option<Cow<'a, str>>,
    y: Option<Cow<'a, str>>,
    n: Option<Cow<'a, str>>,
    e: Option<Cow<'a, str>>,
    is_private: bool,
    duplicate: bool,
}

/// What stands in private keys only (RFC 7518, sections 6.2.2, 6.3.2 and 6.4; RFC 8037, section 2).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl PublicJwk<'_> {
    /// The key for this algorithm, and its thumbprint.
    pub(super) fn key(&self, algorithm: Algorithm) -> Result<(LoneKey, Thumbprint), ProofRefusal> {
        if self.is_private || self.duplicate {
            return Err(ProofRefusal::BadKey);
        }
        // The thumbprint is over the required members in the order of their names (RFC 7638, section 3.2). They need no
        // escapes: base64url has none, and the names of curves are compared.
        let (key, canonical) = match self.kty.as_deref() {
            Some("EC") => {
                let (crv, x, y) = (given(&self.crv)?, given(&self.x)?, given(&self.y)?);
                let key = LoneKey::ec(algorithm, crv, &decoded(x)?, &decoded(y)?);
                (key, format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#))
            }
            Some("OKP") => {
                let (crv, x) = (given(&self.crv)?, given(&self.x)?);
                let key = LoneKey::okp(algorithm, crv, &decoded(x)?);
                (key, format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#))
            }
            Some("RSA") => {
                let (n, e) = (given(&self.n)?, given(&self.e)?);
                let key = LoneKey::rsa(algorithm, &decoded(n)?, &decoded(e)?);
                (key, format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#))
            }
            Some(_) | None => return Err(ProofRefusal::BadKey),
        };
        let thumbprint = sha256([canonical.as_bytes()]);
        key.map(|key| (key, thumbprint)).map_err(|_| ProofRefusal::BadKey)
    }

    /// Whether there was a member of this name before.
    fn read<'de, A: MapAccess<'de>>(
        place: &mut Option<Cow<'de, str>>,
        members: &mut A,
    ) -> Result<(), A::Error> {
        *place = Some(members.next_value::<Text<'de>>()?.0);
        Ok(())
    }
}

fn given<'a>(member: &'a Option<Cow<'_, str>>) -> Result<&'a str, ProofRefusal> {
    member.as_deref().ok_or(ProofRefusal::BadKey)
}

fn decoded(base64url: &str) -> Result<Vec<u8>, ProofRefusal> {
    URL_SAFE_NO_PAD.decode(base64url).map_err(|_| ProofRefusal::BadKey)
}

impl<'de> Deserialize<'de> for PublicJwk<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JwkVisitor)
    }
}

struct JwkVisitor;

impl<'de> Visitor<'de> for JwkVisitor {
    type Value = PublicJwk<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON Web Key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut jwk = PublicJwk::default();
        // A header has room for some hundred names at most, so looking through them all is bounded.
        let mut names = SmallVec::<[Cow<'de, str>; 8]>::new();
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "kty" => PublicJwk::read(&mut jwk.kty, &mut members)?,
                "crv" => PublicJwk::read(&mut jwk.crv, &mut members)?,
                "x" => PublicJwk::read(&mut jwk.x, &mut members)?,
                "y" => PublicJwk::read(&mut jwk.y, &mut members)?,
                "n" => PublicJwk::read(&mut jwk.n, &mut members)?,
                "e" => PublicJwk::read(&mut jwk.e, &mut members)?,
                other => {
                    jwk.is_private |= PRIVATE.contains(&other);
                    members.next_value::<IgnoredAny>()?;
                }
            }
            jwk.duplicate |= names.contains(&name);
            names.push(name);
        }
        Ok(jwk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 7638, section 3.1, and its thumbprint there.
    const RFC_7638: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;

    /// The key of RFC 8037, section A.2, and its thumbprint, section A.3.
    const RFC_8037: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn thumbprint(json: &str, algorithm: Algorithm) -> Result<String, ProofRefusal> {
        let jwk: PublicJwk<'_> = serde_json::from_str(json).unwrap();
        jwk.key(algorithm).map(|(_, thumbprint)| URL_SAFE_NO_PAD.encode(thumbprint))
    }

    #[test]
    fn thumbprints_are_those_of_the_specifications() {
        assert_eq!(
            thumbprint(RFC_7638, Algorithm::RS256).unwrap(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
        assert_eq!(
            thumbprint(RFC_8037, Algorithm::EdDSA).unwrap(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn a_key_that_is_not_public_and_whole_is_none() {
        let okp = |more: &str| format!("{}{more}}}", RFC_8037.strip_suffix('}').unwrap());
        for name in PRIVATE {
            for value in ["\"AQ\"", "null", "[]"] {
                let json = okp(&format!(",\"{name}\":{value}"));
                assert_eq!(thumbprint(&json, Algorithm::EdDSA), Err(ProofRefusal::BadKey), "{name} {value}");
            }
        }
        let rows = [
            ("twice", okp(r#","crv":"Ed25519""#), Algorithm::EdDSA),
            ("something else twice", okp(r#","kid":"a","kid":"a""#), Algorithm::EdDSA),
            ("of another algorithm", RFC_8037.to_owned(), Algorithm::ES256),
            ("RSA of another algorithm", RFC_7638.to_owned(), Algorithm::EdDSA),
            ("padded", RFC_8037.replace("URo", "URo="), Algorithm::EdDSA),
            ("stray bits", RFC_8037.replace("URo", "URp"), Algorithm::EdDSA),
            ("of another curve", RFC_8037.replace("Ed25519", "X25519"), Algorithm::EdDSA),
            ("no kty", RFC_8037.replace("kty", "kt"), Algorithm::EdDSA),
            ("no parameter", RFC_8037.replace("\"x\"", "\"y\""), Algorithm::EdDSA),
            ("a secret", r#"{"kty":"oct","k":"AQAB"}"#.to_owned(), Algorithm::ES256),
            ("a small modulus", r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(), Algorithm::RS256),
            ("nothing", "{}".to_owned(), Algorithm::ES256),
        ];
        for (name, json, algorithm) in rows {
            assert_eq!(thumbprint(&json, algorithm), Err(ProofRefusal::BadKey), "{name}");
        }
        assert!(thumbprint(&okp(r#","use":"enc","alg":7"#), Algorithm::EdDSA).is_ok(), "the rest is skipped");
    }
}
