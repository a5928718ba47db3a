//! What users, tokens and families are called in a store: hashes, so that a store learns no names and keys have one length.

use portcullis_store::Locator;
use sha2::{Digest, Sha256};

/// The name of a user in a store: the first 128 bits of SHA-256 over issuer and subject, lengths before them so that no
/// two pairs run together.
pub(crate) fn user(issuer: Option<&str>, subject: &str) -> Locator {
    let issuer = issuer.unwrap_or_default();
    let mut hasher = Sha256::new();
    hasher.update((issuer.len() as u64).to_be_bytes());
    hasher.update(issuer);
    hasher.update(subject);
    first_bits(hasher)
}

/// The name of one of a user's tokens, or families, by its id.
#[cfg_attr(
    not(any(feature = "bearer", feature = "rust-crypto")),
    expect(dead_code, reason = "only bearer tokens have such names")
)]
pub(crate) fn of_id(id: &str) -> Locator {
    first_bits(Sha256::new_with_prefix(id))
}

/// The name of a proof that a key has made, by the key's thumbprint and the proof's id. The thumbprint has one length, so
/// no two pairs run together.
#[cfg_attr(
    not(any(feature = "bearer", feature = "rust-crypto")),
    expect(dead_code, reason = "only bearer tokens are proved")
)]
pub(crate) fn of_proof(key: &[u8; 32], id: &str) -> Locator {
    first_bits(Sha256::new_with_prefix(key).chain_update(id))
}

fn first_bits(hasher: Sha256) -> Locator {
    let digest: [u8; 32] = hasher.finalize().into();
    let [first, ..] = digest.as_chunks::<16>().0 else { return Locator::from_bytes([0; 16]) };
    Locator::from_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_users_run_together() {
        assert_eq!(user(None, "ada"), user(Some(""), "ada"));
        let pairs = [(None, "ab"), (Some("a"), "b"), (Some("ab"), ""), (Some("b"), "a"), (Some("b"), "ab")];
        for (at, one) in pairs.iter().enumerate() {
            for other in pairs.iter().skip(at + 1) {
                assert_ne!(user(one.0, one.1), user(other.0, other.1), "{one:?} {other:?}");
            }
        }
        assert_ne!(of_id("a"), of_id("b"));
    }

    #[test]
    fn names_are_those_of_the_stores_that_exist() {
        // Made with Python: base64.urlsafe_b64encode(hashlib.sha256(bytes(7) + b"\1ab").digest()[:16])
        assert_eq!(user(Some("a"), "b").as_str(), "v9jUjFqwKKnFVMzJ1l7W_A");
        assert_eq!(of_id("jti").as_str(), "WxKIvbhszzPMAVjaGh9AXA");
    }
}
