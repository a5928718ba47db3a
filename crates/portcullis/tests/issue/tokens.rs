//! Access tokens: what they say, who accepts them, and who does not.

use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use portcullis::BearerLayer;
use portcullis::bearer::{Algorithm, MemoryTokenBackend, Revocations};
use portcullis::issue::{
    BuildErrorKind, Confirmation, Grant, IssueErrorKind, KeyRing, SigningKey, TokenIssuer,
};
use portcullis_store::{Clock, ManualClock, Timestamp};
use serde_json::json;

use crate::common::{ASYMMETRIC, ISSUER, SYMMETRIC, judge, judge_by, key, now, part, present, ring, secs};

fn issuer(clock: &ManualClock) -> TokenIssuer {
    TokenIssuer::builder(ISSUER, ["api"], &ring(clock)).build().unwrap()
}

fn layer(issuer: &TokenIssuer, clock: &ManualClock) -> BearerLayer {
    BearerLayer::new([issuer.trusted()]).unwrap().clock(clock.clone())
}

#[tokio::test]
async fn a_token_says_what_rfc_9068_requires_and_what_was_granted() {
    let clock = ManualClock::default();
    let issuer = issuer(&clock);
    let token = issuer.access_token(&Grant::new("ada", "web")).await.unwrap();
    assert_eq!(part(token.as_str(), 0), json!({ "alg": "ES256", "kid": "first", "typ": "at+jwt" }));
    assert_eq!(token.token_type(), "Bearer");
    let bare = part(token.as_str(), 1);
    let jti = bare["jti"].as_str().unwrap();
    assert_eq!((jti.len(), jti), (22, token.id()));
    let at = now(&clock);
    assert_eq!(
        bare,
        json!({ "iss": ISSUER, "sub": "ada", "aud": "api", "iat": at, "exp": at + 600, "jti": jti, "client_id": "web" })
    );

    let grant = Grant::new("ada", "web")
        .scope("read")
        .scope("write")
        .scope("read")
        .audience("api")
        .audience("files")
        .sid("login-1")
        .authenticated_at(Timestamp::from_secs(at - 60))
        .acr("2")
        .amr("pwd")
        .amr("otp")
        .confirmation(Confirmation::Jkt("thumb".into()))
        .actor("support")
        .claim("org", json!({ "id": 7 }))
        .unwrap();
    let token = issuer.access_token(&grant).await.unwrap();
    assert_eq!(token.token_type(), "DPoP");
    let by_certificate = grant.clone().confirmation(Confirmation::X5tS256("thumb".into()));
    let by_certificate = issuer.access_token(&by_certificate).await.unwrap();
    assert_eq!(by_certificate.token_type(), "Bearer", "RFC 8705, section 3");
    let full = part(token.as_str(), 1);
    for (name, expected) in [
        ("scope", json!("read write")),
        ("aud", json!(["api", "files"])),
        ("sid", json!("login-1")),
        ("auth_time", json!(at - 60)),
        ("acr", json!("2")),
        ("amr", json!(["pwd", "otp"])),
        ("cnf", json!({ "jkt": "thumb" })),
        ("act", json!({ "sub": "support" })),
        ("org", json!({ "id": 7 })),
    ] {
        assert_eq!(full[name], expected, "{name}");
    }
    assert_eq!(token.scopes().collect::<Vec<_>>(), ["read", "write"]);
    assert_eq!(token.expires_in(), secs(600));
}

#[tokio::test]
async fn tokens_of_every_algorithm_verify_here_and_by_an_independent_library() {
    let clock = ManualClock::default();
    for algorithm in ASYMMETRIC.into_iter().chain(SYMMETRIC) {
        let secret = [9; 64];
        let key = if algorithm.name().starts_with("HS") {
            SigningKey::hmac(&secret, algorithm).unwrap()
        } else {
            key(algorithm)
        };
        let ring = KeyRing::builder(key).clock(clock.clone()).build().unwrap();
        let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).build().unwrap();
        let token = issuer.access_token(&Grant::new("ada", "web").scope("read")).await.unwrap();
        let accepted = present(&layer(&issuer, &clock), token.as_str()).await;
        assert_eq!(accepted, (http::StatusCode::OK, "ada read".into()), "{algorithm}");
        let judged = if algorithm.name().starts_with("HS") {
            judge_by(&DecodingKey::from_secret(&secret), token.as_str())
        } else {
            judge(&ring.jwks(), token.as_str())
        };
        assert_eq!(judged.unwrap()["sub"], "ada", "{algorithm}");
    }
}

