//! [`unique`]: what tells one process or one request from all others.

use std::hash::{BuildHasher, RandomState};

/// Bytes that nobody else has. They need not be secret: the hashers' keys begin at random in each thread, and differ with each
/// call.
pub(crate) fn unique() -> [u8; 16] {
    let half = |half: u64| u128::from(RandomState::new().hash_one(half));
    ((half(0) << 64) | half(1)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_alike_whichever_thread_asks() {
        let many = || (0..1000).map(|_| unique()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(many)).collect();
        let all: HashSet<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.len(), 4000);
    }
}
