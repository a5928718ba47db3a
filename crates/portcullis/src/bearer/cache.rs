//! [`TokenCache`]: how much is kept of tokens that were verified; and [`Cache`], where that is kept.
//!
//! Only tokens that were accepted are kept. A token is found by a seeded hash of its end, which is part of its signature,
//! and is then compared whole, in constant time; it is wiped from memory when it goes.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hashbrown::DefaultHashBuilder;
use portcullis_store::Timestamp;
use zeroize::Zeroizing;

use super::confirmation::Confirmation;
use super::crypto::same_bytes;
use super::events::{self, Cached};
use super::keys::{KeySet, KeyUid};
use super::revocation::Marks;
use super::verifier::{Occasion, TrustedIssuer};
use crate::identity::Identity;

/// How many tokens a layer remembers that it has verified, so that the next request with one of them costs no signature.
/// For [`BearerLayer::cache`](crate::BearerLayer::cache).
///
/// * A token is remembered for a minute, and never past its `exp` and the issuer's leeway, or its `max_age`.
/// * It is forgotten as soon as the key that has signed it is not in the issuer's set any more.
/// * Whether it is [revoked](crate::BearerLayer::revocation) is asked each time; and what a route asks for beyond a good
///   token is asked each time, too.
/// * What was refused is not remembered.
///
/// ```
/// use portcullis::bearer::TokenCache;
///
/// let cache = TokenCache::default().max_tokens(50_000).max_bytes(128 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct TokenCache {
    max_tokens: usize,
    max_bytes: usize,
}

/// What a layer's cache holds at the moment, for dashboards. Some of it may be over already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheUsage {
    /// How many tokens.
    pub tokens: usize,
    /// How many bytes they take, about, with what is known of them.
    pub bytes: usize,
}

/// Tokens of which something was found out a moment ago: that they were verified, as a rule.
pub(super) struct Cache<V = Remembered> {
    shelves: Box<[Padded<Mutex<Shelf<V>>>]>,
    hasher: DefaultHashBuilder,
    max_bytes_on_shelf: usize,
}

/// On a cache line of its own, so that neighbouring locks do not slow each other down.
#[repr(align(128))]
struct Padded<T>(T);

/// A few tokens whose hashes are neighbours. One that is put there may push others off.
struct Shelf<V> {
    tokens: Vec<Kept<V>>,
    bytes: usize,
}

struct Kept<V> {
    hash: u64,
    token: Zeroizing<Box<[u8]>>,
    verified: Arc<V>,
    bytes: usize,
}

/// What is known of a token for a while.
pub(super) trait Perishable {
    /// Whether it holds at this moment.
    fn lasts(&self, now: Timestamp) -> bool;

    /// When it was found out.
    fn since(&self) -> Timestamp;

    /// Until, not at, when it holds.
    fn until(&self) -> Timestamp;
}

/// What is known of a token that was verified.
pub(super) struct Remembered {
    pub(super) identity: Identity,
    /// By what it can be revoked, if anybody has asked.
    pub(super) marks: Option<Marks>,
    /// To what it is bound. Whether that is proved is asked each time.
    pub(super) confirmation: Option<Arc<Confirmation>>,
    issuer: Arc<TrustedIssuer>,
    /// The set that it was verified with, and the key in it. Held weakly, so that keys that were replaced do not stay.
    keys: Weak<KeySet>,
    key: KeyUid,
    since: Timestamp,
    until: Timestamp,
}

/// How long a token is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How many tokens are on a shelf.
const WIDTH: usize = 8;

/// Some tokens of usual length, or a long one, find room on a shelf: were there more of them than that many bytes allow, they
/// would keep none.
const SMALLEST_SHELF: usize = 8 * 1024;

/// They are made when the layer is built, whatever number stands for "no limit".
const MOST_SHELVES: usize = 1 << 20;

/// How much of a token's end is hashed. A signature has at least 43 characters, and 32 hold 192 bits.
const HASHED: usize = 32;

