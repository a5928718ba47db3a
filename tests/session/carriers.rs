//! In what a session's token travels: a header field for clients that are no browsers, and cookies of every shape.

use axum::Router;
use axum::routing::{get, post};
use http::{HeaderMap, HeaderName};
use portcullis::identity::Carrier;
use portcullis::session::{
    KeyRing, Limit, MemoryBackend, SameSite, SessionCarrier, SessionError, SessionLayer, SessionLayerBuilder,
};
use portcullis::{CsrfLayer, Identity, Session};
use portcullis_testkit::client::{Client, Response};

use crate::support::app::{World, now};
use crate::support::store::AnyStore;

const FIELD: &str = "x-session";

type Configure = fn(SessionLayerBuilder) -> SessionLayerBuilder;

fn in_field(layer: SessionLayerBuilder) -> SessionLayerBuilder {
    layer.carrier(SessionCarrier::Header(HeaderName::from_static(FIELD)))
}

/// What the response hands out.
fn token(response: &Response) -> &str {
    response.header(FIELD).expect("a token")
}

#[tokio::test]
async fn a_token_comes_and_goes_in_its_header_field() {
    for store in AnyStore::each(&now()) {
        println!("on {store:?}");
        let world = World::with(&store, &now(), |layer| in_field(layer).keys(KeyRing::new([1; 32])));
        let client = world.browser().base("http://app.example");
        let get = |path: &str| client.get(path).without_browser();

        let response = get("/login?user=ada").await.assert_status(200);
        assert!(response.set_cookies().is_empty());
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("vary"), Some(FIELD));
        assert!(response.headers[FIELD].is_sensitive());
        let first = token(&response).to_owned();

        let me = get("/me").header(FIELD, first.as_str()).await.assert_status(200);
        assert_eq!((me.text().as_str(), me.header(FIELD), me.header("vary")), ("ada", None, Some(FIELD)));
        let rotated = get("/rotate").header(FIELD, first.as_str()).await.assert_status(200);
        let second = token(&rotated).to_owned();
        assert_eq!(get("/me").header(FIELD, first.as_str()).await.text(), "nobody");
        assert_eq!(get("/me").header(FIELD, second.as_str()).await.text(), "ada");

        let cookie = format!("__Host-id={second}");
        assert_eq!(
            get("/me").header("cookie", cookie.as_str()).await.text(),
            "nobody",
            "a cookie is nothing"
        );

        let logout = get("/logout").header(FIELD, second.as_str()).await.assert_status(200);
        assert_eq!((token(&logout), logout.header("cache-control")), ("", Some("no-store")));
        assert_eq!(get("/me").header(FIELD, second.as_str()).await.text(), "nobody");
        world.spy.forget();
        assert_eq!(get("/me").header(FIELD, "").await.text(), "nobody");
        assert_eq!(world.spy.calls(), []);
    }
}

#[tokio::test]
async fn several_tokens_in_the_field_are_treated_like_several_cookies() {
    for store in AnyStore::each(&now()) {
        println!("on {store:?}");
        let world = World::with(&store, &now(), in_field);
        let client = world.browser();
        let sign_in = async |user: &str| {
            let response = client.get(&format!("/login?user={user}")).without_browser().await;
            token(&response).to_owned()
        };
        let (ada, grace) = (sign_in("ada").await, sign_in("grace").await);
        let junk = format!("{}.{}", "A".repeat(22), "B".repeat(43));
        let rows: [(&str, Vec<&str>, u16, &str); 5] = [
            ("twice the same", vec![&ada, &ada], 200, "ada"),
            ("one that is not known", vec![&junk, &ada], 200, "ada"),
            ("a malformed one", vec!["junk", &ada], 200, "ada"),
            ("two good ones", vec![&ada, &grace], 400, ""),
            ("none that is good", vec![&junk, "junk"], 200, "nobody"),
        ];
        for (name, tokens, status, expected) in rows {
            let joined = tokens.join(", ");
            for values in [tokens, vec![&joined]] {
                let request = client.get("/me").without_browser();
                let request = values.iter().fold(request, |request, value| request.header(FIELD, *value));
                let response = request.await.assert_status(status);
                assert!(status != 200 || response.text() == expected, "{name}");
                assert!(response.set_cookies().is_empty() && response.header(FIELD).is_none(), "{name}");
            }
        }
    }
}

