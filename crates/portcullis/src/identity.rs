//! [`Identity`]: who is calling, by which credential, how fresh. [`Authentication`]: what the layers found out.
//!
//! * [`Identity`] stands in the request's extensions only when somebody is signed in.
//! * [`Authentication`] stands there whenever a layer of ours has looked, also for an anonymous request; its absence
//!   means that the layer was forgotten.
//! * A user is the pair of issuer and subject: the same subject from two issuers is two people (OWASP ASVS 10.3.3).
//!
//! The types know nothing of HTTP. [`IdentityExt`] reads them from a request, in any framework:
//!
//! ```
//! use portcullis::{Identity, identity::IdentityExt};
//!
//! let mut request = http::Request::new(());
//! assert!(request.identity().is_none());
//!
//! let ada = Identity::new("ada").role("admin").scope("read").claim("org", &"Analytical Engines")?.build();
//! request.extensions_mut().insert(ada);
//! let me = request.identity().ok_or("nobody")?;
//! assert_eq!(me.subject(), "ada");
//! assert!(me.has_role("admin") && me.has_scope("read"));
//!
//! #[derive(serde::Deserialize)]
//! struct Claims { org: String }
//! assert_eq!(me.claims::<Claims>()?.org, "Analytical Engines");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Request, request};
use portcullis_store::{Locator, Realm, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::packed::Packed;
use crate::rejection::Challenge;

/// Who is calling, by which credential, and how fresh that is.
///
/// A clone is one atomic increment. It is not generic over the application's principal, because a reader with another
/// parameter would silently miss it; what is the application's own stands in [`claims`](Self::claims).
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    words: Words,
    method: AuthMethod,
    carrier: Carrier,
    authenticated_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    session: Option<(Realm, Locator)>,
}

/// Everything textual about an identity, in one allocation.
pub(crate) type Words = Packed<7>;

const SUBJECT: usize = 0;
const ISSUER: usize = 1;
const ACR: usize = 2;
const CLAIMS: usize = 3;
const AMR: usize = 4;
const SCOPES: usize = 5;
const ROLES: usize = 6;

/// Gathers what is known of somebody; see [`Identity::new`].
#[derive(Clone)]
#[must_use]
pub struct IdentityBuilder {
    subject: String,
    issuer: Option<String>,
    acr: Option<String>,
    amr: Vec<String>,
    scopes: Vec<String>,
    roles: Vec<String>,
    claims: serde_json::Map<String, serde_json::Value>,
    method: AuthMethod,
    carrier: Carrier,
    authenticated_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

/// What a verified token says of somebody, borrowed from it.
#[cfg(feature = "bearer")]
pub(crate) struct Stated<'a> {
    pub(crate) subject: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) acr: Option<&'a str>,
    /// The payload as it was signed, an object of JSON.
    pub(crate) claims: &'a str,
    pub(crate) amr: &'a [&'a str],
    pub(crate) scopes: &'a [&'a str],
    pub(crate) roles: &'a [&'a str],
    pub(crate) carrier: Carrier,
    pub(crate) authenticated_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
}

/// By which kind of credential somebody was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthMethod {
    /// A session of `SessionLayer`.
    Session,
    /// A bearer token (RFC 6750) of `BearerLayer`.
    Bearer,
    /// An [`Authenticator`](crate::authenticate::Authenticator) of the application's own, by its name.
    Custom(&'static str),
}

/// How the credential came along; this decides whether the request needs proof of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// Sent by the browser of its own accord (a cookie, HTTP authentication, a client certificate), so also with a
    /// request that another site made it send.
    Ambient,
    /// Put on the request by the program that makes it (an `Authorization` header from a script or a service).
    Explicit,
}

/// What the layers found out about the caller. In the extensions of every request that passed one of them.
#[derive(Clone)]
pub struct Authentication {
    outcome: Outcome,
    challenges: Challenges,
    reader: Option<Arc<dyn OnRead>>,
}

/// The result within an [`Authentication`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// No credential, or none that says who it is.
    Anonymous,
    /// Somebody is signed in.
    Authenticated(Identity),
    /// It cannot be told, because the store or the keys are out of reach. Neither a denial nor a success.
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// The challenges of the configured schemes, for whoever must answer 401.
pub(crate) type Challenges = SmallVec<[Challenge; 2]>;

/// Is told that a handler has looked at who is calling, so that the response can say `Vary`.
pub(crate) trait OnRead: Send + Sync {
    fn on_read(&self);
}

/// The claims are not of the type asked for, or a value cannot be written as JSON.
///
/// It holds the place only: what serde says may quote a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimsError {
    line: usize,
    column: usize,
}

