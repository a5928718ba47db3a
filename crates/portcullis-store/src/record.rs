//! [`Record`]: one session as a backend keeps it. A fixed [`Header`] that backends understand, then bytes they do not.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::Timestamp;

/// One session: a header, and a payload (user, identity, application values) that is opaque to a backend.
///
/// It is a pointer to its [`RecordParts`]: a clone is one atomic increment, so a backend that keeps records in memory hands
/// them out without copying. Writing to a part of a record that is shared copies it first.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Arc<Shared>);

#[derive(Clone)]
struct Shared {
    parts: RecordParts,
    memo: Memo,
}

/// What was made of the parts. It is no part itself: it is neither compared nor copied with them.
#[derive(Default)]
struct Memo(OnceLock<Box<dyn Any + Send + Sync>>);

/// What a [`Record`] points to.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordParts {
    /// What backends understand.
    pub header: Header,
    /// What they do not look into.
    pub payload: Box<[u8]>,
}

/// The part of a record with a fixed place for every field; see [`offset`] for the layout.
///
/// All numbers are big-endian, all times milliseconds since the UNIX epoch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The tag of the write that made this record, then those of the three writes before it.
    pub tags: [Tag; 4],
    /// Bits that belong to the layer; a backend keeps them as they are.
    pub flags: u8,
    /// SHA-256 of the secret that proves possession of the session.
    pub secret: SecretHash,
    /// SHA-256 of the secret before, and until when it is still good. `None` when only the current one is.
    pub previous: Option<(SecretHash, Timestamp)>,
    /// When the current secret was issued.
    pub secret_since: Timestamp,
    /// When the session was created.
    pub created: Timestamp,
    /// When the user last proved who they are; `None` for an anonymous session.
    pub authenticated: Option<Timestamp>,
    /// The moment after which nothing keeps the session alive.
    pub absolute_deadline: Timestamp,
    /// How long the session lives without a request, in whole milliseconds.
    pub idle: Duration,
    /// The moment at which it dies unless touched. Only [`touch`](crate::SessionBackend::touch) moves it.
    pub idle_deadline: Timestamp,
}

/// The random name of one write. A write carries it wherever it is sent, so that a resend can be told from a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tag(pub [u8; 8]);

/// SHA-256 of a session's secret. `Debug` does not print it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

/// The bytes are not a record that this version can read. They must be left as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// Shorter than a header.
    Truncated,
    /// Of a format version that this build does not know; probably written by a newer one.
    UnknownVersion(u8),
}

/// Where each header field starts, in bytes from the start of the record, for backends that read or splice in place.
pub mod offset {
    /// Format version, one byte, [`FORMAT`].
    pub const VERSION: usize = 0;
    /// Flags, one byte.
    pub const FLAGS: usize = 1;
    /// Four tags of 8 bytes, the current one first.
    pub const TAGS: usize = 2;
    /// Secret hash, 32 bytes.
    pub const SECRET: usize = 34;
    /// Previous secret hash, 32 bytes; zeros when there is none.
    pub const PREVIOUS: usize = 66;
    /// Until when the previous secret is good, 8 bytes; zero when there is none.
    pub const PREVIOUS_UNTIL: usize = 98;
    /// When the current secret was issued, 8 bytes.
    pub const SECRET_SINCE: usize = 106;
    /// Creation time, 8 bytes.
    pub const CREATED: usize = 114;
    /// Authentication time, 8 bytes; zero when there was none.
    pub const AUTHENTICATED: usize = 122;
    /// Absolute deadline, 8 bytes.
    pub const ABSOLUTE_DEADLINE: usize = 130;
    /// Idle time, 8 bytes.
    pub const IDLE: usize = 138;
    /// Idle deadline, 8 bytes.
    pub const IDLE_DEADLINE: usize = 146;
    /// The payload, to the end of the record.
    pub const PAYLOAD: usize = 154;
    /// The format version that this crate reads and writes.
    pub const FORMAT: u8 = 1;
}

impl Record {
    /// A record of these parts.
    pub fn new(header: Header, payload: impl Into<Box<[u8]>>) -> Self {
        let parts = RecordParts { header, payload: payload.into() };
        Self(Arc::new(Shared { parts, memo: Memo::default() }))
    }

    /// What the layer has made of this record with [`remember`](Self::remember), if it was of this type.
    ///
    /// A backend that keeps records in memory so spares the layer from reading the same payload for every request. It
    /// is forgotten when a part of the record is written to, and never stored.
    #[must_use]
    pub fn memo<T: Any>(&self) -> Option<&T> {
        self.0.memo.0.get()?.downcast_ref()
    }

