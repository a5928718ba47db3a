//! HTTPS, by a certificate authority of one's own.

use portcullis::bearer::KeyState;
use portcullis_jwks::RemoteJwks;
use portcullis_testkit::idp::{Answer, FakeIdp};
use serde_json::json;
use tokio_rustls::rustls::crypto::CryptoProvider;

use crate::front::{Authority, Front};
use crate::stage::Stage;

#[tokio::test]
async fn keys_come_over_tls_from_whom_a_trusted_authority_vouches_for() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let rows = [
        ("an authority of one's own", "localhost", ours.pem(), true),
        ("by address", "127.0.0.1", ours.pem(), true),
        ("one of several", "localhost", theirs.pem() + &ours.pem(), true),
        ("another authority", "localhost", theirs.pem(), false),
        ("another name", "[::ffff:127.0.0.1]", ours.pem(), false),
    ];
    for (name, host, roots, trusted) in rows {
        let idp = FakeIdp::start("api").await;
        let front = Front::start(&idp, ours.server(&["localhost", "127.0.0.1"])).await;
        let source = RemoteJwks::builder(front.url(host)).without_system_roots().add_roots(roots);
        let stage = Stage::with(idp, source.build().unwrap());
        let status = stage.status(&stage.token()).await;
        assert_eq!((status, stage.idp.fetches()), if trusted { (200, 1) } else { (503, 0) }, "{name}");
        assert_eq!(stage.state() == KeyState::Good, trusted, "{name}");
    }
    assert!(CryptoProvider::get_default().is_none(), "the process-wide provider was set");
}

#[tokio::test]
async fn an_https_issuer_does_not_lead_to_plain_http() {
    let authority = Authority::new();
    let idp = FakeIdp::start("api").await;
    let front = Front::start(&idp, authority.server(&["localhost"])).await;
    let issuer = format!("https://localhost:{}", front.port);
    let metadata = json!({ "issuer": issuer, "jwks_uri": idp.jwks_url() });
    idp.answer_metadata(Answer::Text(metadata.to_string()));
    let source = RemoteJwks::discovery(&issuer).without_system_roots().add_roots(authority.pem());
    let stage = Stage::with(idp, source.build().unwrap());
    assert_eq!(stage.status(&stage.token()).await, 503);
    assert_eq!(stage.idp.fetches(), 0);
    assert!(!stage.idp.asked().is_empty());
}
