//! [`ProofClaims`]: what a proof is for (RFC 9449, section 4.2), read strictly and once.
//!
//! An object without duplicate members; points in time are whole seconds, as in tokens.

use std::borrow::Cow;
use std::fmt;

use portcullis_store::Timestamp;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use smallvec::SmallVec;

use super::refusal::ProofRefusal;
use crate::bearer::claims::NumericDate;
use crate::bearer::json::Text;

/// The claims that every proof has, and those that some have.
#[derive(Debug)]
pub(super) struct ProofClaims<'a> {
    pub(super) jti: Cow<'a, str>,
    pub(super) htm: Cow<'a, str>,
    pub(super) htu: Cow<'a, str>,
    /// The hash of the token that comes along, where one does.
    pub(super) ath: Option<Cow<'a, str>>,
    pub(super) iat: Timestamp,
    pub(super) nbf: Option<Timestamp>,
    pub(super) exp: Option<Timestamp>,
    pub(super) nonce: Option<Cow<'a, str>>,
}

#[derive(Default)]
struct Raw<'a> {
    jti: Option<Cow<'a, str>>,
    htm: Option<Cow<'a, str>>,
    htu: Option<Cow<'a, str>>,
    ath: Option<Cow<'a, str>>,
    nonce: Option<Cow<'a, str>>,
    iat: Option<Timestamp>,
    nbf: Option<Timestamp>,
    exp: Option<Timestamp>,
    duplicate: bool,
}

impl<'a> ProofClaims<'a> {
    /// Reads the decoded payload.
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, ProofRefusal> {
        let raw: Raw<'a> = serde_json::from_slice(json).map_err(|_| ProofRefusal::Malformed)?;
        if raw.duplicate {
            return Err(ProofRefusal::Malformed);
        }
        let given = |claim: Option<Cow<'a, str>>| {
            claim.filter(|claim| !claim.is_empty()).ok_or(ProofRefusal::MissingClaim)
        };
        Ok(Self {
            jti: given(raw.jti)?,
            htm: given(raw.htm)?,
            htu: given(raw.htu)?,
            ath: raw.ath.filter(|claim| !claim.is_empty()),
            iat: raw.iat.ok_or(ProofRefusal::MissingClaim)?,
            nbf: raw.nbf,
            exp: raw.exp,
            nonce: raw.nonce,
        })
    }
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
        f.write_str("the claims of a DPoP proof")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut raw = Raw::default();
        // A proof of 8 KiB, whose token was verified before, has room for a thousand names at most.
        let mut names = SmallVec::<[Cow<'de, str>; 8]>::new();
        while let Some(Text(name)) = members.next_key()? {
            match &*name {
                "jti" => raw.jti = Some(members.next_value::<Text<'de>>()?.0),
                "htm" => raw.htm = Some(members.next_value::<Text<'de>>()?.0),
                "htu" => raw.htu = Some(members.next_value::<Text<'de>>()?.0),
                "ath" => raw.ath = Some(members.next_value::<Text<'de>>()?.0),
                "nonce" => raw.nonce = Some(members.next_value::<Text<'de>>()?.0),
                "iat" => raw.iat = Some(members.next_value::<NumericDate>()?.0),
                "nbf" => raw.nbf = Some(members.next_value::<NumericDate>()?.0),
                "exp" => raw.exp = Some(members.next_value::<NumericDate>()?.0),
                _ => _ = members.next_value::<IgnoredAny>()?,
            }
            raw.duplicate |= names.contains(&name);
            names.push(name);
        }
        Ok(raw)
    }
}