/// What else is signed with a key of the ring: an ID token, a logout token.
#[tokio::test]
async fn a_token_of_another_kind_by_the_same_key_is_no_access_token() {
    let (clock, secret) = (ManualClock::default(), [9; 64]);
    let ring = KeyRing::builder(SigningKey::hmac(&secret, Algorithm::HS256).unwrap());
    let ring = ring.clock(clock.clone()).build().unwrap();
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).build().unwrap();
    let layer = layer(&issuer, &clock);
    let good = issuer.access_token(&Grant::new("ada", "web")).await.unwrap();
    let (header, claims) = (part(good.as_str(), 0), part(good.as_str(), 1));
    for (typ, expected) in [(Some("at+jwt"), 200), (Some("JWT"), 401), (Some("logout+jwt"), 401), (None, 401)]
    {
        let mut theirs = Header::new(jsonwebtoken::Algorithm::HS256);
        theirs.kid = header["kid"].as_str().map(str::to_owned);
        theirs.typ = typ.map(str::to_owned);
        let token = jsonwebtoken::encode(&theirs, &claims, &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(present(&layer, &token).await.0, expected, "{typ:?}");
    }
}

#[tokio::test]
async fn no_two_tokens_have_one_id_and_all_expire() {
    let clock = ManualClock::default();
    let issuer = issuer(&clock);
    let mut ids = std::collections::HashSet::new();
    let bearer = layer(&issuer, &clock);
    for _ in 0..200 {
        let token = issuer.access_token(&Grant::new("ada", "web")).await.unwrap();
        assert!(ids.insert(token.id().to_owned()));
    }
    let token = issuer.access_token(&Grant::new("ada", "web")).await.unwrap();
    clock.advance(secs(604));
    assert_eq!(present(&bearer, token.as_str()).await.0, 200, "its end, and the leeway");
    clock.advance(secs(1));
    assert_eq!(present(&bearer, token.as_str()).await.0, 401);
}

#[tokio::test]
async fn a_token_of_a_user_is_good_until_the_user_is_revoked_to_the_moment() {
    let clock = ManualClock::default();
    let revocations = Revocations::new(MemoryTokenBackend::with_clock(clock.clone())).clock(clock.clone());
    let issuer =
        TokenIssuer::builder(ISSUER, ["api"], &ring(&clock)).revocations(&revocations).build().unwrap();
    let bearer = layer(&issuer, &clock).revocation(&revocations);
    let mint =
        async || issuer.access_token(&Grant::new("ada", "web").sid("s")).await.unwrap().as_str().to_owned();

    let before = mint().await;
    assert_eq!(present(&bearer, &before).await.0, 200);
    revocations.revoke_user(ISSUER, "ada").await.unwrap();
    // In the same second, and yet told apart.
    let after = mint().await;
    assert_eq!(present(&bearer, &before).await.0, 401);
    assert_eq!(present(&bearer, &after).await.0, 200);
    revocations.revoke_family(ISSUER, "ada", "s").await.unwrap();
    assert_eq!(present(&bearer, &after).await.0, 401);
}

