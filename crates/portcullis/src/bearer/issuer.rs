//! [`Issuer`]: whose tokens are accepted, by which keys and under which rules.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::algorithm::{Algorithm, Algorithms};
use super::error::{BuildError, BuildErrorKind};
use super::keys::{AbsentKeys, KeySource};
use super::rules::{Audience, Profile, Rules};
use super::shape::{ClaimPath, Shape};
use super::verifier::TrustedIssuer;

/// An issuer of tokens. It is checked when the layer is built.
#[derive(Clone)]
#[must_use]
pub struct Issuer {
    rules: Rules,
    shape: Shape,
    keys: Option<Arc<dyn KeySource>>,
    algorithms: Option<Algorithms>,
}

/// The most that two clocks may be apart.
pub(super) const MAX_LEEWAY: Duration = Duration::from_secs(300);

impl Issuer {
    /// Tokens whose `iss` is exactly this name, meant for this audience.
    pub fn new(name: impl Into<String>, audience: Audience) -> Self {
        let rules = Rules {
            issuer: name.into(),
            audience,
            profile: Profile::default(),
            leeway: Duration::from_secs(5),
            max_age: None,
        };
        let shape = Shape { scopes: vec!["scope".into(), "scp".into()], roles: None, versioned: false };
        Self { rules, shape, keys: None, algorithms: None }
    }

    /// The keys that sign the tokens: [`StaticKeys`](super::StaticKeys), [`HmacKeys`](super::HmacKeys), `RemoteJwks` of
    /// the crate `portcullis-jwks`, or another [source](KeySource). There is no default.
    pub fn keys(mut self, keys: impl KeySource) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// The algorithms that the tokens may be signed with. Default: ES256, RS256, PS256 and EdDSA; with
    /// [`HmacKeys`](super::HmacKeys) HS256.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = Some(algorithms.into_iter().collect());
        self
    }

    /// What counts as an access token. Default: [`Profile::Generic`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.rules.profile = profile;
        self
    }

    /// How far the issuer's clock and ours may be apart, at most five minutes. Default: 5 seconds.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// How long ago a token may have been issued; `iat` is then required. Default: as long as it is valid.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.rules.max_age = Some(max_age);
        self
    }

    /// The claims that hold scopes: strings separated by spaces, or lists of strings; what several say counts together.
    /// Default: `scope` and `scp`.
    pub fn scope_claims<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.shape.scopes = names.into_iter().map(Into::into).collect();
        self
    }

    /// The claim that holds roles, a string or a list of strings: `"roles"`, or a path such as
    /// `["realm_access", "roles"]`. Default: none.
    pub fn roles_claim(mut self, path: impl Into<ClaimPath>) -> Self {
        self.shape.roles = Some(path.into());
        self
    }

    /// The issuer is this application, which puts the version of each token's user into the claim `tv`, as
    /// [`Revocations::version`](super::Revocations::version) gave it when the token was minted.
    ///
    /// Where revocations are [checked](crate::BearerLayer::revocation), the version is compared exactly, and a token
    /// without one is refused. Default: all of a user's tokens are revoked by the time of issue, `iat`, which has whole
    /// seconds only.
    pub fn versioned(mut self) -> Self {
        self.shape.versioned = true;
        self
    }

    /// The issuer's name.
    pub(super) fn name(&self) -> &str {
        &self.rules.issuer
    }

    /// What its tokens are held to, if their server is asked about them: it needs no keys.
    pub(super) fn rules_alone(self) -> Result<(Rules, Shape), BuildError> {
        if self.keys.is_some() || self.algorithms.is_some() || self.rules.issuer.is_empty() {
            return Err(BuildError::of_issuer(BuildErrorKind::BadIntrospection, &self.rules.issuer));
        }
        self.check()?;
        Ok((self.rules, self.shape))
    }

    /// Checks the fields against each other.
    pub(super) fn build(self) -> Result<TrustedIssuer, BuildError> {
        self.check()?;
        let Self { rules, shape, keys, algorithms } = self;
        let fail = |kind| Err(BuildError::of_issuer(kind, &rules.issuer));
        let Some(keys) = keys else { return fail(BuildErrorKind::NoKeys) };
        let usable = keys.snapshot().algorithms();
        // What an issuer publishes at this moment, or not yet, is not a matter of our configuration.
        let fixed = !usable.is_empty() && keys.health().age.is_none();
        match choose(algorithms, usable, fixed) {
            Ok(algorithms) => {
                Ok(TrustedIssuer { rules, shape, algorithms, keys, absent: AbsentKeys::default() })
            }
            Err(kind) => fail(kind),
        }
    }
}

impl Issuer {
    /// What can be wrong with any issuer, whoever says that its tokens are good.
    fn check(&self) -> Result<(), BuildError> {
        let Self { rules, shape, .. } = self;
        let fail = |kind| Err(BuildError::of_issuer(kind, &rules.issuer));
        if !rules.audience.is_sound() {
            return fail(BuildErrorKind::BadAudience);
        }
        if rules.leeway > MAX_LEEWAY {
            return fail(BuildErrorKind::LeewayTooLong);
        }
        if !shape.is_sound() {
            return fail(BuildErrorKind::BadClaim);
        }
        Ok(())
    }
}

/// The algorithms to allow, given those that were asked for and those that there are keys for: all symmetric with
/// shared secrets, all asymmetric with public keys. Keys that are fixed must do for one of them.
fn choose(asked: Option<Algorithms>, usable: Algorithms, fixed: bool) -> Result<Algorithms, BuildErrorKind> {
    let shared = usable.iter().any(Algorithm::is_symmetric);
    let default = || if shared { Algorithms::symmetric_default() } else { Algorithms::asymmetric_default() };
    let allowed = asked.unwrap_or_else(default);
    if allowed.is_empty() || allowed.iter().any(|algorithm| algorithm.is_symmetric() != shared) {
        return Err(BuildErrorKind::BadAlgorithms);
    }
    if !fixed || allowed.iter().any(|algorithm| usable.contains(algorithm)) {
        Ok(allowed)
    } else {
        Err(BuildErrorKind::NoKeyForAlgorithms)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("rules", &self.rules)
            .field("keys", &self.keys)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
