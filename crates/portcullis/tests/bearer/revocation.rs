//! Tokens that were taken back are refused on the next request, cached or not; an outage is no verdict.

mod contract;
mod copies;
mod outages;

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Method, Request, Response};
use portcullis::bearer::{
    Audience, BuildErrorKind, Issuer, MemoryTokenBackend, OnOutage, RevocationCheck, RevocationErrorKind,
    Revocations, TokenCache,
};
use portcullis::identity::Identity;
use portcullis::{BearerLayer, Realm};
use portcullis_store::{Clock, ManualClock};
use portcullis_testkit::conformance::token::{self};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::mint::{ES256, ISSUER, claims, claims_with, claims_without, handler, jwks};
use crate::store::{Mood, Store};

/// A store, layers that check by it with and without a cache, and the handle.
struct Stage {
    clock: ManualClock,
    store: Store,
    revocations: Revocations,
    layers: [BearerLayer; 2],
}

const HOUR: Duration = Duration::from_secs(3600);

impl Stage {
    fn new(mood: Mood) -> Self {
        Self::with(mood, ES256.issuer(), RevocationCheck::by)
    }

    fn with(mood: Mood, issuer: Issuer, check: impl Fn(&Revocations) -> RevocationCheck) -> Self {
        let clock = ManualClock::default();
        let store = Store::new(&clock, mood);
        let revocations = Revocations::new(store.clone()).clock(clock.clone());
        let plain = BearerLayer::new([issuer]).unwrap().clock(clock.clone()).revocation(check(&revocations));
        let layers = [plain.clone(), plain.cache(TokenCache::default())];
        Self { clock, store, revocations, layers }
    }

    /// The status and who it is, by each layer; they must agree.
    async fn ask(&self, token: &str) -> (u16, String) {
        let answers = [send(&self.layers[0], token).await, send(&self.layers[1], token).await];
        let [one, other] = answers.map(|response| (response.status().as_u16(), response.into_body()));
        assert_eq!(one, other, "without and with a cache");
        one
    }

    async fn expect(&self, token: &str, is_good: bool, when: &str) {
        let expected = if is_good { (200, "ada") } else { (401, "") };
        let (status, body) = self.ask(token).await;
        assert_eq!((status, body.as_str()), expected, "{when}");
    }
}

async fn send(layer: &BearerLayer, token: &str) -> Response<String> {
    call(layer, Request::get("/"), token).await
}

async fn call(layer: &BearerLayer, request: http::request::Builder, token: &str) -> Response<String> {
    let request = request.header(AUTHORIZATION, format!("Bearer {token}")).body(String::new()).unwrap();
    layer.layer(service_fn(handler)).oneshot(request).await.unwrap()
}

/// A good token of this id and login.
fn token(jti: &str, sid: &str) -> String {
    let mut claims = claims_with("jti", json!(jti));
    claims["sid"] = json!(sid);
    ES256.token(&claims)
}

const MOODS: [Mood; 2] = [Mood::AtOnce, Mood::Waits];

#[tokio::test]
async fn a_token_that_is_taken_back_is_refused_on_the_next_request_and_no_other_is() {
    for mood in MOODS {
        let stage = Stage::new(mood);
        let [one, sibling, other] = [token("1", "a"), token("2", "a"), token("3", "b")];
        for token in [&one, &sibling, &other] {
            stage.expect(token, true, "before").await;
        }
        stage.revocations.revoke_token(ISSUER, "ada", "1", None).await.unwrap();
        stage.expect(&one, false, "its token").await;
        stage.expect(&sibling, true, "another token").await;

        stage.revocations.revoke_family(ISSUER, "ada", "a").await.unwrap();
        stage.expect(&sibling, false, "its login").await;
        stage.expect(&other, true, "another login").await;

        stage.revocations.revoke_user(ISSUER, "grace").await.unwrap();
        stage.revocations.revoke_user("https://other.example", "ada").await.unwrap();
        stage.expect(&other, true, "another user").await;
        stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
        stage.expect(&other, false, "its user").await;
    }
}

#[tokio::test]
async fn everybody_is_refused_when_everybody_was_taken_back() {
    for mood in MOODS {
        let stage = Stage::new(mood);
        let token = token("1", "a");
        stage.expect(&token, true, "before").await;
        stage.revocations.revoke_everyone().await.unwrap();
        stage.expect(&token, false, "after").await;
        stage.clock.advance(Duration::from_secs(6));
        let later = claims_with("iat", json!(stage.clock.now().as_secs()));
        stage.expect(&ES256.token(&later), true, "issued later").await;
    }
}

