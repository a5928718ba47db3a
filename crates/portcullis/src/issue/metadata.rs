//! [`Metadata`]: what an issuer tells of itself, for clients that are not configured by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::document::{Document, DocumentService};
use super::error::{BuildError, BuildErrorKind};
use super::issuer::TokenIssuer;
use crate::bearer::Algorithm;

/// What an issuer tells of itself (RFC 8414, section 2; OpenID Connect Discovery, section 3).
///
/// The same document is served at two addresses below the issuer's: `/.well-known/oauth-authorization-server` and
/// `/.well-known/openid-configuration`. All addresses in it are configured; none is made of a request's `Host`.
///
/// ```
/// use bytes::Bytes;
/// # use portcullis::bearer::Algorithm;
/// # use portcullis::issue::{KeyRing, SigningKey, TokenIssuer};
/// use portcullis::issue::Metadata;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256)?)?;
/// # let issuer = TokenIssuer::builder("https://auth.example", ["api"], &ring).build()?;
/// let metadata = Metadata::new(&issuer, "https://auth.example/jwks.json")?.token_endpoint("https://auth.example/token")?;
/// let service = metadata.service::<Bytes>();
/// # drop(service);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Metadata {
    members: BTreeMap<String, Value>,
}

/// How long clients may keep the document.
const AGE: Duration = Duration::from_secs(3600);

/// How clients may identify themselves (RFC 6749, section 2.3; `none` for public ones).
const CLIENT_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];

impl Metadata {
    /// The name of this issuer, where its keys are published, and by which algorithms those that its ring has now sign.
    ///
    /// # Errors
    /// [`BuildErrorKind::BadAddress`] when the issuer's name or the address is not `https`, or the name has a query or a
    /// fragment. `http` does for a loopback address, in development.
    pub fn new(issuer: &TokenIssuer, jwks_uri: &str) -> Result<Self, BuildError> {
        if issuer.name().contains(['?', '#']) || !is_address(issuer.name()) {
            return Err(BuildErrorKind::BadAddress.into());
        }
        let algorithms: BTreeSet<_> = issuer.ring().keys().iter().map(|key| key.algorithm.name()).collect();
        let members = [
            ("issuer", json!(issuer.name())),
            // What both standards require, although nobody is sent here to sign in.
            ("response_types_supported", json!([])),
            ("subject_types_supported", json!(["public"])),
            ("id_token_signing_alg_values_supported", json!(algorithms)),
        ];
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { members }.address("jwks_uri", jwks_uri)
    }

    /// Where tokens are refreshed.
    ///
    /// # Errors
    /// [`BuildErrorKind::BadAddress`].
    pub fn token_endpoint(self, address: &str) -> Result<Self, BuildError> {
        let this = self.address("token_endpoint", address)?;
        let this = this.member("grant_types_supported", json!(["refresh_token"]));
        Ok(this.member("token_endpoint_auth_methods_supported", json!(CLIENT_METHODS)))
    }

    /// The algorithms that proofs of keys may be signed with (RFC 9449, section 5.1): those of
    /// [`Dpop::algorithms`](crate::bearer::Dpop::algorithms), where the endpoints [take proofs](super::TokenEndpoints::dpop).
    pub fn dpop_algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let names: Vec<_> = algorithms.into_iter().map(Algorithm::name).collect();
        self.member("dpop_signing_alg_values_supported", json!(names))
    }

    /// Where tokens are revoked (RFC 7009).
    ///
    /// # Errors
    /// [`BuildErrorKind::BadAddress`].
    pub fn revocation_endpoint(self, address: &str) -> Result<Self, BuildError> {
        let this = self.address("revocation_endpoint", address)?;
        Ok(this.member("revocation_endpoint_auth_methods_supported", json!(CLIENT_METHODS)))
    }

    /// Where tokens are looked up (RFC 7662).
    ///
    /// # Errors
    /// [`BuildErrorKind::BadAddress`].
    pub fn introspection_endpoint(self, address: &str) -> Result<Self, BuildError> {
        let this = self.address("introspection_endpoint", address)?;
        Ok(this.member(
            "introspection_endpoint_auth_methods_supported",
            json!(CLIENT_METHODS.split_last().map(|it| it.1)),
        ))
    }

    /// The scopes that may be asked for.
    pub fn scopes<T: Into<String>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        let scopes: Vec<String> = scopes.into_iter().map(Into::into).collect();
        self.member("scopes_supported", json!(scopes))
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!(self.members).to_string()
    }

    /// A service that answers GET and HEAD with the document. `B` is the response's body.
    pub fn service<B: From<Bytes>>(&self) -> DocumentService<B> {
        let document = Arc::new(Document::json(self.to_json(), AGE));
        DocumentService::new(move || Arc::clone(&document))
    }

    fn address(self, name: &str, address: &str) -> Result<Self, BuildError> {
        if is_address(address) {
            Ok(self.member(name, json!(address)))
        } else {
            Err(BuildErrorKind::BadAddress.into())
        }
    }

    fn member(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
        self
    }
}

/// Whether it is `https`, or `http` on this machine, and has an authority without a user.
fn is_address(address: &str) -> bool {
    let Ok(uri) = address.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let scheme = uri.scheme_str();
    is_plain && !host.is_empty() && (scheme == Some("https") || scheme == Some("http") && is_loopback)
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_or_of_this_machine() {
        for (address, expected) in [
            ("https://auth.example", true),
            ("https://auth.example:8443/a", true),
            ("http://localhost:3000", true),
            ("http://127.0.0.1:3000/x", true),
            ("http://[::1]:3000/x", true),
            ("http://auth.example", false),
            ("http://localhost.example", false),
            ("https://user@auth.example", false),
            ("ftp://auth.example", false),
            ("/token", false),
            ("", false),
        ] {
            assert_eq!(is_address(address), expected, "{address}");
        }
    }
}
