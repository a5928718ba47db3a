//! [`Rules`]: what an issuer's tokens must say to be accepted. Pure: claims and a moment in, an answer out.

use std::time::Duration;

use portcullis_store::Timestamp;

use super::claims::Claims;
use super::header::JoseHeader;
use super::refusal::Refusal;

/// Who is meant by a token's `aud` (RFC 7519, section 4.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(Vec<String>);

/// What counts as an access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// `typ` is absent, `JWT` or `at+jwt`. What marks an ID token (`nonce`, `at_hash`, `c_hash`, `token_use` other than
    /// `access`, a claim `typ` of `ID`), a refresh token (a claim `typ` of `Refresh` or `Offline`) or a security event
    /// (`events`) is refused.
    #[default]
    Generic,
    /// RFC 9068: `typ` is `at+jwt`, and `sub`, `client_id`, `iat` and `jti` are there.
    AccessToken,
}

/// The rules of one issuer.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) issuer: String,
    pub(super) audience: Audience,
    pub(super) profile: Profile,
    pub(super) leeway: Duration,
    pub(super) max_age: Option<Duration>,
}

impl Audience {
    /// The token must be meant for one of these; others may be named beside it.
    pub fn one_of<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }

    /// Whether there are names, none of them empty.
    pub(super) fn is_sound(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|name| !name.is_empty())
    }

    fn names(&self, audience: &str) -> bool {
        self.0.iter().any(|name| name == audience)
    }
}

impl Rules {
    /// Whether a token whose signature has been verified is accepted at this moment, but for what it is bound to: that is
    /// for each request to prove.
    pub(super) fn judge(
        &self,
        header: &JoseHeader<'_>,
        claims: &Claims<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.judge_issuer(claims)?;
        self.judge_type(header, claims)?;
        self.judge_audience(claims)?;
        if claims.exp.is_none() {
            return Err(Refusal::MissingClaim);
        }
        self.judge_time(claims, now)
    }

    /// Whether a token of which its server says this, and that it is active, is accepted at this moment. Of whom it is, for
    /// whom, and until when need not be said (RFC 7662, section 2.2).
    pub(super) fn judge_answer(&self, claims: &Claims<'_>, now: Timestamp) -> Result<(), Refusal> {
        if claims.iss.is_some() {
            self.judge_issuer(claims)?;
        }
        self.judge_kind(claims)?;
        if claims.aud.is_some() {
            self.judge_audience(claims)?;
        }
        self.judge_time(claims, now)
    }

    fn judge_issuer(&self, claims: &Claims<'_>) -> Result<(), Refusal> {
        match &claims.iss {
            Some(iss) if *iss == self.issuer => Ok(()),
            Some(_) => Err(Refusal::UnknownIssuer),
            None => Err(Refusal::MissingClaim),
        }
    }

    fn judge_type(&self, header: &JoseHeader<'_>, claims: &Claims<'_>) -> Result<(), Refusal> {
        let is_access_token = match self.profile {
            Profile::Generic => header.typ.is_none() || header.is_type("JWT") || header.is_type("at+jwt"),
            Profile::AccessToken => header.is_type("at+jwt"),
        };
        if is_access_token { self.judge_kind(claims) } else { Err(Refusal::NotAnAccessToken) }
    }

    /// What kind of token it is, by its claims.
    fn judge_kind(&self, claims: &Claims<'_>) -> Result<(), Refusal> {
        let is_marked = self.profile == Profile::Generic && claims.is_marked;
        let other_use = claims.token_use.as_deref().is_some_and(is_other_use);
        let other_typ = claims.typ.as_deref().is_some_and(is_other_typ);
        if is_marked || other_use || other_typ {
            return Err(Refusal::NotAnAccessToken);
        }
        let is_complete = match self.profile {
            Profile::Generic => true,
            Profile::AccessToken => {
                claims.client_id.is_some() && claims.iat.is_some() && claims.jti.is_some()
            }
        };
        if is_complete { Ok(()) } else { Err(Refusal::MissingClaim) }
    }

    fn judge_audience(&self, claims: &Claims<'_>) -> Result<(), Refusal> {
        let aud = claims.aud.as_ref().ok_or(Refusal::MissingClaim)?;
        let is_named = aud.as_slice().iter().any(|name| self.audience.names(name));
        if is_named { Ok(()) } else { Err(Refusal::WrongAudience) }
    }

    /// Valid from `nbf` on and until, not at, `exp` (RFC 7519, sections 4.1.4 and 4.1.5), both moved by the leeway.
    fn judge_time(&self, claims: &Claims<'_>, now: Timestamp) -> Result<(), Refusal> {
        let soon = now.saturating_add(self.leeway);
        if claims.exp.is_some_and(|exp| now >= exp.saturating_add(self.leeway)) {
            return Err(Refusal::Expired);
        }
        if claims.nbf.is_some_and(|nbf| nbf > soon) {
            return Err(Refusal::NotYetValid);
        }
        if claims.iat.is_some_and(|iat| iat > soon) {
            return Err(Refusal::IssuedInFuture);
        }
        self.max_age.map_or(Ok(()), |max_age| self.judge_age(claims, max_age, now))
    }

    /// Until, not at, when a token that is accepted now would be accepted.
    pub(super) fn accepted_until(&self, claims: &Claims<'_>) -> Timestamp {
        let expires = claims.exp.map_or(Timestamp::MAX, |exp| exp.saturating_add(self.leeway));
        let ages = self.max_age.zip(claims.iat).map(|(max_age, iat)| self.last_moment(iat, max_age));
        ages.map_or(expires, |last| expires.min(last.saturating_add(Duration::from_millis(1))))
    }

    fn judge_age(&self, claims: &Claims<'_>, max_age: Duration, now: Timestamp) -> Result<(), Refusal> {
        let iat = claims.iat.ok_or(Refusal::MissingClaim)?;
        if now > self.last_moment(iat, max_age) { Err(Refusal::TooOld) } else { Ok(()) }
    }

    fn last_moment(&self, iat: Timestamp, max_age: Duration) -> Timestamp {
        iat.saturating_add(max_age).saturating_add(self.leeway)
    }
}

/// Cognito says `access`, Hydra `access_token`.
fn is_other_use(usage: &str) -> bool {
    !matches!(usage, "access" | "access_token")
}

/// Keycloak names the kind of a token in a claim `typ`.
fn is_other_typ(typ: &str) -> bool {
    ["ID", "Refresh", "Offline", "Logout"].into_iter().any(|other| typ.eq_ignore_ascii_case(other))
}
