//! TLS: who trusts whom.

use std::io;
use std::sync::Arc;

use portcullis_testkit::redis::{Certificates, Proxy, RedisServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A client's certificate and its key.
type Shown<'pem> = Option<(&'pem str, &'pem str)>;

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn config(trusted: &str, shown: Shown<'_>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(trusted)).unwrap();
    // By name: what else is built with it may bring another library.
    let library = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(library).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    Arc::new(match shown {
        None => config.with_no_client_auth(),
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![certificate(chain)], key).unwrap()
        }
    })
}

/// What a client reads that asks PING of the server that it knows by `name`.
async fn ping(port: u16, name: &str, trusted: &str, shown: Shown<'_>) -> io::Result<String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = TlsConnector::from(config(trusted, shown)).connect(name, stream).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut buffer = [0; 64];
    let len = stream.read(&mut buffer).await?;
    Ok(String::from_utf8_lossy(&buffer[..len]).into_owned())
}

#[tokio::test]
async fn the_server_is_trusted_by_its_names_and_its_authority_alone() {
    let server = RedisServer::builder().tls().start();
    let port = server.port().unwrap();
    assert_eq!(server.url(), format!("rediss://127.0.0.1:{port}"));
    let certificates = server.certificates();
    for name in ["localhost", "127.0.0.1"] {
        assert_eq!(ping(port, name, certificates.ca(), None).await.unwrap(), "+PONG\r\n", "{name}");
    }
    for (trusted, name, complaint) in [
        (certificates.foreign_ca(), "localhost", "UnknownIssuer"),
        (certificates.ca(), "redis.example", "NotValidForName"),
    ] {
        let error = ping(port, name, trusted, None).await.unwrap_err();
        assert!(format!("{error:?}").contains(complaint), "{error:?}");
    }
    let mut plain = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    plain.write_all(b"PING\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said).await;
    assert!(!said.starts_with(b"+PONG"), "nothing in the clear");
}

#[tokio::test]
async fn a_client_without_the_right_certificate_is_refused_where_one_is_required() {
    let server = RedisServer::builder().mutual_tls().password("secret").start();
    let port = server.port().unwrap();
    let certificates: &Certificates = server.certificates();
    let own = (certificates.client_certificate(), certificates.client_key());
    let foreign = (certificates.foreign_client_certificate(), certificates.foreign_client_key());
    let told = ping(port, "localhost", certificates.ca(), Some(own)).await.unwrap();
    assert!(told.starts_with("-NOAUTH"), "accepted, and the password is still missing: {told}");
    for shown in [None, Some(foreign)] {
        assert!(ping(port, "localhost", certificates.ca(), shown).await.is_err(), "{shown:?}");
    }
    assert_eq!(server.command(&["PING"]), "PONG", "the testkit's own way in is not concerned");
}

#[tokio::test]
async fn a_restarted_server_keeps_its_certificates_and_a_proxy_before_it_passes_them_on() {
    let server = RedisServer::builder().tls().password("secret").start();
    let proxy = Proxy::start(&server).await;
    assert_eq!(proxy.url(), format!("rediss://:secret@{}", proxy.address()));
    let ca = server.certificates().ca();
    for _ in 0..2 {
        let told = ping(proxy.address().port(), "127.0.0.1", ca, None).await.unwrap();
        assert!(told.starts_with("-NOAUTH"), "{told}");
        server.restart();
    }
}

#[test]
fn keys_do_not_show_in_debug_output() {
    let server = RedisServer::builder().tls().start();
    assert!(!format!("{:?}", server.certificates()).contains("PRIVATE"));
}

#[test]
#[should_panic(expected = "the server was started with TLS")]
fn a_server_without_tls_has_no_certificates() {
    let _ = RedisServer::start().certificates();
}
