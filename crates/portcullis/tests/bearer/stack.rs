//! The layer among others: an outer session, an inner copy, what handlers see of the header.

use http::header::AUTHORIZATION;
use http::{Request, Response};
use portcullis::authenticate::{AuthenticateLayer, Authenticator, OnConflict, Opening};
use portcullis::bearer::{Audience, Issuer};
use portcullis::identity::{AuthMethod, Authentication, Carrier, Identity, IdentityExt};
use portcullis::rejection::Rejection;
use portcullis::respond::RequestHead;
use portcullis::{BearerLayer, RequireLayer};
use serde_json::json;
use tower::{Layer, Service, service_fn};

use crate::mint::{ES256, ISSUER, at_once, claims, claims_with, handler, jwks, layer};

/// Recognises everybody as one user, as a good session would.
struct Session(&'static str);

impl Authenticator for Session {
    type Visit = ();

    fn open<B>(&self, _: &mut Request<B>) -> Opening<()> {
        let who = Identity::new(self.0).issuer(ISSUER).role("by session").method(AuthMethod::Session);
        Opening::authenticated(who.carrier(Carrier::Ambient), ())
    }
}

fn beside_session(user: &'static str, bearer: &BearerLayer, authorization: Option<&str>) -> Response<String> {
    let mut service = AuthenticateLayer::new(Session(user)).layer(bearer.layer(service_fn(handler)));
    at_once(service.call(request(authorization)))
}

fn request(authorization: Option<&str>) -> Request<String> {
    let mut request = Request::new(String::new());
    if let Some(value) = authorization {
        request.headers_mut().insert(AUTHORIZATION, value.parse().unwrap());
    }
    request
}

fn good() -> String {
    format!("Bearer {}", ES256.token(&claims_with("scope", json!("by-token"))))
}

#[test]
fn a_bad_bearer_beside_a_good_session_is_refused() {
    let bearer = layer([ES256.issuer()]);
    assert_eq!(beside_session("ada", &bearer, None).body(), "ada");
    assert_eq!(beside_session("ada", &bearer, Some("Bearer garbage")).status(), 401);
    assert_eq!(beside_session("ada", &bearer, Some("Bearer a b")).status(), 400);
    let expired = format!("Bearer {}", ES256.token(&claims_with("exp", json!(1))));
    assert_eq!(beside_session("ada", &bearer, Some(&expired)).status(), 401);
}

#[test]
fn of_one_user_the_bearer_s_identity_wins_and_nothing_is_merged() {
    let response = beside_session("ada", &layer([ES256.issuer()]), Some(&good()));
    let me = response.extensions().get::<Identity>().unwrap();
    assert_eq!((me.method(), me.carrier()), (AuthMethod::Bearer, Carrier::Explicit));
    assert!(me.has_scope("by-token") && !me.has_role("by session"));
}

#[test]
fn two_users_are_a_conflict_unless_one_is_preferred() {
    let bearer = layer([ES256.issuer()]);
    let response = beside_session("grace", &bearer, Some(&good()));
    assert_eq!(response.status(), 400);
    assert_eq!(response.extensions().get::<Rejection>(), Some(&Rejection::Conflict));
    for (method, expected) in [(AuthMethod::Bearer, "ada"), (AuthMethod::Session, "grace")] {
        let bearer = bearer.clone().on_conflict(OnConflict::Prefer(method));
        assert_eq!(beside_session("grace", &bearer, Some(&good())).body(), expected);
    }
}

#[test]
fn a_required_token_is_required_beside_a_session_too() {
    let bearer = layer([ES256.issuer()]).required();
    assert_eq!(beside_session("ada", &bearer, None).status(), 401);
    assert_eq!(beside_session("ada", &bearer, Some(&good())).status(), 200);
}

#[test]
fn an_inner_stricter_layer_is_not_switched_off_by_an_outer_one() {
    let outer = layer([ES256.issuer()]);
    let elsewhere = Issuer::new(ISSUER, Audience::one_of(["admin"])).keys(jwks([ES256.jwk("k")]));
    let inner = [
        ("required", outer.clone().required(), None, 401),
        ("required, with a token", outer.clone().required(), Some(good()), 200),
        ("another audience", layer([elsewhere]), Some(good()), 401),
    ];
    for (name, inner, authorization, status) in inner {
        let mut service = outer.layer(inner.layer(service_fn(handler)));
        let response = at_once(service.call(request(authorization.as_deref())));
        assert_eq!(response.status().as_u16(), status, "{name}");
        let challenges = response.headers().get_all("www-authenticate").iter().count();
        assert_eq!(challenges, usize::from(status == 401), "{name}");
    }
    let mut stripped = outer.clone().strip_token().layer(outer.clone().required().layer(service_fn(handler)));
    assert_eq!(at_once(stripped.call(request(Some(&good())))).status(), 401, "a stripped token is none");
}

#[test]
fn the_header_is_sensitive_or_gone() {
    for (strip, authorization, expected) in [
        (false, good(), "Some(Sensitive)"),
        (false, "Basic YTpi".to_owned(), "Some(Sensitive)"),
        (true, good(), "None"),
        (true, "Basic YTpi".to_owned(), "Some(Sensitive)"),
    ] {
        let bearer = layer([ES256.issuer()]);
        let bearer = if strip { bearer.strip_token() } else { bearer };
        let inner = service_fn(|request: Request<String>| async move {
            Ok::<_, std::io::Error>(Response::new(format!("{:?}", request.headers().get(AUTHORIZATION))))
        });
        let response = at_once(bearer.layer(inner).call(request(Some(&authorization))));
        assert_eq!(response.body(), expected, "{authorization}");
    }
}

#[test]
fn an_anonymous_request_carries_an_authentication_with_the_challenge() {
    let mut service = layer([ES256.issuer()])
        .protection_space("vault")
        .layer(RequireLayer::authenticated().layer(service_fn(handler)));
    let response = at_once(service.call(request(None)));
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="vault""#);

    let inner = service_fn(|request: Request<String>| async move {
        let seen = request.authentication().map(Authentication::identity).map(|who| who.is_some());
        Ok::<_, std::io::Error>(Response::new(format!("{seen:?}")))
    });
    let response = at_once(layer([ES256.issuer()]).layer(inner).call(request(None)));
    assert_eq!(response.body(), "Some(false)");
}

#[test]
fn a_responder_of_the_application_answers() {
    let bearer = layer([ES256.issuer()]).responder(|rejection: &Rejection, _: &RequestHead| {
        let mut response = Response::new(rejection.message().to_owned());
        *response.status_mut() = rejection.status();
        response
    });
    let response = at_once(bearer.layer(service_fn(handler)).call(request(Some("Bearer garbage"))));
    assert_eq!((response.status().as_u16(), response.body().as_str()), (401, "the token is malformed"));
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[test]
fn a_grpc_request_is_refused_in_its_own_tongue() {
    let mut request = request(Some("Bearer garbage"));
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let response = at_once(layer([ES256.issuer()]).layer(service_fn(handler)).call(request));
    assert_eq!(
        (response.status().as_u16(), &response.headers()["grpc-status"]),
        (200, &"16".parse().unwrap())
    );
}

#[test]
fn debug_shows_no_secret() {
    use crate::mint::{ALL, SECRET};
    use portcullis::bearer::{HmacKey, HmacKeys};
    let secret = std::str::from_utf8(&SECRET[..16]).unwrap();
    let keys = HmacKeys::new([HmacKey::new(*SECRET).kid("k")]).unwrap();
    let bytes = format!("{:?}", &SECRET[..4]);
    let bytes = bytes.trim_matches(['[', ']']);
    let layer = layer([ALL.last().unwrap().issuer()]);
    for shown in [format!("{:?}", HmacKey::new(*SECRET)), format!("{keys:?}"), format!("{layer:?}")] {
        assert!(!shown.contains(secret) && !shown.contains(bytes), "{shown}");
    }
    let token = ES256.token(&claims());
    let me = crate::mint::ask(&crate::mint::layer([ES256.issuer()]), &token).unwrap();
    assert!(!format!("{me:?}").contains(token.split('.').nth(1).unwrap()));
}