    /// Keeps what `memo` makes beside this record for all of its clones, unless they have something. Where there is no
    /// other clone, as of a record that a server has just sent, nobody would ask for it, and nothing is made.
    pub fn remember<T: Any + Send + Sync>(&self, memo: impl FnOnce() -> T) {
        if Arc::strong_count(&self.0) > 1 {
            self.0.memo.0.get_or_init(|| Box::new(memo()));
        }
    }

    /// The record as it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        self.encode_into(&mut bytes);
        bytes
    }

    /// Appends the record as it is stored.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        self.header.encode_into(bytes);
        bytes.extend_from_slice(&self.payload);
    }

    /// How many bytes the record has as it is stored.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        offset::PAYLOAD + self.payload.len()
    }

    /// Reads a stored record.
    ///
    /// # Errors
    /// [`HeaderError`] when the bytes are too short or of an unknown format version.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let header = Header::decode(bytes)?;
        let payload = bytes.get(offset::PAYLOAD..).ok_or(HeaderError::Truncated)?;
        Ok(Self::new(header, payload))
    }
}

impl Deref for Record {
    type Target = RecordParts;

    fn deref(&self) -> &RecordParts {
        &self.0.parts
    }
}

impl DerefMut for Record {
    /// Copies the parts if another clone shares them.
    fn deref_mut(&mut self) -> &mut RecordParts {
        let shared = Arc::make_mut(&mut self.0);
        shared.memo = Memo::default();
        &mut shared.parts
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Shared {}

impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Header {
    fn encode_into(&self, bytes: &mut Vec<u8>) {
        let (previous, previous_until) = self.previous.unwrap_or((SecretHash([0; 32]), Timestamp::EPOCH));
        bytes.extend_from_slice(&[offset::FORMAT, self.flags]);
        for tag in self.tags {
            bytes.extend_from_slice(&tag.0);
        }
        bytes.extend_from_slice(&self.secret.0);
        bytes.extend_from_slice(&previous.0);
        let idle = u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX);
        let numbers = [
            previous_until.as_millis(),
            self.secret_since.as_millis(),
            self.created.as_millis(),
            self.authenticated.unwrap_or_default().as_millis(),
            self.absolute_deadline.as_millis(),
            idle,
            self.idle_deadline.as_millis(),
        ];
        for number in numbers {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
    }

    /// Reads the header at the start of a stored record.
    ///
    /// # Errors
    /// [`HeaderError`] when the bytes are too short or of an unknown format version.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        match bytes.first() {
            Some(&offset::FORMAT) => Self::fields(bytes).ok_or(HeaderError::Truncated),
            Some(&version) => Err(HeaderError::UnknownVersion(version)),
            None => Err(HeaderError::Truncated),
        }
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let tag = |index: usize| array(bytes, offset::TAGS + 8 * index).map(Tag);
        let time = |at: usize| array(bytes, at).map(|be| Timestamp::from_millis(u64::from_be_bytes(be)));
        let previous_until = time(offset::PREVIOUS_UNTIL)?;
        let previous = SecretHash(array(bytes, offset::PREVIOUS)?);
        let authenticated = time(offset::AUTHENTICATED)?;
        Some(Self {
            tags: [tag(0)?, tag(1)?, tag(2)?, tag(3)?],
            flags: *bytes.get(offset::FLAGS)?,
            secret: SecretHash(array(bytes, offset::SECRET)?),
            previous: (previous_until != Timestamp::EPOCH).then_some((previous, previous_until)),
            secret_since: time(offset::SECRET_SINCE)?,
            created: time(offset::CREATED)?,
            authenticated: (authenticated != Timestamp::EPOCH).then_some(authenticated),
            absolute_deadline: time(offset::ABSOLUTE_DEADLINE)?,
            idle: Duration::from_millis(u64::from_be_bytes(array(bytes, offset::IDLE)?)),
            idle_deadline: time(offset::IDLE_DEADLINE)?,
        })
    }

    /// The tag of the write that made this record.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        self.tags[0]
    }

    /// The tags of a write named `tag` on top of this record.
    #[must_use]
    pub const fn tags_after(&self, tag: Tag) -> [Tag; 4] {
        [tag, self.tags[0], self.tags[1], self.tags[2]]
    }

    /// What the history in this header proves about a write `tag` that expected to follow `expected`:
    /// `Some(true)` that it was applied, `Some(false)` that it never was and never will be, `None` when it may still
    /// come (nothing has followed `expected`), or when four or more writes have come since.
    #[must_use]
    pub fn proves(&self, expected: Tag, tag: Tag) -> Option<bool> {
        if self.tags.contains(&tag) {
            return Some(true);
        }
        // A write lands directly on top of the one it expects, or not at all.
        let [newest, before @ ..] = self.tags;
        (newest != expected && before.contains(&expected)).then_some(false)
    }

    /// The moment at which the record's key expires: the sooner of the two deadlines.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.idle_deadline.min(self.absolute_deadline)
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("tag", &self.tag())
            .field("created", &self.created)
            .field("authenticated", &self.authenticated)
            .field("absolute_deadline", &self.absolute_deadline)
            .field("idle", &self.idle)
            .field("idle_deadline", &self.idle_deadline)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.parts.fmt(f)
    }
}