/// A layer's leeway comes on top of the longest life of a token.
#[tokio::test]
async fn a_user_stays_revoked_for_as_long_as_any_of_their_tokens_could_be_used() {
    let (clock, day) = (ManualClock::default(), 24 * 3600);
    let revocations = Revocations::new(MemoryTokenBackend::with_clock(clock.clone())).clock(clock.clone());
    let revocations = revocations.longest_token(secs(day));
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring(&clock)).revocations(&revocations);
    let issuer = issuer.lifetime(secs(day)).build().unwrap();
    let bearer = layer(&issuer, &clock).revocation(&revocations);
    let [of_ada, of_grace] = ["ada", "grace"].map(|user| Grant::new(user, "web"));
    let revoked = issuer.access_token(&of_ada).await.unwrap();
    let good = issuer.access_token(&of_grace).await.unwrap();
    revocations.revoke_user(ISSUER, "ada").await.unwrap();
    clock.advance(secs(day + 4));
    assert_eq!(present(&bearer, good.as_str()).await.0, 200);
    assert_eq!(present(&bearer, revoked.as_str()).await.0, 401);
}

#[tokio::test]
async fn what_cannot_be_said_is_not_minted() {
    let clock = ManualClock::default();
    let issuer = issuer(&clock);
    for (name, grant, expected) in [
        ("no subject", Grant::new("", "web"), IssueErrorKind::BadGrant),
        ("a taken claim", Grant::new("ada", "web").claim("aud", "x").unwrap(), IssueErrorKind::BadGrant),
        ("two scopes in one", Grant::new("ada", "web").scope("a b"), IssueErrorKind::BadGrant),
        (
            "too much",
            Grant::new("ada", "web").claim("x", "y".repeat(8000)).unwrap(),
            IssueErrorKind::TooLarge,
        ),
    ] {
        assert_eq!(issuer.access_token(&grant).await.unwrap_err().kind(), expected, "{name}");
    }
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused() {
    let clock = ManualClock::default();
    let ring = ring(&clock);
    let build = |name: &str, audience: &[&str], lifetime| {
        TokenIssuer::builder(name, audience.to_vec(), &ring).lifetime(secs(lifetime)).build().map(drop)
    };
    for (name, built, expected) in [
        ("good", build(ISSUER, &["api"], 600), None),
        ("no name", build("", &["api"], 600), Some(BuildErrorKind::BadIssuer)),
        ("no audience", build(ISSUER, &[], 600), Some(BuildErrorKind::BadAudience)),
        ("an empty audience", build(ISSUER, &["api", ""], 600), Some(BuildErrorKind::BadAudience)),
        ("no life", build(ISSUER, &["api"], 0), Some(BuildErrorKind::BadLifetime)),
        ("longer than its key", build(ISSUER, &["api"], 86_401), Some(BuildErrorKind::BadLifetime)),
    ] {
        assert_eq!(built.err().map(|error| error.kind()), expected, "{name}");
    }
    let short = Revocations::new(MemoryTokenBackend::new()).longest_token(secs(599));
    let built = TokenIssuer::builder(ISSUER, ["api"], &ring).revocations(&short).build();
    assert_eq!(built.unwrap_err().kind(), BuildErrorKind::BadLifetime, "longer than its revocation is kept");
}

#[tokio::test]
async fn a_token_for_another_audience_or_bound_to_a_key_is_not_accepted_as_it_is() {
    let clock = ManualClock::default();
    let issuer = issuer(&clock);
    let bearer = layer(&issuer, &clock);
    let bound = Grant::new("ada", "web").confirmation(Confirmation::X5tS256("thumb".into()));
    let elsewhere = Grant::new("ada", "web").audience("files");
    for grant in [bound, elsewhere] {
        let token = issuer.access_token(&grant).await.unwrap();
        assert_eq!(present(&bearer, token.as_str()).await.0, 401, "{grant:?}");
    }
}

#[tokio::test]
async fn nothing_secret_is_shown_by_debug() {
    let clock = ManualClock::default();
    let issuer = issuer(&clock);
    let grant = Grant::new("ada", "web").claim("card", "4111").unwrap();
    let token = issuer.access_token(&grant).await.unwrap();
    let shown = format!("{token:?} {issuer:?} {grant:?}");
    let signature = token.as_str().split('.').nth(2).unwrap();
    assert!(!shown.contains(signature) && !shown.contains("4111"), "{shown}");
    assert!(clock.now() < token.expires_at());
}
