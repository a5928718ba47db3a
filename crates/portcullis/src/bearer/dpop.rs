//! [`Dpop`]: how a layer has its clients prove that a token is theirs, with each request (RFC 9449).

mod claims;
mod header;
mod jwk;
#[cfg_attr(
    not(feature = "issue"),
    expect(dead_code, reason = "only issuers give tokens to who proves a key")
)]
mod key_proof;
mod memory;
mod nonce;
mod proof;
mod refusal;
mod replays;
mod target;

use std::fmt;
use std::time::Duration;

use http::{HeaderValue, Method};
use portcullis_store::{ReplayBackend, Timestamp};

pub(crate) use self::key_proof::{KeyFault, KeyProof, KeyProofs};
pub use self::memory::MemoryReplayBackend;
pub use self::nonce::NonceKeys;
use self::nonce::{Age, Nonces};
pub(super) use self::proof::DPOP;
use self::proof::{Bound, Fault, ProofRules, Proven, Question};
pub(super) use self::refusal::ProofRefusal;
use self::replays::Replays;
pub(super) use self::replays::Ticket;
use self::target::Base;
use super::algorithm::{Algorithm, Algorithms};
use super::confirmation::Thumbprint;
use super::error::{BuildError, BuildErrorKind};
use super::issuer::MAX_LEEWAY;
use super::refusal::Refusal;

/// How a [`BearerLayer`](crate::BearerLayer) accepts tokens that are bound to a key of their holder (RFC 9449): with a fresh
/// signature of that key over method, address and token, in the header field `DPoP`. For
/// [`BearerLayer::dpop`](crate::BearerLayer::dpop).
///
/// * A token that is bound to a key (`cnf` with `jkt`) is accepted as `Authorization: DPoP`, with exactly one proof. As
///   `Bearer` it is refused, whoever brings it.
/// * A token that is not bound is refused as `DPoP`. As `Bearer` it is accepted, unless proofs are
///   [required](Self::required).
/// * A proof is good for one request: its `jti` is claimed in a store that all processes of the service share. While that
///   store is away, the answer is 503.
/// * `htu` is compared with the address that is configured here, and never with what a request says of its host.
/// * A proof is checked each time, whether the token is known from before or not.
///
/// ```
/// use portcullis::BearerLayer;
/// use portcullis::bearer::{Audience, Dpop, Issuer, MemoryReplayBackend, NonceKeys, StaticKeys};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # const JWKS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "2026-01", "alg": "ES256",
/// #     "x": "A0lw4kyfOjw0LuBAd2dqEBAgLvg4JRYKeBZlcpIE-hA",
/// #     "y": "jktd7sOpZy8S2RYHUZxVLBeruazA-0MiMfaj5GhRUwc"}]}"#;
/// # let issuer = Issuer::new("https://idp.example", Audience::one_of(["api"])).keys(StaticKeys::jwks(JWKS)?);
/// let dpop = Dpop::new("https://api.example", MemoryReplayBackend::new()) // or a `RedisBackend`
///     .nonces(NonceKeys::new("the same 32 or more random bytes on every instance"))
///     .required();
/// let bearer = BearerLayer::new([issuer])?.dpop(dpop)?.required();
/// # drop(bearer); Ok(()) }
/// ```
///
/// # Where tokens are given
///
/// The endpoints of an issuer of one's own take proofs, too, and bind the tokens that they give to the key: see
/// `TokenEndpoints::dpop` (feature `issue`).
///
/// # Browsers
///
/// A script of another origin needs CORS to allow the request fields `authorization` and `dpop`, and to expose the response
/// fields `dpop-nonce` and `www-authenticate`. A response with a nonce should not be cached: the nonce is old by then.
pub struct Dpop {
    bases: Vec<String>,
    replays: Replays,
    algorithms: Option<Algorithms>,
    max_age: Duration,
    leeway: Duration,
    nonces: Option<NonceKeys>,
    nonce_period: Duration,
    required: bool,
}

/// What a layer checks of proofs.
#[derive(Debug)]
pub(super) struct Proofs {
    rules: ProofRules,
    nonces: Option<Nonces>,
    replays: Replays,
    /// Whether a token must be bound.
    pub(super) required: bool,
}

/// A good proof: to be claimed, and what the response tells of nonces.
#[derive(Debug)]
pub(super) struct Proved {
    /// `None` when that has been done for this request.
    pub(super) ticket: Option<Ticket>,
    /// The nonce to use from now on, if it is another.
    pub(super) nonce: Option<HeaderValue>,
}

/// Why a token is not let in, by its proof.
#[derive(Debug)]
pub(super) enum Unproved {
    /// The token is not good.
    Token(Refusal),
    Proof(ProofRefusal),
    /// The proof has no nonce, or an old one. The nonce to use.
    Nonce(HeaderValue),
}

/// The most that a proof may be valid for.
const LONGEST: Duration = Duration::from_secs(600);

impl Dpop {
    /// Proofs for a service whose clients know it by this address, such as `https://api.example`: a scheme, a host, a port
    /// if it is not the usual one, and a path if a proxy or router takes that off before the layer sees the request. Which
    /// proofs were used is kept in `backend`.
    pub fn new(address: impl Into<String>, backend: impl ReplayBackend) -> Self {
        Self {
            bases: vec![address.into()],
            replays: Replays::new(backend, Duration::from_millis(500)),
            algorithms: None,
            max_age: Duration::from_secs(60),
            leeway: Duration::from_secs(5),
            nonces: None,
            nonce_period: Duration::from_secs(120),
            required: false,
        }
    }

