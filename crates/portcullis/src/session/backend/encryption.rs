//! [`EncryptionKeys`]: payloads that only the application can read, and only where it has put them.
//!
//! ```text
//! payload    0, 1 (no realm is empty, so no plain payload begins like this; then the format's version)
//!            nonce, 24 random bytes
//!            XChaCha20-Poly1305 of the plain payload, 16 bytes longer than it
//! ```
//!
//! XChaCha20 and not AES-GCM, because a nonce of 24 bytes may be random for ever: with one of 12 bytes a key is good for
//! 2^32 writes (NIST SP 800-38D, 8.3), which a busy store sees within days.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use portcullis_store::{Clock, Header, Key, Record, StoreError, StoreErrorKind, Timestamp};

use crate::secret::random;

/// The keys that sessions are encrypted with in the store: identity, label and values, so that neither a dump nor a
/// replica shows them. For [`SessionLayerBuilder::encrypt`](crate::session::SessionLayerBuilder::encrypt).
///
/// * The first key encrypts, every key decrypts. What is written is written with the first one.
/// * What is encrypted is bound to its place (realm and locator) and to its header: the secret's hash, the times and the
///   absolute deadline. Whoever can write to the store can destroy sessions, and put back an older state of one that
///   still lives, but can neither read one, nor make one, nor move one to another place or another secret.
/// * What does not decrypt is never an empty session: it is 503, and is left as it is.
/// * A record that is not encrypted does not decrypt either, else whoever can write to the store could make sessions
///   by not encrypting them; but see [`insecure_accept_plaintext_until`](Self::insecure_accept_plaintext_until).
///
/// **To turn it on** in a service that has sessions, accept plain records until the last of them has expired, and write plain
/// ones until every process has the keys:
///
/// ```
/// use std::time::Duration;
/// use portcullis::session::{EncryptionKeys, MemoryBackend, SessionLayer};
/// use portcullis_store::Timestamp;
///
/// # fn from_a_vault(_: &str) -> [u8; 32] { [7; 32] }
/// let deployed = Timestamp::from_millis(1_798_761_600_000); // the same in all: when every process has been replaced
/// let longest = Duration::from_secs(12 * 60 * 60);          // the absolute lifetime
/// let keys = EncryptionKeys::new(&from_a_vault("first"))
///     .insecure_write_plaintext_until(deployed)
///     .insecure_accept_plaintext_until(deployed.saturating_add(longest));
/// let layer = SessionLayer::builder(MemoryBackend::new()).encrypt(keys).build()?;
/// # Ok::<(), portcullis::session::SessionConfigError>(())
/// ```
///
/// **To change keys**, let every process know the new one first, by [`add_decrypting`](Self::add_decrypting); then make it
/// the first; then, after the longest absolute lifetime, drop the old one. A request that brings a session of a key that
/// was dropped is a 503 until the session expires.
///
/// It does not hide how long a session is, when it was made and used, and how many a user has (their name is hashed).
///
/// ```
/// use portcullis::session::{EncryptionKeys, MemoryBackend, SessionLayer};
///
/// # fn from_a_vault(_: &str) -> [u8; 32] { [7; 32] }
/// let keys = EncryptionKeys::new(&from_a_vault("new")).add_decrypting(&from_a_vault("old"));
/// let layer = SessionLayer::builder(MemoryBackend::new()).encrypt(keys).build()?;
/// # Ok::<(), portcullis::session::SessionConfigError>(())
/// ```
#[derive(Clone)]
pub struct EncryptionKeys {
    /// Boxed, so that none leaves a copy behind when it moves; each wipes itself when it is dropped.
    first: Arc<XChaCha20Poly1305>,
    others: Vec<Arc<XChaCha20Poly1305>>,
    plaintext: Plaintext,
}

/// Until when records are read, and written, that are not encrypted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plaintext {
    pub(crate) read_until: Option<Timestamp>,
    pub(crate) written_until: Option<Timestamp>,
}

