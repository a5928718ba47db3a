//! Configurations that contradict themselves are refused when the layer is built.

use std::time::Duration;

use portcullis::BearerLayer;
use portcullis::bearer::{Algorithm, Audience, BuildErrorKind, HmacKeys, Issuer};

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
    let rows: [(&str, Vec<Issuer>, Option<BuildErrorKind>); 24] = [
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
