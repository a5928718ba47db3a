//! [`Rules`]: what an issuer's tokens must say to be accepted. Pure: claims and a moment in, an answer out.

mod audience;
mod tenants;

use std::time::Duration;

use portcullis_store::Timestamp;

pub use self::audience::Audience;
pub(in crate::bearer) use self::tenants::IssuerName;
pub use self::tenants::Tenants;
use super::claims::Claims;
use super::jws::JoseHeader;
use super::refusal::Refusal;

/// What counts as an access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// `typ` is absent, `JWT` or `at+jwt`. What marks an ID token (`nonce`, `at_hash`, `c_hash`, `token_use` other than
    /// `access`, a claim `typ` of `ID`), a refresh token (a claim `typ` of `Refresh` or `Offline`) or a security event
    /// (`events`) is refused. An ID token can do without all of these marks; that it is meant for a client, and not for us, is
    /// then all that keeps it out.
    #[default]
    Generic,
    /// RFC 9068: `typ` is `at+jwt`, and `sub`, `client_id`, `iat` and `jti` are there.
    AccessToken,
}

/// The rules of one issuer.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) issuer: IssuerName,
    pub(super) audience: Audience,
    pub(super) requirements: Vec<Requirement>,
    pub(super) profile: Profile,
    pub(super) leeway: Duration,
    pub(super) max_age: Option<Duration>,
}

/// A claim that every token must have.
#[derive(Clone, Debug)]
pub(super) struct Requirement {
    pub(super) claim: String,
    /// What it must be, one of these; whatever it is, if there are none.
    pub(super) values: Vec<String>,
}

impl Rules {
    /// The claims that it names.
    pub(super) fn claims(&self) -> Vec<String> {
        let required = self.requirements.iter().map(|requirement| requirement.claim.as_str());
        let others = self.issuer.claim().into_iter().chain(self.audience.other_claim());
        others.chain(required).map(str::to_owned).collect()
    }

    /// Whether a token whose signature has been verified is accepted at this moment, but for what it is bound to: that is
    /// for each request to prove.
    pub(super) fn judge(
        &self,
        header: &JoseHeader<'_>,
        claims: &Claims<'_>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.issuer.judge(claims)?;
        self.judge_type(header, claims)?;
        self.requirements.iter().try_for_each(|requirement| requirement.judge(claims))?;
        self.audience.judge(claims)?;
        if claims.exp.is_none() {
            return Err(Refusal::MissingClaim);
        }
        self.judge_time(claims, now)
    }

    /// Whether a token of which its server says this, and that it is active, is accepted at this moment. By whom it was
    /// issued and until when it is good need not be said (RFC 7662, section 2.2); for whom it is only where `needs_audience`.
    pub(super) fn judge_answer(
        &self,
        claims: &Claims<'_>,
        needs_audience: bool,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if claims.iss.is_some() {
            self.issuer.judge(claims)?;
        }
        self.judge_kind(claims)?;
        self.requirements.iter().try_for_each(|requirement| requirement.judge(claims))?;
        if needs_audience || claims.aud.is_some() || self.audience.other_claim().is_some() {
            self.audience.judge(claims)?;
        }
        self.judge_time(claims, now)
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

impl Requirement {
    fn judge(&self, claims: &Claims<'_>) -> Result<(), Refusal> {
        let held = claims.text(&self.claim).ok_or(Refusal::MissingClaim)?;
        let is_met = self.values.is_empty() || self.values.iter().any(|value| value == held);
        if is_met { Ok(()) } else { Err(Refusal::WrongClaim) }
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
