//! [`TokenIssuer`]: mints access tokens.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64_simd::URL_SAFE_NO_PAD;
use portcullis_store::Timestamp;

use super::access::AccessToken;
use super::claims::Claims;
use super::error::{BuildError, BuildErrorKind, IssueError, IssueErrorKind};
use super::grant::{Confirmation, Grant};
use super::published::Published;
use super::ring::KeyRing;
use crate::bearer::{Algorithm, Audience, Issuer, Profile, Revocations};
use crate::secret::{self, Redacted};

/// Mints access tokens (RFC 9068), each by the key of a [`KeyRing`] whose turn it is.
///
/// Every token has `iss`, `sub`, `aud`, `exp`, `iat`, `client_id` and a `jti` of 128 random bits, and is of the type
/// `at+jwt`. With [`revocations`](TokenIssuerBuilder::revocations) it carries the version of its user (`tv`) too, so that
/// all tokens of a user can be taken back to the moment. A clone is one atomic increment.
#[derive(Clone)]
pub struct TokenIssuer(Arc<Parts>);

struct Parts {
    name: String,
    audience: Vec<String>,
    lifetime: Duration,
    ring: KeyRing,
    revocations: Option<Revocations>,
}

/// Builds a [`TokenIssuer`].
#[derive(Debug)]
#[must_use]
pub struct TokenIssuerBuilder {
    name: String,
    audience: Vec<String>,
    lifetime: Duration,
    ring: KeyRing,
    revocations: Option<Revocations>,
}

/// The longest token that verifiers look at, in bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// What is minted, but for what every token has.
pub(super) struct Order<'a> {
    pub(super) grant: &'a Grant,
    pub(super) scopes: &'a [String],
    pub(super) audience: &'a [String],
    pub(super) lifetime: Duration,
    pub(super) version: Option<u64>,
}

impl TokenIssuer {
    /// Builds an issuer of this name (`iss`, an `https` address without query and fragment by RFC 8414), whose tokens are
    /// meant for this audience (`aud`).
    pub fn builder<T: Into<String>>(
        name: impl Into<String>,
        audience: impl IntoIterator<Item = T>,
        ring: &KeyRing,
    ) -> TokenIssuerBuilder {
        TokenIssuerBuilder {
            name: name.into(),
            audience: audience.into_iter().map(Into::into).collect(),
            lifetime: Duration::from_secs(600),
            ring: ring.clone(),
            revocations: None,
        }
    }

    /// Mints an access token.
    ///
    /// It waits for the version of its user, one round trip, if tokens can be revoked, and for a [`Signer`](super::Signer)
    /// that does; otherwise for nothing.
    ///
    /// # Errors
    /// [`IssueErrorKind`], of which [`Store`](IssueErrorKind::Store) is 503.
    pub async fn access_token(&self, grant: &Grant) -> Result<AccessToken, IssueError> {
        grant.check()?;
        let version = match &self.0.revocations {
            Some(revocations) => Some(revocations.epoch(&self.0.name, &grant.subject).await?.as_version()),
            None => None,
        };
        self.mint(self.order(grant, version)).await
    }

    /// How a [`BearerLayer`](crate::BearerLayer) accepts its tokens: by name, audience and the ring's keys, each for its own
    /// algorithm, as RFC 9068 has them, and [versioned](Issuer::versioned) if they are.
    pub fn trusted(&self) -> Issuer {
        self.trusted_for(&self.0.audience).profile(Profile::AccessToken)
    }

