//! [`IdentityBuilder`]: gathers what is known of somebody. [`ClaimsError`]: a claim that is not what it should be.

use std::error::Error;
use std::fmt;

use portcullis_store::Timestamp;
use serde::Serialize;
use smallvec::SmallVec;

use super::{AuthMethod, Carrier, Identity, Person, Words};

/// Gathers what is known of somebody; see [`Identity::new`].
#[derive(Clone)]
#[must_use]
pub struct IdentityBuilder {
    pub(super) subject: String,
    pub(super) issuer: Option<String>,
    pub(super) acr: Option<String>,
    pub(super) amr: Vec<String>,
    pub(super) scopes: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) claims: serde_json::Map<String, serde_json::Value>,
    pub(super) method: AuthMethod,
    pub(super) carrier: Carrier,
    pub(super) authenticated_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
}

/// The claims are not of the type asked for, or a value cannot be written as JSON.
///
/// It holds the place only: what serde says may quote a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimsError {
    line: usize,
    column: usize,
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

    /// The finished identity, of the default realm; [`Into`] makes one of another.
    ///
    /// Beyond 65 535 roles, scopes and methods together, or 4 GiB of text, nothing but subject and issuer is kept,
    /// so that too much never means more than was granted.
    #[must_use]
    pub fn build(self) -> Identity {
        let words = self.pack().or_else(|| self.bare().pack()).unwrap_or_else(Words::empty);
        let person = Person {
            words,
            method: self.method,
            carrier: self.carrier,
            authenticated_at: self.authenticated_at,
            expires_at: self.expires_at,
            session: None,
        };
        person.into()
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
            &[self.subject.as_str()],
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

/// In any realm: who is built belongs to none yet.
impl<M> From<IdentityBuilder> for Identity<M> {
    fn from(builder: IdentityBuilder) -> Self {
        builder.build().in_realm()
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

impl fmt::Display for ClaimsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the claims do not have the expected shape (line {} column {})", self.line, self.column)
    }
}

impl Error for ClaimsError {}

impl ClaimsError {
    pub(super) fn at(error: serde_json::Error) -> Self {
        Self { line: error.line(), column: error.column() }
    }
}