/// Reads who is calling from wherever a framework keeps the request's extensions.
///
/// For a tonic request: `request.extensions().identity()`.
pub trait IdentityExt {
    /// Who is calling; `None` when nobody is signed in.
    fn identity(&self) -> Option<&Identity>;
    /// What the layers found out; `None` when no layer of ours has looked.
    fn authentication(&self) -> Option<&Authentication>;
}

impl Identity {
    /// Starts an identity with this subject, the user's stable id within its issuer.
    ///
    /// Unless said otherwise it has no issuer, no roles and no scopes, and counts as [`Carrier::Ambient`], the
    /// carrier that needs proof of origin.
    #[expect(clippy::new_ret_no_self, reason = "an identity is immutable; what is started is its builder")]
    pub fn new(subject: impl Into<String>) -> IdentityBuilder {
        IdentityBuilder {
            subject: subject.into(),
            issuer: None,
            acr: None,
            amr: Vec::new(),
            scopes: Vec::new(),
            roles: Vec::new(),
            claims: serde_json::Map::new(),
            method: AuthMethod::Custom("custom"),
            carrier: Carrier::Ambient,
            authenticated_at: None,
            expires_at: None,
        }
    }

    /// The user's id, unique within the issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.word(SUBJECT).unwrap_or_default()
    }

    /// Who vouches for the subject: a token's `iss`, or what the session layer was told to use.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.word(ISSUER)
    }

    /// By which kind of credential.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        self.0.method
    }

    /// How that credential came along.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        self.0.carrier
    }

    /// When the user last proved who they are (`auth_time`), if that is known.
    #[must_use]
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.0.authenticated_at
    }

    /// When the credential ends on its own, if it does.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }

    /// Authentication context class (`acr`, RFC 9470).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.word(ACR)
    }

    /// Authentication methods (`amr`, RFC 8176).
    pub fn amr(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.0.words.group(AMR)
    }

    /// Scopes: what the credential may be used for (RFC 6749, section 3.3).
    pub fn scopes(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.0.words.group(SCOPES)
    }

    /// Roles: what the user may do.
    pub fn roles(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.0.words.group(ROLES)
    }

    /// Whether this scope is among [`scopes`](Self::scopes), to the letter.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|held| held == scope)
    }

    /// Whether this role is among [`roles`](Self::roles), to the letter.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().any(|held| held == role)
    }

    /// The public name of the session, for logs and device lists; `None` for other credentials.
    #[must_use]
    pub fn session_ref(&self) -> Option<&str> {
        self.0.session.as_ref().map(|(_, locator)| locator.as_str())
    }

    /// All claims, as a type of the application's.
    ///
    /// # Errors
    /// When they do not have that shape. An identity without claims reads as an empty object.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        serde_json::from_str(self.word(CLAIMS).unwrap_or("{}")).map_err(ClaimsError::at)
    }

    /// Whether both are one person: same issuer, same subject.
    #[must_use]
    pub fn is_same_user(&self, other: &Self) -> bool {
        self.issuer() == other.issuer() && self.subject() == other.subject()
    }

    fn word(&self, group: usize) -> Option<&str> {
        self.0.words.group(group).next()
    }
}

#[cfg(feature = "bearer")]
impl Identity {
    /// The identity that a verified token states; `None` if it says too much to be packed.
    pub(crate) fn of_token(stated: Stated<'_>) -> Option<Self> {
        let words = Words::new([
            &[stated.subject],
            &[stated.issuer],
            stated.acr.as_slice(),
            &[stated.claims],
            stated.amr,
            stated.scopes,
            stated.roles,
        ])?;
        Some(Self(Arc::new(Inner {
            words,
            method: AuthMethod::Bearer,
            carrier: stated.carrier,
            authenticated_at: stated.authenticated_at,
            expires_at: stated.expires_at,
            session: None,
        })))
    }
}

#[cfg_attr(not(feature = "session"), expect(dead_code, reason = "only session records hold identities"))]
impl Identity {
    /// The identity that a session record holds.
    pub(crate) fn of_session(
        words: Words,
        session: (Realm, Locator),
        carrier: Carrier,
        authenticated: Option<Timestamp>,
        expires: Timestamp,
    ) -> Self {
        Self(Arc::new(Inner {
            words,
            method: AuthMethod::Session,
            carrier,
            authenticated_at: authenticated,
            expires_at: Some(expires),
            session: Some(session),
        }))
    }

    /// The realm of the session that it was recognised by.
    pub(crate) fn realm(&self) -> Option<&Realm> {
        self.0.session.as_ref().map(|(realm, _)| realm)
    }

    pub(crate) fn words(&self) -> &Words {
        &self.0.words
    }

    /// The same person, vouched for by `issuer`. Only what a record keeps is carried over.
    pub(crate) fn with_issuer(&self, issuer: &str) -> Self {
        self.to_builder().issuer(issuer).build()
    }

