//! [`Issuer`]: whose tokens are accepted, by which keys and under which rules.

#[cfg_attr(
    not(feature = "issue"),
    expect(dead_code, reason = "only issuers look at tokens outside of a layer")
)]
mod own;
mod presets;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::own::OwnVerifier;
use super::algorithm::{Algorithm, Algorithms};
use super::claims::{ClaimPath, Shape};
use super::error::{BuildError, BuildErrorKind};
use super::keys::{AbsentKeys, KeySource};
use super::rules::{Audience, IssuerName, Profile, Requirement, Rules, Tenants};
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
pub(crate) const MAX_LEEWAY: Duration = Duration::from_secs(300);

impl Issuer {
    /// Tokens whose `iss` is exactly this name, meant for this audience.
    pub fn new(name: impl Into<String>, audience: Audience) -> Self {
        Self::named(IssuerName::Exact(name.into()), audience)
    }

    /// Tokens of several tenants of one provider, meant for this audience: `iss` must be the template, filled with the
    /// tenant that the token itself names in the claim in braces, and that tenant must be among these.
    ///
    /// All of them have one [source of keys](Self::keys). Where its keys say by a member `issuer` whose they are, as
    /// Entra's do, a key signs for no other tenant.
    ///
    /// ```
    /// use portcullis::bearer::{Audience, Issuer, Tenants};
    ///
    /// let tenants = Tenants::list(["8eaef023-2b34-4da1-9baa-8bc8c9d6a490", "72f988bf-86f1-41af-91ab-2d7cd011db47"]);
    /// let issuer =
    ///     Issuer::templated("https://login.microsoftonline.com/{tid}/v2.0", tenants, Audience::one_of(["api"]));
    /// ```
    pub fn templated(template: impl Into<String>, tenants: Tenants, audience: Audience) -> Self {
        Self::named(IssuerName::templated(template.into(), tenants), audience)
    }

    fn named(issuer: IssuerName, audience: Audience) -> Self {
        let rules = Rules {
            issuer,
            audience,
            requirements: Vec::new(),
            profile: Profile::default(),
            leeway: Duration::from_secs(5),
            max_age: None,
        };
        let shape = Shape { scopes: vec!["scope".into(), "scp".into()], ..Shape::default() };
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

    /// Every token must have this claim with this value, a string: `.require_claim("token_use", "access")`. Each call adds
    /// a requirement.
    ///
    /// Of the registered claims that can be `client_id`, `typ`, `token_use` and `acr`. What a single route asks for is a
    /// matter of [`RequireLayer`](crate::RequireLayer).
    pub fn require_claim(self, claim: impl Into<String>, value: impl Into<String>) -> Self {
        self.require(claim, [value.into()])
    }

    /// Every token must have this claim, with one of these values if there are any.
    pub(super) fn require(
        mut self,
        claim: impl Into<String>,
        values: impl IntoIterator<Item = String>,
    ) -> Self {
        let values = values.into_iter().collect();
        self.rules.requirements.push(Requirement { claim: claim.into(), values });
        self
    }

    /// The claims that hold scopes, each by its name or [path](ClaimPath): strings separated by spaces, or lists of
    /// strings; what several say counts together. Default: `scope` and `scp`.
    pub fn scope_claims<T: Into<ClaimPath>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
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
    pub(super) fn name(&self) -> &IssuerName {
        &self.rules.issuer
    }

    /// What its tokens are held to, if their server is asked about them: it needs no keys.
    pub(super) fn rules_alone(self) -> Result<(Rules, Shape), BuildError> {
        let Self { rules, shape, keys, algorithms } = self.checked()?;
        if keys.is_some() || algorithms.is_some() || rules.issuer.is_empty() || rules.issuer.claim().is_some()
        {
            return Err(BuildError::of_issuer(BuildErrorKind::BadIntrospection, rules.issuer.as_str()));
        }
        Ok((rules, shape))
    }

    /// Checks the fields against each other.
    pub(super) fn build(self) -> Result<TrustedIssuer, BuildError> {
        let Self { rules, shape, keys, algorithms } = self.checked()?;
        let fail = |kind| Err(BuildError::of_issuer(kind, rules.issuer.as_str()));
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
    /// The same, if nothing is wrong with it that would be with any issuer, whoever says that its tokens are good.
    fn checked(mut self) -> Result<Self, BuildError> {
        let fail = |kind| Err(BuildError::of_issuer(kind, self.rules.issuer.as_str()));
        if !self.rules.issuer.is_sound() {
            return fail(BuildErrorKind::BadTenants);
        }
        if !self.rules.audience.is_sound() {
            return fail(BuildErrorKind::BadAudience);
        }
        if self.rules.leeway > MAX_LEEWAY {
            return fail(BuildErrorKind::LeewayTooLong);
        }
        self.shape.named = self.rules.claims();
        if self.shape.is_sound() { Ok(self) } else { fail(BuildErrorKind::BadClaim) }
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
