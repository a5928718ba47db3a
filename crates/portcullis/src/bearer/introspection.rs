//! [`Introspection`]: how a layer accepts opaque tokens, by asking the server that has issued them (RFC 7662).

mod answer;
mod breaker;
mod desk;
mod flights;
mod source;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

pub(super) use self::answer::Active;
use self::answer::{Judge, Terms};
use self::breaker::Breaker;
pub(super) use self::desk::Desk;
use self::flights::Flights;
pub use self::source::{Introspecting, IntrospectionError, IntrospectionErrorKind, TokenIntrospection};
use super::cache::{Cache, TokenCache};
use super::error::{BuildError, BuildErrorKind};
use super::issuer::Issuer;

/// How a [`BearerLayer`](crate::BearerLayer) accepts opaque tokens: by asking the authorization server about them (RFC 7662).
/// For [`BearerLayer::opaque`](crate::BearerLayer::opaque) and
/// [`BearerLayer::introspection`](crate::BearerLayer::introspection).
///
/// * A token that is not active is 401. While the server is away, or its answer is none, that is 503, and never a pass.
/// * What the server says of `iss`, `aud`, `exp`, `nbf` and `iat` is judged as in a JWT, by the rules of the [`Issuer`]; what
///   it does not say of `iss` and times, it has judged itself. A token that is bound (`cnf`) has to be proved.
/// * `sub` has to be there, unless a token [may be its client's own](Self::client_is_subject).
/// * `aud` has to be there. Servers call refresh tokens active as well, and tokens that were given for no service of ours:
///   [that they are for us](Self::insecure_accept_without_audience) is what tells ours from those.
/// * An answer is kept for a minute at most, and not past `exp`; that a token is not active, for five seconds. So a token that
///   the server takes back is good for up to a minute more; [revocations](crate::BearerLayer::revocation) here act at once.
/// * A token whose server names no `jti` has one all the same, the SHA-256 of its text in base64url, by which it can be
///   revoked here like any other.
/// * However many requests bring one token at a time, the server is asked once; and at most
///   [`max_calls`](Self::max_calls) are asked about at a time.
/// * A request waits for the [budget](Self::budget) at most. After three failures in a row nobody is asked for a quarter of a
///   second, which doubles up to 15; meanwhile requests whose token is not known are answered with 503 at once. What the
///   server says of a single token is no [failure](IntrospectionErrorKind::Rejected).
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response, header::AUTHORIZATION};
/// use portcullis::BearerLayer;
/// use portcullis::bearer::{Audience, Introspecting, Introspection, Issuer, TokenIntrospection};
/// use portcullis::identity::IdentityExt;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// /// In a service: `RemoteIntrospection` of `portcullis-jwks`.
/// struct Server;
///
/// impl TokenIntrospection for Server {
///     fn introspect(&self, token: &str) -> Introspecting {
///         let answer = if token == "2YotnFZFEjr1zCsicMWpAA" { r#"{"active":true,"sub":"ada","aud":"api"}"# } else { r#"{"active":false}"# };
///         Box::pin(async move { Ok(Bytes::from_static(answer.as_bytes())) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let issuer = Issuer::new("https://idp.example", Audience::one_of(["api"]));
/// let bearer = BearerLayer::opaque(Introspection::new(issuer, Server))?;
/// let inner = service_fn(|request: Request<String>| async move {
///     let name = request.identity().map_or("nobody", |me| me.subject()).to_owned();
///     Ok::<_, std::io::Error>(Response::new(name))
/// });
/// let service = bearer.layer(inner);
/// let with = |token: &str| Request::get("/").header(AUTHORIZATION, format!("Bearer {token}")).body(String::new());
/// assert_eq!(service.clone().oneshot(with("2YotnFZFEjr1zCsicMWpAA")?).await?.body(), "ada");
/// assert_eq!(service.oneshot(with("another")?).await?.status(), 401);
/// # Ok(()) }
/// ```
pub struct Introspection {
    issuer: Issuer,
    source: Arc<dyn TokenIntrospection>,
    cache: TokenCache,
    terms: Terms,
    budget: Duration,
    max_calls: usize,
}

/// Which tokens are opaque, where a layer accepts JWTs as well. A token is the one or the other, by its text alone: none that
/// is refused as the one is tried as the other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct OpaqueTokens(Which);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    All,
    WithPrefix(String),
    WithoutDots,
}

/// The longest that an answer is kept.
const LONGEST: Duration = Duration::from_secs(60);

impl OpaqueTokens {
    /// Those that begin with this, as the provider makes them: `"opaque_"`. One that looks like a JWT and begins so is
    /// opaque, too.
    pub fn with_prefix(prefix: impl Into<String>) -> Self {
        Self(Which::WithPrefix(prefix.into()))
    }

