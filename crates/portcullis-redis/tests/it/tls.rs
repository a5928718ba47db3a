//! Encrypted connections: whom we believe, and how we identify ourselves.

use portcullis_redis::{ConfigErrorKind, RedisBackend, RedisConfig, TlsConfig};
use portcullis_store::{Created, SessionBackend, StoreErrorKind};
use portcullis_testkit::redis::RedisServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::support::{BUDGET, MARGIN, Session, record, recovery, timed};

fn backend(server: &RedisServer, tls: TlsConfig) -> RedisBackend {
    RedisBackend::connect(RedisConfig::standalone(server.url()).unwrap().tls(tls)).unwrap()
}

async fn refused(backend: &RedisBackend) {
    for _ in 0..3 {
        let (outcome, took) = timed(backend.load(Session::new().key())).await;
        assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::Config);
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
}

pub(crate) fn believing(server: &RedisServer) -> RedisBackend {
    backend(server, TlsConfig::new().certificate_authority(server.certificates().ca()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_of_a_private_authority_is_believed_when_that_is_named() {
    let server = RedisServer::builder().tls().start();
    assert!(server.url().starts_with("rediss://"));
    let backend = believing(&server);
    let session = Session::new();
    assert_eq!(backend.create(session.key(), &record(b"secret")).await.unwrap(), Created::Done);
    assert!(backend.load(session.key()).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let server = RedisServer::builder().tls().start();
    let foreign = TlsConfig::new().certificate_authority(server.certificates().foreign_ca());
    refused(&backend(&server, foreign)).await;
    refused(&backend(&server, TlsConfig::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_refused() {
    let server = RedisServer::builder().tls().start();
    // The same server at an address that its certificate does not name.
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let (port, address) = (listener.local_addr().unwrap().port(), server.address().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(address).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let tls = TlsConfig::new().certificate_authority(server.certificates().ca());
    let config = RedisConfig::standalone(format!("rediss://127.0.0.2:{port}")).unwrap().tls(tls);
    refused(&RedisBackend::connect(config).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_who_we_are_is_shown_a_certificate() {
    let server = RedisServer::builder().mutual_tls().start();
    let certificates = server.certificates();
    let trusting = || TlsConfig::new().certificate_authority(certificates.ca());
    let known = trusting().client_certificate(certificates.client_certificate(), certificates.client_key());
    backend(&server, known).ping().await.unwrap();
    let foreign = trusting()
        .client_certificate(certificates.foreign_client_certificate(), certificates.foreign_client_key());
    for tls in [trusting(), foreign] {
        backend(&server, tls).ping().await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_server_that_is_restarted_is_found_again() {
    let server = RedisServer::builder().tls().start();
    let backend = believing(&server);
    let session = Session::new();
    recovery(&backend, &session).await;
    server.kill();
    backend.load(session.key()).await.unwrap_err();
    server.restart();
    let took = recovery(&backend, &session).await;
    assert!(took < std::time::Duration::from_secs(1) + MARGIN, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_no_tls_costs_no_more_than_the_budget() {
    let server = RedisServer::builder().tcp().start();
    let url = server.url().replace("redis://", "rediss://");
    let config = RedisConfig::standalone(url).unwrap();
    // The authorities of the operating system may be none on a machine of tests.
    let certificates = RedisServer::builder().tls().start();
    let tls = TlsConfig::new().certificate_authority(certificates.certificates().ca());
    let backend = RedisBackend::connect(config.tls(tls)).unwrap();
    let start = Instant::now();
    backend.load(Session::new().key()).await.unwrap_err();
    assert!(start.elapsed() < BUDGET + MARGIN);
}

#[test]
fn certificates_that_cannot_be_used_are_refused_before_anybody_is_contacted() {
    let server = RedisServer::builder().tls().start();
    let certificates = server.certificates();
    let config = |tls| RedisConfig::standalone("rediss://localhost").unwrap().tls(tls);
    let cases = [
        ("no certificate", TlsConfig::new().certificate_authority("hello")),
        ("half a certificate", TlsConfig::new().certificate_authority(certificates.ca().split_at(200).0)),
        (
            "a key of somebody else",
            TlsConfig::new()
                .certificate_authority(certificates.ca())
                .client_certificate(certificates.client_certificate(), certificates.foreign_client_key()),
        ),
        (
            "no key",
            TlsConfig::new()
                .certificate_authority(certificates.ca())
                .client_certificate(certificates.client_certificate(), "hello"),
        ),
    ];
    for (name, tls) in cases {
        let shown = format!("{tls:?}");
        let error = RedisBackend::connect(config(tls)).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Tls, "{name}");
        assert!(!shown.contains("BEGIN") && !format!("{error:?}").contains("BEGIN"), "{name}");
    }
}
