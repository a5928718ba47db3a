//! [`new_tag`]: the name of a new write.

use std::cell::RefCell;

use portcullis_store::Tag;

use crate::secret::{NoEntropy, random};

/// Random tags that are not used yet.
struct Supply {
    bytes: [u8; Self::LEN],
    left: usize,
}

impl Supply {
    /// What the operating system gives in one call for little more than it takes to ask.
    const LEN: usize = 256;

    /// Each byte is given once.
    fn next(&mut self) -> Result<Tag, NoEntropy> {
        if self.left == 0 {
            (self.bytes, self.left) = (random()?, Self::LEN / 8);
        }
        self.left -= 1;
        let (tags, _) = self.bytes.as_chunks::<8>();
        tags.get(self.left).copied().map(Tag).ok_or(NoEntropy)
    }
}

thread_local! {
    static SUPPLY: RefCell<Supply> = const { RefCell::new(Supply { bytes: [0; Supply::LEN], left: 0 }) };
}

/// The name of a new write: random, so that no two writes anywhere have one name. It is no secret, so it need not come
/// from the operating system at the very moment, which would cost a write as much as all of its JSON.
pub(crate) fn new_tag() -> Result<Tag, NoEntropy> {
    SUPPLY.with(|supply| match supply.try_borrow_mut() {
        Ok(mut supply) => supply.next(),
        Err(_) => random().map(Tag),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_writes_have_one_name_whoever_makes_them() {
        let many = || (0..1000).map(|_| new_tag().unwrap().0).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(many)).collect();
        let tags: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(tags.iter().collect::<HashSet<_>>().len(), 4000);
        assert!(!tags.contains(&[0; 8]));
    }
}
