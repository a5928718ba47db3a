//! [`Roots`]: whose certificates are trusted; and the TLS that follows from it, with aws-lc-rs by name.
//!
//! The process-wide crypto provider of rustls is neither set nor used: whoever else uses rustls may choose another.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{ConfigError, ConfigErrorKind};

/// The certificate authorities that are trusted.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    system: bool,
    own: Vec<CertificateDer<'static>>,
}

impl Default for Roots {
    fn default() -> Self {
        Self { system: true, own: Vec::new() }
    }
}

impl Roots {
    pub(crate) fn add(&mut self, pem: &[u8]) -> Result<(), ConfigError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match read {
            Ok(certificates) if !certificates.is_empty() => {
                self.own.extend(certificates);
                Ok(())
            }
            Ok(_) | Err(_) => Err(ConfigErrorKind::Certificate.into()),
        }
    }

    pub(crate) const fn forget_system(&mut self) {
        self.system = false;
    }

    /// TLS 1.2 and 1.3 with these roots, of which there must be one unless TLS is not used.
    pub(crate) fn config(&self, is_used: bool) -> Result<ClientConfig, ConfigError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            // The provider has ciphers for both, or there is a mistake in it.
            .map_err(|_| ConfigErrorKind::NoRoots)?;
        Ok(builder.with_root_certificates(self.store(is_used)?).with_no_client_auth())
    }

    fn store(&self, is_used: bool) -> Result<RootCertStore, ConfigError> {
        let mut store = RootCertStore::empty();
        if self.system {
            // One that cannot be read or used is one less to trust.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        for certificate in &self.own {
            store.add(certificate.clone()).map_err(|_| ConfigErrorKind::Certificate)?;
        }
        if is_used && store.is_empty() { Err(ConfigErrorKind::NoRoots.into()) } else { Ok(store) }
    }
}
