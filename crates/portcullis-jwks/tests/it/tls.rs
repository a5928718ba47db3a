//! HTTPS, by a certificate authority of one's own.

use std::sync::Arc;

use portcullis::bearer::KeyState;
use portcullis_jwks::RemoteJwks;
use portcullis_testkit::idp::{Answer, FakeIdp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::stage::Stage;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server for these names.
    fn server(&self, names: &[&str]) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

/// TLS in front of the provider.
struct Front {
    port: u16,
    task: JoinHandle<()>,
}

impl Front {
    async fn start(idp: &FakeIdp, config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (acceptor, behind) = (TlsAcceptor::from(Arc::new(config)), idp.address());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever does not trust it hangs up.
                let Ok(mut client) = acceptor.accept(stream).await else { continue };
                let mut server = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
        Self { port, task }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/jwks", self.port)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

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
