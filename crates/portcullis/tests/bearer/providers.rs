//! The presets, against tokens of the shape that each provider documents, signed by a key of these tests.

use portcullis::BearerLayer;
use portcullis::bearer::{Algorithm, Audience, BuildErrorKind, Issuer, Tenants};
use portcullis_store::{Clock, ManualClock};
use serde_json::{Value, json};

use crate::mint::{ALL, Signer, ask, jwks, layer};

/// A name, what differs from the provider's access token, and whether it is accepted.
type Row<'a> = (&'a str, Value, Result<(), &'static str>);

const OTHER_KIND: &str = "the token is not an access token";
const OTHER_AUDIENCE: &str = "the token is meant for another audience";
const OTHER_ISSUER: &str = "the issuer is not accepted";
const MISSING: &str = "a required claim is missing";
const WRONG: &str = "a required claim has another value";

fn rs256() -> &'static Signer {
    ALL.iter().find(|signer| signer.algorithm == Algorithm::RS256).unwrap()
}

fn of(issuer: Issuer) -> BearerLayer {
    layer([issuer.keys(jwks([rs256().jwk("k")]))])
}

fn now() -> u64 {
    ManualClock::default().now().as_secs()
}

/// The token with these changes; null takes a claim away.
fn changed(token: &Value, changes: Value) -> Value {
    let mut token = token.clone();
    let claims = token.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap().clone() {
        if value.is_null() {
            claims.remove(&name)
        } else {
            claims.insert(name, value)
        };
    }
    token
}

fn check(layer: &BearerLayer, header: &Value, token: &Value, rows: &[Row<'_>]) {
    for (name, changes, expected) in rows {
        let token = rs256().token_with(header, &changed(token, changes.clone()));
        assert_eq!(ask(layer, &token).map(drop), *expected, "{name}");
    }
}

/// Who it is, which roles and which scopes.
fn recognised(layer: &BearerLayer, header: &Value, token: &Value) -> (String, Vec<String>, Vec<String>) {
    let me = ask(layer, &rs256().token_with(header, token)).unwrap();
    let words = |words: &mut dyn Iterator<Item = &str>| words.map(str::to_owned).collect::<Vec<_>>();
    (me.subject().to_owned(), words(&mut me.roles()), words(&mut me.scopes()))
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

#[test]
fn auth0_s_access_tokens_and_no_others() {
    let layer = of(Issuer::auth0("acme.eu.auth0.com", Audience::one_of(["https://api.example.com"])));
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "k" });
    let token = json!({
        "iss": "https://acme.eu.auth0.com/",
        "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
        "aud": ["https://api.example.com", "https://acme.eu.auth0.com/userinfo"],
        "iat": now(), "exp": now() + 86_400,
        "azp": "my_client_id",
        "scope": "openid profile read:messages",
        "permissions": ["read:messages", "write:messages"]
    });
    let (subject, roles, scopes) = recognised(&layer, &header, &token);
    assert_eq!(subject, "auth0|5f7c8ec7c33c6c004bbafe82");
    assert_eq!(roles, words(["read:messages", "write:messages"]));
    assert_eq!(
        scopes,
        words(["openid", "profile", "read:messages"]),
        "what the client may do is not widened"
    );
    check(
        &layer,
        &header,
        &token,
        &[
            (
                "for a machine",
                json!({ "sub": "c@clients", "gty": "client-credentials", "permissions": null }),
                Ok(()),
            ),
            ("an ID token", json!({ "aud": "my_client_id", "nonce": "n", "scope": null }), Err(OTHER_KIND)),
            (
                "an ID token without a nonce",
                json!({ "aud": "my_client_id", "scope": null }),
                Err(OTHER_AUDIENCE),
            ),
            ("for another API", json!({ "aud": ["https://other.example.com"] }), Err(OTHER_AUDIENCE)),
            ("of another tenant", json!({ "iss": "https://evil.eu.auth0.com/" }), Err(OTHER_ISSUER)),
            (
                "of its name without the slash",
                json!({ "iss": "https://acme.eu.auth0.com" }),
                Err(OTHER_ISSUER),
            ),
            ("expired", json!({ "exp": now() - 60 }), Err("the token has expired")),
        ],
    );
}

const TENANT: &str = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490";
const PARTNER: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const API: &str = "6e74172b-be56-4843-9ff4-e66a39bb12e3";