/// The keys, and the clock that says whether plain records are still read.
pub(crate) struct Encryption {
    keys: EncryptionKeys,
    clock: Arc<dyn Clock>,
}

const MARK: [u8; 2] = [0, 1];
const NONCE_LEN: usize = 24;

/// How many bytes a payload grows by.
pub(crate) const OVERHEAD: usize = MARK.len() + NONCE_LEN + 16;

impl EncryptionKeys {
    /// Encrypts and decrypts with this key: 32 bytes from a secure random source, not a password.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        Self { first: Arc::new(cipher(key)), others: Vec::new(), plaintext: Plaintext::default() }
    }

    /// Decrypts with this key too, one of the past or of the near future.
    #[must_use]
    pub fn add_decrypting(mut self, key: &[u8; 32]) -> Self {
        self.others.push(Arc::new(cipher(key)));
        self
    }

    /// Reads records that are not encrypted until `moment`, for turning encryption on without ending every session;
    /// each is encrypted by its next write. Default: they are not read.
    ///
    /// Up to that moment whoever can write to the store can make sessions of any user, as without encryption. Choose the
    /// moment when the last old session is past its absolute lifetime. Processes that do not have the keys yet answer
    /// 503 to sessions that are encrypted already, so in a fleet it takes
    /// [`insecure_write_plaintext_until`](Self::insecure_write_plaintext_until) as well.
    #[must_use]
    pub fn insecure_accept_plaintext_until(mut self, moment: Timestamp) -> Self {
        self.plaintext.read_until = Some(moment);
        self
    }

    /// Writes records that are not encrypted until `moment`, for turning encryption on, or off, while processes without the
    /// keys serve the same sessions. Choose a moment when every process has them. Default: all that is written is encrypted.
    ///
    /// A layer is not built that would write what it does not read: plain records have to be
    /// [accepted](Self::insecure_accept_plaintext_until) for at least as long.
    #[must_use]
    pub fn insecure_write_plaintext_until(mut self, moment: Timestamp) -> Self {
        self.plaintext.written_until = Some(moment);
        self
    }

    /// What can never work.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let Plaintext { read_until, written_until } = self.plaintext;
        (written_until > read_until)
            .then_some("sessions that are not encrypted would be written, and not be read")
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        1 + self.others.len()
    }

    pub(crate) fn plaintext(&self) -> Plaintext {
        self.plaintext
    }

    /// The record as it is stored under `key`.
    fn seal(&self, key: Key<'_>, record: &Record) -> Result<Record, StoreError> {
        let nonce: [u8; NONCE_LEN] =
            random().map_err(|_| StoreError::with_source(StoreErrorKind::Unavailable, "no random bytes"))?;
        let bound = bound_to(key, &record.header);
        let sealed = self
            .first
            .encrypt(&XNonce::from(nonce), Payload { msg: &record.payload, aad: &bound })
            .map_err(|_| StoreErrorKind::TooLarge)?;
        let payload = [&MARK[..], &nonce, &sealed].concat();
        Ok(Record::new(record.header, payload))
    }

    /// The record that is stored under `key`, readable. A payload that does not decrypt becomes an empty one, which
    /// every reader takes for corrupt; who needs the header only, as a device list does, is not kept from it.
    fn open(&self, key: Key<'_>, mut record: Record, now: Timestamp) -> Record {
        let opened = match record.payload.strip_prefix(&MARK) {
            Some(sealed) => self.opened(sealed, &bound_to(key, &record.header)).map(Vec::into_boxed_slice),
            None => {
                self.plaintext.read_until.is_some_and(|until| now < until).then(|| record.payload.clone())
            }
        };
        record.payload = opened.unwrap_or_else(|| {
            tracing::warn!(session_ref = %key.locator, "a stored session does not decrypt");
            Box::default()
        });
        record
    }

    fn opened(&self, sealed: &[u8], bound: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let nonce = XNonce::from(*nonce);
        let payload = || Payload { msg: sealed, aad: bound };
        let mut keys = std::iter::once(&self.first).chain(&self.others);
        keys.find_map(|key| key.decrypt(&nonce, payload()).ok())
    }
}

