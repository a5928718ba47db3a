//! Proofs of keys at the endpoints (RFC 9449, sections 5 and 8). They are made by `jsonwebtoken`, which shares no code with what
//! judges them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm as Theirs, EncodingKey, Header, encode};
use portcullis::bearer::{Algorithm, BuildErrorKind, Dpop, MemoryReplayBackend, NonceKeys};
use portcullis::issue::{
    Confirmation, EndpointService, Grant, Metadata, StaticClients, TokenEndpoints, TokenPair,
};
use portcullis_store::{
    Claimed, Clock, Locator, ManualClock, Realm, ReplayBackend, StoreError, StoreErrorKind,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::common::{ISSUER, part, secs};
use crate::refresh::{Stage, grant};

const SECRET: &str = "of-at-least-sixteen-bytes";

/// Somebody who holds a key.
struct Holder {
    key: EncodingKey,
    jwk: Jwk,
}

/// Used proofs, with how often anything was claimed.
#[derive(Clone)]
struct Replays {
    inner: MemoryReplayBackend,
    asked: Arc<AtomicUsize>,
    is_away: Arc<AtomicBool>,
}

struct World {
    stage: Stage,
    replays: Replays,
    endpoints: TokenEndpoints,
    token: EndpointService<Bytes>,
    revocation: EndpointService<Bytes>,
    ada: Holder,
}

type Change = fn(&mut Header, &mut Value);

impl Holder {
    fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let key = EncodingKey::from_ec_der(key.to_pkcs8v1().unwrap().as_ref());
        let mut jwk = Jwk::from_encoding_key(&key, Theirs::ES256).unwrap();
        jwk.common.key_algorithm = None;
        Self { key, jwk }
    }

    fn jkt(&self) -> String {
        self.jwk.thumbprint(ThumbprintHash::SHA256).unwrap()
    }

    fn confirmation(&self) -> Confirmation {
        Confirmation::Jkt(self.jkt())
    }

    /// Of a `POST` to `/token`, changed.
    fn proof_with(&self, change: impl FnOnce(&mut Header, &mut Value)) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let typ = Some("dpop+jwt".to_owned());
        let mut header = Header { typ, jwk: Some(self.jwk.clone()), ..Header::new(Theirs::ES256) };
        let mut claims = json!({
            "jti": format!("proof-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
            "htm": "POST",
            "htu": format!("{ISSUER}/token"),
            "iat": ManualClock::default().now().as_secs(),
        });
        change(&mut header, &mut claims);
        encode(&header, &claims, &self.key).unwrap()
    }

    fn proof(&self) -> String {
        self.proof_with(|_, _| ())
    }

    fn proof_at(&self, path: &str) -> String {
        self.proof_with(|_, claims| claims["htu"] = format!("{ISSUER}{path}").into())
    }
}

impl ReplayBackend for Replays {
    async fn claim(&self, realm: &Realm, name: Locator, keep: Duration) -> Result<Claimed, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreErrorKind::Unavailable.into());
        }
        self.inner.claim(realm, name, keep).await
    }
}

impl World {
    fn new() -> Self {
        Self::with(|dpop| dpop)
    }

    fn with(change: impl FnOnce(Dpop) -> Dpop) -> Self {
        let stage = Stage::new();
        let inner = MemoryReplayBackend::with_clock(stage.clock.clone());
        let replays = Replays { inner, asked: Arc::default(), is_away: Arc::default() };
        let endpoints = plain(&stage).dpop(change(Dpop::new(ISSUER, replays.clone()))).unwrap();
        let (token, revocation) = (endpoints.token_service(), endpoints.revocation_service());
        Self { stage, replays, endpoints, token, revocation, ada: Holder::new() }
    }

    /// A login that is bound to ada's key.
    async fn bound(&self) -> TokenPair {
        self.stage.refresh.begin(&grant().confirmation(self.ada.confirmation())).await.unwrap()
    }

    async fn refresh(&self, token: &str, proofs: &[&str]) -> Response<Bytes> {
        post(&self.token, "/token", &refreshing(token), proofs).await
    }

    fn asked(&self) -> usize {
        self.replays.asked.swap(0, Ordering::Relaxed)
    }
}