    /// Those without a dot, of which a JWT has two.
    pub const fn without_dots() -> Self {
        Self(Which::WithoutDots)
    }

    /// Where a layer accepts no others.
    pub(super) const fn all() -> Self {
        Self(Which::All)
    }

    fn are(&self, token: &[u8]) -> bool {
        match &self.0 {
            Which::All => true,
            Which::WithPrefix(prefix) => token.starts_with(prefix.as_bytes()),
            Which::WithoutDots => !token.contains(&b'.'),
        }
    }

    fn is_sound(&self) -> bool {
        !matches!(&self.0, Which::WithPrefix(prefix) if prefix.is_empty())
    }
}

impl Introspection {
    /// Asks `source` about the tokens of this issuer, which needs no keys.
    pub fn new(issuer: Issuer, source: impl TokenIntrospection) -> Self {
        Self {
            issuer,
            source: Arc::new(source),
            cache: TokenCache::default(),
            terms: Terms {
                active: LONGEST,
                inactive: Duration::from_secs(5),
                needs_audience: true,
                client_is_subject: false,
            },
            budget: Duration::from_secs(2),
            max_calls: 64,
        }
    }

    /// How many tokens, in how many bytes, are known at a time. Default: that of [`TokenCache`].
    #[must_use]
    pub const fn cache(mut self, cache: TokenCache) -> Self {
        self.cache = cache;
        self
    }

    /// For how long an answer holds that a token is active: a minute at most, which is the default. None: the server is asked
    /// for every request.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.terms.active = max_age;
        self
    }

    /// For how long an answer holds that a token is not active, or is not one for us; a minute at most. Default: five seconds.
    #[must_use]
    pub const fn max_age_of_refusals(mut self, max_age: Duration) -> Self {
        self.terms.inactive = max_age;
        self
    }

    /// A token of which the server names no user (`sub`) is its client's own: `client_id` is the subject, as it is in a JWT
    /// for a client that calls for itself (RFC 9068, section 2.2). Default: it is refused.
    ///
    /// For client credentials, where some servers name no user. Only where no user can have a client's id for a name: the
    /// two could not be told apart.
    #[must_use]
    pub const fn client_is_subject(mut self) -> Self {
        self.terms.client_is_subject = true;
        self
    }

    /// Accepts a token also if the server does not say for whom it is (`aud`). Default: it is refused.
    ///
    /// Insecure: it is then the server alone that keeps tokens for others out. It has to answer that refresh tokens and ID
    /// tokens are not active, or by `token_use` or `typ` that they are no access tokens, and that a token for another service
    /// is not active when this one asks (RFC 7662, section 4). Not every server does; ask it about a refresh token first.
    #[must_use]
    pub const fn insecure_accept_without_audience(mut self) -> Self {
        self.terms.needs_audience = false;
        self
    }

    /// How long a request may wait for the answer. Default: two seconds.
    #[must_use]
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// How many tokens the server is asked about at a time, one at least; a request whose token comes after them waits its
    /// turn, within its budget. Default: 64.
    #[must_use]
    pub const fn max_calls(mut self, max_calls: usize) -> Self {
        self.max_calls = max_calls;
        self
    }

    /// Checks the fields against each other.
    pub(super) fn build(self, which: OpaqueTokens) -> Result<Desk, BuildError> {
        let Self { issuer, source, cache, terms, budget, max_calls } = self;
        let (rules, shape) = issuer.rules_alone()?;
        if terms.active > LONGEST || terms.inactive > LONGEST || max_calls == 0 || !which.is_sound() {
            return Err(BuildErrorKind::BadIntrospection.into());
        }
        Ok(Desk {
            which,
            source,
            judge: Judge { rules, shape, terms },
            known: Cache::new(cache),
            budget,
            calls: Semaphore::new(max_calls.min(Semaphore::MAX_PERMITS)),
            flights: Arc::new(Flights::default()),
            breaker: Mutex::new(Breaker::default()),
        })
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("issuer", &self.issuer)
            .field("cache", &self.cache)
            .field("terms", &self.terms)
            .field("budget", &self.budget)
            .field("max_calls", &self.max_calls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_opaque_or_not_by_its_text_alone() {
        let rows = [
            (OpaqueTokens::all(), [true, true, true]),
            (OpaqueTokens::with_prefix("opq_"), [false, true, true]),
            (OpaqueTokens::without_dots(), [false, true, false]),
        ];
        for (which, expected) in rows {
            assert_eq!(
                ["a.b.c", "opq_a", "opq_a.b.c"].map(|token| which.are(token.as_bytes())),
                expected,
                "{which:?}"
            );
        }
        assert!(!OpaqueTokens::with_prefix("").is_sound());
    }
}
