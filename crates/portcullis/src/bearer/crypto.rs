//! What a cryptographic library does for bearer tokens, and the only place that knows which one: aws-lc-rs, or, with feature
//! `rust-crypto` without `bearer`, the crates of RustCrypto. Each is called by name; no process-wide provider is used.
//!
//! What a key or a signature must look like is decided outside, by code that both have in common.

#[cfg(feature = "bearer")]
mod aws_lc;
// Beside aws-lc-rs it is compiled for the tests that compare the two.
#[cfg(all(feature = "rust-crypto", any(test, not(feature = "bearer"))))]
mod rust;

use sha2::{Digest, Sha256};

#[cfg(feature = "bearer")]
pub(super) use self::aws_lc::{PublicKey, SecretKey, same_bytes};
#[cfg(not(feature = "bearer"))]
pub(super) use self::rust::{PublicKey, SecretKey, same_bytes};

/// SHA-256 of these, one after the other.
pub(super) fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

#[cfg(test)]
#[cfg(all(feature = "bearer", feature = "rust-crypto"))]
mod tests;
