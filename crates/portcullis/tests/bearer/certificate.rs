//! Tokens that are bound to a client's certificate (RFC 8705).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response};
use portcullis::BearerLayer;
use portcullis::bearer::{ClientCertificate, ClientCertificates, TokenCache};
use serde_json::json;
use tower::{Layer, Service, service_fn};

use crate::mint::{ES256, at_once, b64, claims, claims_with, handler, layer};
use crate::proof::{ADA, Replays, request};
use crate::store::Mood;

const ADA_DER: &[u8] = b"the certificate of Ada's client";
const EVE_DER: &[u8] = b"the certificate of Eve's client";

/// The peer of a connection, as an application's acceptor leaves it.
#[derive(Clone, Copy)]
struct Peer(&'static str);

fn bound() -> String {
    ES256.token(&claims_with("cnf", json!({ "x5t#S256": b64(digest(&SHA256, ADA_DER).as_ref()) })))
}

/// The status, and why it was refused.
fn answer(layer: &BearerLayer, request: Request<String>) -> (u16, Option<String>) {
    let response: Response<String> = at_once(layer.layer(service_fn(handler)).call(request));
    let challenge = response.headers().get("www-authenticate").map(|it| it.to_str().unwrap().to_owned());
    (response.status().as_u16(), challenge)
}

fn refused(description: &str) -> (u16, Option<String>) {
    let challenge =
        format!(r#"Bearer realm="api", error="invalid_token", error_description="{description}""#);
    (401, Some(challenge))
}

const GOOD: (u16, Option<String>) = (200, None);

fn from_client(token: &str, der: Option<&[u8]>) -> Request<String> {
    let mut request = request(&format!("Bearer {token}"), &[]);
    if let Some(der) = der {
        request.extensions_mut().insert(ClientCertificate::from_der(der));
    }
    request
}

#[test]
fn a_bound_token_is_let_in_from_the_client_that_has_the_certificate() {
    let plain = layer([ES256.issuer()]).cache(TokenCache::default());
    let layer = plain.clone().certificates(ClientCertificates::of_connection());
    let token = bound();
    // Twice, for a token that is known is looked at again.
    for time in ["new", "known"] {
        assert_eq!(answer(&layer, from_client(&token, Some(ADA_DER))), GOOD, "{time}");
        let wrong = refused("the token is bound to another certificate");
        assert_eq!(answer(&layer, from_client(&token, Some(EVE_DER))), wrong, "{time}, another's");
        assert_eq!(answer(&layer, from_client(&token, None)), wrong, "{time}, no certificate");
        let unproved = refused("the token is bound to a key that was not proved");
        assert_eq!(
            answer(&plain, from_client(&token, Some(ADA_DER))),
            unproved,
            "{time}, nothing is enforced"
        );
    }
    let mut named = from_client(&token, None);
    named
        .extensions_mut()
        .insert(ClientCertificate::from_sha256(digest(&SHA256, ADA_DER).as_ref().try_into().unwrap()));
    assert_eq!(answer(&layer, named), GOOD);
}

#[test]
fn a_token_that_is_bound_to_no_certificate_is_refused_where_one_is_required() {
    let certificates = ClientCertificates::of_connection();
    let (lenient, strict) = (layer([ES256.issuer()]), layer([ES256.issuer()]));
    let lenient = lenient.certificates(certificates.clone());
    let strict = strict.certificates(certificates.required());
    let token = ES256.token(&claims());
    assert_eq!(answer(&lenient, from_client(&token, None)), GOOD);
    assert_eq!(answer(&lenient, from_client(&token, Some(EVE_DER))), GOOD);
    let refused = refused("the token is not bound to a certificate");
    assert_eq!(answer(&strict, from_client(&token, Some(ADA_DER))), refused);
    assert_eq!(answer(&strict, from_client(&bound(), Some(ADA_DER))), GOOD);
}

#[test]
fn a_header_is_believed_from_a_trusted_proxy_only() {
    let wrong = refused("the token is bound to another certificate");
    let with_field = |der: &[u8], peer: &'static str| {
        let mut request = from_client(&bound(), None);
        let field = format!(":{}:", STANDARD.encode(der));
        for name in ["client-cert", "x-ssl-client-cert", "x-forwarded-client-cert"] {
            request.headers_mut().insert(name, field.parse().unwrap());
        }
        request.extensions_mut().insert(Peer(peer));
        request
    };
    let direct = layer([ES256.issuer()]).certificates(ClientCertificates::of_connection());
    assert_eq!(answer(&direct, with_field(ADA_DER, "proxy")), wrong, "nobody was said to be trusted");

    let is_proxy =
        |extensions: &http::Extensions| extensions.get().is_some_and(|Peer(name)| *name == "proxy");
    let behind = layer([ES256.issuer()]).certificates(ClientCertificates::behind_proxy(is_proxy));
    assert_eq!(answer(&behind, with_field(ADA_DER, "proxy")), GOOD);
    assert_eq!(answer(&behind, with_field(EVE_DER, "proxy")), wrong, "another's");
    assert_eq!(answer(&behind, with_field(ADA_DER, "client")), wrong, "from elsewhere");
    let mut own = with_field(EVE_DER, "client");
    own.extensions_mut().insert(ClientCertificate::from_der(ADA_DER));
    assert_eq!(answer(&behind, own), GOOD, "from elsewhere the connection counts");
    let mut proxys = from_client(&bound(), Some(ADA_DER));
    proxys.extensions_mut().insert(Peer("proxy"));
    assert_eq!(answer(&behind, proxys), wrong, "the proxy's own certificate is not its client's");
    let mut two = with_field(ADA_DER, "proxy");
    two.headers_mut().append("client-cert", ":AAAA:".parse().unwrap());
    assert_eq!(answer(&behind, two), wrong, "two fields");

    let by = layer([ES256.issuer()]).certificates(ClientCertificates::by(|headers, _| {
        headers.get("x-cert").map(ClientCertificate::from_der)
    }));
    let mut request = from_client(&bound(), None);
    request.headers_mut().insert("x-cert", ADA_DER.try_into().unwrap());
    assert_eq!(answer(&by, request), GOOD, "as the application finds it");
}

#[test]
fn a_token_that_is_bound_to_both_needs_both() {
    let certificate = b64(digest(&SHA256, ADA_DER).as_ref());
    let token = ES256.token(&claims_with("cnf", json!({ "jkt": ADA.jkt(), "x5t#S256": certificate })));
    let layer = layer([ES256.issuer()])
        .certificates(ClientCertificates::of_connection())
        .dpop(Replays::new(Mood::AtOnce).dpop())
        .unwrap();
    let with = |der: Option<&[u8]>, proofs: &[&str]| {
        let mut request = request(&format!("DPoP {token}"), proofs);
        if let Some(der) = der {
            request.extensions_mut().insert(ClientCertificate::from_der(der));
        }
        answer(&layer, request).0
    };
    let proof = ADA.proof(&token);
    assert_eq!(with(None, &[&proof]), 401, "no certificate");
    assert_eq!(with(Some(EVE_DER), &[&proof]), 401, "another's certificate");
    assert_eq!(with(Some(ADA_DER), &[]), 401, "no proof");
    assert_eq!(with(Some(ADA_DER), &[&proof]), 200);
    let (status, challenge) = answer(&layer, from_client(&token, Some(ADA_DER)));
    assert!(status == 401 && challenge.unwrap().starts_with("DPoP "), "as Bearer");
}

#[test]
fn a_certificate_is_not_enough_for_a_token_that_is_bound_to_something_else_too() {
    let layer = layer([ES256.issuer()]).certificates(ClientCertificates::of_connection());
    let certificate = b64(digest(&SHA256, ADA_DER).as_ref());
    for cnf in [
        json!({ "jkt": ADA.jkt() }),
        json!({ "jkt": ADA.jkt(), "x5t#S256": certificate }),
        json!({ "jkt": "no thumbprint", "x5t#S256": certificate }),
        json!({ "jkt": null, "x5t#S256": certificate }),
        json!({ "kid": "k", "x5t#S256": certificate }),
    ] {
        let token = ES256.token(&claims_with("cnf", cnf.clone()));
        let expected = refused("the token is bound to a key that was not proved");
        assert_eq!(answer(&layer, from_client(&token, Some(ADA_DER))), expected, "{cnf}");
    }
}
