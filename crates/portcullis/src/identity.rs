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

mod authentication;
mod builder;

#[cfg(any(feature = "bearer", feature = "rust-crypto"))]
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use portcullis_store::{Locator, Timestamp};
use serde::de::DeserializeOwned;

#[cfg_attr(
    not(feature = "session"),
    expect(unused_imports, reason = "only session layers say more of themselves")
)]
pub(crate) use self::authentication::SessionMark;
pub use self::authentication::{Authentication, IdentityExt, Outcome};
pub(crate) use self::authentication::{Challenges, Look, Seen};
pub use self::builder::{ClaimsError, IdentityBuilder};
use crate::packed::Packed;
use crate::realm::{DefaultRealm, Realm};

/// Who is calling, by which credential, and how fresh that is.
///
/// A clone is one atomic increment. Its parameter is the [realm](crate::realm), which most applications never name. It
/// is not generic over the application's principal, because a reader with another parameter would silently miss it; what
/// is the application's own stands in [`claims`](Self::claims).
pub struct Identity<M = DefaultRealm>(Arc<Person>, PhantomData<fn() -> M>);

/// What is known of somebody, in whatever realm.
pub(crate) struct Person {
    words: Words,
    method: AuthMethod,
    carrier: Carrier,
    authenticated_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    session: Option<Locator>,
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

/// What a verified token says of somebody, borrowed from it.
#[cfg(any(feature = "bearer", feature = "rust-crypto"))]
pub(crate) struct Stated<'a> {
    pub(crate) subject: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) acr: Option<&'a Cow<'a, str>>,
    /// The payload as it was signed, an object of JSON.
    pub(crate) claims: &'a str,
    pub(crate) amr: &'a [Cow<'a, str>],
    pub(crate) scopes: &'a [Cow<'a, str>],
    pub(crate) roles: &'a [Cow<'a, str>],
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

impl Identity {
    /// Starts an identity with this subject, the user's stable id within its issuer. Nobody can
    /// [sign in](crate::session::Session::login) with an empty one, and no token with one is accepted.
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
}

impl<M> Identity<M> {
    /// The user's id, unique within the issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0.subject()
    }

    /// Who vouches for the subject: a token's `iss`, or what the session layer was told to use.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.0.word(ISSUER)
    }

    /// By which kind of credential.
    #[must_use]
    pub fn method(&self) -> AuthMethod {
        self.0.method()
    }

    /// How that credential came along.
    #[must_use]
    pub fn carrier(&self) -> Carrier {
        self.0.carrier()
    }

    /// When the user last proved who they are (`auth_time`), if that is known.
    #[must_use]
    pub fn authenticated_at(&self) -> Option<Timestamp> {
        self.0.authenticated_at()
    }

    /// When the credential ends on its own, if it does.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }

    /// Authentication context class (`acr`, RFC 9470).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.0.acr()
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
        self.0.has_scope(scope)
    }

    /// Whether this role is among [`roles`](Self::roles), to the letter.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.0.has_role(role)
    }

    /// The public name of the session, for logs and device lists; `None` for other credentials.
    #[must_use]
    pub fn session_ref(&self) -> Option<&str> {
        self.0.session.as_ref().map(Locator::as_str)
    }

    /// All claims, as a type of the application's.
    ///
    /// # Errors
    /// When they do not have that shape. An identity without claims reads as an empty object.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        serde_json::from_str(self.0.word(CLAIMS).unwrap_or("{}")).map_err(ClaimsError::at)
    }

    /// Whether both are one person: same issuer, same subject.
    #[must_use]
    pub fn is_same_user(&self, other: &Self) -> bool {
        self.issuer() == other.issuer() && self.subject() == other.subject()
    }

    pub(crate) fn person(&self) -> &Person {
        &self.0
    }

    /// The same person in another realm. Layers do this with what they have found; nobody else may.
    pub(crate) fn in_realm<N>(self) -> Identity<N> {
        Identity(self.0, PhantomData)
    }
}

/// What code without a type parameter asks.
impl Person {
    /// The session that they were recognised by, if it was one.
    #[cfg_attr(
        not(any(feature = "csrf", feature = "session")),
        expect(dead_code, reason = "only the session layer and CsrfLayer ask")
    )]
    pub(crate) fn session(&self) -> Option<Locator> {
        self.session
    }

    pub(crate) fn subject(&self) -> &str {
        self.word(SUBJECT).unwrap_or_default()
    }

    pub(crate) fn method(&self) -> AuthMethod {
        self.method
    }

    pub(crate) fn carrier(&self) -> Carrier {
        self.carrier
    }

    pub(crate) fn authenticated_at(&self) -> Option<Timestamp> {
        self.authenticated_at
    }

    pub(crate) fn acr(&self) -> Option<&str> {
        self.word(ACR)
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.words.group(SCOPES).any(|held| held == scope)
    }

    pub(crate) fn has_role(&self, role: &str) -> bool {
        self.words.group(ROLES).any(|held| held == role)
    }

    fn word(&self, group: usize) -> Option<&str> {
        self.words.group(group).next()
    }
}

impl<M> Clone for Identity<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

impl From<Person> for Identity {
    fn from(person: Person) -> Self {
        Self(Arc::new(person), PhantomData)
    }
}

#[cfg(any(feature = "bearer", feature = "rust-crypto"))]
impl Identity {
    /// The identity that a verified token states; `None` if it says too much to be packed.
    pub(crate) fn of_token(stated: Stated<'_>) -> Option<Self> {
        let words = Words::new([
            &[Cow::Borrowed(stated.subject)],
            &[Cow::Borrowed(stated.issuer)],
            stated.acr.map(std::slice::from_ref).unwrap_or_default(),
            &[Cow::Borrowed(stated.claims)],
            stated.amr,
            stated.scopes,
            stated.roles,
        ])?;
        let person = Person {
            words,
            method: AuthMethod::Bearer,
            carrier: stated.carrier,
            authenticated_at: stated.authenticated_at,
            expires_at: stated.expires_at,
            session: None,
        };
        Some(person.into())
    }
}

#[cfg_attr(not(feature = "session"), expect(dead_code, reason = "only session records hold identities"))]
impl Identity {
    /// The identity that a session record holds.
    pub(crate) fn of_session(
        words: Words,
        session: Locator,
        carrier: Carrier,
        authenticated: Option<Timestamp>,
        expires: Timestamp,
    ) -> Self {
        let person = Person {
            words,
            method: AuthMethod::Session,
            carrier,
            authenticated_at: authenticated,
            expires_at: Some(expires),
            session: Some(session),
        };
        person.into()
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

impl<M: Realm> fmt::Debug for Identity<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("realm", &M::NAME)
            .field("subject", &self.subject())
            .field("issuer", &self.issuer())
            .field("method", &self.method())
            .field("carrier", &self.carrier())
            .field("session_ref", &self.session_ref())
            .finish_non_exhaustive()
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
