//! [`Packed`]: groups of strings in one allocation, so that an identity is decoded by one copy.

use smallvec::SmallVec;

/// `G` groups of strings, kept end to end in one text.
///
/// A string's end is kept by number, not by a separator, so no string can be mistaken for two.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Packed<const G: usize> {
    text: Box<str>,
    /// Where each string ends in `text`.
    ends: SmallVec<[u32; 12]>,
    /// Where each group ends in `ends`.
    groups: [u16; G],
}

impl<const G: usize> Packed<G> {
    /// Packs the groups; `None` if there are more than 65 535 strings or 4 GiB of text.
    pub(crate) fn new<S: AsRef<str>>(groups: [&[S]; G]) -> Option<Self> {
        let len = groups.iter().copied().flatten().map(|string| string.as_ref().len()).sum();
        let mut text = String::with_capacity(len);
        let mut ends = SmallVec::new();
        let mut group_ends = [0; G];
        for (group, group_end) in groups.into_iter().zip(&mut group_ends) {
            for string in group {
                text.push_str(string.as_ref());
                ends.push(u32::try_from(text.len()).ok()?);
            }
            *group_end = u16::try_from(ends.len()).ok()?;
        }
        Some(Self { text: text.into_boxed_str(), ends, groups: group_ends })
    }

    /// No strings at all.
    pub(crate) fn empty() -> Self {
        Self { text: Box::default(), ends: SmallVec::new(), groups: [0; G] }
    }

    /// The strings of a group, in order; none if there is no such group.
    pub(crate) fn group(&self, group: usize) -> impl ExactSizeIterator<Item = &str> + Clone {
        let first = group.checked_sub(1).and_then(|before| self.groups.get(before)).copied().unwrap_or(0);
        let last = self.groups.get(group).copied().unwrap_or(first);
        (usize::from(first)..usize::from(last)).map(|index| self.string(index))
    }

    fn string(&self, index: usize) -> &str {
        let end = |index: usize| self.ends.get(index).map(|&end| end as usize);
        let start = index.checked_sub(1).and_then(end).unwrap_or(0);
        let stop = end(index).unwrap_or(start);
        self.text.get(start..stop).unwrap_or_default()
    }

    /// Appends the wire form: group ends, string ends, text; all numbers big-endian.
    #[cfg_attr(not(feature = "session"), expect(dead_code, reason = "only session records hold identities"))]
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for group in self.groups {
            out.extend_from_slice(&group.to_be_bytes());
        }
        for end in &self.ends {
            out.extend_from_slice(&end.to_be_bytes());
        }
        out.extend_from_slice(self.text.as_bytes());
    }

    /// How many bytes [`encode`](Self::encode) gives.
    #[cfg_attr(not(feature = "session"), expect(dead_code, reason = "only session records hold identities"))]
    pub(crate) fn encoded_len(&self) -> usize {
        2 * G + 4 * self.ends.len() + self.text.len()
    }

    /// Reads the wire form, all of `bytes`; `None` unless every end is in order and on a character's boundary.
    #[cfg_attr(not(feature = "session"), expect(dead_code, reason = "only session records hold identities"))]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(2 * G)?;
        let mut groups = [0; G];
        for (group, be) in groups.iter_mut().zip(head.as_chunks::<2>().0) {
            *group = u16::from_be_bytes(*be);
        }
        let strings = usize::from(groups.last().copied().unwrap_or(0));
        let (ends, text) = rest.split_at_checked(4 * strings)?;
        let ends: SmallVec<[u32; 12]> =
            ends.as_chunks::<4>().0.iter().map(|be| u32::from_be_bytes(*be)).collect();
        let text = std::str::from_utf8(text).ok()?;
        let whole = ends.last().map_or(text.is_empty(), |&end| end as usize == text.len());
        let boundaries = ends.iter().all(|&end| text.is_char_boundary(end as usize));
        (whole && boundaries && ends.is_sorted() && groups.is_sorted()).then(|| Self {
            text: text.into(),
            ends,
            groups,
        })
    }
}

#[cfg(test)]
#[cfg(feature = "session")]
mod tests {
    use super::*;

    fn sample() -> Packed<3> {
        Packed::new([&["ada"], &[], &["", "rôle", "admin,root"]]).unwrap()
    }

    #[test]
    fn groups_come_back_as_they_went_in() {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        let packed = Packed::<3>::decode(&bytes).unwrap();
        assert!(packed.group(0).eq(["ada"]));
        assert_eq!(packed.group(1).len(), 0);
        assert!(packed.group(2).eq(["", "rôle", "admin,root"]));
        assert_eq!(packed.group(3).len(), 0);
    }

    #[test]
    fn no_truncation_and_no_flipped_byte_panics() {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        for len in 0..bytes.len() {
            assert!(Packed::<3>::decode(&bytes[..len]).is_none(), "{len}");
        }
        for at in 0..bytes.len() {
            for flip in 1..=255u8 {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                if let Some(packed) = Packed::<3>::decode(&bad) {
                    (0..4).for_each(|group| packed.group(group).for_each(drop));
                }
            }
        }
    }
}
