//! [`Doubts`]: what may be wrong with the proxy where a request is refused. Without a word of it browsers go round in circles,
//! from the proxy to the redirect and back, and nobody knows why.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;

use super::ProxyHeader;

/// What was said already: each is said once, since clients can bring it about as often as they like.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    silent: AtomicBool,
    stranger: AtomicBool,
}

impl Doubts {
    /// A request has not come by https, as far as can be told. `peer` is its sender, as far as that is looked at.
    pub(super) fn about(
        &self,
        header: ProxyHeader,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
        is_trusted: bool,
    ) {
        let name = header.name();
        if is_trusted && !headers.contains_key(name) && first(&self.silent) {
            tracing::warn!(
                header = %name,
                "a trusted proxy does not say how its client came; it must set the header on every request but its own \
                 health checks"
            );
        }
        if !is_trusted && header.says_https(headers) && first(&self.stranger) {
            let peer = peer.map(tracing::field::display);
            tracing::warn!(
                header = %name,
                peer,
                "somebody who is no trusted proxy says that the client came by https; if it is yours, name it with behind"
            );
        }
    }
}

fn first(said: &AtomicBool) -> bool {
    !said.load(Ordering::Relaxed) && !said.swap(true, Ordering::Relaxed)
}