fn entra_token(tenant: &str) -> Value {
    json!({
        "aud": API,
        "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0"),
        "iat": now(), "nbf": now(), "exp": now() + 4_500,
        "aio": "AXQAi/8IAAAAtAaZLo3ChMif6KOnttRB7eBq4/DccQzjcJGxPYy/C3jDaNGxXd6wNIIVGRghNRnwJ1lOcAnNZcjvkoyrFxCttv33140RioOFJ4bCCGVuoCag1uOTT22222gHwLPYQ/uf79QX+0KIijdrmp69RctzmQ==",
        "azp": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "azpacr": "0",
        "name": "Abe Lincoln",
        "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
        "preferred_username": "abeli@contoso.com",
        "rh": "I", "scp": "access_as_user Tasks.Read", "roles": ["Tasks.Admin"],
        "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "tid": tenant,
        "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0"
    })
}

#[test]
fn entra_s_access_tokens_and_no_others() {
    let layer = of(Issuer::entra(Tenants::list([TENANT, PARTNER]), Audience::one_of([API])));
    let header = json!({ "typ": "JWT", "alg": "RS256", "kid": "k" });
    let token = entra_token(TENANT);
    let (subject, roles, scopes) = recognised(&layer, &header, &token);
    assert_eq!(subject, "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ");
    assert_eq!((roles, scopes), (words(["Tasks.Admin"]), words(["access_as_user", "Tasks.Read"])));

    let stranger = "9188040d-6c67-4c5b-b112-36a304b66dad";
    let iss = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    check(
        &layer,
        &header,
        &token,
        &[
            ("of an application for itself", json!({ "scp": null, "idtyp": "app" }), Ok(())),
            (
                "an ID token of the same application",
                json!({ "azp": null, "azpacr": null, "scp": null }),
                Err(MISSING),
            ),
            ("an ID token with a nonce", json!({ "azp": null, "nonce": "12345" }), Err(OTHER_KIND)),
            (
                "for another application",
                json!({ "aud": "00000003-0000-0000-c000-000000000000" }),
                Err(OTHER_AUDIENCE),
            ),
            ("of a stranger's tenant", json!({ "iss": iss(stranger), "tid": stranger }), Err(OTHER_ISSUER)),
            ("in another tenant's name", json!({ "tid": PARTNER }), Err(OTHER_ISSUER)),
            ("by another tenant", json!({ "iss": iss(PARTNER) }), Err(OTHER_ISSUER)),
            ("without a tenant", json!({ "tid": null }), Err(MISSING)),
            ("of two tenants", json!({ "tid": [TENANT] }), Err(MISSING)),
            ("of the template", json!({ "iss": iss("{tid}"), "tid": "{tid}" }), Err(OTHER_ISSUER)),
            ("of no tenant", json!({ "iss": iss(""), "tid": "" }), Err(OTHER_ISSUER)),
            (
                "in capitals",
                json!({ "iss": iss(&TENANT.to_uppercase()), "tid": TENANT.to_uppercase() }),
                Err(OTHER_ISSUER),
            ),
            (
                "of version 1.0",
                json!({ "iss": format!("https://sts.windows.net/{TENANT}/"), "ver": "1.0" }),
                Err(OTHER_ISSUER),
            ),
            ("of version 1.0 in the name of 2.0", json!({ "ver": "1.0" }), Err(WRONG)),
        ],
    );
}

#[test]
fn users_of_two_tenants_are_two_people() {
    let layer = of(Issuer::entra(Tenants::list([TENANT, PARTNER]), Audience::one_of([API])));
    let [one, other] =
        [TENANT, PARTNER].map(|tenant| ask(&layer, &rs256().token(&entra_token(tenant))).unwrap());
    assert_eq!(one.subject(), other.subject());
    assert_eq!(one.issuer(), Some(format!("https://login.microsoftonline.com/{TENANT}/v2.0").as_str()));
    assert!(!one.is_same_user(&other));
}

#[test]
fn a_tenant_s_own_key_signs_for_no_other_tenant() {
    let issuer = || Issuer::entra(Tenants::list([TENANT, PARTNER]), Audience::one_of([API]));
    let key = |of: &str| {
        let mut key = rs256().jwk("k");
        key["issuer"] = format!("https://login.microsoftonline.com/{of}/v2.0").into();
        layer([issuer().keys(jwks([key]))])
    };
    let token = rs256().token(&entra_token(TENANT));
    let refused = Err("the signature cannot be verified");
    for (of, expected) in [("{tenantid}", Ok(())), (TENANT, Ok(())), (PARTNER, refused), ("common", refused)]
    {
        assert_eq!(ask(&key(of), &token).map(drop), expected, "{of}");
    }
}

