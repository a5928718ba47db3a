//! [`Step`]: what a commit sends: a new session, or a change to one.

use portcullis_store::{Header, Locator, Record, Tag};

use crate::session::transport::Token;

/// What a commit has to do next.
#[derive(Debug)]
pub(crate) enum Step {
    Create(Creation),
    Save(Attempt),
}

/// A new session, as it is to be created.
#[derive(Debug)]
pub(crate) struct Creation {
    pub(crate) token: Token,
    pub(crate) record: Record,
    /// How many of the pending operations it holds.
    pub(in crate::session) operations: usize,
}

/// One save, as it is sent and, if need be, sent again.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) locator: Locator,
    pub(crate) expected: Tag,
    pub(crate) record: Record,
    /// How many of the pending operations it holds.
    pub(in crate::session) operations: usize,
    /// Whether it brings a new secret.
    pub(in crate::session) rotates: bool,
    /// Whether it was sent before without an answer.
    pub(in crate::session) in_doubt: bool,
}

impl Attempt {
    /// What the stored record proves about it, if it got no answer.
    pub(in crate::session) fn was_applied(&self, current: &Header) -> Option<bool> {
        // Nobody else can have put this secret there.
        if self.rotates && current.secret == self.record.header.secret {
            return Some(true);
        }
        current.proves(self.expected, self.record.header.tag())
    }
}
