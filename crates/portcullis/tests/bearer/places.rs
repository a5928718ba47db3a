//! Where a token may stand on a request, and what follows from that.

use std::sync::{Arc, Mutex};
use std::task::Poll;

use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{Method, Request, Response, StatusCode};
use portcullis::bearer::{
    Algorithm, Audience, ForwardedToken, Issuer, KeyQuery, KeySet, KeySource, MemoryTokenBackend, Missed,
    Missing, Revocations, TokenCache, TokenSource,
};
use portcullis::identity::{Carrier, Identity};
use portcullis::{BearerLayer, CsrfLayer};
use portcullis_store::ManualClock;
use serde_json::json;
use tower::{Layer, Service, service_fn};

use crate::mint::{ES256, ISSUER, Signer, at_once, claims, handler, layer};

/// Every way to carry a token, by name: what is put on the request.
const PLACES: [(&str, Carrier); 4] = [
    ("header", Carrier::Explicit),
    ("cookie", Carrier::Ambient),
    ("websocket", Carrier::Explicit),
    ("query", Carrier::Explicit),
];

fn everywhere(layer: BearerLayer) -> BearerLayer {
    layer
        .add_source(TokenSource::cookie("__Host-at").unwrap())
        .add_source(TokenSource::websocket())
        .add_source(TokenSource::insecure_query("access_token").unwrap())
}

/// A request with tokens in these places.
fn request(method: Method, tokens: &[(&str, &str)]) -> Request<String> {
    let mut request = Request::builder().method(method).uri("/things?a=b");
    for (place, token) in tokens {
        request = match *place {
            "header" => request.header(AUTHORIZATION, format!("Bearer {token}")),
            "cookie" => request.header(COOKIE, format!("a=b; __Host-at={token}; c=d")),
            "websocket" => request.header(SEC_WEBSOCKET_PROTOCOL, format!("chat, bearer, {token}")),
            "query" => request.uri(format!("/things?a=b&access_token={token}&c=d")),
            other => panic!("{other}"),
        };
    }
    request.body(String::new()).unwrap()
}

fn get(layer: &BearerLayer, tokens: &[(&str, &str)]) -> Response<String> {
    at_once(layer.layer(service_fn(handler)).call(request(Method::GET, tokens)))
}

fn carrier(response: &Response<String>) -> Option<Carrier> {
    response.extensions().get::<Identity>().map(Identity::carrier)
}

fn token() -> String {
    ES256.token(&claims())
}

#[test]
fn a_token_is_found_where_the_layer_looks_and_nowhere_else() {
    let (plain, token) = (layer([ES256.issuer()]), token());
    let all = everywhere(plain.clone());
    for (place, expected) in PLACES {
        let response = get(&all, &[(place, &token)]);
        assert_eq!((response.body().as_str(), carrier(&response)), ("ada", Some(expected)), "{place}");
        let by_default = get(&plain, &[(place, &token)]);
        assert_eq!(by_default.body() == "ada", place == "header", "{place}");
        assert_eq!(get(&all, &[(place, "garbage")]).status(), 401, "{place}");
        assert_eq!(get(&all.clone().required(), &[(place, "garbage")]).status(), 401, "{place}");
    }
    assert_eq!(get(&all, &[]).body(), "nobody");
    assert_eq!(get(&all.required(), &[]).status(), 401);
}

#[test]
fn what_is_no_token_is_malformed_wherever_it_stands() {
    let all = everywhere(layer([ES256.issuer()]));
    for (place, value, status) in [
        ("cookie", "a b", 400),
        ("cookie", "\"quoted\"", 400),
        ("cookie", "", 200),
        ("websocket", "", 400),
        ("websocket", "a b", 400),
        ("query", "", 400),
        ("query", "a%2eb", 400),
        ("query", "a+b", 401),
        ("header", "", 400),
    ] {
        assert_eq!(get(&all, &[(place, value)]).status(), status, "{place} {value:?}");
    }
}