#[test]
fn keycloak_s_access_tokens_and_no_others() {
    let layer = of(Issuer::keycloak("https://id.example.com/realms/acme", Audience::one_of(["api"])));
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "k" });
    let token = json!({
        "exp": now() + 300, "iat": now(), "auth_time": now() - 10,
        "jti": "onrtac:7d2b6a5a-9a4c-4a3c-8a0c-5b6d3c9f0a11",
        "iss": "https://id.example.com/realms/acme",
        "aud": ["api", "account"],
        "sub": "f8d3a6f0-29c4-4f0b-9d0a-0f6f9d1a1d2e",
        "typ": "Bearer", "azp": "web", "sid": "a6a5b3b0-6f9e-4b8f-9f2d-52bb1a2f5cbe", "acr": "1",
        "allowed-origins": ["https://app.example.com"],
        "realm_access": { "roles": ["offline_access", "admin"] },
        "resource_access": { "api": { "roles": ["writer"] }, "account": { "roles": ["manage-account"] } },
        "scope": "openid email profile",
        "email_verified": true, "preferred_username": "ada"
    });
    let (subject, roles, scopes) = recognised(&layer, &header, &token);
    assert_eq!(subject, "f8d3a6f0-29c4-4f0b-9d0a-0f6f9d1a1d2e");
    assert_eq!((roles, scopes), (words(["offline_access", "admin"]), words(["openid", "email", "profile"])));
    check(
        &layer,
        &header,
        &token,
        &[
            ("an ID token", json!({ "typ": "ID", "aud": "api", "at_hash": "h" }), Err(OTHER_KIND)),
            ("an ID token for the API itself", json!({ "typ": "ID", "aud": "api" }), Err(OTHER_KIND)),
            (
                "a refresh token",
                json!({ "typ": "Refresh", "aud": "https://id.example.com/realms/acme" }),
                Err(OTHER_KIND),
            ),
            ("an offline token", json!({ "typ": "Offline" }), Err(OTHER_KIND)),
            ("a logout token", json!({ "typ": "Logout" }), Err(OTHER_KIND)),
            ("an action token of some extension", json!({ "typ": "verify-email" }), Err(WRONG)),
            ("of no kind", json!({ "typ": null }), Err(MISSING)),
            ("for another client", json!({ "aud": "account" }), Err(OTHER_AUDIENCE)),
            ("of another realm", json!({ "iss": "https://id.example.com/realms/master" }), Err(OTHER_ISSUER)),
            (
                "bound to a key",
                json!({ "typ": "DPoP", "cnf": { "jkt": "t" } }),
                Err("the token is bound to a key that was not proved"),
            ),
        ],
    );

    let issuer = Issuer::keycloak("https://id.example.com/realms/acme", Audience::one_of(["api"]));
    let by_client = of(issuer.roles_claim(["resource_access", "api", "roles"]));
    assert_eq!(recognised(&by_client, &header, &token).1, words(["writer"]));
}

#[test]
fn okta_s_access_tokens_and_no_others() {
    let layer = of(Issuer::okta("https://acme.okta.com/oauth2/default", Audience::one_of(["api://default"])));
    let header = json!({ "kid": "k", "alg": "RS256" });
    let token = json!({
        "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
        "iss": "https://acme.okta.com/oauth2/default", "aud": "api://default",
        "sub": "ada@example.com", "iat": now(), "exp": now() + 3_600,
        "cid": "0oabv6kx4qq6h1U5l0h7", "uid": "00ujmkLgagxeRrAg20g3",
        "scp": ["profile", "read:things"], "auth_time": now() - 30, "groups": ["Everyone", "Admins"]
    });
    let (subject, roles, scopes) = recognised(&layer, &header, &token);
    assert_eq!((subject.as_str(), roles), ("ada@example.com", words(["Everyone", "Admins"])));
    assert_eq!(scopes, words(["profile", "read:things"]));
    check(
        &layer,
        &header,
        &token,
        &[
            (
                "of an application for itself",
                json!({ "sub": "0oabv6kx4qq6h1U5l0h7", "uid": null, "auth_time": null }),
                Ok(()),
            ),
            (
                "an ID token for an audience of the same name",
                json!({ "jti": "ID.a", "cid": null, "uid": null, "scp": null, "idp": "00o1", "amr": ["pwd"] }),
                Err(MISSING),
            ),
            (
                "an ID token",
                json!({ "jti": "ID.a", "aud": "0oabv6kx4qq6h1U5l0h7", "cid": null, "at_hash": "h" }),
                Err(OTHER_KIND),
            ),
            ("for another audience", json!({ "aud": "api://other" }), Err(OTHER_AUDIENCE)),
            (
                "of the org's server",
                json!({ "iss": "https://acme.okta.com", "aud": "https://acme.okta.com" }),
                Err(OTHER_ISSUER),
            ),
            ("of another org", json!({ "iss": "https://evil.okta.com/oauth2/default" }), Err(OTHER_ISSUER)),
        ],
    );
}

