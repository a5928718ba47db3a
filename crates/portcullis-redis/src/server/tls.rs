//! [`TlsConfig`]: whom to believe, and how to identify ourselves.
//!
//! The cryptographic library is named here and is no process-wide choice, so that no other crate's features can take it
//! away or make it ambiguous.

use std::fmt;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, RedisResult};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Stream;
use crate::config::{ConfigError, ConfigErrorKind, RedisConfig};

/// How connections are encrypted: TLS 1.2 or 1.3, with the server's name verified.
///
/// ```no_run
/// use portcullis_redis::{RedisBackend, RedisConfig, TlsConfig};
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let read = std::fs::read_to_string;
/// let tls = TlsConfig::new()
///     .certificate_authority(read("ca.pem")?)
///     .client_certificate(read("client.pem")?, read("client-key.pem")?);
/// let backend = RedisBackend::connect(RedisConfig::standalone("rediss://cache.example")?.tls(tls))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct TlsConfig {
    authorities: Vec<String>,
    identity: Option<(String, String)>,
}

/// What connections are encrypted with.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl TlsConfig {
    /// Believes the certificate authorities of the operating system, and shows no certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes the authorities in this PEM text, and no longer those of the operating system. May be called several
    /// times. Default: those of the operating system.
    pub fn certificate_authority(mut self, pem: impl Into<String>) -> Self {
        self.authorities.push(pem.into());
        self
    }

    /// Shows this certificate, with those that lead to its authority, to a server that asks for one. Both are PEM texts; the
    /// key is a PKCS #8, SEC 1 or PKCS #1 one. Default: none.
    pub fn client_certificate(mut self, chain: impl Into<String>, key: impl Into<String>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self
    }
}

impl RedisConfig {
    /// How `rediss` connections are encrypted. Default: [`TlsConfig::new`]. Needs the feature `tls`.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }
}

impl Tls {
    pub(crate) fn new(config: &TlsConfig) -> Result<Self, ConfigError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client =
            client(config, provider).map_err(|cause| ConfigError::caused(ConfigErrorKind::Tls, cause))?;
        Ok(Self(TlsConnector::from(Arc::new(client))))
    }

    /// Encrypts a connection to `host`.
    pub(crate) async fn over(&self, host: &str, stream: TcpStream) -> RedisResult<Stream> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(self.0.connect(name, stream).await.map_err(not_believed)?))
    }
}

/// What TLS itself refuses an operator must correct; a connection that breaks is an outage.
fn not_believed(error: io::Error) -> RedisError {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(cause) => (ErrorKind::AuthenticationFailed, "TLS", cause.to_string()).into(),
        None => error.into(),
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

fn client(config: &TlsConfig, provider: Arc<CryptoProvider>) -> Result<ClientConfig, Cause> {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots(config)?), Arc::clone(&provider))
            .build()?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_webpki_verifier(verifier);
    let Some((chain, key)) = &config.identity else { return Ok(client.with_no_client_auth()) };
    let chain = certificates(chain)?;
    Ok(client.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?)
}

fn roots(config: &TlsConfig) -> Result<RootCertStore, Cause> {
    let mut roots = RootCertStore::empty();
    for pem in &config.authorities {
        for certificate in certificates(pem)? {
            roots.add(certificate)?;
        }
    }
    if config.authorities.is_empty() {
        // Some of them may be of a kind that rustls does not take; what counts is that some are left.
        let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 {
            return Err("the operating system has no certificate authorities that can be read".into());
        }
    }
    Ok(roots)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?;
    if certificates.is_empty() {
        Err("there is no certificate in the PEM text".into())
    } else {
        Ok(certificates)
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("authorities", &self.authorities.len())
            .field("client_certificate", &self.identity.is_some())
            .finish()
    }
}