impl TokenCache {
    /// How many tokens are kept at most, in eights. Default: 10 000. None: nothing is kept. Where
    /// [`max_bytes`](Self::max_bytes) has no 8 KiB for eight of them, fewer are kept; and never more than eight million.
    pub const fn max_tokens(mut self, max: usize) -> Self {
        self.max_tokens = max;
        self
    }

    /// How many bytes they may take, with what is known of them: twice a token's length and some hundred bytes. Default:
    /// 32 MiB. A token that takes more than a shelf's share, eight of [`max_tokens`](Self::max_tokens) together, is not
    /// kept.
    pub const fn max_bytes(mut self, max: usize) -> Self {
        self.max_bytes = max;
        self
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self { max_tokens: 10_000, max_bytes: 32 << 20 }
    }
}

impl Cache {
    /// What is known of the token, if that still holds on this occasion.
    pub(super) fn get(&self, token: &[u8], occasion: Occasion) -> Option<Arc<Remembered>> {
        let found = self.find(token).filter(|found| found.serves(occasion) && found.holds(occasion.now));
        events::cached(if found.is_some() { Cached::Hit } else { Cached::Miss });
        found
    }

    /// Keeps a token that was accepted, and whose claims are in it.
    pub(super) fn keep(&self, token: &[u8], verified: Remembered) {
        for _ in 0..self.put(token, Arc::new(verified), token.len()) {
            events::cached(Cached::Evicted);
        }
    }
}

impl<V: Perishable> Cache<V> {
    pub(super) fn new(limits: TokenCache) -> Self {
        let for_bytes = (limits.max_bytes / SMALLEST_SHELF).max(1);
        let shelves = limits.max_tokens.div_ceil(WIDTH).min(for_bytes).min(MOST_SHELVES);
        Self {
            shelves: (0..shelves).map(|_| Padded(Mutex::new(Shelf::new()))).collect(),
            hasher: DefaultHashBuilder::default(),
            max_bytes_on_shelf: limits.max_bytes / shelves.max(1),
        }
    }

    /// The lock is held for this only: what is found is judged without it.
    pub(super) fn find(&self, token: &[u8]) -> Option<Arc<V>> {
        let hash = self.hash(token);
        let shelf = self.shelf(hash)?;
        let found = shelf.tokens.iter().find(|kept| kept.is(hash, token))?;
        Some(Arc::clone(&found.verified))
    }

    /// Keeps what is known of a token, which takes so many bytes beside it, and says how many made room for it.
    pub(super) fn put(&self, token: &[u8], verified: Arc<V>, len: usize) -> usize {
        let (hash, now) = (self.hash(token), verified.since());
        let bytes = token.len() + len + OVERHEAD;
        if bytes > self.max_bytes_on_shelf {
            return 0;
        }
        let token = Zeroizing::new(Box::from(token));
        let Some(mut shelf) = self.shelf(hash) else { return 0 };
        shelf.put(Kept { hash, token, verified, bytes }, self.max_bytes_on_shelf, now)
    }

    pub(super) fn usage(&self) -> CacheUsage {
        let mut usage = CacheUsage::default();
        for shelf in &self.shelves {
            let shelf = shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
            usage.tokens += shelf.tokens.len();
            usage.bytes += shelf.bytes;
        }
        usage
    }

    fn hash(&self, token: &[u8]) -> u64 {
        self.hasher.hash_one(token.last_chunk::<HASHED>().map_or(token, |end| end))
    }