#[tokio::test]
async fn a_refusal_says_that_the_token_is_revoked_and_nothing_of_how() {
    let stage = Stage::new(Mood::AtOnce);
    let token = token("1", "a");
    stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
    for layer in &stage.layers {
        let response = send(layer, &token).await;
        let expected =
            r#"Bearer realm="api", error="invalid_token", error_description="the token has been revoked""#;
        assert_eq!(response.headers()["www-authenticate"], expected);
    }
}

#[tokio::test]
async fn each_request_with_a_good_token_asks_once_and_no_other_request_asks() {
    for mood in MOODS {
        let stage = Stage::new(mood);
        let good = token("1", "a");
        for layer in &stage.layers {
            for _ in 0..3 {
                assert_eq!(send(layer, &good).await.status(), 200);
                assert_eq!(stage.store.asked(), 1);
            }
        }
        let expired = ES256.token(&claims_with("exp", json!(1)));
        for bad in [expired.as_str(), "garbage", &format!("{good}AAAA")] {
            stage.expect(bad, false, "bad by itself").await;
        }
        for layer in &stage.layers {
            let request = Request::get("/").body(String::new()).unwrap();
            assert_eq!(layer.layer(service_fn(handler)).oneshot(request).await.unwrap().body(), "nobody");
        }
        assert_eq!(stage.store.asked(), 0);
    }
}

#[tokio::test]
async fn tokens_of_our_own_are_compared_by_version_and_not_by_the_second() {
    for mood in MOODS {
        let stage = Stage::with(mood, ES256.issuer().versioned(), RevocationCheck::by);
        let mint = async |name: &str| {
            let mut claims = claims_with("jti", json!(name));
            claims["tv"] = json!(stage.revocations.version(ISSUER, "ada").await.unwrap());
            ES256.token(&claims)
        };
        let first = mint("1").await;
        stage.expect(&first, true, "before").await;
        // The clock stands still: all of this is within one second.
        stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
        let second = mint("2").await;
        stage.expect(&first, false, "the version before").await;
        stage.expect(&second, true, "the version after").await;
        stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
        stage.expect(&second, false, "once more").await;
        let third = mint("3").await;
        stage.expect(&third, true, "once more, after").await;
        let now = stage.clock.now().as_millis();
        for (name, version) in [("another", json!(now + 7)), ("none", json!(0))] {
            stage.expect(&ES256.token(&claims_with("tv", version)), false, name).await;
        }
        for version in [json!("1"), json!(1.5), json!(-1), json!(null)] {
            stage.expect(&ES256.token(&claims_with("tv", version)), false, "not a number").await;
        }
        stage.expect(&ES256.token(&claims()), false, "no version at all").await;
    }
}

#[tokio::test]
async fn what_others_mean_by_tv_is_nothing_to_us() {
    let stage = Stage::new(Mood::AtOnce);
    for version in [json!("x"), json!(7), json!({})] {
        stage.expect(&ES256.token(&claims_with("tv", version)), true, "of another issuer").await;
    }
}

#[tokio::test]
async fn tokens_that_could_not_be_revoked_are_refused_unless_said_otherwise() {
    let strict = Stage::new(Mood::AtOnce);
    let lax = |revocations: &Revocations| RevocationCheck::by(revocations).insecure_accept_incomplete();
    let lax = Stage::with(Mood::AtOnce, ES256.issuer(), lax);
    for name in ["jti", "iat"] {
        let token = ES256.token(&claims_without(name));
        strict.expect(&token, false, name).await;
        assert_eq!(strict.store.asked(), 0, "{name}");
        lax.expect(&token, true, name).await;
    }
    lax.revocations.revoke_user(ISSUER, "ada").await.unwrap();
    lax.expect(&ES256.token(&claims_without("iat")), false, "it was issued at any time").await;
    lax.expect(&ES256.token(&claims_without("jti")), false, "by its user").await;
}

#[tokio::test]
async fn a_token_that_outlives_its_revocation_is_refused() {
    let clock = ManualClock::default();
    let revocations = Revocations::new(MemoryTokenBackend::with_clock(clock.clone())).longest_token(HOUR);
    let layer = BearerLayer::new([ES256.issuer()]).unwrap().clock(clock.clone()).revocation(&revocations);
    let now = clock.now().as_secs();
    for (lasts, status) in [(3600, 200), (3601, 401)] {
        let token = ES256.token(&claims_with("exp", json!(now + lasts)));
        assert_eq!(send(&layer, &token).await.status().as_u16(), status, "{lasts}");
    }
}

