//! What is secret and how it is handled: random bytes, comparison in constant time, and a `Debug` that says nothing.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

/// A value that is not printed. There is no `Display`, no `Serialize`, and `Debug` shows `[redacted]`.
#[cfg_attr(not(feature = "session"), allow(dead_code, reason = "not every feature holds secrets"))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Redacted<T>(pub(crate) T);

/// The operating system gave no random bytes. Nothing can be minted until it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoEntropy;

/// `N` bytes from the operating system's random source.
#[cfg_attr(
    not(any(feature = "csrf", feature = "issue", feature = "session")),
    expect(dead_code, reason = "only what mints needs random bytes")
)]
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

/// Whether both are the same, in a time that does not depend on what they are.
#[cfg_attr(
    not(any(feature = "csrf", feature = "issue", feature = "session")),
    expect(dead_code, reason = "only what mints compares secrets")
)]
pub(crate) fn constant_time_eq(a: &[u8; 32], b: &[u8; 32]) -> bool {
    // Of words: it takes a quarter of the time that it takes of bytes.
    let (a, b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let same = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*a).ct_eq(&u64::from_ne_bytes(*b));
    a.iter().zip(b).map(same).fold(Choice::from(1), |all, one| all & one).into()
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redacted_value_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", Redacted("hunter2")), "[redacted]");
    }

    #[test]
    #[cfg(feature = "session")]
    fn random_bytes_differ() {
        assert_ne!(random::<16>(), random::<16>());
    }

    #[test]
    #[cfg(feature = "session")]
    fn a_difference_in_any_byte_is_seen() {
        let one = [7; 32];
        assert!(constant_time_eq(&one, &one.clone()));
        for at in 0..32 {
            let mut other = one;
            other[at] ^= 0x80;
            assert!(!constant_time_eq(&one, &other), "{at}");
        }
    }
}
