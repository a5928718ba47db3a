//! [`Grant`]: to whom a token is given, and what it allows.

use std::collections::BTreeMap;
use std::fmt;

use portcullis_store::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{IssueError, IssueErrorKind};
use crate::secret::Redacted;

/// To whom a token is given, what it allows, and how its user signed in: what the claims of an access token say that are
/// not the issuer's (RFC 9068, section 2.2).
///
/// ```
/// use portcullis::issue::Grant;
///
/// let grant = Grant::new("ada", "web").scope("read").scope("write").sid("2PNSR0dv1V1ZUTGXTx6oYg").acr("2").amr("otp");
/// # drop(grant);
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Grant {
    #[serde(rename = "sub")]
    pub(super) subject: String,
    pub(super) client_id: String,
    #[serde(default, rename = "aud", skip_serializing_if = "Vec::is_empty")]
    pub(super) audience: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) auth_time: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) acr: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) amr: Vec<String>,
    #[serde(default, rename = "cnf", skip_serializing_if = "Option::is_none")]
    pub(super) confirmation: Option<Confirmation>,
    /// Who acts for the subject.
    #[serde(default, rename = "act", skip_serializing_if = "Option::is_none")]
    pub(super) actor: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) claims: BTreeMap<String, Value>,
}

/// Which key the bearer of a token has to have (`cnf`, RFC 7800).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Confirmation {
    /// The thumbprint of a DPoP key (RFC 9449, section 6.1).
    #[serde(rename = "jkt")]
    Jkt(String),
    /// The thumbprint of a client's certificate (RFC 8705, section 3.1).
    #[serde(rename = "x5t#S256")]
    X5tS256(String),
}

/// Names that a claim of the application's cannot have, because they mean something in an access token, or would make it
/// look like another kind of token.
const TAKEN: [&str; 21] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "sid",
    "client_id",
    "scope",
    "tv",
    "auth_time",
    "acr",
    "amr",
    "cnf",
    "act",
    "typ",
    "token_use",
    "nonce",
    "at_hash",
    "c_hash",
];

impl Grant {
    /// A token for this user, given to this client.
    pub fn new(subject: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            client_id: client_id.into(),
            audience: Vec::new(),
            scopes: Vec::new(),
            sid: None,
            auth_time: None,
            acr: None,
            amr: Vec::new(),
            confirmation: None,
            actor: None,
            claims: BTreeMap::new(),
        }
    }

    /// One more scope (RFC 6749, section 3.3). Without any the token has no `scope`.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        let scope = scope.into();
        if !self.scopes.contains(&scope) {
            self.scopes.push(scope);
        }
        self
    }

    /// One more of those for whom the token is meant, in place of the issuer's default.
    pub fn audience(mut self, name: impl Into<String>) -> Self {
        self.audience.push(name.into());
        self
    }

    /// The login that the token comes of: the public name of its session, or a name of its own. What is revoked by it is
    /// revoked together.
    pub fn sid(mut self, sid: impl Into<String>) -> Self {
        self.sid = Some(sid.into());
        self
    }

    /// When the user signed in (`auth_time`).
    pub fn authenticated_at(mut self, at: Timestamp) -> Self {
        self.auth_time = Some(at.as_secs());
        self
    }

    /// How well the user was authenticated (`acr`).
    pub fn acr(mut self, acr: impl Into<String>) -> Self {
        self.acr = Some(acr.into());
        self
    }

    /// One more way in which the user was authenticated (`amr`, RFC 8176).
    pub fn amr(mut self, method: impl Into<String>) -> Self {
        self.amr.push(method.into());
        self
    }

    /// Binds the token to a key (`cnf`): only who proves to have it may use it.
    pub fn confirmation(mut self, key: Confirmation) -> Self {
        self.confirmation = Some(key);
        self
    }

    /// Who acts for the user (`act`, RFC 8693, section 4.1), by name.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// A claim of the application's own. One whose name has a meaning already is refused when the token is minted.
    ///
    /// # Errors
    /// [`IssueErrorKind::BadGrant`] when the value cannot be JSON.
    pub fn claim(mut self, name: impl Into<String>, value: impl Serialize) -> Result<Self, IssueError> {
        let value = serde_json::to_value(value).map_err(|_| IssueErrorKind::BadGrant)?;
        self.claims.insert(name.into(), value);
        Ok(self)
    }

    /// The login that it comes of.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Whether it can be written into a token.
    pub(super) fn check(&self) -> Result<(), IssueErrorKind> {
        let named = [&self.subject, &self.client_id].into_iter().chain(&self.audience);
        let is_sound = named.chain(&self.amr).all(|text| !text.is_empty())
            && self.scopes.iter().all(|scope| is_scope(scope))
            && self.claims.keys().all(|name| !name.is_empty() && !TAKEN.contains(&name.as_str()));
        if is_sound { Ok(()) } else { Err(IssueErrorKind::BadGrant) }
    }

    /// Those of the granted scopes that are asked for; `None` if one of them was not granted.
    pub(super) fn narrowed(&self, asked: &[&str]) -> Option<Vec<String>> {
        let is_granted = |scope: &&str| self.scopes.iter().any(|own| own == scope);
        let kept = self.scopes.iter().filter(|own| asked.contains(&own.as_str()));
        asked.iter().all(is_granted).then(|| kept.cloned().collect())
    }
}