#[tokio::test]
async fn a_revocation_stands_for_as_long_as_its_token_could_be_used() {
    let stage =
        Stage::with(Mood::AtOnce, ES256.issuer().leeway(Duration::from_secs(300)), RevocationCheck::by);
    let exp = stage.clock.now().saturating_add(Duration::from_secs(300));
    stage.revocations.revoke_token(ISSUER, "ada", "1", Some(exp)).await.unwrap();
    stage.revocations.revoke_family(ISSUER, "ada", "b").await.unwrap();
    stage.revocations.revoke_user(ISSUER, "grace").await.unwrap();
    let of_grace = ES256.token(&claims_with("sub", json!("grace")));
    for seconds in [0, 300, 299] {
        stage.clock.advance(Duration::from_secs(seconds));
        for (name, token) in
            [("token", token("1", "a")), ("family", token("2", "b")), ("user", of_grace.clone())]
        {
            stage.expect(&token, false, name).await;
        }
        stage.expect(&token("3", "c"), true, "another, by the leeway").await;
    }
}

#[tokio::test]
async fn who_is_signed_in_can_take_back_what_they_came_with() {
    let stage = Stage::new(Mood::Waits);
    let [one, two] = [token("1", "a"), token("2", "a")];
    let me = send(&stage.layers[0], &one).await.extensions().get::<Identity>().unwrap().clone();
    stage.revocations.revoke(&me).await.unwrap();
    stage.expect(&one, false, "the token").await;
    stage.expect(&two, true, "another of the login").await;
    stage.revocations.revoke_login(&me).await.unwrap();
    stage.expect(&two, false, "the login").await;

    let without = |name: &str| ES256.token(&claims_without(name));
    let bare =
        send(&BearerLayer::new([ES256.issuer()]).unwrap().clock(stage.clock.clone()), &without("jti")).await;
    let bare = bare.extensions().get::<Identity>().unwrap().clone();
    let stranger = Identity::new("ada").claim("jti", &"1").unwrap().claim("sid", &"a").unwrap().build();
    for (name, identity) in [("a token without ids", &bare), ("not a token", &stranger)] {
        for outcome in
            [stage.revocations.revoke(identity).await, stage.revocations.revoke_login(identity).await]
        {
            assert_eq!(outcome.unwrap_err().kind(), RevocationErrorKind::NoSuchId, "{name}");
        }
    }
}

#[tokio::test]
async fn one_realm_is_nothing_to_another() {
    enum Staff {}
    impl Realm for Staff {
        const NAME: &'static str = "staff";
    }
    enum Odd {}
    impl Realm for Odd {
        const NAME: &'static str = "not a name";
    }
    let stage = Stage::new(Mood::AtOnce);
    let staff = Revocations::new(stage.store.clone()).realm::<Staff>().unwrap();
    staff.revoke_user(ISSUER, "ada").await.unwrap();
    staff.revoke_everyone().await.unwrap();
    stage.expect(&token("1", "a"), true, "in the default realm").await;
    let layer = BearerLayer::new([ES256.issuer()]).unwrap().clock(stage.clock.clone()).revocation(staff);
    assert_eq!(send(&layer, &token("1", "a")).await.status(), 401);
    let error = Revocations::new(stage.store.clone()).realm::<Odd>().unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::BadRealm);
}

#[tokio::test]
async fn several_issuers_of_one_subject_are_taken_back_apart() {
    let clock = ManualClock::default();
    let revocations = Revocations::new(MemoryTokenBackend::with_clock(clock.clone()));
    let issuer = |name: &str| Issuer::new(name, Audience::one_of(["api"])).keys(jwks([ES256.jwk("k")]));
    let layer = BearerLayer::new([issuer("https://a.example"), issuer("https://b.example")]).unwrap();
    let layer = layer.clock(clock).revocation(&revocations);
    let of = |name: &str| ES256.token(&claims_with("iss", json!(name)));
    revocations.revoke_user("https://a.example", "ada").await.unwrap();
    revocations.revoke_token("https://a.example", "ada", "j", None).await.unwrap();
    assert_eq!(send(&layer, &of("https://a.example")).await.status(), 401);
    assert_eq!(send(&layer, &of("https://b.example")).await.status(), 200);
}

#[tokio::test]
async fn a_login_is_named_by_a_string_or_not_at_all() {
    let stage = Stage::new(Mood::AtOnce);
    for sid in [json!(7), json!(["a"]), Value::Null] {
        stage.expect(&ES256.token(&claims_with("sid", sid)), false, "malformed").await;
    }
    stage.expect(&ES256.token(&claims()), true, "of no login").await;
}

#[tokio::test]
async fn debug_shows_nothing_of_a_token() {
    let stage = Stage::new(Mood::AtOnce);
    let token = token("very-private-id", "very-private-login");
    stage.expect(&token, true, "before").await;
    let check = RevocationCheck::by(&stage.revocations).on_outage_of([Method::GET], OnOutage::default());
    let debug = format!("{:?} {:?} {check:?}", stage.layers, stage.revocations);
    for secret in token.split('.').chain(["private", "ada"]) {
        assert!(!debug.contains(secret), "{secret}: {debug}");
    }
    assert!(debug.contains("tokens: 1"), "{debug}");
}
