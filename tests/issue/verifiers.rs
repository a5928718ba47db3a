//! Independent verifiers, in Python: they read our key set over HTTP through a whole rotation, and we read their tokens.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use portcullis::BearerLayer;
use portcullis::bearer::{Algorithm, Audience, Issuer, Profile, StaticKeys};
use portcullis::issue::{Grant, KeyRing, KeyState, SigningKey, TokenIssuer};
use portcullis_testkit::client::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const ISSUER: &str = "https://auth.example";

/// PyJWT in a process of its own: a line in, a line out.
struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// The interpreter that `cargo xtask test` has prepared.
    #[expect(clippy::disallowed_methods, reason = "the caller's machine says where it is")]
    fn start() -> Self {
        let prepared = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/verifiers/bin/python");
        let program = std::env::var("PYJWT_PYTHON").unwrap_or_else(|_| prepared.to_owned());
        let mut child = Command::new(&program)
            .args(["-u", "-c", include_str!("verifier.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} with PyJWT, see `cargo xtask test`: {error}"));
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.input, "{question}").unwrap();
        let mut line = String::new();
        assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "PyJWT is missing: see `cargo xtask test`");
        serde_json::from_str(&line).unwrap()
    }

    /// The claims, if it verifies the token by the keys at this address.
    fn verify(&mut self, url: &str, token: &str) -> Value {
        self.ask(&json!({ "verify": token, "jwks": url, "issuer": ISSUER, "audience": "api" }))
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address of the ring's keys, over HTTP.
async fn serve(ring: &KeyRing) -> String {
    let app = Router::new().route_service("/jwks.json", ring.jwks_service::<Body>());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}

async fn mint(issuer: &TokenIssuer) -> String {
    let grant = Grant::new("ada", "web").scope("read").sid("s");
    issuer.access_token(&grant).await.unwrap().as_str().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_independent_verifier_accepts_every_token_at_every_moment_of_a_rotation() {
    let key = |name: &str, algorithm| SigningKey::generate(algorithm).unwrap().named(name).unwrap();
    // Short enough to be waited for: a token lives for a second, and what is cached for nothing.
    let ring = KeyRing::builder(key("one", Algorithm::ES256)).cached_for(Duration::ZERO).build().unwrap();
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).build().unwrap();
    let url = serve(&ring).await;
    let mut python = Python::start();
    let mut minted = Vec::new();
    for (name, algorithm) in [
        ("two", Algorithm::EdDSA),
        ("three", Algorithm::RS256),
        ("four", Algorithm::PS256),
        ("five", Algorithm::ES384),
    ] {
        for step in ["before", "pending", "active"] {
            match step {
                "pending" => ring.add(key(name, algorithm)).unwrap(),
                "active" => ring.activate(name).unwrap(),
                _ => {}
            }
            minted.push(mint(&issuer).await);
            for token in &minted {
                let claims = python.verify(&url, token);
                assert_eq!(claims["sub"], "ada", "{name} is {step}: {claims}");
            }
        }
    }
    assert_eq!(ring.keys().iter().filter(|key| key.state == KeyState::Retired).count(), 4);
    ring.remove("one").unwrap();
    assert!(python.verify(&url, &minted[0])["error"].is_string(), "a removed key verifies nothing");
    assert_eq!(python.verify(&url, minted.last().unwrap())["sub"], "ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn their_tokens_are_accepted_here_by_the_rules_of_rfc_9068_and_ours_have_all_of_them_there() {
    let mut python = Python::start();
    let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256).unwrap()).unwrap();
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).build().unwrap();
    let url = serve(&ring).await;
    let token = mint(&issuer).await;
    let ours = python.verify(&url, &token);
    // RFC 9068, section 2.2: required, and of these types.
    for (name, is_right) in [
        ("iss", ours["iss"] == ISSUER),
        ("sub", ours["sub"] == "ada"),
        ("aud", ours["aud"] == "api"),
        ("client_id", ours["client_id"] == "web"),
        ("exp", ours["exp"].as_u64() == ours["iat"].as_u64().map(|at| at + 600)),
        ("jti", ours["jti"].as_str().is_some_and(|id| id.len() == 22)),
        ("typ", ours["_header"]["typ"] == "at+jwt"),
        ("alg", ours["_header"]["alg"] == "ES256"),
        ("kid", ours["_header"]["kid"] == ring.keys()[0].kid),
    ] {
        assert!(is_right, "{name}: {ours}");
    }

    let jwks = python.ask(&json!({ "generate": ["ES256", "EdDSA", "RS256", "PS256"] }));
    let keys = StaticKeys::jwks(&jwks.to_string()).unwrap();
    let trusted = Issuer::new(ISSUER, Audience::one_of(["api"])).keys(keys).profile(Profile::AccessToken);
    let bearer = BearerLayer::new([trusted]).unwrap().required();
    let client = Client::new(
        Router::new()
            .route("/", axum::routing::get(async |me: portcullis::Identity| me.subject().to_owned()))
            .layer(bearer),
    );
    let now = ours["iat"].as_u64().unwrap();
    let good = json!({ "iss": ISSUER, "sub": "ada", "aud": "api", "exp": now + 600, "iat": now, "jti": "1", "client_id": "web" });
    let mut status = async |algorithm: &str, typ: &str, claims: &Value| {
        let token = python.ask(&json!({ "sign": claims, "alg": algorithm, "typ": typ }));
        client.get("/").bearer(token.as_str().unwrap()).await.status.as_u16()
    };
    for algorithm in ["ES256", "EdDSA", "RS256", "PS256"] {
        assert_eq!(status(algorithm, "at+jwt", &good).await, 200, "{algorithm}");
    }
    assert_eq!(status("ES256", "application/at+jwt", &good).await, 200);
    for typ in ["JWT", "", "dpop+jwt", "logout+jwt"] {
        assert_eq!(status("ES256", typ, &good).await, 401, "typ {typ}");
    }
    for name in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(status("ES256", "at+jwt", &claims).await, 401, "without {name}");
    }
    for (name, value) in [
        ("iss", json!("https://auth.example/")),
        ("aud", json!("other")),
        ("exp", json!(now - 10)),
        ("iat", json!(now + 600)),
        ("client_id", json!(7)),
        ("jti", json!([])),
    ] {
        let mut claims = good.clone();
        claims[name] = value;
        assert_eq!(status("ES256", "at+jwt", &claims).await, 401, "another {name}");
    }
}