/// RFC 6749, section 3.3: printable ASCII without space, quote and backslash.
pub(super) fn is_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("subject", &self.subject)
            .field("client_id", &self.client_id)
            .field("audience", &self.audience)
            .field("scopes", &self.scopes)
            .field("sid", &self.sid)
            .field("claims", &Redacted(()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_is_refused() {
        let good = || Grant::new("ada", "web");
        let claim = |name: &str| good().claim(name, 1).unwrap();
        for (name, grant, is_good) in [
            ("plain", good(), true),
            ("scopes", good().scope("a").scope("urn:x:b"), true),
            ("a claim", claim("org"), true),
            ("no subject", Grant::new("", "web"), false),
            ("no client", Grant::new("ada", ""), false),
            ("no scope", good().scope(""), false),
            ("two scopes in one", good().scope("a b"), false),
            ("a quote", good().scope("a\"b"), false),
            ("an audience without a name", good().audience(""), false),
            ("a method without a name", good().amr("pwd").amr(""), false),
            ("a claim that is taken", claim("exp"), false),
            ("the mark of an ID token", claim("nonce"), false),
            ("a claim without a name", claim(""), false),
        ] {
            assert_eq!(grant.check().is_ok(), is_good, "{name}");
        }
        assert!(TAKEN.iter().all(|name| claim(name).check().is_err()));
    }

    #[test]
    fn scopes_can_only_be_narrowed() {
        let grant = Grant::new("ada", "web").scope("read").scope("write");
        let narrowed = |scopes: &[&str]| grant.narrowed(scopes);
        assert_eq!(narrowed(&["write", "read"]), Some(vec!["read".into(), "write".into()]));
        assert_eq!(narrowed(&["write"]), Some(vec!["write".into()]));
        assert_eq!(narrowed(&[]), Some(vec![]));
        assert_eq!(narrowed(&["read", "admin"]), None);
        assert_eq!(narrowed(&["Read"]), None);
    }

    #[test]
    fn a_grant_is_read_as_it_was_written() {
        let grant = Grant::new("ada", "web").scope("read").sid("s").amr("pwd");
        let grant = grant.confirmation(Confirmation::Jkt("k".into())).claim("org", ["a"]).unwrap();
        let json = serde_json::to_string(&grant).unwrap();
        assert_eq!(serde_json::from_str::<Grant>(&json).unwrap(), grant);
    }
}