impl Encryption {
    pub(crate) fn new(keys: EncryptionKeys, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock }
    }

    pub(crate) fn keys(&self) -> &EncryptionKeys {
        &self.keys
    }

    pub(crate) fn seal<'r>(&self, key: Key<'_>, record: &'r Record) -> Result<Cow<'r, Record>, StoreError> {
        if self.keys.plaintext.written_until.is_some_and(|until| self.clock.now() < until) {
            return Ok(Cow::Borrowed(record));
        }
        self.keys.seal(key, record).map(Cow::Owned)
    }

    pub(crate) fn open(&self, key: Key<'_>, record: Record) -> Record {
        self.keys.open(key, record, self.clock.now())
    }
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// What a payload is bound to: its place, and the header but for what stores move by themselves (the idle deadline) and
/// what proves nothing (the tags). A new field of the header has to be decided on here.
fn bound_to(key: Key<'_>, header: &Header) -> Vec<u8> {
    let Header {
        tags: _,
        flags,
        secret,
        previous,
        secret_since,
        created,
        authenticated,
        absolute_deadline,
        idle,
        idle_deadline: _,
    } = header;
    let (previous, previous_until) =
        previous.map_or(([0; 32], Timestamp::EPOCH), |(hash, until)| (hash.0, until));
    let mut bound = Vec::with_capacity(192);
    bound.extend_from_slice(b"portcullis session 1\0");
    // A realm holds no NUL, and everything after it has a fixed length.
    bound.extend_from_slice(key.realm.as_str().as_bytes());
    bound.push(0);
    bound.extend_from_slice(key.locator.as_str().as_bytes());
    bound.push(*flags);
    bound.extend_from_slice(&secret.0);
    bound.extend_from_slice(&previous);
    let idle = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
    let times =
        [previous_until, *secret_since, *created, authenticated.unwrap_or_default(), *absolute_deadline];
    for number in times.map(Timestamp::as_millis).into_iter().chain([idle]) {
        bound.extend_from_slice(&number.to_be_bytes());
    }
    bound
}