async fn sign_in(session: Session) -> Result<(), SessionError> {
    session.login(Identity::new("ada")).await
}

async fn carried(me: Identity, headers: HeaderMap) -> String {
    let sensitive = headers.get(FIELD).is_some_and(|value| value.is_sensitive());
    format!("{:?} {sensitive}", me.carrier())
}

/// What was read from a record for one request is kept for later ones.
#[tokio::test]
async fn a_token_in_a_cookie_is_ambient_although_the_same_one_came_in_a_field_before() {
    let memory = MemoryBackend::new();
    let service = |configure: Configure| {
        let layer = configure(SessionLayer::builder(memory.clone())).build().unwrap();
        Client::new(Router::new().route("/login", get(sign_in)).route("/me", get(carried)).layer(layer))
    };
    let (by_field, by_cookie) = (service(in_field), service(|layer| layer));
    let token = token(&by_field.get("/login").without_browser().await).to_owned();
    let cookie = format!("__Host-id={token}");
    for _ in 0..2 {
        let response = by_field.get("/me").without_browser().header(FIELD, token.as_str()).await;
        assert_eq!(response.text(), "Explicit true");
        let response = by_cookie.get("/me").without_browser().header("cookie", cookie.as_str()).await;
        assert_eq!(response.text(), "Ambient false");
    }
}

#[tokio::test]
async fn a_header_field_needs_no_proof_of_origin_and_a_cookie_does() {
    for store in AnyStore::each(&now()) {
        println!("on {store:?}");
        let client = |configure: Configure| {
            let layer = configure(SessionLayer::builder(store.clone()).clock(now())).build().unwrap();
            let app = Router::new()
                .route("/login", get(sign_in))
                .route("/act", post(carried))
                .layer(CsrfLayer::new())
                .layer(layer);
            Client::<Router>::new(app)
        };
        let by_field = client(in_field);
        let signed_in = by_field.get("/login").without_browser().await.assert_status(200);
        let act = by_field.post("/act").without_browser().header(FIELD, token(&signed_in));
        assert_eq!(act.await.assert_status(200).text(), format!("{:?} true", Carrier::Explicit));

        let by_cookie = client(|layer| layer);
        by_cookie.get("/login").await.assert_status(200);
        let cookie = format!("__Host-id={}", by_cookie.jar().get("__Host-id").unwrap());
        let act = || by_cookie.post("/act").without_browser().header("cookie", cookie.as_str());
        act().await.assert_status(403);
        let same_origin = act().header("sec-fetch-site", "same-origin").await.assert_status(200);
        assert_eq!(same_origin.text(), format!("{:?} false", Carrier::Ambient));
    }
}

/// Two layers on one path would be two sessions of one request.
#[tokio::test]
async fn a_cookie_and_a_field_on_paths_of_their_own_are_sessions_of_one_user() {
    for store in AnyStore::each(&now()) {
        println!("on {store:?}");
        let routes = |configure: Configure| {
            let layer = SessionLayer::builder(store.clone()).clock(now()).limit(Limit::reject(2));
            let count =
                async |session: Session| session.devices().list().await.map(|all| all.len().to_string());
            let routes = Router::new().route("/login", post(sign_in)).route("/devices", get(count));
            routes.layer(configure(layer).build().unwrap())
        };
        let app = Router::new().nest("/web", routes(|layer| layer)).nest("/app", routes(in_field));
        let client = Client::<Router>::new(app);
        client.post("/web/login").await.assert_status(200);
        let by_app = client.post("/app/login").without_browser().await.assert_status(200);
        assert_eq!(client.get("/web/devices").await.text(), "2");
        let devices = client.get("/app/devices").without_browser().header(FIELD, token(&by_app));
        assert_eq!(devices.await.text(), "2");
        client.post("/app/login").without_browser().await.assert_status(409);
    }
}

