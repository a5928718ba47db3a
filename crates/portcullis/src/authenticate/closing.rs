//! [`Closing`]: what the way out comes to, at once or later. [`Edits`]: the headers that go out with it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::rejection::Rejection;
use crate::respond::RequestHead;
use crate::vary;

/// What the way out came to: headers for the response, and perhaps a refusal in the response's place.
///
/// The headers go out with a refusal too: a login that stands must hand out its cookie, whatever fails after it.
#[derive(Debug, Default)]
pub struct Closed {
    /// Headers for whatever response goes out.
    pub edits: Edits,
    /// Why the handler's response is not the one that goes out, and the head of the request to answer.
    pub refusal: Option<Box<(Rejection, RequestHead)>>,
}

/// The way out: an answer, or the future of one.
#[must_use]
pub enum Closing {
    /// Nothing had to be waited for.
    Ready(Closed),
    /// A store has to be told.
    Pending(Pin<Box<dyn Future<Output = Closed> + Send>>),
}

/// Headers to add to a response, in the order in which they were named.
#[derive(Debug, Default)]
pub struct Edits {
    /// One is usual, a `Vary`.
    first: Option<Edit>,
    others: Vec<Edit>,
}

#[derive(Debug)]
enum Edit {
    Append(HeaderName, HeaderValue),
    Insert(HeaderName, HeaderValue),
}

impl Closing {
    /// The response goes out as it is.
    pub fn nothing() -> Self {
        Self::edits(Edits::default())
    }

    /// The response goes out with these edits.
    pub fn edits(edits: Edits) -> Self {
        Self::Ready(Closed { edits, refusal: None })
    }

    /// Tell `future`, which owns what it needs.
    pub fn pending(future: impl Future<Output = Closed> + Send + 'static) -> Self {
        Self::Pending(Box::pin(future))
    }
}

impl Edits {
    /// One header, beside others of its name. Made in one piece: what is written in several is slow to move.
    #[cfg_attr(not(feature = "session"), expect(dead_code, reason = "sessions vary by what carries them"))]
    #[inline]
    pub(crate) fn appending(name: HeaderName, value: HeaderValue) -> Self {
        Self { first: Some(Edit::Append(name, value)), others: Vec::new() }
    }

    /// Adds a header beside others of its name; a `Vary` only where that does not say so already.
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        self.push(Edit::Append(name, value));
    }

    /// Sets a header in place of others of its name.
    pub fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.push(Edit::Insert(name, value));
    }

    #[inline]
    fn push(&mut self, edit: Edit) {
        match &mut self.first {
            None => self.first = Some(edit),
            Some(_) => self.others.push(edit),
        }
    }

    #[inline]
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        let Some(first) = self.first else { return };
        first.apply(headers);
        for edit in self.others {
            edit.apply(headers);
        }
    }
}

impl Edit {
    #[inline]
    fn apply(self, headers: &mut HeaderMap) {
        match self {
            Self::Append(name, value) => vary::append(headers, name, value),
            Self::Insert(name, value) => _ = headers.insert(name, value),
        }
    }
}

impl fmt::Debug for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(closed) => f.debug_tuple("Ready").field(closed).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}
