//! [`Visit`]: what the way out needs to know of a request, and what a response lacks because of it. Pure.

use http::header::{CACHE_CONTROL, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderValue, Method, Response, StatusCode};

use super::held::Held;
use crate::authenticate::Edits;
use crate::bearer::dpop::Proved;
use crate::bearer::revocation::Cleared;
use crate::bearer::token_source::{Place, subprotocol};
use crate::respond::DPOP_NONCE;

/// What the way out needs to know of a request.
#[derive(Debug)]
pub struct Visit {
    /// Where the token stood that was verified, if there was one.
    pub(super) place: Option<Place>,
    is_connect: bool,
    /// What showed that it is its holder's own, if that was asked for.
    pub(super) proved: Option<Box<Proved>>,
    /// That the store was waited for, and has not revoked it.
    pub(super) cleared: Option<Box<Cleared>>,
}

impl Visit {
    pub(super) const fn of_nobody() -> Self {
        Self { place: None, is_connect: false, proved: None, cleared: None }
    }

    pub(super) fn of(held: Held<'_>, proved: Option<Proved>) -> Self {
        let is_connect = *held.method == Method::CONNECT;
        Self { place: Some(held.place), is_connect, proved: proved.map(Box::new), cleared: None }
    }

    /// What the response lacks because of where the token stood, or how it was proved.
    pub(super) fn edits<B>(self, response: &Response<B>) -> Option<Edits> {
        let is_switched = self.is_switched(response.status());
        let (name, value) = match self.place? {
            Place::WebSocket if is_switched => (SEC_WEBSOCKET_PROTOCOL, subprotocol()),
            // RFC 6750, section 2.3.
            Place::Query if response.status().is_success() => {
                (CACHE_CONTROL, HeaderValue::from_static("private"))
            }
            Place::Dpop => (DPOP_NONCE, self.proved.and_then(|proved| proved.nonce)?),
            Place::WebSocket | Place::Query | Place::Authorization | Place::Cookie => return None,
        };
        let mut edits = Edits::default();
        let lacks = !response.headers().contains_key(&name);
        lacks.then(|| {
            edits.insert(name, value);
            edits
        })
    }

    /// Whether the connection is a WebSocket from now on (RFC 6455, section 4.2.2; RFC 8441, section 5).
    fn is_switched(&self, status: StatusCode) -> bool {
        status == StatusCode::SWITCHING_PROTOCOLS || self.is_connect && status.is_success()
    }
}
