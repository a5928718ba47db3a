//! [`pairs`]: what a line of `Cookie` holds, for whoever looks for one cookie in it.

use std::iter::once;

use memchr::memchr_iter;

/// The pairs of a line of `Cookie` (RFC 6265, section 5.4), with the space around them. Most of its bytes belong to cookies
/// that nobody here looks for, so they are passed over by a search.
pub(crate) fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr_iter(b';', line).chain(once(line.len()));
    ends.scan(0, |start, end| line.get(std::mem::replace(start, end + 1)..end))
}

/// The value of a pair, if its name is this one. A lenient reading: space around either counts for nothing.
#[cfg_attr(
    not(any(feature = "bearer", feature = "rust-crypto", feature = "session")),
    expect(dead_code, reason = "CsrfLayer reads its one cookie in its one spelling")
)]
pub(crate) fn value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let rest = pair.trim_ascii_start().strip_prefix(name.as_bytes())?;
    rest.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_at_each_semicolon() {
        for line in ["", ";", "a=1", "a=1; b=2", "a=1;;b=2;", " ;a", "=;=;"] {
            let expected: Vec<&[u8]> = line.split(';').map(str::as_bytes).collect();
            assert_eq!(pairs(line.as_bytes()).collect::<Vec<_>>(), expected, "{line:?}");
        }
    }
}
