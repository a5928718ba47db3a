//! Configurations that contradict themselves are refused when the layer is built.

use std::time::Duration;

use portcullis::BearerLayer;
use portcullis::bearer::{Algorithm, Audience, BuildErrorKind, HmacKeys, Issuer, Tenants};

use crate::mint::{self, ISSUER, SECRET, jwks};

#[test]
fn a_configuration_that_contradicts_itself_is_not_built() {
    use Algorithm::*;
    use BuildErrorKind::*;
    let bare = || Issuer::new(ISSUER, Audience::one_of(["api"]));
    let good = || bare().keys(jwks([mint::ES256.jwk("k")]));
    let shared = || bare().keys(HmacKeys::new([*SECRET]).unwrap());
    let long = Duration::from_secs(301);
    let nobody: [&str; 0] = [];
    let tenants = |template: &str, tenants: &[&str]| {
        Issuer::templated(template, Tenants::list(tenants.iter().copied()), Audience::one_of(["api"]))
            .keys(jwks([mint::ES256.jwk("k")]))
    };
    let by = |name: &str, values: &[&str]| {
        let audience = Audience::claim(name, values.iter().copied());
        Issuer::new(ISSUER, audience).keys(jwks([mint::ES256.jwk("k")]))
    };
    let rows: [(&str, Vec<Issuer>, Option<BuildErrorKind>); 45] = [
        ("good", vec![good()], None),
        ("no issuer", vec![], Some(NoIssuer)),
        ("an issuer twice", vec![good(), good()], Some(BadIssuer)),
        ("an issuer without a name", vec![Issuer::new("", Audience::one_of(["api"]))], Some(BadIssuer)),
        ("no audience", vec![Issuer::new(ISSUER, Audience::one_of(nobody))], Some(BadAudience)),
        ("an empty audience", vec![Issuer::new(ISSUER, Audience::one_of(["api", ""]))], Some(BadAudience)),
        ("no keys", vec![bare()], Some(NoKeys)),
        ("no algorithms", vec![good().algorithms([])], Some(BadAlgorithms)),
        ("HMAC with public keys", vec![good().algorithms([HS256])], Some(BadAlgorithms)),
        ("HMAC beside others", vec![good().algorithms([ES256, HS256])], Some(BadAlgorithms)),
        ("shared secrets", vec![shared()], None),
        ("shared secrets, HS512", vec![shared().algorithms([HS512])], None),
        ("shared secrets for ES256", vec![shared().algorithms([ES256])], Some(BadAlgorithms)),
        ("shared secrets for both", vec![shared().algorithms([ES256, HS256])], Some(BadAlgorithms)),
        (
            "a secret that is too short",
            vec![bare().keys(HmacKeys::new([[7; 32]]).unwrap()).algorithms([HS384])],
            Some(NoKeyForAlgorithms),
        ),
        ("no key for the algorithm", vec![good().algorithms([RS256])], Some(NoKeyForAlgorithms)),
        ("leeway", vec![good().leeway(long)], Some(LeewayTooLong)),
        ("roles in aud", vec![good().roles_claim("aud")], Some(BadClaim)),
        ("roles in scope", vec![good().roles_claim("scope")], Some(BadClaim)),
        ("roles nowhere", vec![good().roles_claim("")], Some(BadClaim)),
        ("roles in a nameless object", vec![good().roles_claim(["a", ""])], Some(BadClaim)),
        ("scopes in sub", vec![good().scope_claims(["sub"])], Some(BadClaim)),
        ("no scopes", vec![good().scope_claims(nobody)], None),
        (
            "scopes and roles below one name",
            vec![good().scope_claims([["a", "s"]]).roles_claim(["a", "r"])],
            None,
        ),
        ("roles inside of scopes", vec![good().scope_claims(["a"]).roles_claim(["a", "r"])], Some(BadClaim)),
        ("scopes inside of roles", vec![good().scope_claims([["a", "s"]]).roles_claim("a")], Some(BadClaim)),
        ("a scope claim twice", vec![good().scope_claims(["a", "a"])], Some(BadClaim)),
        ("scopes in an object in aud", vec![good().scope_claims([["aud", "s"]])], Some(BadClaim)),
        ("an audience by client_id", vec![by("client_id", &["web"])], None),
        ("an audience by azp", vec![by("azp", &["web"])], None),
        ("an audience by aud as another claim", vec![by("aud", &["web"])], Some(BadClaim)),
        ("an audience by a nameless claim", vec![by("", &["web"])], Some(BadClaim)),
        ("an audience by a claim for scopes", vec![by("scope", &["web"])], Some(BadClaim)),
        ("an audience by a claim of nothing", vec![by("client_id", &[])], Some(BadAudience)),
        ("an audience by a claim of an empty name", vec![by("client_id", &[""])], Some(BadAudience)),
        ("a requirement", vec![good().require_claim("token_use", "access")], None),
        ("a required iss", vec![good().require_claim("iss", ISSUER)], Some(BadClaim)),
        ("a required role", vec![good().roles_claim(["r", "x"]).require_claim("r", "a")], Some(BadClaim)),
        ("a required version", vec![good().versioned().require_claim("tv", "1")], Some(BadClaim)),
        ("tenants", vec![tenants("https://idp.example/{tid}", &["a"])], None),
        ("no tenants", vec![tenants("https://idp.example/{tid}", &[])], Some(BadTenants)),
        ("no template", vec![tenants("https://idp.example/", &["a"])], Some(BadTenants)),
        ("tenants by sub", vec![tenants("https://idp.example/{sub}", &["a"])], Some(BadClaim)),
        (
            "a tenant who is an issuer, too",
            vec![good(), tenants("https://{tid}.example", &["idp"])],
            Some(BadIssuer),
        ),
        ("roles in scope, which holds none", vec![good().scope_claims(["scp"]).roles_claim("scope")], None),
    ];
    for (name, issuers, expected) in rows {
        let built = BearerLayer::new(issuers);
        assert_eq!(built.err().map(|error| error.kind()), expected, "{name}");
    }
}

#[test]
fn an_error_names_the_issuer_that_it_is_about() {
    let error = BearerLayer::new([Issuer::new(ISSUER, Audience::one_of(["api"]))]).unwrap_err();
    assert!(error.to_string().contains(ISSUER), "{error}");
}