    /// One more address by which clients know the service. Default: the one that it was made with.
    #[must_use]
    pub fn add_address(mut self, address: impl Into<String>) -> Self {
        self.bases.push(address.into());
        self
    }

    /// The algorithms that proofs may be signed with; HMAC is none of them. Default: ES256, RS256, PS256 and EdDSA.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// How long after its `iat` a proof is good, at most ten minutes. Default: a minute.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// How far a client's clock and ours may be apart, at most five minutes. Default: 5 seconds.
    #[must_use]
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Has clients put a nonce of ours into their proofs (RFC 9449, section 9), so that none can be made in advance.
    /// Default: they need not.
    ///
    /// A proof without one, or with an old one, is answered with 401 and `use_dpop_nonce`, and the nonce in the field
    /// `DPoP-Nonce`; so is a good request whose nonce will soon be too old, with its own answer. Nothing is stored for it.
    #[must_use]
    pub fn nonces(mut self, keys: NonceKeys) -> Self {
        self.nonces = Some(keys);
        self
    }

    /// How long a nonce is the newest, a second at least; it is good for as long again. Default: two minutes.
    #[must_use]
    pub const fn nonce_period(mut self, period: Duration) -> Self {
        self.nonce_period = period;
        self
    }

    /// Refuses tokens that are bound to no key. Default: they are accepted as `Bearer`.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// How long a request may wait to hear whether its proof was used before. Default: 500 ms, a little more than a
    /// `RedisBackend` takes by itself.
    #[must_use]
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.replays.budget = budget;
        self
    }

    /// Checks the fields against each other.
    pub(super) fn build(self) -> Result<Proofs, BuildError> {
        let Self { bases, replays, algorithms, max_age, leeway, nonces, nonce_period, required } = self;
        let bases: Option<Vec<Base>> = bases.iter().map(|base| Base::parse(base)).collect();
        let bases = bases.ok_or(BuildErrorKind::BadAddress)?;
        let algorithms = algorithms.unwrap_or_else(Algorithms::asymmetric_default);
        if algorithms.is_empty() || algorithms.iter().any(Algorithm::is_symmetric) {
            return Err(BuildErrorKind::BadAlgorithms.into());
        }
        if leeway > MAX_LEEWAY {
            return Err(BuildErrorKind::LeewayTooLong.into());
        }
        if max_age > LONGEST {
            return Err(BuildErrorKind::ProofAge.into());
        }
        if nonces.as_ref().is_some_and(|keys| !keys.is_sound()) {
            return Err(BuildErrorKind::WeakSecret.into());
        }
        let nonces = nonces.map(|keys| Nonces::new(keys, nonce_period));
        Ok(Proofs { rules: ProofRules { bases, algorithms, max_age, leeway }, nonces, replays, required })
    }
}

impl Proofs {
    /// The names of the algorithms that proofs may be signed with, as a challenge has them (RFC 9449, section 7.1).
    pub(super) fn algorithms(&self) -> String {
        let names: Vec<&str> = self.rules.algorithms.iter().map(Algorithm::name).collect();
        names.join(" ")
    }

    /// Whether a request's proof shows that it comes from the holder of the key that the token is bound to.
    pub(super) fn judge(
        &self,
        proof: Result<&str, ProofRefusal>,
        (method, path): (&Method, &str),
        token: &[u8],
        key: &Thumbprint,
        now: Timestamp,
    ) -> Result<Proved, Unproved> {
        let token = Some(Bound { text: token, key });
        let (proved, _) = self.answer(proof?, Question { method, path, token, now })?;
        Ok(proved)
    }

    /// The same of a proof that comes without a token (section 5): whose it is, too.
    fn introduce(
        &self,
        proof: &str,
        (method, path): (&Method, &str),
        now: Timestamp,
    ) -> Result<(Proved, Thumbprint), Unproved> {
        self.answer(proof, Question { method, path, token: None, now })
    }

    fn answer(&self, proof: &str, question: Question<'_>) -> Result<(Proved, Thumbprint), Unproved> {
        let Proven { name, key, nonce } = self.rules.judge(proof, question)?;
        let nonce = self.judge_nonce(nonce.as_deref(), question.now)?;
        let ticket = Ticket { replays: self.replays.clone(), name, keep: self.rules.keep() };
        Ok((Proved { ticket: Some(ticket), nonce }, key))
    }

    /// The nonce to use from now on, if it is another.
    fn judge_nonce(&self, nonce: Option<&str>, now: Timestamp) -> Result<Option<HeaderValue>, Unproved> {
        let Some(nonces) = &self.nonces else { return Ok(None) };
        match nonce.map_or(Age::Bad, |nonce| nonces.age(nonce, now)) {
            Age::Current => Ok(None),
            Age::Aging => Ok(nonces.make(now)),
            Age::Bad => {
                Err(nonces.make(now).map_or(Unproved::Proof(ProofRefusal::Malformed), Unproved::Nonce))
            }
        }
    }
}

impl From<ProofRefusal> for Unproved {
    fn from(refusal: ProofRefusal) -> Self {
        Self::Proof(refusal)
    }
}

impl From<Fault> for Unproved {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Proof(refusal) => Self::Proof(refusal),
            Fault::Token(refusal) => Self::Token(refusal),
        }
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop")
            .field("addresses", &self.bases)
            .field("max_age", &self.max_age)
            .field("leeway", &self.leeway)
            .field("nonces", &self.nonces)
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}