    /// The issuer's name (`iss`).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) fn trusted_for(&self, audience: &[String]) -> Issuer {
        // A key that is added later may be for another algorithm, but it is shared or not as they all are.
        let is_shared = self.0.ring.published().active.algorithm().is_symmetric();
        let algorithms = Algorithm::ALL.into_iter().filter(|it| it.is_symmetric() == is_shared);
        let issuer = Issuer::new(&self.0.name, Audience::one_of(audience))
            .keys(self.0.ring.clone())
            .algorithms(algorithms);
        if self.0.revocations.is_some() { issuer.versioned() } else { issuer }
    }

    pub(super) fn audience(&self) -> &[String] {
        &self.0.audience
    }

    pub(super) fn revocations(&self) -> Option<&Revocations> {
        self.0.revocations.as_ref()
    }

    pub(super) fn ring(&self) -> &KeyRing {
        &self.0.ring
    }

    /// Whether the key that signs now is in this process.
    pub(super) fn signs_here(&self) -> bool {
        self.0.ring.published().active.is_local()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.0.ring.clock().now()
    }

    /// An access token with all that was granted.
    pub(super) fn order<'a>(&'a self, grant: &'a Grant, version: Option<u64>) -> Order<'a> {
        let Parts { audience, lifetime, .. } = &*self.0;
        let lifetime = *lifetime;
        Order { grant, scopes: &grant.scopes, audience, lifetime, version }
    }

    /// Mints a token of a grant that was checked.
    pub(super) async fn mint(&self, order: Order<'_>) -> Result<AccessToken, IssueError> {
        let published = self.0.ring.published();
        let issued = self.now().as_secs();
        let expires = issued.saturating_add(order.lifetime.as_secs());
        let id = URL_SAFE_NO_PAD.encode_to_string(secret::random::<16>()?);
        let claims = Claims {
            issuer: &self.0.name,
            grant: order.grant,
            audience: order.audience,
            scopes: order.scopes,
            issued,
            expires,
            id: &id,
            version: order.version,
        };
        let payload = serde_json::to_vec(&claims).map_err(|_| IssueErrorKind::BadGrant)?;
        let text = sign(&published, &payload).await?;
        Ok(AccessToken {
            text: Redacted(text),
            id,
            issued: Timestamp::from_secs(issued),
            expires: Timestamp::from_secs(expires),
            scopes: order.scopes.to_vec(),
            is_dpop: matches!(order.grant.confirmation, Some(Confirmation::Jkt(_))),
        })
    }
}

/// The compact serialisation (RFC 7515, section 7.1).
async fn sign(published: &Published, payload: &[u8]) -> Result<String, IssueError> {
    let header = &published.header;
    let mut text = String::with_capacity(header.len() + payload.len() * 4 / 3 + 360);
    text.push_str(header);
    text.push('.');
    URL_SAFE_NO_PAD.encode_append(payload, &mut text);
    let signature = published.active.sign(text.as_bytes()).wait().await?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_append(&signature, &mut text);
    if text.len() > MAX_TOKEN { Err(IssueErrorKind::TooLarge.into()) } else { Ok(text) }
}

impl TokenIssuerBuilder {
    /// How long a token is good for, in whole seconds. Default: ten minutes.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// By what the tokens are taken back; the [`BearerLayer`](crate::BearerLayer) that accepts them should
    /// [check](crate::BearerLayer::revocation) by the same. Minting then asks for the version of the user. Default: they
    /// are good until they expire.
    pub fn revocations(mut self, revocations: &Revocations) -> Self {
        self.revocations = Some(revocations.clone());
        self
    }

    /// The issuer.
    ///
    /// # Errors
    /// [`BuildErrorKind::BadIssuer`], [`BuildErrorKind::BadAudience`], or [`BuildErrorKind::BadLifetime`] when a token would
    /// live for less than a second, longer than [its key](super::KeyRingBuilder::longest_token), or longer than
    /// [revocations are kept](Revocations::longest_token).
    pub fn build(self) -> Result<TokenIssuer, BuildError> {
        let Self { name, audience, lifetime, ring, revocations } = self;
        if name.is_empty() {
            return Err(BuildErrorKind::BadIssuer.into());
        }
        if audience.is_empty() || audience.iter().any(String::is_empty) {
            return Err(BuildErrorKind::BadAudience.into());
        }
        let revocable = revocations.as_ref().is_none_or(|revocations| lifetime <= revocations.longest());
        if lifetime.as_secs() == 0 || lifetime > ring.longest_token() || !revocable {
            return Err(BuildErrorKind::BadLifetime.into());
        }
        Ok(TokenIssuer(Arc::new(Parts { name, audience, lifetime, ring, revocations })))
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("name", &self.0.name)
            .field("audience", &self.0.audience)
            .field("lifetime", &self.0.lifetime)
            .field("ring", &self.0.ring)
            .finish_non_exhaustive()
    }
}