    /// `None` if there are no shelves.
    fn shelf(&self, hash: u64) -> Option<MutexGuard<'_, Shelf<V>>> {
        let at = usize::try_from(hash.checked_rem(self.shelves.len() as u64)?).ok()?;
        self.shelves.get(at).map(|shelf| shelf.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a kept token takes besides its own length and that of the claims in it.
const OVERHEAD: usize = 512;

impl<V: Perishable> Shelf<V> {
    const fn new() -> Self {
        Self { tokens: Vec::new(), bytes: 0 }
    }

    /// How many have made room for it.
    fn put(&mut self, kept: Kept<V>, max_bytes: usize, now: Timestamp) -> usize {
        // It may be there: two requests have verified it at once, or it is known again after it was over.
        self.remove_where(|held| held.hash == kept.hash && *held.token == *kept.token);
        self.remove_where(|held| !held.verified.lasts(now));
        let mut evicted = 0;
        while self.tokens.len() >= WIDTH || self.bytes + kept.bytes > max_bytes {
            // The one that ends first: it was verified first, as a rule.
            let first = self.tokens.iter().enumerate().min_by_key(|(_, held)| held.verified.until());
            let Some((at, _)) = first else { break };
            let gone = self.tokens.swap_remove(at);
            self.bytes -= gone.bytes;
            evicted += 1;
        }
        self.bytes += kept.bytes;
        self.tokens.push(kept);
        evicted
    }

    fn remove_where(&mut self, is_gone: impl Fn(&Kept<V>) -> bool) {
        let gone: usize = self.tokens.iter().filter(|kept| is_gone(kept)).map(|kept| kept.bytes).sum();
        self.tokens.retain(|kept| !is_gone(kept));
        self.bytes -= gone;
    }
}

impl<V> Kept<V> {
    fn is(&self, hash: u64, token: &[u8]) -> bool {
        self.hash == hash && same_bytes(&self.token, token)
    }
}

impl Remembered {
    /// A token that was verified at this moment with a key of this set, and may be accepted until then.
    pub(super) fn new(
        identity: Identity,
        marks: Option<Marks>,
        issuer: &Arc<TrustedIssuer>,
        (keys, key): (&Arc<KeySet>, KeyUid),
        (since, until): (Timestamp, Timestamp),
    ) -> Self {
        Self {
            identity,
            marks,
            confirmation: None,
            issuer: Arc::clone(issuer),
            keys: Arc::downgrade(keys),
            key,
            since,
            until: until.min(since.saturating_add(REMEMBERED)),
        }
    }

    /// The same, of a token that is bound to this.
    pub(super) fn bound_to(mut self, confirmation: Option<Arc<Confirmation>>) -> Self {
        self.confirmation = confirmation;
        self
    }

    /// Whether it says what is asked, and of a token that came in this way.
    fn serves(&self, occasion: Occasion) -> bool {
        self.identity.carrier() == occasion.carrier && (self.marks.is_some() || !occasion.wants_marks)
    }

    /// Whether it holds still: it is not over, and the key is still the issuer's.
    fn holds(&self, now: Timestamp) -> bool {
        if !self.lasts(now) {
            return false;
        }
        let keys = self.issuer.keys.snapshot();
        std::ptr::eq(self.keys.as_ptr(), Arc::as_ptr(&keys)) || keys.has_uid(self.key)
    }
}

impl Perishable for Remembered {
    /// What was verified later than now was verified before the clock was set back, and may not be valid yet.
    fn lasts(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }

    fn since(&self) -> Timestamp {
        self.since
    }

    fn until(&self) -> Timestamp {
        self.until
    }
}

impl<V: Perishable> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearer::{Audience, HmacKeys, Issuer};
    use crate::identity::Carrier;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn issuer() -> Arc<TrustedIssuer> {
        let keys = HmacKeys::new([b"0123456789abcdef0123456789abcdef".to_vec()]).unwrap();
        Arc::new(Issuer::new("i", Audience::one_of(["a"])).keys(keys).build().unwrap())
    }

    fn remembered(issuer: &Arc<TrustedIssuer>, subject: &str, until: Timestamp) -> Remembered {
        let keys = issuer.keys.snapshot();
        let key = KeyUid::NONE;
        let identity = Identity::new(subject).carrier(Carrier::Explicit).build();
        Remembered::new(identity, None, issuer, (&keys, key), (NOW, until))
    }

    fn get(cache: &Cache, token: &str, carrier: Carrier, wants_marks: bool) -> Option<Arc<Remembered>> {
        cache.get(token.as_bytes(), Occasion { carrier, now: NOW, wants_marks, wants_proof: false })
    }

    #[test]
    fn a_flood_of_tokens_stays_within_bounds_and_the_last_is_there() {
        let (issuer, limits) = (issuer(), TokenCache::default().max_tokens(1000).max_bytes(1 << 20));
        let cache = Cache::new(limits);
        for at in 0..100_000 {
            let token = format!("header.payload-{}.signature-of-{at:043}", "x".repeat(at % 900));
            cache.keep(token.as_bytes(), remembered(&issuer, "ada", NOW.saturating_add(REMEMBERED)));
            let fits = 2 * token.len() + OVERHEAD <= (1 << 20) / 125;
            assert_eq!(get(&cache, &token, Carrier::Explicit, false).is_some(), fits);
        }
        let CacheUsage { tokens, bytes } = cache.usage();
        assert!((500..=1000).contains(&tokens) && bytes <= 1 << 20, "{tokens} tokens, {bytes} bytes");
        let counted: usize = cache
            .shelves
            .iter()
            .flat_map(|it| it.0.lock().unwrap().tokens.iter().map(|it| it.bytes).collect::<Vec<_>>())
            .sum();
        assert_eq!(counted, bytes);
    }

    #[test]
    fn a_token_that_is_kept_again_is_there_once() {
        let (issuer, cache) = (issuer(), Cache::new(TokenCache::default()));
        for subject in ["ada", "grace"] {
            cache.keep(b"the.same.token", remembered(&issuer, subject, Timestamp::MAX));
            let found = get(&cache, "the.same.token", Carrier::Explicit, false).unwrap();
            assert_eq!(found.identity.subject(), subject);
        }
        assert_eq!(cache.usage().tokens, 1);
    }

    #[test]
    fn what_was_carried_in_another_way_is_another_identity() {
        let (issuer, cache) = (issuer(), Cache::new(TokenCache::default()));
        cache.keep(b"a.b.c", remembered(&issuer, "ada", Timestamp::MAX));
        assert!(get(&cache, "a.b.c", Carrier::Ambient, false).is_none());
        assert!(get(&cache, "a.b.c", Carrier::Explicit, true).is_none(), "without marks");
        assert!(get(&cache, "a.b.c", Carrier::Explicit, false).is_some());
    }

    #[test]
    fn what_is_over_makes_room_before_what_is_not() {
        let (issuer, cache) = (issuer(), Cache::new(TokenCache::default().max_tokens(WIDTH)));
        for at in 0..WIDTH {
            let until = NOW.saturating_add(Duration::from_secs(10 + at as u64));
            cache.keep(format!("a.b.{at}").as_bytes(), remembered(&issuer, "ada", until));
        }
        cache.keep(b"a.b.new", remembered(&issuer, "ada", Timestamp::MAX));
        let is_there = |name: &str| get(&cache, name, Carrier::Explicit, false).is_some();
        assert!(!is_there("a.b.0") && is_there("a.b.1") && is_there("a.b.new"), "the first to end gave way");
        let later = NOW.saturating_add(Duration::from_secs(30));
        let mut late = remembered(&issuer, "ada", Timestamp::MAX);
        (late.since, late.until) = (later, Timestamp::MAX);
        cache.keep(b"a.b.late", late);
        assert_eq!(cache.usage().tokens, 2, "those that are over are gone");
    }

    #[test]
    fn debug_shows_no_token() {
        let (issuer, cache) = (issuer(), Cache::new(TokenCache::default()));
        cache.keep(b"secret.secret.secret", remembered(&issuer, "ada", Timestamp::MAX));
        let debug = format!("{cache:?}");
        assert!(
            debug.contains("tokens: 1") && !debug.contains("secret") && !debug.contains("ada"),
            "{debug}"
        );
    }
}