impl fmt::Debug for RecordParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("header", &self.header)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("shorter than a session record"),
            Self::UnknownVersion(version) => write!(f, "session record of unknown format version {version}"),
        }
    }
}

impl Error for HeaderError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let header = Header {
            tags: [Tag([1; 8]), Tag([2; 8]), Tag([3; 8]), Tag([4; 8])],
            flags: 5,
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

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let with = record();
        let mut without = with.clone();
        without.header.previous = None;
        without.header.authenticated = None;
        for record in [with, without] {
            assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn the_published_offsets_are_where_the_fields_are() {
        let bytes = record().encode();
        assert_eq!(bytes[offset::VERSION], offset::FORMAT);
        assert_eq!(bytes[offset::FLAGS], 5);
        assert_eq!(bytes[offset::TAGS..offset::SECRET], [[1; 8], [2; 8], [3; 8], [4; 8]].concat());
        assert_eq!(bytes[offset::SECRET..offset::PREVIOUS], [6; 32]);
        assert_eq!(bytes[offset::PREVIOUS..offset::PREVIOUS_UNTIL], [7; 32]);
        let numbers = [
            (offset::PREVIOUS_UNTIL, 8),
            (offset::SECRET_SINCE, 9),
            (offset::CREATED, 10),
            (offset::AUTHENTICATED, 11),
            (offset::ABSOLUTE_DEADLINE, 12),
            (offset::IDLE, 13),
            (offset::IDLE_DEADLINE, 14u64),
        ];
        for (at, number) in numbers {
            assert_eq!(bytes[at..at + 8], number.to_be_bytes(), "at {at}");
        }
        assert_eq!(&bytes[offset::PAYLOAD..], b"payload");
    }

    #[test]
    fn what_is_not_a_record_is_an_error_at_every_length() {
        let bytes = record().encode();
        for len in 0..offset::PAYLOAD {
            assert_eq!(Record::decode(&bytes[..len]), Err(HeaderError::Truncated), "{len} bytes");
        }
        let mut newer = bytes;
        newer[0] = 2;
        assert_eq!(Record::decode(&newer), Err(HeaderError::UnknownVersion(2)));
    }

    #[test]
    fn the_history_proves_what_became_of_a_write() {
        let header = record().header;
        let [newest, _, third, oldest] = header.tags;
        let unknown = Tag([9; 8]);
        assert_eq!(header.proves(oldest, third), Some(true), "in the history");
        assert_eq!(header.proves(unknown, oldest), Some(true), "the oldest that is remembered");
        assert_eq!(header.proves(newest, unknown), None, "nothing came on top yet");
        let fresh = Header { tags: [newest; 4], ..header };
        assert_eq!(fresh.proves(newest, unknown), None, "nothing came on top of a new record yet");
        assert_eq!(header.proves(third, unknown), Some(false), "another write came on top");
        assert_eq!(header.proves(unknown, Tag([8; 8])), None, "older than the history");
    }

    #[test]
    fn a_record_expires_at_the_sooner_of_its_deadlines() {
        for (idle, absolute) in [(1, 2), (2, 1)] {
            let mut header = record().header;
            (header.idle_deadline, header.absolute_deadline) =
                (Timestamp::from_millis(idle), Timestamp::from_millis(absolute));
            assert_eq!(header.expires(), Timestamp::from_millis(1));
        }
    }

    #[test]
    fn a_memo_is_shared_by_clones_and_forgotten_when_a_part_is_written() {
        let record = record();
        record.remember(|| 6u8);
        assert_eq!(record.memo::<u8>(), None, "nobody else holds it");
        let mut written = record.clone();
        record.remember(|| 7u8);
        record.remember(|| 8u8);
        assert_eq!((written.memo::<u8>(), written.memo::<u16>()), (Some(&7), None));
        written.header.flags = 1;
        assert_eq!((record.memo::<u8>(), written.memo::<u8>()), (Some(&7), None));
        let shared = written.clone();
        written.remember(|| 9u8);
        drop(shared);
        assert_eq!(written.memo::<u8>(), Some(&9));
        written.payload = Box::default();
        assert_eq!(written.memo::<u8>(), None, "also when it is written to by whoever alone holds it");
        assert_eq!(record, self::record(), "it is no part of the record");
    }

    #[test]
    fn debug_shows_neither_hash_nor_payload() {
        let text = format!("{:?}", record());
        assert!(!text.contains("payload\"") && !text.contains("[6"), "{text}");
    }
}
