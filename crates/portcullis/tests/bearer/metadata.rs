//! What a service says of itself, and where its challenges say that it stands (RFC 9728).

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use portcullis::RequireLayer;
use portcullis::bearer::{BuildErrorKind, MetadataService, ResourceMetadata};
use serde_json::{Value, json};
use tower::{Layer, Service, service_fn};

use crate::mint::{ES256, at_once, handler, layer};

fn metadata() -> ResourceMetadata {
    ResourceMetadata::new("https://api.example.com/v1").unwrap()
}

fn ask(mut service: MetadataService<Full<Bytes>>, method: Method, uri: &str) -> (u16, Response<()>, String) {
    let request = Request::builder().method(method).uri(uri).header("host", "evil.example").body(()).unwrap();
    let (parts, body) = at_once::<_, Infallible>(service.call(request)).into_parts();
    let body = at_once(http_body_util::BodyExt::collect(body)).to_bytes();
    (parts.status.as_u16(), Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn the_document_is_where_rfc_9728_puts_it() {
    let rows = [
        ("https://api.example.com", "https://api.example.com", ""),
        ("https://api.example.com/", "https://api.example.com", ""),
        ("https://api.example.com:8443", "https://api.example.com:8443", ""),
        ("https://api.example.com/v1", "https://api.example.com", "/v1"),
        ("https://api.example.com/v1/", "https://api.example.com", "/v1/"),
        ("https://api.example.com/a/b", "https://api.example.com", "/a/b"),
    ];
    for (resource, host, path) in rows {
        let metadata = ResourceMetadata::new(resource).unwrap();
        let expected = format!("/.well-known/oauth-protected-resource{path}");
        assert_eq!(
            (metadata.path(), metadata.url()),
            (expected.as_str(), format!("{host}{expected}").as_str())
        );
        let (_, _, body) = ask(metadata.service(), Method::GET, &expected);
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["resource"], resource, "to the letter");
    }
    for bad in [
        "",
        "api.example.com",
        "/v1",
        "http://api.example.com",
        "https://",
        "https://api.example.com?a=b",
        "https://api.example.com/#a",
        "https://api.example.com/v1#",
        "https://user@api.example.com",
        "https://api.example.com/a b",
    ] {
        let error = ResourceMetadata::new(bad).unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::BadResource, "{bad}");
    }
}

#[test]
fn the_document_says_what_was_configured_and_nothing_of_the_request() {
    let metadata = metadata()
        .authorization_servers(["https://idp.example.com"])
        .scopes(["read", "wri\"te"])
        .name("Things")
        .max_age(Duration::from_secs(60))
        .member("dpop_bound_access_tokens_required", &true)
        .unwrap()
        .member("bearer_methods_supported", &["header", "query"])
        .unwrap();
    assert_eq!(
        metadata.clone().member("resource", "https://evil.example").unwrap_err().kind(),
        BuildErrorKind::BadResource
    );
    let (status, head, body) = ask(metadata.service(), Method::GET, metadata.path());
    let expected = json!({
        "resource": "https://api.example.com/v1",
        "authorization_servers": ["https://idp.example.com"],
        "scopes_supported": ["read", "wri\"te"],
        "bearer_methods_supported": ["header", "query"],
        "resource_name": "Things",
        "dpop_bound_access_tokens_required": true
    });
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, expected));
    assert_eq!(head.headers()["content-type"], "application/json");
    assert_eq!(head.headers()["cache-control"], "public, max-age=60");
    assert_eq!(head.headers()["content-length"], body.len().to_string());
    assert!(!body.contains("evil"));
}

#[test]
fn the_document_is_read_only_and_at_its_path_only() {
    let path = "/.well-known/oauth-protected-resource/v1";
    let rows = [
        (Method::GET, path, 200, true),
        (Method::GET, "https://api.example.com/.well-known/oauth-protected-resource/v1?a=b", 200, true),
        (Method::HEAD, path, 200, false),
        (Method::POST, path, 405, false),
        (Method::OPTIONS, path, 405, false),
        (Method::DELETE, path, 405, false),
        (Method::GET, "/.well-known/oauth-protected-resource", 404, false),
        (Method::GET, "/.well-known/oauth-protected-resource/v1/", 404, false),
        (Method::POST, "/", 404, false),
    ];
    for (method, uri, status, has_body) in rows {
        let (found, head, body) = ask(metadata().service(), method.clone(), uri);
        assert_eq!((found, !body.is_empty()), (status, has_body), "{method} {uri}");
        let allow = head.headers().get("allow").map(|value| value.to_str().unwrap());
        assert_eq!(allow, (status == 405).then_some("GET, HEAD"), "{method} {uri}");
        // As long as the answer to a GET would be.
        assert_eq!(head.headers().contains_key("content-length"), status == 200, "{method} {uri}");
        assert_eq!(head.headers().contains_key("cache-control"), status == 200, "{method} {uri}");
    }
}

#[test]
fn every_challenge_names_the_document() {
    let bearer = layer([ES256.issuer()]).protection_space("vault").resource_metadata(&metadata());
    let inner = RequireLayer::authenticated().scope("read").layer(service_fn(handler));
    let url = "https://api.example.com/.well-known/oauth-protected-resource/v1";
    let good = format!("Bearer {}", ES256.token(&crate::mint::claims()));
    for (name, authorization, status) in [
        ("nothing", None, 401),
        ("garbage", Some("Bearer garbage"), 401),
        ("malformed", Some("Bearer a b"), 400),
        ("a scope less", Some(good.as_str()), 403),
    ] {
        let mut request = Request::new(String::new());
        request.headers_mut().insert("host", "evil.example".parse().unwrap());
        if let Some(value) = authorization {
            request.headers_mut().insert("authorization", value.parse().unwrap());
        }
        let response = at_once(bearer.layer(inner.clone()).call(request));
        assert_eq!(response.status(), status, "{name}");
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with(r#"Bearer realm="vault", resource_metadata=""#), "{name}: {challenge}");
        assert!(challenge.contains(&format!("resource_metadata=\"{url}\"")), "{name}: {challenge}");
        assert!(!challenge.contains("evil"), "{name}: {challenge}");
    }
}
