//! [`View`]: a session as a request sees it, with what it has recorded applied.

use std::fmt;

use portcullis_store::{Header, Record, StoreError, StoreErrorKind};

use super::ops::Operation;
use crate::Identity;
use crate::session::core::Core;
use crate::session::error::SessionError;
use crate::session::payload::Payload;

/// A session with recorded operations applied.
#[derive(Clone)]
pub(super) struct View {
    pub(super) header: Header,
    pub(super) payload: Payload,
}

impl View {
    /// The session of this record, in which `who` is signed in, if that is known already.
    pub(super) fn of(record: &Record, who: Option<&Identity>) -> Result<Self, SessionError> {
        let payload =
            Payload::decode_of(&record.payload, who).map_err(|_| StoreError::new(StoreErrorKind::Corrupt))?;
        Ok(Self { header: record.header, payload })
    }

    /// No session yet.
    pub(super) fn blank(core: &Core) -> Self {
        Self { header: core.blank_header(), payload: core.payload() }
    }

    pub(super) fn apply<'o>(
        &mut self,
        mut operations: impl Iterator<Item = &'o Operation>,
    ) -> Result<(), SessionError> {
        operations.try_for_each(|operation| operation.apply(&mut self.header, &mut self.payload))
    }

    /// It as it is stored, under this header.
    pub(super) fn record(&self, header: Header) -> Record {
        Record::new(header, self.payload.encode())
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("header", &self.header).finish_non_exhaustive()
    }
}
