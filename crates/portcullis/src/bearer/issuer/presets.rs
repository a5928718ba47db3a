//! Well-known providers: what their access tokens look like, so that names, claims and kinds are right from the start.

use super::Issuer;
use crate::bearer::rules::{Audience, Tenants};

/// # Well-known providers
///
/// Each returns an [`Issuer`] whose names and claims are those that the provider documents. Everything else is as ever:
/// where the [keys](Self::keys) are is said beside it, and every setter may follow. `RemoteJwks::discover(issuer)` of the
/// crate `portcullis-jwks` finds the keys of each by the issuer's name, but for Entra's where it is said otherwise.
///
/// ```
/// use portcullis::bearer::{Audience, Issuer, Tenants};
///
/// let auth0 = Issuer::auth0("acme.eu.auth0.com", Audience::one_of(["https://api.example.com"]));
/// let okta = Issuer::okta("https://acme.okta.com/oauth2/default", Audience::one_of(["api://default"]));
/// let keycloak = Issuer::keycloak("https://id.example.com/realms/acme", Audience::one_of(["api"]));
/// let cognito = Issuer::cognito("eu-central-1_Ab129faBb", ["7lhlkkfbfb4q5kpp90urffao"]);
/// let tenants = Tenants::list(["8eaef023-2b34-4da1-9baa-8bc8c9d6a490"]);
/// let entra = Issuer::entra(tenants, Audience::one_of(["6e74172b-be56-4843-9ff4-e66a39bb12e3"]));
/// ```
impl Issuer {
    /// Auth0: a tenant's domain, its own (`acme.eu.auth0.com`) or a custom one, without scheme and slashes. The audience
    /// is the API's identifier.
    ///
    /// * Roles: `permissions`, which are there when role-based access control is on for the API. Scopes: `scope`.
    /// * An ID token is meant for a client, so never name a client's id as the audience.
    /// * For APIs with the token profile "RFC 9068" add `.profile(Profile::AccessToken)`.
    /// * Keys: `RemoteJwks::discover("https://acme.eu.auth0.com/")`, with the slash.
    pub fn auth0(domain: impl AsRef<str>, audience: Audience) -> Self {
        let domain = domain.as_ref();
        // Otherwise the name would be nobody's, and every token refused: so it is left empty, and no layer is built.
        let is_bare = !domain.is_empty() && !domain.contains([':', '/']);
        let name = if is_bare { format!("https://{domain}/") } else { String::new() };
        Self::new(name, audience).scope_claims(["scope"]).roles_claim("permissions")
    }

    /// Microsoft Entra ID, access tokens of version 2.0: its tenants by their directory ids. The audience is the
    /// application id of the API.
    ///
    /// * Scopes: `scp`. Roles: `roles`, those of users and those of applications that call for themselves.
    /// * `tid` must be the tenant of the issuer's name, and the key that has signed must be that tenant's or everybody's.
    /// * ID tokens are refused, also when client and API are one application: only access tokens have `azp`.
    /// * The API's manifest must have `requestedAccessTokenVersion: 2`; tokens of version 1.0 have another issuer.
    /// * `sub` is another one for each application; where users are to be known across them, read the claim `oid`.
    /// * Keys: `RemoteJwks::new("https://login.microsoftonline.com/common/discovery/v2.0/keys")` for all tenants; for one,
    ///   `RemoteJwks::discover("https://login.microsoftonline.com/<tenant>/v2.0")`.
    pub fn entra(tenants: Tenants, audience: Audience) -> Self {
        Self::templated("https://login.microsoftonline.com/{tid}/v2.0", tenants.uuids(), audience)
            .require_claim("ver", "2.0")
            .require("azp", [])
            .scope_claims(["scp"])
            .roles_claim("roles")
    }

    /// Keycloak 24 or later: the URL of a realm. The audience is the client that stands for the API, which an "Audience"
    /// mapper puts into `aud`.
    ///
    /// * Roles: those of the realm, `realm_access.roles`; for those of a client add
    ///   `.roles_claim(["resource_access", "api", "roles"])`. Scopes: `scope`.
    /// * The claim `typ` must be `Bearer` or `DPoP`: ID, refresh and logout tokens say so there.
    /// * Keys: `RemoteJwks::discover("https://id.example.com/realms/acme")`.
    pub fn keycloak(realm: impl Into<String>, audience: Audience) -> Self {
        Self::new(realm, audience)
            .require("typ", ["Bearer", "DPoP"].map(str::to_owned))
            .scope_claims(["scope"])
            .roles_claim(["realm_access", "roles"])
    }

    /// Okta: the URL of a custom authorization server, such as `https://acme.okta.com/oauth2/default`, with its audience.
    /// Tokens of the org server, `https://acme.okta.com`, are for Okta itself and cannot be verified by others.
    ///
    /// * Scopes: `scp`. Roles: `groups`, for which the server needs a claim of that name.
    /// * ID tokens are refused, whatever the audience: only access tokens have `cid`.
    /// * `sub` is the user's login name, which can change; `uid` is the user's id, and absent where an application calls
    ///   for itself.
    /// * Keys: `RemoteJwks::discover("https://acme.okta.com/oauth2/default")`.
    pub fn okta(server: impl Into<String>, audience: Audience) -> Self {
        Self::new(server, audience).require("cid", []).scope_claims(["scp"]).roles_claim("groups")
    }

    /// Amazon Cognito: a user pool by its id, `<region>_<name>`, and the ids of the app clients whose tokens are accepted.
    ///
    /// * An access token of Cognito has no `aud`, so `client_id` is what is compared. One that has an `aud`, because it was
    ///   asked for one resource, is refused: for an API that is such a resource, start with
    ///   [`new`](Self::new) and an audience of [both](Audience::with_aud).
    /// * `token_use` must be `access`. Roles: `cognito:groups`. Scopes: `scope`.
    /// * Keys: `RemoteJwks::discover("https://cognito-idp.<region>.amazonaws.com/<region>_<name>")`.
    pub fn cognito<T: Into<String>>(
        user_pool: impl AsRef<str>,
        clients: impl IntoIterator<Item = T>,
    ) -> Self {
        let pool = user_pool.as_ref();
        // As above: what is no pool's id is nobody's name.
        let name = match pool.split_once('_') {
            Some((region, name)) if !region.is_empty() && !name.is_empty() => {
                format!("https://cognito-idp.{region}.amazonaws.com/{pool}")
            }
            Some(_) | None => String::new(),
        };
        Self::new(name, Audience::claim("client_id", clients))
            .require_claim("token_use", "access")
            .scope_claims(["scope"])
            .roles_claim("cognito:groups")
    }
}