fn plain(stage: &Stage) -> TokenEndpoints {
    let clients = StaticClients::new().public("web").confidential("reports", SECRET);
    TokenEndpoints::new(&stage.refresh, clients).unwrap()
}

fn refreshing(token: &str) -> String {
    format!("grant_type=refresh_token&client_id=web&refresh_token={token}")
}

async fn post(service: &EndpointService<Bytes>, path: &str, form: &str, proofs: &[&str]) -> Response<Bytes> {
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    let request = proofs.iter().fold(request, |request, proof| request.header("dpop", *proof));
    service.clone().oneshot(request.body(Full::new(Bytes::from(form.to_owned()))).unwrap()).await.unwrap()
}

fn json_of(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// Status and error.
fn error(response: &Response<Bytes>) -> (u16, String) {
    assert_eq!(response.headers()["cache-control"], "no-store");
    (response.status().as_u16(), json_of(response)["error"].as_str().unwrap_or("none").to_owned())
}

fn nonce(response: &Response<Bytes>) -> Option<String> {
    response.headers().get("dpop-nonce").map(|nonce| nonce.to_str().unwrap().to_owned())
}

fn refused(name: &str) -> (u16, String) {
    (400, name.to_owned())
}

#[tokio::test]
async fn a_bound_login_is_refreshed_with_a_proof_of_its_key_and_not_otherwise() {
    let world = World::new();
    let login = world.bound().await;
    let token = login.refresh_token();
    assert_eq!(error(&world.refresh(token, &[]).await), refused("invalid_grant"), "no proof");
    let eve = Holder::new().proof();
    assert_eq!(error(&world.refresh(token, &[&eve]).await), refused("invalid_grant"), "another's");
    assert_eq!(world.asked(), 0, "nobody else fills the store of used proofs");

    let mut token = token.to_owned();
    for _ in 0..3 {
        let response = world.refresh(&token, &[&world.ada.proof()]).await;
        assert_eq!(response.status(), 200);
        let document = json_of(&response);
        assert_eq!(document["token_type"], "DPoP");
        let access = document["access_token"].as_str().unwrap();
        assert_eq!(part(access, 1)["cnf"], json!({ "jkt": world.ada.jkt() }));
        document["refresh_token"].as_str().unwrap().clone_into(&mut token);
    }
    assert_eq!(error(&world.refresh(&token, &[]).await), refused("invalid_grant"), "nor later");
}

#[tokio::test]
async fn a_proof_that_is_none_is_refused_and_changes_nothing() {
    let world = World::new();
    let login = world.bound().await;
    let rows: [(&str, Change); 11] = [
        ("another type", |header, _| header.typ = Some("jwt".into())),
        ("no type", |header, _| header.typ = None),
        ("no key", |header, _| header.jwk = None),
        ("no id", |_, claims| claims["jti"] = Value::Null),
        ("another method", |_, claims| claims["htm"] = "GET".into()),
        ("another endpoint", |_, claims| claims["htu"] = format!("{ISSUER}/revoke").into()),
        ("another server", |_, claims| claims["htu"] = "https://evil.example/token".into()),
        ("another port", |_, claims| claims["htu"] = format!("{ISSUER}:8443/token").into()),
        ("too old", |_, claims| claims["iat"] = (claims["iat"].as_u64().unwrap() - 66).into()),
        ("not yet", |_, claims| claims["iat"] = (claims["iat"].as_u64().unwrap() + 6).into()),
        ("without a time", |_, claims| _ = claims.as_object_mut().unwrap().remove("iat")),
    ];
    let refused_as = async |name: &str, proofs: &[&str]| {
        let response = world.refresh(login.refresh_token(), proofs).await;
        assert_eq!(error(&response), refused("invalid_dpop_proof"), "{name}");
        let said = json_of(&response)["error_description"].as_str().unwrap().to_owned();
        assert!(said.contains("DPoP proof"), "{name}: {said}");
    };
    for (name, change) in rows {
        refused_as(name, &[&world.ada.proof_with(change)]).await;
    }
    let (one, other) = (world.ada.proof(), world.ada.proof());
    refused_as("two", &[&one, &other]).await;
    refused_as("none at all", &["x"]).await;
    let mut flipped = one.clone().into_bytes();
    let at = one.rfind('.').unwrap() + 10;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    refused_as("a bit flipped", &[std::str::from_utf8(&flipped).unwrap()]).await;
    assert_eq!(world.asked(), 0);
    assert_eq!(world.refresh(login.refresh_token(), &[&one]).await.status(), 200, "as good as before");
}

#[tokio::test]
async fn a_proof_is_good_once_and_the_refresh_token_stays_so() {
    let world = World::new();
    let login = world.bound().await;
    let proof = world.ada.proof();
    assert_eq!(world.refresh(login.refresh_token(), &[&proof]).await.status(), 200);
    let again = world.refresh(login.refresh_token(), &[&proof]).await;
    assert_eq!(error(&again), refused("invalid_dpop_proof"));
    assert_eq!(
        world.refresh(login.refresh_token(), &[&world.ada.proof()]).await.status(),
        200,
        "in the grace"
    );
}

#[tokio::test]
async fn while_it_cannot_be_told_whether_a_proof_was_used_it_is_503_and_nothing_is_rotated() {
    let world = World::new();
    let login = world.bound().await;
    world.replays.is_away.store(true, Ordering::Relaxed);
    let response = world.refresh(login.refresh_token(), &[&world.ada.proof()]).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    world.replays.is_away.store(false, Ordering::Relaxed);
    world.stage.clock.advance(secs(30));
    assert_eq!(world.refresh(login.refresh_token(), &[&world.ada.proof()]).await.status(), 200);
}

#[tokio::test]
async fn where_nonces_are_wanted_the_client_is_told_which() {
    let world = World::with(|dpop| dpop.nonces(NonceKeys::new([7; 32])).nonce_period(secs(30)));
    let login = world.bound().await;
    let with = |nonce: &str| world.ada.proof_with(|_, claims| claims["nonce"] = nonce.into());

    let asked = world.refresh(login.refresh_token(), &[&world.ada.proof()]).await;
    assert_eq!(error(&asked), refused("use_dpop_nonce"));
    let given = nonce(&asked).unwrap();
    let made_up = world.refresh(login.refresh_token(), &[&with("made-up")]).await;
    assert_eq!(error(&made_up), refused("use_dpop_nonce"));
    assert_eq!(world.asked(), 0);

    let good = world.refresh(login.refresh_token(), &[&with(&given)]).await;
    assert_eq!((good.status().as_u16(), nonce(&good)), (200, None));
    world.stage.clock.advance(secs(31));
    let next = json_of(&good)["refresh_token"].as_str().unwrap().to_owned();
    let aging = world.refresh(&next, &[&with(&given)]).await;
    assert_eq!(aging.status(), 200);
    assert_ne!(nonce(&aging), Some(given), "the one to use from now on");
    assert!(nonce(&aging).is_some());
}

#[tokio::test]
async fn where_proofs_are_required_nothing_is_refreshed_without() {
    let world = World::with(Dpop::required);
    let login = world.stage.login().await;
    assert_eq!(error(&world.refresh(login.refresh_token(), &[]).await), refused("invalid_dpop_proof"));
    assert_eq!(world.refresh(login.refresh_token(), &[&world.ada.proof()]).await.status(), 200);
    // Who signs out is not asked for one.
    let form = format!("client_id=web&token={}", login.refresh_token());
    assert_eq!(post(&world.revocation, "/revoke", &form, &[]).await.status(), 200);
}

#[tokio::test]
async fn a_public_client_that_begins_to_prove_its_key_is_bound_to_it_from_then_on() {
    let world = World::new();
    let login = world.stage.login().await;
    let response = world.refresh(login.refresh_token(), &[&world.ada.proof()]).await;
    let document = json_of(&response);
    assert_eq!(document["token_type"], "DPoP");
    // A tab that has not heard of it yet, within the grace: the successor has the same secret.
    let other = json_of(&world.refresh(login.refresh_token(), &[]).await);
    assert_eq!(other["token_type"], "Bearer");
    let secret =
        |document: &Value| document["refresh_token"].as_str().unwrap().split('.').nth(3).unwrap().to_owned();
    assert_eq!(secret(&other), secret(&document));

    let token = document["refresh_token"].as_str().unwrap();
    let eve = Holder::new().proof();
    assert_eq!(error(&world.refresh(token, &[]).await), refused("invalid_grant"));
    assert_eq!(error(&world.refresh(token, &[&eve]).await), refused("invalid_grant"));
    let next = json_of(&world.refresh(token, &[&world.ada.proof()]).await);
    let late = json_of(&world.refresh(other["refresh_token"].as_str().unwrap(), &[]).await);
    assert_eq!(secret(&late), secret(&next), "whichever comes first is not taken for a thief");
    let access = next["access_token"].as_str().unwrap();
    assert_eq!(part(access, 1)["cnf"]["jkt"], world.ada.jkt());
    let token = next["refresh_token"].as_str().unwrap();
    assert_eq!(error(&world.refresh(token, &[]).await), refused("invalid_grant"));
    assert_eq!(world.refresh(token, &[&world.ada.proof()]).await.status(), 200);
}

#[tokio::test]
async fn of_a_confidential_client_the_access_token_is_bound_and_the_refresh_token_is_the_client_s() {
    let world = World::new();
    let grant = Grant::new("ada", "reports").scope("read");
    let login = world.stage.refresh.begin(&grant).await.unwrap();
    let ask = async |token: &str, proofs: &[&str]| {
        let form = format!(
            "grant_type=refresh_token&client_id=reports&client_secret={SECRET}&refresh_token={token}&scope=read"
        );
        let response = post(&world.token, "/token", &form, proofs).await;
        assert_eq!(response.status(), 200);
        json_of(&response)
    };
    let bound = ask(login.refresh_token(), &[&world.ada.proof()]).await;
    assert_eq!((&bound["token_type"], &bound["scope"]), (&json!("DPoP"), &json!("read")));
    assert_eq!(part(bound["access_token"].as_str().unwrap(), 1)["cnf"]["jkt"], world.ada.jkt());
    let next = bound["refresh_token"].as_str().unwrap();
    let plain = ask(next, &[]).await;
    assert_eq!(plain["token_type"], "Bearer");
    assert_eq!(part(plain["access_token"].as_str().unwrap(), 1).get("cnf"), None);
    let other = ask(plain["refresh_token"].as_str().unwrap(), &[&Holder::new().proof()]).await;
    assert_eq!(other["token_type"], "DPoP");
}

#[tokio::test]
async fn a_guessed_refresh_token_with_a_good_proof_reaches_no_store() {
    let world = World::new();
    let login = world.bound().await;
    world.stage.store.asked();
    let (start, last) = login.refresh_token().split_at(login.refresh_token().len() - 1);
    let forged = format!("{start}{}", if last == "A" { "E" } else { "A" });
    for token in [&*forged, "x", login.access().as_str()] {
        let response = world.refresh(token, &[&world.ada.proof()]).await;
        assert_eq!(error(&response), refused("invalid_grant"));
        let form = format!("client_id=web&token={token}");
        let proof = world.ada.proof_at("/revoke");
        if token != login.access().as_str() {
            assert_eq!(post(&world.revocation, "/revoke", &form, &[&proof]).await.status(), 200);
        }
    }
    assert_eq!((world.asked(), world.stage.store.asked()), (0, crate::spy::Asked::default()));
}

#[tokio::test]
async fn what_is_bound_is_revoked_with_a_proof_and_an_access_token_by_itself() {
    let world = World::new();
    let revoke = async |token: &str, proofs: &[&str]| {
        post(&world.revocation, "/revoke", &format!("client_id=web&token={token}"), proofs).await
    };
    let login = world.bound().await;
    for proofs in [&[][..], &[&*Holder::new().proof_at("/revoke")]] {
        assert_eq!(revoke(login.refresh_token(), proofs).await.status(), 200);
        let next = world.refresh(login.refresh_token(), &[&world.ada.proof()]).await;
        assert_eq!(next.status(), 200, "it was not theirs to end");
    }
    let bad = revoke(login.refresh_token(), &[&world.ada.proof()]).await;
    assert_eq!(error(&bad), refused("invalid_dpop_proof"), "a proof for another endpoint");
    assert_eq!(revoke(login.refresh_token(), &[&world.ada.proof_at("/revoke")]).await.status(), 200);
    let ended = world.refresh(login.refresh_token(), &[&world.ada.proof()]).await;
    assert_eq!(error(&ended), refused("invalid_grant"));

    let login = world.bound().await;
    let introspection = world.endpoints.introspection_service::<Bytes>();
    let look = async |token: &str| {
        let form = format!("client_id=reports&client_secret={SECRET}&token={token}");
        json_of(&post(&introspection, "/introspect", &form, &[]).await)
    };
    let known = look(login.access().as_str()).await;
    assert_eq!((&known["active"], &known["token_type"]), (&json!(true), &json!("DPoP")));
    assert_eq!(known["cnf"]["jkt"], world.ada.jkt());
    assert_eq!(revoke(login.access().as_str(), &[]).await.status(), 200);
    assert_eq!(look(login.access().as_str()).await, json!({ "active": false }));
}

#[tokio::test]
async fn a_login_learns_whose_key_a_request_proves() {
    let world = World::new();
    let head = |proof: Option<&str>| {
        let request = Request::post("/login");
        let request = proof.into_iter().fold(request, |request, proof| request.header("dpop", proof));
        request.body(()).unwrap().into_parts().0
    };
    let proof = world.ada.proof_at("/login");
    let key = world.endpoints.proven_key(&head(Some(&proof))).await.unwrap().unwrap();
    assert_eq!((key.confirmation(), key.nonce()), (&world.ada.confirmation(), None));
    assert!(world.endpoints.proven_key(&head(None)).await.unwrap().is_none());

    let elsewhere = world.ada.proof();
    for (name, proof) in [("used before", &proof), ("for another endpoint", &elsewhere)] {
        let told = world.endpoints.proven_key(&head(Some(proof))).await.unwrap_err();
        assert_eq!(error(&told.into_response()), refused("invalid_dpop_proof"), "{name}");
    }
    let without = plain(&world.stage).proven_key(&head(Some("x"))).await.unwrap();
    assert!(without.is_none(), "where no proofs are looked at");

    let strict = World::with(|dpop| dpop.required().nonces(NonceKeys::new([7; 32])));
    let missing = strict.endpoints.proven_key(&head(None)).await.unwrap_err();
    assert!(missing.to_string().contains("missing"));
    let told = strict.endpoints.proven_key(&head(Some(&strict.ada.proof_at("/login")))).await.unwrap_err();
    let told = told.into_response::<Bytes>();
    assert_eq!(error(&told), refused("use_dpop_nonce"));
    assert!(nonce(&told).is_some());
}

#[tokio::test]
async fn endpoints_that_look_at_no_proofs_give_bearer_tokens_and_refresh_nothing_that_is_bound() {
    let world = World::new();
    let service = plain(&world.stage).token_service::<Bytes>();
    let (bound, login) = (world.bound().await, world.stage.login().await);
    let ask = async |token: &str| post(&service, "/token", &refreshing(token), &[&world.ada.proof()]).await;
    assert_eq!(error(&ask(bound.refresh_token()).await), refused("invalid_grant"));
    assert_eq!(json_of(&ask(login.refresh_token()).await)["token_type"], "Bearer");
}

#[test]
fn what_cannot_be_checked_is_no_configuration_and_what_can_is_published() {
    let stage = Stage::new();
    let with = |change: fn(Dpop) -> Dpop, address: &str| {
        let dpop = change(Dpop::new(address, MemoryReplayBackend::new()));
        plain(&stage).dpop(dpop).map(drop).map_err(|error| error.kind())
    };
    assert_eq!(with(|it| it, ISSUER), Ok(()));
    assert_eq!(with(|it| it, "auth.example"), Err(BuildErrorKind::BadAddress));
    assert_eq!(with(|it| it.algorithms([Algorithm::HS256]), ISSUER), Err(BuildErrorKind::BadAlgorithms));
    assert_eq!(with(|it| it.max_age(secs(601)), ISSUER), Err(BuildErrorKind::ProofAge));
    assert_eq!(with(|it| it.leeway(secs(301)), ISSUER), Err(BuildErrorKind::LeewayTooLong));
    assert_eq!(with(|it| it.nonces(NonceKeys::new("short")), ISSUER), Err(BuildErrorKind::WeakSecret));

    let issuer = stage.refresh.issuer();
    let metadata = Metadata::new(issuer, "https://auth.example/jwks.json").unwrap();
    let document = metadata.dpop_algorithms([Algorithm::ES256, Algorithm::EdDSA]).to_json();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["dpop_signing_alg_values_supported"], json!(["ES256", "EdDSA"]));
}