    /// What a record keeps of it, to be changed.
    pub(crate) fn to_builder(&self) -> IdentityBuilder {
        let mut builder = Self::new(self.subject())
            .issuer(self.issuer().unwrap_or_default())
            .amr(self.amr())
            .scopes(self.scopes())
            .roles(self.roles());
        builder.authenticated_at = self.authenticated_at();
        builder.expires_at = self.expires_at();
        builder.acr = self.acr().map(str::to_owned);
        builder.claims = self.claims().unwrap_or_default();
        builder
    }
}

impl IdentityBuilder {
    /// Who vouches for the subject. An empty name is nobody.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into()).filter(|issuer| !issuer.is_empty());
        self
    }

    /// Adds a role.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.roles.push(role.into());
        self
    }

    /// Adds roles.
    pub fn roles<T: Into<String>>(mut self, roles: impl IntoIterator<Item = T>) -> Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// Keeps only the roles that `keep` says yes to.
    pub fn retain_roles(mut self, mut keep: impl FnMut(&str) -> bool) -> Self {
        self.roles.retain(|role| keep(role));
        self
    }

    /// Keeps only the scopes that `keep` says yes to.
    pub fn retain_scopes(mut self, mut keep: impl FnMut(&str) -> bool) -> Self {
        self.scopes.retain(|scope| keep(scope));
        self
    }

    /// Adds a scope.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Adds scopes.
    pub fn scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Authentication context class (RFC 9470).
    pub fn acr(mut self, acr: impl Into<String>) -> Self {
        self.acr = Some(acr.into());
        self
    }

    /// Adds authentication methods (RFC 8176), such as `pwd` and `otp`.
    pub fn amr<T: Into<String>>(mut self, amr: impl IntoIterator<Item = T>) -> Self {
        self.amr.extend(amr.into_iter().map(Into::into));
        self
    }

    /// Sets a claim, in place of one with the same name.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn claim<T: Serialize + ?Sized>(
        mut self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<Self, ClaimsError> {
        self.claims.insert(name.into(), serde_json::to_value(value).map_err(ClaimsError::at)?);
        Ok(self)
    }

    /// By which kind of credential. A session's login overrides it.
    pub fn method(mut self, method: AuthMethod) -> Self {
        self.method = method;
        self
    }

    /// How the credential came along. A session's login overrides it.
    pub fn carrier(mut self, carrier: Carrier) -> Self {
        self.carrier = carrier;
        self
    }

    /// When the user last proved who they are. A session's login sets it to now unless it is given.
    pub fn authenticated_at(mut self, at: Timestamp) -> Self {
        self.authenticated_at = Some(at);
        self
    }

    /// When the credential ends on its own. A session that is signed in by it ends no later.
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// The finished identity.
    ///
    /// Beyond 65 535 roles, scopes and methods together, or 4 GiB of text, nothing but subject and issuer is kept,
    /// so that too much never means more than was granted.
    #[must_use]
    pub fn build(self) -> Identity {
        let words = self.pack().or_else(|| self.bare().pack()).unwrap_or_else(Words::empty);
        Identity(Arc::new(Inner {
            words,
            method: self.method,
            carrier: self.carrier,
            authenticated_at: self.authenticated_at,
            expires_at: self.expires_at,
            session: None,
        }))
    }

    /// Of the same subject and issuer as `identity`, whatever it was of.
    #[cfg_attr(not(feature = "session"), expect(dead_code, reason = "only sessions change an identity"))]
    pub(crate) fn of_user(mut self, identity: &Identity) -> Self {
        identity.subject().clone_into(&mut self.subject);
        self.issuer = identity.issuer().map(str::to_owned);
        self
    }

    fn pack(&self) -> Option<Words> {
        let claims = (!self.claims.is_empty()).then(|| serde_json::to_string(&self.claims).ok()).flatten();
        Words::new([
            &[&self.subject],
            self.issuer.as_deref().as_slice(),
            self.acr.as_deref().as_slice(),
            claims.as_deref().as_slice(),
            &refs(&self.amr),
            &refs(&self.scopes),
            &refs(&self.roles),
        ])
    }

    fn bare(&self) -> Self {
        let mut bare = Identity::new(self.subject.clone());
        bare.issuer.clone_from(&self.issuer);
        bare
    }
}

fn refs(strings: &[String]) -> SmallVec<[&str; 8]> {
    strings.iter().map(String::as_str).collect()
}

impl From<IdentityBuilder> for Identity {
    fn from(builder: IdentityBuilder) -> Self {
        builder.build()
    }
}

impl Authentication {
    /// Nobody is signed in.
    #[must_use]
    pub fn anonymous() -> Self {
        Outcome::Anonymous.into()
    }

    /// Somebody is signed in.
    #[must_use]
    pub fn authenticated(identity: impl Into<Identity>) -> Self {
        Outcome::Authenticated(identity.into()).into()
    }