#[tokio::test]
async fn a_cookie_of_every_shape_is_found_again_and_removed() {
    let shapes: [(&str, Configure, &str); 6] = [
        ("the default", |layer| layer, "HttpOnly; SameSite=Lax; Secure; Path=/"),
        ("strict", |layer| layer.same_site(SameSite::Strict), "HttpOnly; SameSite=Strict; Secure; Path=/"),
        (
            "partitioned",
            |layer| layer.partitioned().same_site(SameSite::None),
            "HttpOnly; SameSite=None; Partitioned; Secure; Path=/",
        ),
        (
            "of a domain",
            |layer| layer.cookie_name("__Secure-id").domain("app.example"),
            "HttpOnly; SameSite=Lax; Secure; Path=/; Domain=app.example",
        ),
        ("without prefix", |layer| layer.cookie_name("id"), "HttpOnly; SameSite=Lax; Secure; Path=/"),
        ("insecure", SessionLayerBuilder::insecure_dev, "HttpOnly; SameSite=Lax; Path=/"),
    ];
    for store in AnyStore::each(&now()) {
        println!("on {store:?}");
        for (name, configure, attributes) in shapes {
            for remember in [false, true] {
                let world = World::with(&store, &now(), configure);
                let browser = world.browser();
                let sign_in = format!("/login?user=ada&remember={remember}");
                let response = browser.get(&sign_in).await.assert_status(200);
                let [set] = response.set_cookies()[..] else { panic!("one cookie") };
                let (pair, set) = set.split_once("; ").unwrap();
                let persistent = if remember { "; Max-Age=7776000" } else { "" };
                assert_eq!(set, format!("{attributes}{persistent}"), "{name}");
                assert_eq!(browser.get("/me").await.text(), "ada", "{name}");

                let response = browser.get("/logout").await.assert_status(200);
                let cookie_name = pair.split_once('=').unwrap().0;
                let removal = format!("{cookie_name}=; {attributes}; Max-Age=0");
                assert_eq!(response.set_cookies(), [removal], "{name}");
                assert!(browser.jar().names().is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn what_no_client_would_keep_or_send_is_found_when_the_layer_is_built() {
    let builder = || SessionLayer::builder(MemoryBackend::new());
    let field = |name: &'static str| builder().carrier(SessionCarrier::Header(HeaderName::from_static(name)));
    let long = |idle: u64, absolute: u64| portcullis::session::Lifetime {
        idle: std::time::Duration::from_secs(idle),
        absolute: std::time::Duration::from_secs(absolute),
    };
    let rows = [
        ("the defaults", builder(), true),
        ("__Host- with a domain", builder().domain("app.example"), false),
        ("__Host- with a path", builder().path("/app"), false),
        ("__Host- without Secure", builder().cookie_name("__Host-id").insecure_dev(), false),
        ("another prefix's domain", builder().cookie_name("__Secure-id").domain("app.example"), true),
        ("a domain with a dot in front", builder().cookie_name("id").domain(".app.example"), false),
        ("Partitioned", builder().partitioned(), true),
        ("Partitioned without Secure", builder().partitioned().insecure_dev(), false),
        ("SameSite=None without Secure", builder().same_site(SameSite::None).insecure_dev(), false),
        ("a long key", builder().keys(KeyRing::new([1; 32])), true),
        ("a short key", builder().keys(KeyRing::new([1; 31])), false),
        ("a short key behind", builder().keys(KeyRing::new([1; 32]).add_key("short")), false),
        ("unsigned without keys", builder().insecure_accept_unsigned(), false),
        ("a field", field("x-session"), true),
        ("a field with a meaning", field("authorization"), false),
        ("a field for binary data", field("session-bin"), false),
        ("remembered for ever", builder().remembered_lifetime(long(1, u64::MAX)), false),
        ("remembered, idle over absolute", builder().remembered_lifetime(long(2, 1)), false),
    ];
    for (name, builder, sound) in rows {
        assert_eq!(builder.build().is_ok(), sound, "{name}");
    }
}

#[test]
fn debug_shows_no_key() {
    let keys = KeyRing::new("an unmistakable key of 32 bytes!").add_key("another unmistakable key, longer");
    let builder = SessionLayer::builder(MemoryBackend::new()).keys(keys.clone());
    let layer = SessionLayer::builder(MemoryBackend::new()).keys(keys.clone()).build().unwrap();
    for text in [format!("{keys:?}"), format!("{builder:?}"), format!("{layer:?}")] {
        assert!(!text.contains("unmistakable") && !text.contains("117, 110, 109"), "{text}");
    }
}
