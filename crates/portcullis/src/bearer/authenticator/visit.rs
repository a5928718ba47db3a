//! [`Visit`]: what the way out needs to know of a request, and what a response lacks because of it. Pure.

use http::header::{CACHE_CONTROL, SEC_WEBSOCKET_PROTOCOL};
use http::{Extensions, HeaderValue, Method, Response, StatusCode};

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
    found_out: Option<Box<FoundOut>>,
}

/// What is found out of few tokens, so that the visits of most have no room for it.
#[derive(Debug, Default)]
struct FoundOut {
    /// What showed that it is its holder's own, if that was asked for.
    proved: Option<Proved>,
    /// That the store was waited for, and has not revoked it.
    cleared: Option<Cleared>,
}

impl Visit {
    pub(super) const fn of_nobody() -> Self {
        Self { place: None, is_connect: false, found_out: None }
    }

    pub(super) fn of(held: Held<'_>, proved: Option<Proved>) -> Self {
        let is_connect = *held.method == Method::CONNECT;
        let found_out = proved.map(|proved| Box::new(FoundOut { proved: Some(proved), cleared: None }));
        Self { place: Some(held.place), is_connect, found_out }
    }

    /// Notes that the store was waited for, and has not revoked the token.
    pub(super) fn note(&mut self, cleared: Cleared) {
        self.found_out.get_or_insert_default().cleared = Some(cleared);
    }

    /// Leaves word for copies of the layer further in.
    pub(super) fn leave(&self, extensions: &mut Extensions) {
        let Some(found_out) = &self.found_out else { return };
        if let Some(proved) = &found_out.proved {
            proved.leave(extensions);
        }
        if let Some(cleared) = &found_out.cleared {
            extensions.insert(cleared.clone());
        }
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
            Place::Dpop => (DPOP_NONCE, self.found_out?.proved?.nonce?),
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
