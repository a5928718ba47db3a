//! [`Claims`]: the payload of a token, as it is written.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::grant::{Confirmation, Grant};

/// What a token says. Members are written in this order, and absent ones not at all.
pub(super) struct Claims<'a> {
    pub(super) issuer: &'a str,
    pub(super) grant: &'a Grant,
    /// For whom it is meant, unless the grant says.
    pub(super) audience: &'a [String],
    pub(super) scopes: &'a [String],
    pub(super) issued: u64,
    pub(super) expires: u64,
    pub(super) id: &'a str,
    pub(super) version: Option<u64>,
}

/// One name as it is, several as a list (RFC 7519, section 4.1.3).
struct Audience<'a>(&'a [String]);

/// `{"sub": ..}`, which is all that an actor is here (RFC 8693, section 4.1).
struct Actor<'a>(&'a str);

impl Serialize for Claims<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { issuer, grant, scopes, .. } = self;
        let audience = if grant.audience.is_empty() { self.audience } else { &grant.audience };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("iss", issuer)?;
        map.serialize_entry("sub", &grant.subject)?;
        map.serialize_entry("aud", &Audience(audience))?;
        map.serialize_entry("exp", &self.expires)?;
        map.serialize_entry("iat", &self.issued)?;
        map.serialize_entry("jti", self.id)?;
        map.serialize_entry("client_id", &grant.client_id)?;
        if !scopes.is_empty() {
            map.serialize_entry("scope", &scopes.join(" "))?;
        }
        entry(&mut map, "sid", grant.sid.as_ref())?;
        entry(&mut map, "tv", self.version)?;
        entry(&mut map, "auth_time", grant.auth_time)?;
        entry(&mut map, "acr", grant.acr.as_ref())?;
        entry(&mut map, "amr", Some(&grant.amr).filter(|amr| !amr.is_empty()))?;
        entry::<_, &Confirmation>(&mut map, "cnf", grant.confirmation.as_ref())?;
        entry(&mut map, "act", grant.actor.as_deref().map(Actor))?;
        for (name, value) in &grant.claims {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

fn entry<M: SerializeMap, T: Serialize>(map: &mut M, name: &str, value: Option<T>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

impl Serialize for Audience<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [only] => serializer.serialize_str(only),
            several => several.serialize(serializer),
        }
    }
}

impl Serialize for Actor<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("sub", self.0)?;
        map.end()
    }
}
