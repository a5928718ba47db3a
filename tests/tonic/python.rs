//! What a client reads that shares no code with tonic: Google's gRPC core, by Python's `grpcio`.

use std::path::PathBuf;
use std::process::Stdio;

use portcullis::AuthLayer;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::*;

#[derive(Debug, Deserialize)]
struct Answer {
    code: i32,
    message: String,
}

/// A Python that has `grpcio`; `cargo xtask test` makes one.
#[expect(clippy::disallowed_methods, reason = "the caller's machine says which Python to test with")]
fn python() -> PathBuf {
    let named = std::env::var_os("GRPC_PYTHON_BIN").filter(|named| !named.is_empty());
    named.map_or_else(|| "python3".into(), Into::into)
}

async fn ask(address: SocketAddr, calls: &[Vec<(&'static str, String)>]) -> Vec<Answer> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tonic/client.py");
    let mut client = Command::new(python())
        .args([script, &address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("this test needs python3 with grpcio, in the PATH or named by $GRPC_PYTHON_BIN");
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(&serde_json::to_vec(calls).unwrap()).await.unwrap();
    drop(stdin);
    let output = client.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the client failed; without grpcio, `cargo xtask test` makes a Python that has it: {said}"
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_client_reads_16_7_and_14_with_messages() {
    let (issuer, clock) = (TestIssuer::new(ISSUER, "api"), now());
    for store in AnyStore::each(&clock) {
        let browser = World::new(&store, &clock).browser();
        browser.get("/login?user=ada").await.assert_status(200);
        let cookie = ("cookie", format!("__Host-id={}", browser.jar().get("__Host-id").unwrap()));
        let spy = Spy::new(store.another());
        let session =
            SessionLayer::builder(spy.clone()).clock(clock.clone()).budget(PATIENCE).build().unwrap();
        let auth = AuthLayer::builder().session(session).bearer(bearer(&issuer)).csrf(CsrfLayer::new());
        let (incoming, address) = listen().await;
        let (_, health) = tonic_health::server::health_reporter();
        let server = Server::builder()
            .layer(auth.build().unwrap())
            .layer(RequireLayer::authenticated().scope("health"))
            .add_service(health);
        tokio::spawn(server.serve_with_incoming(incoming));

        let token = |scope: &str| issuer.token(json!({ "sub": "ada", "scope": scope }));
        let with = |token: &dyn std::fmt::Display| vec![("authorization", format!("Bearer {token}"))];
        let forged = vec![cookie.clone(), ("sec-fetch-site", "cross-site".to_owned())];
        let calls = [
            vec![],
            with(&token("health").tampered()),
            with(&token("other")),
            forged,
            with(&token("health")),
        ];
        let answers = ask(address, &calls).await;
        let codes: Vec<_> = answers.iter().map(|answer| answer.code).collect();
        assert_eq!(codes, [16, 16, 7, 7, 0], "{answers:?}");
        assert_eq!(answers[0].message, "sign in first");
        assert_eq!(answers[2].message, "a scope is missing");
        assert!(answers[1].message.contains("signature"), "{answers:?}");
        assert!(answers[3].message.contains("another site"), "{answers:?}");

        spy.fail_with(StoreErrorKind::Unavailable);
        let own = ("origin", format!("http://{address}"));
        let away = ask(address, &[vec![cookie, own]]).await;
        assert_eq!(
            (away[0].code, away[0].message.as_str()),
            (14, "this cannot be done at the moment; try again")
        );
    }
}
