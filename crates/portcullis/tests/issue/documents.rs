//! What is served: key sets and metadata.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH};
use http::{Method, Request, Response, StatusCode};
use portcullis::bearer::Algorithm;
use portcullis::issue::{BuildErrorKind, DocumentService, KeyRing, Metadata, TokenIssuer};
use portcullis_store::ManualClock;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::common::{ISSUER, key, ring};

async fn ask(service: &DocumentService<Bytes>, method: Method, known: &[&str]) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri("/").header(HOST, "evil.example");
    for known in known {
        request = request.header(IF_NONE_MATCH, *known);
    }
    service.clone().oneshot(request.body(()).unwrap()).await.unwrap()
}

fn text<'r>(response: &'r Response<Bytes>, name: &http::HeaderName) -> &'r str {
    response.headers().get(name).unwrap().to_str().unwrap()
}

#[tokio::test]
async fn the_key_set_is_served_from_live_state_with_etag_and_cache_control() {
    let ring = ring(&ManualClock::default());
    let service = ring.jwks_service::<Bytes>();
    let first = ask(&service, Method::GET, &[]).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(text(&first, &CONTENT_TYPE), "application/jwk-set+json");
    assert_eq!(text(&first, &CACHE_CONTROL), "public, max-age=300");
    assert_eq!(first.body(), &ring.jwks());
    let tag = text(&first, &ETAG).to_owned();

    let head = ask(&service, Method::HEAD, &[]).await;
    assert_eq!((head.status(), head.body().len(), text(&head, &ETAG)), (StatusCode::OK, 0, &*tag));

    let weak = format!("W/{tag}");
    let listed = format!("\"x\", {tag}");
    for known in [&*tag, &weak, &listed, "*"] {
        let same = ask(&service, Method::GET, &[known]).await;
        assert_eq!((same.status(), same.body().len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
        assert_eq!(text(&same, &ETAG), tag);
    }
    assert_eq!(ask(&service, Method::GET, &["\"x\"", &tag]).await.status(), StatusCode::NOT_MODIFIED);

    ring.add(key(Algorithm::EdDSA)).unwrap();
    let second = ask(&service, Method::GET, &[&tag]).await;
    assert_eq!(second.status(), StatusCode::OK, "there is another key");
    assert_ne!(text(&second, &ETAG), tag);
    assert_eq!(serde_json::from_slice::<Value>(second.body()).unwrap()["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn other_methods_are_refused() {
    let service = ring(&ManualClock::default()).jwks_service::<Bytes>();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let refused = ask(&service, method, &[]).await;
        assert_eq!((refused.status(), text(&refused, &ALLOW)), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
    }
}

#[tokio::test]
async fn the_metadata_name_what_was_configured_and_nothing_of_the_request() {
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring(&ManualClock::default())).build().unwrap();
    let metadata = Metadata::new(&issuer, "https://auth.example/jwks.json").unwrap();
    let metadata = metadata.token_endpoint("https://auth.example/token").unwrap();
    let metadata = metadata.revocation_endpoint("https://auth.example/revoke").unwrap();
    let metadata =
        metadata.introspection_endpoint("https://auth.example/introspect").unwrap().scopes(["read"]);
    let response = ask(&metadata.service::<Bytes>(), Method::GET, &[]).await;
    assert_eq!(text(&response, &CONTENT_TYPE), "application/json");
    let all = ["client_secret_basic", "client_secret_post", "none"];
    assert_eq!(
        serde_json::from_slice::<Value>(response.body()).unwrap(),
        json!({
            "issuer": ISSUER,
            "jwks_uri": "https://auth.example/jwks.json",
            "token_endpoint": "https://auth.example/token",
            "token_endpoint_auth_methods_supported": all,
            "grant_types_supported": ["refresh_token"],
            "revocation_endpoint": "https://auth.example/revoke",
            "revocation_endpoint_auth_methods_supported": all,
            "introspection_endpoint": "https://auth.example/introspect",
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "scopes_supported": ["read"],
        })
    );
}

#[test]
fn the_metadata_name_each_algorithm_of_the_ring_once() {
    let ring = KeyRing::new(key(Algorithm::ES256)).unwrap();
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256] {
        ring.add(key(algorithm)).unwrap();
    }
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).build().unwrap();
    let metadata = Metadata::new(&issuer, "https://auth.example/jwks.json").unwrap().to_json();
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["id_token_signing_alg_values_supported"], json!(["ES256", "EdDSA"]));
}

#[test]
fn addresses_that_are_not_https_are_refused() {
    let ring = KeyRing::new(key(Algorithm::ES256)).unwrap();
    let issuer = |name: &str| TokenIssuer::builder(name, ["api"], &ring).build().unwrap();
    let refused = |name: &str, jwks: &str| Metadata::new(&issuer(name), jwks).err().map(|error| error.kind());
    assert_eq!(refused(ISSUER, "https://auth.example/jwks"), None);
    for (name, jwks) in [
        ("app", "https://auth.example/jwks"),
        ("https://auth.example?a", "https://auth.example/jwks"),
        ("https://auth.example#a", "https://auth.example/jwks"),
        (ISSUER, "http://auth.example/jwks"),
    ] {
        assert_eq!(refused(name, jwks), Some(BuildErrorKind::BadAddress), "{name} {jwks}");
    }
}
