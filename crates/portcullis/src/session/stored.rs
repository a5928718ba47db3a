//! [`Stored`]: a session that is stored, as last seen, and who is signed in by it. No I/O here.

use portcullis_store::{Locator, Realm, Record};

use crate::Identity;
use crate::identity::Carrier;

/// A session that is stored, as last seen.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) locator: Locator,
    record: Record,
    user: User,
}

/// Who is signed in by a session.
#[derive(Clone, Debug)]
enum User {
    /// As this request has read it.
    Read(Option<Identity>),
    /// As stands in the [`Note`] beside the record, which lasts as long as that does. To count one more owner of the identity
    /// would take more time than all it is asked for.
    Noted,
}

/// Who reads a record: what is made of it depends on that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reader<'a> {
    pub(crate) realm: &'a Realm,
    pub(crate) carrier: Carrier,
}

/// What a layer has read from a record, kept beside it for later requests.
struct Note {
    realm: Realm,
    locator: Locator,
    carrier: Carrier,
    identity: Option<Identity>,
}

impl Stored {
    /// A record, and who its payload says is signed in.
    pub(crate) fn new(locator: Locator, record: Record, identity: Option<Identity>) -> Self {
        Self { locator, record, user: User::Read(identity) }
    }

    /// A record that was read for an earlier request; if it was not, it comes back.
    pub(crate) fn noted(locator: Locator, record: Record, reader: &Reader<'_>) -> Result<Self, Record> {
        let is_same = |note: &Note| {
            note.locator == locator && note.realm == *reader.realm && note.carrier == reader.carrier
        };
        if record.memo().is_some_and(is_same) {
            Ok(Self { locator, record, user: User::Noted })
        } else {
            Err(record)
        }
    }

    /// Notes who is signed in beside the record, if its backend keeps it in memory.
    pub(crate) fn note(&self, reader: &Reader<'_>) {
        self.record.remember(|| Note {
            realm: reader.realm.clone(),
            locator: self.locator,
            carrier: reader.carrier,
            identity: self.identity().cloned(),
        });
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Who is signed in by it.
    #[inline]
    pub(crate) fn identity(&self) -> Option<&Identity> {
        match &self.user {
            User::Read(identity) => identity.as_ref(),
            User::Noted => self.record.memo::<Note>()?.identity.as_ref(),
        }
    }
}
