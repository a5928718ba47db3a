//! [`ProofHeader`]: what a proof says about its own signature, read strictly (RFC 9449, section 4.2).
//!
//! * An object without duplicate members; `alg` and `typ` are strings, `jwk` is a key.
//! * `crit`, `b64`, `enc` and `zip` are refused, whatever they hold: nothing that they ask for is done.
//! * All else is skipped: a key comes in `jwk` and from nowhere else.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use smallvec::SmallVec;

use super::jwk::PublicJwk;
use super::refusal::ProofRefusal;
use crate::bearer::algorithm::Algorithm;
use crate::bearer::json::Text;

/// The members that matter.
#[derive(Debug)]
pub(super) struct ProofHeader<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) jwk: PublicJwk<'a>,
}

#[derive(Default)]
struct Raw<'a> {
    alg: Option<Cow<'a, str>>,
    typ: Option<Cow<'a, str>>,
    jwk: Option<PublicJwk<'a>>,
    is_bad: bool,
}

impl<'a> ProofHeader<'a> {
    /// Reads the decoded header.
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, ProofRefusal> {
        let raw: Raw<'a> = serde_json::from_slice(json).map_err(|_| ProofRefusal::Malformed)?;
        if raw.is_bad {
            return Err(ProofRefusal::Malformed);
        }
        if !raw.typ.as_deref().is_some_and(is_proof) {
            return Err(ProofRefusal::WrongType);
        }
        let algorithm = raw.alg.as_deref().and_then(Algorithm::named);
        let algorithm = algorithm.ok_or(ProofRefusal::AlgorithmNotAllowed)?;
        Ok(Self { algorithm, jwk: raw.jwk.ok_or(ProofRefusal::BadKey)? })
    }
}

/// `application/` may be left out, and case does not matter (RFC 7515, section 4.1.9).
fn is_proof(typ: &str) -> bool {
    ["dpop+jwt", "application/dpop+jwt"].into_iter().any(|name| typ.eq_ignore_ascii_case(name))
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the header of a DPoP proof")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut raw = Raw::default();
        // A header of 4 KiB has room for some hundred names at most, so looking through them all is bounded.
        let mut names = SmallVec::<[Cow<'de, str>; 8]>::new();
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "alg" => raw.alg = Some(members.next_value::<Text<'de>>()?.0),
                "typ" => raw.typ = Some(members.next_value::<Text<'de>>()?.0),
                "jwk" => raw.jwk = Some(members.next_value()?),
                other => {
                    raw.is_bad |= ["crit", "b64", "enc", "zip"].contains(&other);
                    members.next_value::<IgnoredAny>()?;
                }
            }
            raw.is_bad |= names.contains(&name);
            names.push(name);
        }
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_strictly() {
        use ProofRefusal::*;
        let rows = [
            ("plain", r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{}}"#, Ok(Algorithm::ES256)),
            ("whole", r#"{"typ":"application/DPoP+JWT","alg":"ES256","jwk":{}}"#, Ok(Algorithm::ES256)),
            (
                "more",
                r#"{"x5c":[],"jku":7,"kid":{},"typ":"dpop+jwt","alg":"EdDSA","jwk":{}}"#,
                Ok(Algorithm::EdDSA),
            ),
            ("no typ", r#"{"alg":"ES256","jwk":{}}"#, Err(WrongType)),
            ("an access token", r#"{"typ":"at+jwt","alg":"ES256","jwk":{}}"#, Err(WrongType)),
            ("any JWT", r#"{"typ":"JWT","alg":"ES256","jwk":{}}"#, Err(WrongType)),
            ("no alg", r#"{"typ":"dpop+jwt","jwk":{}}"#, Err(AlgorithmNotAllowed)),
            ("none", r#"{"typ":"dpop+jwt","alg":"none","jwk":{}}"#, Err(AlgorithmNotAllowed)),
            ("no jwk", r#"{"typ":"dpop+jwt","alg":"ES256"}"#, Err(BadKey)),
            ("jwk a string", r#"{"typ":"dpop+jwt","alg":"ES256","jwk":"{}"}"#, Err(Malformed)),
            ("jwk null", r#"{"typ":"dpop+jwt","alg":"ES256","jwk":null}"#, Err(Malformed)),
            ("jwk twice", r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{},"jwk":{}}"#, Err(Malformed)),
            ("alg twice", r#"{"typ":"dpop+jwt","alg":"ES256","alg":"ES256","jwk":{}}"#, Err(Malformed)),
            ("alg a list", r#"{"typ":"dpop+jwt","alg":["ES256"],"jwk":{}}"#, Err(Malformed)),
            ("crit", r#"{"crit":[],"typ":"dpop+jwt","alg":"ES256","jwk":{}}"#, Err(Malformed)),
            ("b64", r#"{"b64":true,"typ":"dpop+jwt","alg":"ES256","jwk":{}}"#, Err(Malformed)),
            ("a list", "[]", Err(Malformed)),
            ("more after it", r#"{"typ":"dpop+jwt","alg":"ES256","jwk":{}}{}"#, Err(Malformed)),
        ];
        for (name, json, expected) in rows {
            let found = ProofHeader::parse(json.as_bytes()).map(|header| header.algorithm);
            assert_eq!(found, expected, "{name}");
        }
    }
}
