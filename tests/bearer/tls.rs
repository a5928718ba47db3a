//! TLS with certificates of both sides, by an authority of one's own.

use std::sync::Arc;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Whom both sides trust.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub struct Certified {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// A server that has its clients show a certificate, if they have one.
pub struct Front {
    port: u16,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Somebody with a certificate of their own.
    pub fn client(&self) -> Certified {
        self.certified("client")
    }

    fn certified(&self, name: &str) -> Certified {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Certified { certificate: certificate.der().clone(), key }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }

    fn server(&self) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), Arc::clone(&provider));
        let own = self.certified("localhost");
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            .with_single_cert(vec![own.certificate], own.key)
            .unwrap()
    }

    fn client_config(&self, client: Option<&Certified>) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        match client {
            Some(client) => builder
                .with_client_auth_cert(vec![client.certificate.clone()], client.key.clone_key())
                .unwrap(),
            None => builder.with_no_client_auth(),
        }
    }
}

impl Certified {
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }
}

impl Front {
    /// Serves what `app` makes for a connection, given the certificate that its client has shown.
    pub async fn start(
        authority: &Authority,
        app: impl Fn(Option<&[u8]>) -> Router + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (acceptor, app) = (TlsAcceptor::from(Arc::new(authority.server())), Arc::new(app));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, app) = (acceptor.clone(), Arc::clone(&app));
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.unwrap();
                    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                    let service = TowerToHyperService::new(app(shown.map(|der| &**der)));
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { port }
    }

    /// The status of a request with this token.
    pub async fn get(
        &self,
        authority: &Authority,
        client: Option<&Certified>,
        path: &str,
        token: &str,
    ) -> u16 {
        self.get_with(authority, client, path, token, "").await
    }

    /// The same, with more header fields.
    pub async fn get_with(
        &self,
        authority: &Authority,
        client: Option<&Certified>,
        path: &str,
        token: &str,
        fields: &str,
    ) -> u16 {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let connector = TlsConnector::from(Arc::new(authority.client_config(client)));
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{fields}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text).await;
        String::from_utf8_lossy(&text).split(' ').nth(1).unwrap().parse().unwrap()
    }
}
