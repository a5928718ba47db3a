//! [`Fleet`]: what processes that trust one issuer tell each other of its keys, and which of them asks.
//!
//! Nothing here is needed: a place that is out of reach, or holds nonsense, leaves a process where it would be alone.

mod backend;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis::bearer::KeySet;
use portcullis_store::{KeySetBackend, Locator, SharedKeySet};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use self::backend::Erased;
use crate::desk::{Adoption, Desk, Fresh, Offer};
use crate::fetch::FetchErrorKind;
use crate::origin::{self, Origin};

/// One process among those that share a place.
pub(crate) struct Fleet {
    shared: Shared,
    /// What the issuer is called there.
    issuer: Locator,
    /// What this process is called there.
    holder: Locator,
    /// For how long a set is of use.
    keep: Duration,
    /// The set that was looked at last.
    seen: Option<Locator>,
}

/// The place, of any type.
#[derive(Clone)]
pub(crate) struct Shared(Arc<dyn Erased>);

/// For how long one process may ask before another does: a little longer than one request to an issuer may take. Who has to
/// find out first where the keys are may take longer, and then two may ask at once.
const LEASE: Duration = Duration::from_secs(6);

/// How often whoever waits for another's answer looks for it.
const LOOK: Duration = Duration::from_millis(100);

impl Fleet {
    /// `source` is the address or the issuer's name as it is configured: whoever is configured alike shares.
    pub(crate) fn new(shared: Shared, source: &str, keep: Duration) -> Self {
        Self { shared, issuer: name(source.as_bytes()), holder: random(), keep, seen: None }
    }

    /// The same, for another task.
    pub(crate) fn again(&self) -> Self {
        Self { shared: self.shared.clone(), seen: None, ..*self }
    }

    /// Sees one flight through: by what another process was told since this one was, or else by asking the issuer, one
    /// process at a time.
    pub(crate) async fn fly(&mut self, origin: &mut Origin, desk: &Desk) {
        let deadline = Instant::now() + LEASE;
        let is_leased = loop {
            if self.adopt(origin, desk).await {
                return;
            }
            match self.shared.0.lease(self.issuer, self.holder, LEASE).await {
                Ok(false) if Instant::now() < deadline => sleep(LOOK).await,
                // Others have asked for as long as a fetch takes, and were told nothing.
                Ok(false) => return drop(desk.land(Err(FetchErrorKind::Elsewhere.into()))),
                Ok(true) => break true,
                Err(_) => break false,
            }
        };
        let told = desk.land(origin.fetch().await);
        if let Some(told) = told {
            self.tell(told, desk).await;
        }
        if is_leased {
            // Otherwise it ends by itself.
            let _ = self.shared.0.release(self.issuer, self.holder).await;
        }
    }

    /// Takes over what is there, and says whether that will do.
    async fn adopt(&mut self, origin: &mut Origin, desk: &Desk) -> bool {
        let asked = Instant::now();
        let shared = match self.shared.0.load(self.issuer).await {
            Ok(Some(shared)) if self.seen != Some(shared.tag) => shared,
            Ok(_) => return false,
            Err(error) => {
                desk.report().out_of_reach(&error);
                return false;
            }
        };
        self.seen = Some(shared.tag);
        let Some(keys) = read(&shared) else {
            desk.report().poisoned();
            return false;
        };
        let offer = Offer { document: shared.document.into(), keys, asked, age: shared.age, ttl: shared.ttl };
        let adoption = desk.adopt(offer);
        if adoption != Adoption::Refused {
            // "Not modified" would be said of the document that this process fetched.
            origin.forget();
        }
        adoption == Adoption::Suffices
    }

    async fn tell(&mut self, Fresh { document, age, ttl }: Fresh, desk: &Desk) {
        let tag = random();
        let set = SharedKeySet { tag, age, ttl, document: Bytes::into(document) };
        match self.shared.0.save(self.issuer, set, self.keep).await {
            Ok(()) => self.seen = Some(tag),
            Err(error) => desk.report().out_of_reach(&error),
        }
    }
}

impl Shared {
    pub(crate) fn new(place: impl KeySetBackend) -> Self {
        Self(Arc::new(place))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// Whoever can write to the place may have written anything.
fn read(shared: &SharedKeySet) -> Option<KeySet> {
    let is_bounded = shared.document.len() <= portcullis_store::LONGEST_KEY_SET;
    is_bounded.then(|| origin::keys(&shared.document).ok())?
}

fn name(source: &[u8]) -> Locator {
    let digest: [u8; 32] = Sha256::digest(source).into();
    let [first, ..] = digest.as_chunks::<16>().0 else { return Locator::from_bytes([0; 16]) };
    Locator::from_bytes(*first)
}

/// Of another process with each call; without randomness all are one, and ask at once.
fn random() -> Locator {
    let mut bytes = [0; 16];
    let _ = getrandom::fill(&mut bytes);
    Locator::from_bytes(bytes)
}