impl fmt::Debug for EncryptionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKeys")
            .field("keys", &self.len())
            .field("plaintext", &self.plaintext)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_store::{Locator, Realm, SecretHash, Tag};
    use std::time::Duration;

    fn record() -> Record {
        let header = Header {
            tags: [Tag([1; 8]); 4],
            flags: 0,
            secret: SecretHash([6; 32]),
            previous: Some((SecretHash([7; 32]), Timestamp::from_millis(8))),
            secret_since: Timestamp::from_millis(9),
            created: Timestamp::from_millis(10),
            authenticated: Some(Timestamp::from_millis(11)),
            absolute_deadline: Timestamp::from_millis(12),
            idle: Duration::from_millis(13),
            idle_deadline: Timestamp::from_millis(14),
        };
        Record::new(header, *b"payload")
    }

    const NOW: Timestamp = Timestamp::from_millis(100);

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let keys = EncryptionKeys::new(&[1; 32]);
        let (realm, other_realm) = (Realm::default(), "staff".parse().unwrap());
        let key = Key { realm: &realm, locator: Locator::from_bytes([1; 16]) };
        let sealed = keys.seal(key, &record()).unwrap();
        assert_eq!(sealed.payload.len(), record().payload.len() + OVERHEAD);
        assert!(keys.open(key, sealed.clone(), NOW) == record());
        type Change = fn(&mut Header);
        let header: [(&str, Change, bool); 12] = [
            ("the idle deadline", |it| it.idle_deadline = NOW, true),
            ("the tags", |it| it.tags = [Tag([9; 8]); 4], true),
            ("the secret", |it| it.secret = SecretHash([9; 32]), false),
            ("the previous secret", |it| it.previous = Some((SecretHash([9; 32]), NOW)), false),
            ("no previous secret", |it| it.previous = None, false),
            (
                "how long the previous secret is good",
                |it| it.previous = Some((SecretHash([7; 32]), NOW)),
                false,
            ),
            ("since when the secret is good", |it| it.secret_since = NOW, false),
            ("the flags", |it| it.flags = 1, false),
            ("the authentication", |it| it.authenticated = Some(NOW), false),
            ("the absolute deadline", |it| it.absolute_deadline = NOW, false),
            ("the creation", |it| it.created = NOW, false),
            ("the idle time", |it| it.idle = Duration::from_secs(99), false),
        ];
        for (name, change, opens) in header {
            let mut sealed = sealed.clone();
            change(&mut sealed.header);
            assert_eq!(!keys.open(key, sealed, NOW).payload.is_empty(), opens, "{name}");
        }
        let moved = Key { locator: Locator::from_bytes([2; 16]), ..key };
        for key in [moved, Key { realm: &other_realm, ..key }] {
            assert!(keys.open(key, sealed.clone(), NOW).payload.is_empty(), "{key:?}");
        }
    }

    #[test]
    fn every_key_decrypts_and_the_first_encrypts() {
        let realm = Realm::default();
        let key = Key { realm: &realm, locator: Locator::from_bytes([1; 16]) };
        let [one, two] = [[1; 32], [2; 32]];
        let old = EncryptionKeys::new(&one).seal(key, &record()).unwrap();
        let ring = EncryptionKeys::new(&two).add_decrypting(&one);
        assert!(ring.open(key, old.clone(), NOW) == record());
        let new = ring.seal(key, &record()).unwrap();
        assert!(EncryptionKeys::new(&two).open(key, new.clone(), NOW) == record());
        for (keys, sealed) in [(two, &old), (one, &new)] {
            assert!(EncryptionKeys::new(&keys).open(key, sealed.clone(), NOW).payload.is_empty());
        }
    }

    #[test]
    fn a_plain_record_is_read_until_the_moment_that_was_said_and_not_by_default() {
        let realm = Realm::default();
        let key = Key { realm: &realm, locator: Locator::from_bytes([1; 16]) };
        let until = |moment| EncryptionKeys::new(&[1; 32]).insecure_accept_plaintext_until(moment);
        let rows = [
            ("by default", EncryptionKeys::new(&[1; 32]), false),
            ("before", until(NOW.saturating_add(Duration::from_millis(1))), true),
            ("at the moment", until(NOW), false),
        ];
        for (name, keys, reads) in rows {
            assert_eq!(keys.open(key, record(), NOW) == record(), reads, "{name}");
        }
    }

    #[test]
    fn no_truncation_and_no_flipped_bit_opens() {
        let realm = Realm::default();
        let key = Key { realm: &realm, locator: Locator::from_bytes([1; 16]) };
        let keys = EncryptionKeys::new(&[1; 32]);
        let sealed = keys.seal(key, &record()).unwrap();
        let with = |payload: &[u8]| Record::new(sealed.header, payload);
        for at in 0..sealed.payload.len() {
            assert!(keys.open(key, with(&sealed.payload[..at]), NOW).payload.is_empty(), "{at} bytes");
            let mut flipped = sealed.payload.to_vec();
            flipped[at] ^= 1;
            assert!(keys.open(key, with(&flipped), NOW).payload.is_empty(), "byte {at}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = EncryptionKeys::new(&[0xab; 32]).add_decrypting(&[0xcd; 32]);
        let text = format!("{keys:?} {keys:x?}");
        assert!(!text.contains("171") && !text.contains("ab,") && text.contains("keys: 2"), "{text}");
    }
}