    /// It cannot be told; worth trying again after `retry_after`.
    #[must_use]
    pub fn unavailable(retry_after: Duration) -> Self {
        Outcome::Unavailable { retry_after }.into()
    }

    /// The result.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        self.mark_read();
        &self.outcome
    }

    /// Who is calling; `None` when nobody is signed in or it cannot be told.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.mark_read();
        self.peek()
    }

    /// The result, looked at by a layer: that does not make the response vary.
    pub(crate) fn state(&self) -> &Outcome {
        &self.outcome
    }

    /// The identity, looked at by a layer.
    pub(crate) fn peek(&self) -> Option<&Identity> {
        match &self.outcome {
            Outcome::Authenticated(identity) => Some(identity),
            Outcome::Anonymous | Outcome::Unavailable { .. } => None,
        }
    }

    pub(crate) fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// The challenge of this scheme, if it is configured.
    pub(crate) fn challenge(&self, scheme: &str) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.scheme() == scheme)
    }

    pub(crate) fn add_challenge(&mut self, challenge: Option<Challenge>) {
        self.challenges.extend(challenge);
    }

    #[cfg_attr(
        not(feature = "session"),
        expect(dead_code, reason = "only a session's cookie makes responses vary")
    )]
    pub(crate) fn on_read(mut self, reader: Arc<dyn OnRead>) -> Self {
        self.reader = Some(reader);
        self
    }

    /// What an outer layer had found, kept together with what this one found.
    pub(crate) fn on_top_of(mut self, outer: &Self, outcome: Outcome) -> Self {
        let own = std::mem::replace(&mut self.challenges, outer.challenges.clone());
        // Two copies of one layer on one path have one challenge.
        self.challenges.extend(own.into_iter().filter(|challenge| !outer.challenges.contains(challenge)));
        self.reader = self.reader.or_else(|| outer.reader.clone());
        self.outcome = outcome;
        self
    }

    fn mark_read(&self) {
        if let Some(reader) = &self.reader {
            reader.on_read();
        }
    }
}

impl From<Outcome> for Authentication {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, challenges: Challenges::new(), reader: None }
    }
}

impl IdentityExt for Extensions {
    fn identity(&self) -> Option<&Identity> {
        let _ = self.authentication().map(Authentication::mark_read);
        self.get()
    }

    fn authentication(&self) -> Option<&Authentication> {
        self.get()
    }
}

impl IdentityExt for request::Parts {
    fn identity(&self) -> Option<&Identity> {
        self.extensions.identity()
    }

    fn authentication(&self) -> Option<&Authentication> {
        self.extensions.authentication()
    }
}

impl<B> IdentityExt for Request<B> {
    fn identity(&self) -> Option<&Identity> {
        self.extensions().identity()
    }

    fn authentication(&self) -> Option<&Authentication> {
        self.extensions().authentication()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("subject", &self.subject())
            .field("issuer", &self.issuer())
            .field("method", &self.method())
            .field("carrier", &self.carrier())
            .field("session_ref", &self.session_ref())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IdentityBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityBuilder")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

impl fmt::Display for ClaimsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the claims do not have the expected shape (line {} column {})", self.line, self.column)
    }
}

impl Error for ClaimsError {}

impl ClaimsError {
    fn at(error: serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_subject_from_two_issuers_is_two_people() {
        let one = Identity::new("7").issuer("https://a.example").build();
        let two = Identity::new("7").issuer("https://b.example").build();
        let none = Identity::new("7").build();
        assert!(!one.is_same_user(&two) && !one.is_same_user(&none));
        assert!(one.is_same_user(&one.clone()));
    }

    #[test]
    fn a_role_with_separators_in_it_stays_one_role() {
        let identity = Identity::new("ada").roles(["a b,c", "d\u{1f}e\0"]).build();
        assert!(identity.roles().eq(["a b,c", "d\u{1f}e\0"]));
        assert!(!identity.has_role("a") && !identity.has_role("e"));
    }

    #[test]
    fn too_many_roles_grant_none() {
        let identity = Identity::new("ada").issuer("i").roles((0..70_000).map(|n| n.to_string())).build();
        assert_eq!((identity.subject(), identity.issuer()), ("ada", Some("i")));
        assert_eq!(identity.roles().len(), 0);
    }

    #[test]
    fn debug_and_errors_show_no_claims() {
        let identity = Identity::new("ada").claim("card", "4111").unwrap().build();
        assert!(!format!("{identity:?}").contains("4111"));
        let error = identity.claims::<Vec<u8>>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("4111"));
    }

    #[test]
    fn an_identity_without_claims_reads_as_an_empty_object() {
        #[derive(serde::Deserialize)]
        struct Empty {}
        assert!(Identity::new("ada").build().claims::<Empty>().is_ok());
    }
}
