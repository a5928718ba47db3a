//! [`Certificates`]: a private authority, and whom it vouches for.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The certificates around a [`RedisServer`](super::RedisServer) with TLS, made anew for each, in PEM.
///
/// The server's is valid for `localhost` and `127.0.0.1`. A foreign authority stands for whatever the server or its
/// clients must not trust.
#[derive(Debug)]
pub struct Certificates {
    ca: String,
    server: Identity,
    client: Identity,
    foreign_ca: String,
    foreign_client: Identity,
}

/// A certificate and its private key.
struct Identity {
    certificate: String,
    key: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Certificates {
    pub(super) fn generate() -> Self {
        let (ca, issuer) = authority("authority");
        let (foreign_ca, foreigner) = authority("foreign authority");
        Self {
            ca,
            server: Identity::issue(&issuer, "server", ExtendedKeyUsagePurpose::ServerAuth),
            client: Identity::issue(&issuer, "client", ExtendedKeyUsagePurpose::ClientAuth),
            foreign_ca,
            foreign_client: Identity::issue(&foreigner, "client", ExtendedKeyUsagePurpose::ClientAuth),
        }
    }

    /// The certificate of the authority that vouches for the server: what a client is to trust.
    #[must_use]
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// The certificate of a client that the server accepts.
    #[must_use]
    pub fn client_certificate(&self) -> &str {
        &self.client.certificate
    }

    /// Its private key, PKCS #8.
    #[must_use]
    pub fn client_key(&self) -> &str {
        &self.client.key
    }

    /// The certificate of another authority: a client that trusts it alone must refuse the server.
    #[must_use]
    pub fn foreign_ca(&self) -> &str {
        &self.foreign_ca
    }

    /// The certificate of a client that the other authority vouches for: the server must refuse it.
    #[must_use]
    pub fn foreign_client_certificate(&self) -> &str {
        &self.foreign_client.certificate
    }

    /// Its private key, PKCS #8.
    #[must_use]
    pub fn foreign_client_key(&self) -> &str {
        &self.foreign_client.key
    }

    /// Writes what the server reads.
    pub(super) fn write_to(&self, directory: &Path) {
        let [ca, certificate, key] = files(directory);
        let texts = [(ca, &self.ca), (certificate, &self.server.certificate), (key, &self.server.key)];
        for (file, text) in texts {
            std::fs::write(file, text).expect("a certificate can be written");
        }
    }
}

/// The server's command line, with the files that [`Certificates::write_to`] wrote.
pub(super) fn arguments(port: u16, client_certificates: bool, directory: &Path) -> Vec<OsString> {
    let [ca, certificate, key] = files(directory).map(OsString::from);
    let is_required = if client_certificates { "yes" } else { "no" };
    [
        ["--tls-port".into(), port.to_string().into()],
        ["--tls-ca-cert-file".into(), ca],
        ["--tls-cert-file".into(), certificate],
        ["--tls-key-file".into(), key],
        ["--tls-auth-clients".into(), is_required.into()],
    ]
    .concat()
}

fn files(directory: &Path) -> [PathBuf; 3] {
    ["ca.pem", "server.pem", "server.key"].map(|name| directory.join(name))
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().expect("a key can be made");
    let certificate = params.self_signed(&key).expect("a certificate can be signed");
    (certificate.pem(), Issuer::new(params, key))
}

impl Identity {
    /// With a name that is not the authority's: who has issued a certificate is found by name.
    fn issue(issuer: &Issuer<'_, KeyPair>, name: &str, purpose: ExtendedKeyUsagePurpose) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("the names are names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, issuer).expect("a certificate can be signed");
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
