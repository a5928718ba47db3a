//! What is secret and how it is handled: random bytes, comparison in constant time, and a `Debug` that says nothing.

use std::fmt;

use subtle::ConstantTimeEq;

/// A value that is not printed. There is no `Display`, no `Serialize`, and `Debug` shows `[redacted]`.
#[cfg_attr(not(feature = "session"), allow(dead_code, reason = "not every feature holds secrets"))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Redacted<T>(pub(crate) T);

/// The operating system gave no random bytes. Nothing can be minted until it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoEntropy;

/// `N` bytes from the operating system's random source.
#[cfg_attr(not(feature = "session"), expect(dead_code, reason = "only sessions mint so far"))]
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(bytes)
}

/// Whether both are the same, in a time that depends on their lengths only.
#[cfg_attr(not(feature = "session"), expect(dead_code, reason = "only sessions compare so far"))]
pub(crate) fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
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
        assert!(
            constant_time_eq(b"same", b"same")
                && !constant_time_eq(b"same", b"not")
                && !constant_time_eq(b"a", b"b")
        );
    }
}