#[test]
fn tokens_in_two_places_are_400_also_when_they_are_one() {
    let (all, good) = (everywhere(layer([ES256.issuer()])).cache(TokenCache::default()), token());
    // The cache must not make it pass.
    PLACES.iter().for_each(|(place, _)| assert_eq!(get(&all, &[(place, &good)]).status(), 200));
    for (at, (one, _)) in PLACES.iter().enumerate() {
        for (other, _) in &PLACES[at + 1..] {
            for (first, second) in [(&*good, &*good), (&good, "garbage"), ("garbage", &good)] {
                let response = get(&all, &[(one, first), (other, second)]);
                assert_eq!(response.status(), 400, "{one} and {other}");
                let challenge = response.headers()["www-authenticate"].to_str().unwrap();
                assert!(challenge.contains(r#"error="invalid_request""#), "{challenge}");
            }
        }
    }
    let mut basic = request(Method::GET, &[("cookie", &good)]);
    basic.headers_mut().insert(AUTHORIZATION, "Basic YTpi".parse().unwrap());
    assert_eq!(
        at_once(all.layer(service_fn(handler)).call(basic)).body(),
        "ada",
        "another scheme is no token"
    );
}

#[test]
fn a_cookie_s_token_needs_proof_of_origin_and_others_need_none() {
    let (all, token) = (everywhere(layer([ES256.issuer()])).cache(TokenCache::default()), token());
    let post = |place: &str, origin: Option<&str>, csrf_outside: bool| {
        let mut request = request(Method::POST, &[(place, &token)]);
        request.headers_mut().insert("host", "www.example.com".parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        let status = if csrf_outside {
            at_once(CsrfLayer::new().layer(all.layer(service_fn(handler))).call(request)).status()
        } else {
            at_once(all.layer(CsrfLayer::new().layer(service_fn(handler))).call(request)).status()
        };
        status.as_u16()
    };
    // Twice, since the second time the token is known.
    for round in 0..2 {
        for csrf_outside in [false, true] {
            for (place, carrier) in PLACES {
                let is_ambient = carrier == Carrier::Ambient;
                let forged = if is_ambient { 403 } else { 200 };
                let name = format!("{place}, round {round}, outside {csrf_outside}");
                assert_eq!(post(place, None, csrf_outside), forged, "{name}");
                assert_eq!(post(place, Some("https://evil.example"), csrf_outside), forged, "{name}");
                assert_eq!(post(place, Some("https://www.example.com"), csrf_outside), 200, "{name}");
            }
        }
    }
}

#[test]
fn a_cached_token_keeps_the_carrier_that_it_came_by() {
    let (all, token) = (everywhere(layer([ES256.issuer()])).cache(TokenCache::default()), token());
    for round in 0..3 {
        for (place, expected) in PLACES.iter().chain(PLACES.iter().rev()) {
            assert_eq!(carrier(&get(&all, &[(place, &token)])), Some(*expected), "{place}, round {round}");
        }
    }
}

/// What the service inside sees of a request: its URI, and its headers as they are printed.
fn seen(bearer: &BearerLayer, request: Request<String>) -> String {
    let inner = service_fn(|request: Request<String>| async move {
        let plain: Vec<_> =
            request.headers().values().map(|value| value.to_str().unwrap().to_owned()).collect();
        Ok::<_, std::io::Error>(Response::new(format!("{} {:?}", request.uri(), plain)))
    });
    at_once(bearer.layer(inner).call(request)).into_body()
}

#[test]
fn a_stripped_token_is_gone_wherever_it_stood_and_all_else_stays() {
    let (stay, token) = (everywhere(layer([ES256.issuer()])), token());
    let strip = stay.clone().strip_token();
    for (place, expected) in [
        ("header", r#"/things?a=b []"#),
        ("cookie", r#"/things?a=b ["a=b; c=d"]"#),
        ("websocket", r#"/things?a=b ["chat"]"#),
        ("query", r#"/things?a=b&c=d []"#),
    ] {
        let request = || request(Method::GET, &[(place, &token)]);
        assert_eq!(seen(&strip, request()), expected, "{place}");
        assert_eq!(seen(&strip.clone().cache(TokenCache::default()), request()), expected, "{place}, cached");
        // Among the subprotocols it could be chosen as one.
        assert_eq!(seen(&stay, request()).contains(&token), place != "websocket", "{place}");
    }
}

/// What a handler would hand on: the token, and the value for `Authorization`.
fn handed_on(bearer: &BearerLayer, request: Request<String>) -> Option<(String, String)> {
    let inner = service_fn(|request: Request<String>| async move {
        let mut response = Response::new(String::new());
        if let Some(token) = ForwardedToken::of(request.extensions()) {
            let printed = format!("{token:?} {:?}", token.authorization());
            assert!(!printed.contains(token.as_str()), "{printed}");
            response.extensions_mut().insert(token);
        }
        Ok::<_, std::io::Error>(response)
    });
    let response = at_once(bearer.layer(inner).call(request));
    let token = response.extensions().get::<ForwardedToken>()?;
    Some((token.as_str().to_owned(), token.authorization().to_str().unwrap().to_owned()))
}

#[test]
fn a_token_is_handed_on_where_that_is_said_wherever_it_stood_and_nowhere_else() {
    let (stay, token) = (everywhere(layer([ES256.issuer()])).cache(TokenCache::default()), token());
    let forward = stay.clone().forward_token();
    let expected = Some((token.clone(), format!("Bearer {token}")));
    for (place, _) in PLACES {
        let request = |token: &str| request(Method::GET, &[(place, token)]);
        assert_eq!(handed_on(&stay, request(&token)), None, "{place}, by default");
        // Twice, since the second time the token is known.
        for round in 0..2 {
            assert_eq!(handed_on(&forward, request(&token)), expected, "{place}, {round}");
            let strip = forward.clone().strip_token();
            assert_eq!(handed_on(&strip, request(&token)), expected, "{place}, {round}, stripped");
        }
        assert_eq!(handed_on(&forward, request("garbage")), None, "{place}, refused");
    }
    assert_eq!(handed_on(&forward, request(Method::GET, &[])), None, "nobody");
    let mut basic = request(Method::GET, &[]);
    basic.headers_mut().insert(AUTHORIZATION, "Basic YTpi".parse().unwrap());
    assert_eq!(handed_on(&forward, basic), None, "another scheme is no token");
}

#[test]
fn what_holds_a_token_is_sensitive() {
    let (all, token) = (everywhere(layer([ES256.issuer()])), token());
    let inner = service_fn(|request: Request<String>| async move {
        Ok::<_, std::io::Error>(Response::new(format!("{:?}", request.headers())))
    });
    for place in ["header", "cookie"] {
        let printed = at_once(all.layer(inner).call(request(Method::GET, &[(place, &token)]))).into_body();
        assert!(printed.contains("Sensitive") && !printed.contains(&token), "{place}: {printed}");
    }
}

/// A handshake whose service answers with these headers.
fn handshake(
    bearer: &BearerLayer,
    request: Request<String>,
    status: u16,
    chosen: Option<&str>,
) -> Response<String> {
    let inner = service_fn(|_: Request<String>| {
        let mut response = Response::builder().status(status);
        if let Some(chosen) = chosen {
            response = response.header(SEC_WEBSOCKET_PROTOCOL, chosen);
        }
        std::future::ready(response.body(String::new()))
    });
    at_once(bearer.layer(inner).call(request))
}

#[test]
fn a_subprotocol_is_answered_that_the_client_has_offered() {
    let (all, token) = (everywhere(layer([ES256.issuer()])), token());
    let rows = [
        ("none chosen", "websocket", Method::GET, 101, None, Some("bearer")),
        ("one chosen", "websocket", Method::GET, 101, Some("chat"), Some("chat")),
        ("over HTTP/2", "websocket", Method::CONNECT, 200, None, Some("bearer")),
        ("over HTTP/2, one chosen", "websocket", Method::CONNECT, 200, Some("chat"), Some("chat")),
        ("no WebSocket after all", "websocket", Method::GET, 200, None, None),
        ("refused inside", "websocket", Method::GET, 403, None, None),
        ("refused inside, over HTTP/2", "websocket", Method::CONNECT, 403, None, None),
        ("a token elsewhere", "header", Method::GET, 101, None, None),
    ];
    for (name, place, method, status, chosen, expected) in rows {
        let response = handshake(&all, request(method, &[(place, &token)]), status, chosen);
        let answered = response.headers().get(SEC_WEBSOCKET_PROTOCOL).map(|value| value.to_str().unwrap());
        assert_eq!((response.status().as_u16(), answered), (status, expected), "{name}");
    }
    let refused = handshake(&all, request(Method::GET, &[("websocket", "garbage")]), 101, None);
    assert_eq!(
        (refused.status(), refused.headers().get(SEC_WEBSOCKET_PROTOCOL)),
        (StatusCode::UNAUTHORIZED, None)
    );
}

#[test]
fn what_a_token_in_the_uri_was_answered_with_is_private() {
    let (all, token) = (everywhere(layer([ES256.issuer()])), token());
    let answer = |place: &str, status: u16, own: Option<&str>| {
        let inner = service_fn(|_: Request<String>| {
            let mut response = Response::builder().status(status);
            if let Some(own) = own {
                response = response.header("cache-control", own);
            }
            std::future::ready(response.body(String::new()))
        });
        let response = at_once(all.layer(inner).call(request(Method::GET, &[(place, &token)])));
        response.headers().get("cache-control").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(answer("query", 200, None).as_deref(), Some("private"));
    assert_eq!(answer("query", 200, Some("no-store")).as_deref(), Some("no-store"));
    assert_eq!(answer("query", 404, None), None);
    assert_eq!(answer("header", 200, None), None);
}

#[tokio::test]
async fn a_revoked_token_is_refused_wherever_it_stands() {
    let revocations = Revocations::new(MemoryTokenBackend::new()).clock(ManualClock::default());
    let all =
        everywhere(layer([ES256.issuer()])).cache(TokenCache::default()).revocation(revocations.clone());
    let token = token();
    for (place, _) in PLACES {
        assert_eq!(get(&all, &[(place, &token)]).status(), 200, "{place}");
    }
    let me = get(&all, &[("header", &token)]).extensions().get::<Identity>().unwrap().clone();
    revocations.revoke(&me).await.unwrap();
    for (place, _) in PLACES {
        assert_eq!(get(&all, &[(place, &token)]).status(), 401, "{place}");
    }
}

/// Has the key when it has been asked, after a while.
#[derive(Debug)]
struct Rotated(Arc<Mutex<Arc<KeySet>>>, Arc<KeySet>);

impl KeySource for Rotated {
    fn snapshot(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.lock().unwrap())
    }

    fn miss(&self, _: KeyQuery) -> Missing {
        let (current, next, mut polled) = (Arc::clone(&self.0), Arc::clone(&self.1), false);
        Missing::pending(std::future::poll_fn(move |cx| {
            if std::mem::replace(&mut polled, true) {
                *current.lock().unwrap() = Arc::clone(&next);
                return Poll::Ready(Missed::Replaced);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
    }
}

#[tokio::test]
async fn a_token_under_a_new_key_is_waited_for_wherever_it_stands() {
    let other = Signer::new(Algorithm::ES256);
    let set = |signer: &Signer, kid| {
        Arc::new(KeySet::jwks(&json!({ "keys": [signer.jwk(kid)] }).to_string()).unwrap())
    };
    for (place, expected) in PLACES {
        let keys = Rotated(Arc::new(Mutex::new(set(&other, "old"))), set(&ES256, "k"));
        let all =
            everywhere(layer([Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys)])).strip_token();
        let response =
            all.layer(service_fn(handler)).call(request(Method::GET, &[(place, &token())])).await.unwrap();
        assert_eq!((response.body().as_str(), carrier(&response)), ("ada", Some(expected)), "{place}");
    }
}