#[test]
fn cognito_s_access_tokens_and_no_others() {
    let layer = of(Issuer::cognito("eu-central-1_Ab129faBb", ["1example23456789"]));
    let header = json!({ "kid": "k", "alg": "RS256" });
    let token = json!({
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "cognito:groups": ["admin", "editors"],
        "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb",
        "version": 2, "client_id": "1example23456789",
        "origin_jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeef",
        "event_id": "64f513be-32db-42b0-b78e-b02127b4f463",
        "token_use": "access", "scope": "openid aws.cognito.signin.user.admin",
        "auth_time": now(), "iat": now(), "exp": now() + 3_600,
        "jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeea", "username": "ada"
    });
    let (subject, roles, scopes) = recognised(&layer, &header, &token);
    assert_eq!(
        (subject.as_str(), roles),
        ("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", words(["admin", "editors"]))
    );
    assert_eq!(scopes, words(["openid", "aws.cognito.signin.user.admin"]));
    let another_pool = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Zz999zzZz";
    check(
        &layer,
        &header,
        &token,
        &[
            (
                "an ID token",
                json!({ "token_use": "id", "aud": "1example23456789", "client_id": null, "cognito:username": "ada" }),
                Err(OTHER_KIND),
            ),
            ("an ID token in an access token's clothes", json!({ "token_use": "id" }), Err(OTHER_KIND)),
            ("of no kind", json!({ "token_use": null }), Err(MISSING)),
            ("of another client", json!({ "client_id": "2example23456789" }), Err(OTHER_AUDIENCE)),
            ("of no client", json!({ "client_id": null }), Err(MISSING)),
            ("for another resource", json!({ "aud": "https://other.example.com" }), Err(OTHER_AUDIENCE)),
            ("of another pool", json!({ "iss": another_pool }), Err(OTHER_ISSUER)),
        ],
    );
}

#[test]
fn typed_claims_reach_the_handler() {
    #[derive(serde::Deserialize)]
    struct Entra {
        oid: String,
        #[serde(rename = "tid")]
        tenant: String,
        name: Option<String>,
    }
    let layer = of(Issuer::entra(Tenants::list([TENANT]), Audience::one_of([API])));
    let me = ask(&layer, &rs256().token(&entra_token(TENANT))).unwrap();
    let claims: Entra = me.claims().unwrap();
    assert_eq!(
        (claims.oid.as_str(), claims.tenant.as_str()),
        ("690222be-ff1a-4d56-abd1-7e4f7d38e474", TENANT)
    );
    assert_eq!(claims.name.as_deref(), Some("Abe Lincoln"));

    #[derive(Debug, serde::Deserialize)]
    struct Other {
        #[expect(dead_code, reason = "it is not there")]
        card: String,
    }
    let error = me.claims::<Other>().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("Lincoln"));
}

#[test]
fn a_provider_s_name_that_is_none_is_found_when_the_layer_is_built() {
    let api = || Audience::one_of(["api"]);
    let rows = [
        ("a domain", Issuer::auth0("acme.eu.auth0.com", api()), None),
        ("a URL", Issuer::auth0("https://acme.eu.auth0.com/", api()), Some(BuildErrorKind::BadIssuer)),
        ("no domain", Issuer::auth0("", api()), Some(BuildErrorKind::BadIssuer)),
        ("a pool", Issuer::cognito("eu-central-1_Ab129faBb", ["a"]), None),
        ("a pool without its region", Issuer::cognito("Ab129faBb", ["a"]), Some(BuildErrorKind::BadIssuer)),
        ("an empty region", Issuer::cognito("_Ab129faBb", ["a"]), Some(BuildErrorKind::BadIssuer)),
        ("a region alone", Issuer::cognito("eu-central-1_", ["a"]), Some(BuildErrorKind::BadIssuer)),
        (
            "a pool without clients",
            Issuer::cognito("eu-central-1_Ab129faBb", [""; 0]),
            Some(BuildErrorKind::BadAudience),
        ),
        ("a directory", Issuer::entra(Tenants::list([TENANT]), api()), None),
        ("everybody", Issuer::entra(Tenants::list(["common"]), api()), Some(BuildErrorKind::BadTenants)),
        (
            "a domain of Entra",
            Issuer::entra(Tenants::list(["a.com"]), api()),
            Some(BuildErrorKind::BadTenants),
        ),
        ("nobody", Issuer::entra(Tenants::list([""; 0]), api()), Some(BuildErrorKind::BadTenants)),
    ];
    for (name, issuer, expected) in rows {
        let built = BearerLayer::new([issuer.keys(jwks([rs256().jwk("k")]))]);
        assert_eq!(built.err().map(|error| error.kind()), expected, "{name}");
    }
}
