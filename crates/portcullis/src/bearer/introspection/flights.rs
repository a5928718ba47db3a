//! [`Flights`]: which tokens are being asked about, so that each is asked about once at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What came of asking, when it is there.
type Landed<T> = watch::Receiver<Option<T>>;

/// By the hash of a token: none is kept for this.
pub(super) struct Flights<T>(Mutex<HashMap<Name, Landed<T>>>);

/// What a token is known by: its SHA-256, and how it came.
pub(super) type Name = ([u8; 32], bool);

/// A request's part in asking about a token.
pub(super) enum Part<T> {
    /// It asks, and says what came of it.
    Asks(Flight<T>, Landed<T>),
    Waits(Landed<T>),
}

/// The asking about one token. When it ends, however it does, the next request asks anew.
pub(super) struct Flight<T> {
    flights: Arc<Flights<T>>,
    name: Name,
    sender: watch::Sender<Option<T>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Flights<T> {
    pub(super) fn join(self: &Arc<Self>, name: Name) -> Part<T> {
        let mut all = self.all();
        if let Some(landed) = all.get(&name) {
            return Part::Waits(landed.clone());
        }
        let (sender, landed) = watch::channel(None);
        all.insert(name, landed.clone());
        Part::Asks(Flight { flights: Arc::clone(self), name, sender }, landed)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Name, Landed<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Flight<T> {
    pub(super) fn land(self, outcome: T) {
        self.sender.send_replace(Some(outcome));
    }
}

impl<T> Drop for Flight<T> {
    fn drop(&mut self) {
        self.flights.all().remove(&self.name);
    }
}

/// What came of it; `None` if whoever asked has gone without a word.
pub(super) async fn landed<T: Clone>(mut landed: Landed<T>) -> Option<T> {
    landed.wait_for(Option::is_some).await.ok()?.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_asks_and_the_others_hear_of_it() {
        let flights = Arc::new(Flights::default());
        let name = ([1; 32], false);
        let Part::Asks(flight, own) = flights.join(name) else { panic!("nobody asks") };
        let Part::Waits(other) = flights.join(name) else { panic!("two ask") };
        assert!(matches!(flights.join(([1; 32], true)), Part::Asks(..)), "another token");
        flight.land(7);
        assert_eq!((landed(own).await, landed(other).await), (Some(7), Some(7)));
        assert!(matches!(flights.join(name), Part::Asks(..)), "it is over");
    }

    #[tokio::test]
    async fn who_goes_without_a_word_holds_nobody_up() {
        let flights = Arc::new(Flights::<u8>::default());
        let name = ([1; 32], false);
        let Part::Asks(flight, own) = flights.join(name) else { panic!("nobody asks") };
        drop(flight);
        assert_eq!(landed(own).await, None);
        assert!(matches!(flights.join(name), Part::Asks(..)));
    }
}
