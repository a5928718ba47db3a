//! [`Members`]: the names that the members of an object have, to find one that stands twice.

use std::borrow::Cow;

use smallvec::SmallVec;

/// The names so far; room for `N` of them goes without an allocation.
#[derive(Default)]
pub(in crate::bearer) struct Members<'a, const N: usize> {
    names: SmallVec<[Cow<'a, str>; N]>,
    /// The marks of all of them.
    marks: u64,
}

impl<'a, const N: usize> Members<'a, N> {
    /// Adds a name, and says whether it was there. Names are compared only where their marks are alike: of twenty
    /// different ones hardly any are.
    #[inline]
    pub(in crate::bearer) fn add(&mut self, name: Cow<'a, str>) -> bool {
        let mark = mark(&name);
        let is_there = self.marks & mark != 0 && self.names.contains(&name);
        self.marks |= mark;
        self.names.push(name);
        is_there
    }
}

/// One bit, by length, first and last byte. The same name has the same one; another name may have it, too.
fn mark(name: &str) -> u64 {
    let end = |byte: Option<&u8>| u64::from(byte.copied().unwrap_or_default());
    let bytes = name.as_bytes();
    let looks = bytes.len() as u64 | end(bytes.first()) << 16 | end(bytes.last()) << 24;
    // Fibonacci hashing: the topmost six bits of the product depend on all bits.
    1 << (looks.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_name_is_found_again_among_any_others() {
        // Many more than there are marks, so each mark is shared; some differ in the middle only.
        let names: Vec<_> =
            (0..500).flat_map(|at| [format!("n{at}e"), format!("{at}"), "x".repeat(at)]).collect();
        let mut held = HashSet::new();
        let mut members = Members::<8>::default();
        for name in names.iter().chain(&names) {
            assert_eq!(members.add(Cow::Borrowed(name)), !held.insert(name), "{name}");
        }
    }
}
