//! The contract between Portcullis and the place where it keeps things.
//!
//! A backend author implements [`SessionBackend`] and knows nothing of HTTP, cookies or users:
//!
//! * a backend is given a [`Key`] and never a secret (the secret's hash stands in the [`Record`], opaque to it);
//! * of a [`Record`] it understands the [`Header`] only, the payload is bytes;
//! * every write is idempotent, because a write that timed out may be sent again;
//! * an outage is a [`StoreError`], never an absent record;
//! * time comes from a [`Clock`] that the application can replace.
//!
//! The [guide] says what each promise is for, and how to check it; so do those [for bearer tokens that are taken
//! back](token_guide) and [for refresh tokens](family_guide).
//!
//! A place that knows which bearer tokens are revoked implements [`TokenBackend`], by itself or beside the sessions; one that
//! keeps refresh tokens implements [`FamilyBackend`] on top of it. One that knows which proofs have been used
//! already implements [`ReplayBackend`].
//! One where a fleet keeps the key sets that its issuers publish implements [`KeySetBackend`].
//!
//! The crate depends on the standard library alone, so that it moves least of all.
//!
//! ```
//! use portcullis_store::{Clock, Locator, ManualClock, Realm};
//! use std::time::Duration;
//!
//! let realm: Realm = "default".parse()?;
//! let locator = Locator::from_bytes([7; 16]);
//! assert_eq!(Locator::parse(locator.as_str()), Some(locator));
//!
//! let clock = ManualClock::default();
//! let start = clock.now();
//! clock.advance(Duration::from_secs(90));
//! assert_eq!(clock.now().since(start), Duration::from_secs(90));
//! assert_eq!(realm.as_str(), "default");
//! # Ok::<(), portcullis_store::InvalidRealm>(())
//! ```

mod clock;
mod enrolment;
mod error;
mod family;
// Its code needs the test kit, so it is tested where that is known: in the workspace's end-to-end tests.
#[cfg(all(doc, not(doctest)))]
#[doc = include_str!("guide.md")]
pub mod guide {}
#[cfg(all(doc, not(doctest)))]
#[doc = include_str!("token_guide.md")]
pub mod token_guide {}
#[cfg(all(doc, not(doctest)))]
#[doc = include_str!("family_guide.md")]
pub mod family_guide {}
mod key;
mod keyset;
mod record;
mod replay;
mod revocation;
mod session;
mod token;
mod watch;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use enrolment::{CredentialVersion, Enrolled, Enrolment};
pub use error::{StoreError, StoreErrorKind};
pub use family::{Begun, Family, FamilyBackend, FamilyKey, FamilySecret, NewFamily, Turn, Turned, Verdict};
pub use key::{InvalidRealm, Key, Locator, Realm, UserKey};
pub use keyset::{KeySetBackend, LONGEST_KEY_SET, SharedKeySet};
pub use record::{Header, HeaderError, Record, RecordParts, SecretHash, Tag, offset};
pub use replay::{Claimed, ReplayBackend};
pub use revocation::{REVOCATIONS_ARE_TOLD_WITHIN, Revocation, RevocationNotice, RevocationWatcher, Revoked};
pub use session::{AtOnce, Created, Destroyed, Saved, SessionBackend, Touched};
pub use token::{EVERYONE_IS_SEEN_WITHIN, TokenBackend, TokenEpoch, TokenQuery, TokenStatus};
pub use watch::{Notice, Watcher, Watching};
