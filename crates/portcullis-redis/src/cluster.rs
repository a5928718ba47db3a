//! [`Cluster`]: the nodes of a Redis Cluster, each with a [`Link`] of its own, and who of them has which slot.
//!
//! * The map is read from whichever node answers first, when it is needed, and anew whenever a node has sent a command
//!   elsewhere or could not be reached: in a task of its own, by one caller for all, not more often than every 100 ms.
//! * A node that is away costs those calls that need its slots what a server that is away costs, and no others.
//! * Nothing is sent for another time in here: only whoever counts the sends can say whether a write is in doubt.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::RedisResult;
use redis::aio::PubSub;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use crate::command::words;
use crate::connector::Connector;
use crate::health::LinkHealth;
use crate::link::{Dropped, Link};
use crate::server::{Place, Server, misled};
use crate::verdict::Failure;
use crate::wire::Unanswered;

mod redirect;
mod slots;

pub(crate) use redirect::Redirect;
use slots::SlotMap;
pub(crate) use slots::{slot_of, slot_of_key};

/// The nodes of a cluster, and who of them has which slot.
pub(crate) struct Cluster {
    /// Where the map is asked for as long as no node is known.
    seeds: Vec<Place>,
    /// Login and encryption of all nodes.
    model: Server,
    attempt_timeout: Duration,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct State {
    map: Option<SlotMap>,
    /// Those that have slots, and those that somebody was sent to.
    nodes: HashMap<Place, Arc<Link>>,
    refresh: Refresh,
}

/// Whether the map is being read.
enum Refresh {
    Running,
    /// The last one began then, and failed so if it did.
    Rested {
        began: Option<Instant>,
        failure: Option<Failure>,
    },
}

/// The map is not read more often than this.
const PAUSE: Duration = Duration::from_millis(100);
/// So many nodes are asked for the map at once.
const ASKED_AT_ONCE: usize = 3;

impl Cluster {
    pub(crate) fn new(seeds: Vec<Place>, model: Server, attempt_timeout: Duration) -> Self {
        Self { seeds, model, attempt_timeout, state: watch::Sender::new(State::default()) }
    }

    /// The link to the node that has this slot, as far as is known.
    pub(crate) fn known_owner(&self, slot: u16) -> Option<Arc<Link>> {
        self.state.borrow().owner(slot)
    }

    /// The link to the node that has this slot.
    pub(crate) async fn owner(self: &Arc<Self>, slot: u16, deadline: Instant) -> Result<Arc<Link>, Failure> {
        if let Some(link) = self.known_owner(slot) {
            return Ok(link);
        }
        let mut changes = self.state.subscribe();
        // A slot that nobody has may have somebody by now.
        self.refresh();
        loop {
            if let Some(link) = changes.borrow_and_update().settled(slot)? {
                return Ok(link);
            }
            if timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(Failure::timeout());
            }
        }
    }

    /// Follows a redirect: the link to go on with.
    pub(crate) fn follow(self: &Arc<Self>, redirect: &Redirect) -> Arc<Link> {
        let link = self.link_to(&redirect.to);
        if redirect.to_stay {
            self.state.send_if_modified(|state| {
                let map = state.map.as_mut();
                map.is_some_and(|map| map.move_slot(redirect.slot, redirect.to.clone()))
            });
            self.refresh();
        }
        link
    }

    /// The link to a node; a new one to a node that was not known.
    fn link_to(&self, place: &Place) -> Arc<Link> {
        if let Some(link) = self.state.borrow().nodes.get(place) {
            return Arc::clone(link);
        }
        let new = self.link(place);
        let mut link = Arc::clone(&new);
        self.state.send_if_modified(|state| {
            link = Arc::clone(state.nodes.entry(place.clone()).or_insert(new));
            false
        });
        link
    }

    /// The map may no longer be true.
    pub(crate) fn refresh(self: &Arc<Self>) {
        let begun = self.state.send_if_modified(|state| {
            let due = match &state.refresh {
                Refresh::Running => false,
                Refresh::Rested { began, .. } => began.is_none_or(|began| began.elapsed() >= PAUSE),
            };
            if due {
                state.refresh = Refresh::Running;
            }
            due
        });
        if begun {
            let refreshing = Refreshing { cluster: Arc::clone(self), began: Instant::now(), outcome: None };
            tokio::spawn(refreshing.run());
        }
    }

    /// How each node is.
    pub(crate) fn health(&self) -> Vec<(String, LinkHealth)> {
        let state = self.state.borrow();
        let mut all: Vec<_> =
            state.nodes.iter().map(|(place, link)| (place.to_string(), link.health())).collect();
        all.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// All nodes that have slots.
    pub(crate) async fn owners(self: &Arc<Self>, deadline: Instant) -> Result<Vec<Arc<Link>>, Failure> {
        self.owner(0, deadline).await?;
        let state = self.state.borrow();
        let owners = state.map.iter().flat_map(SlotMap::owners);
        Ok(owners.filter_map(|place| state.nodes.get(place).cloned()).collect())
    }

    /// A connection to some node on which channels are heard: every node hears what is published on any.
    pub(crate) async fn listen(&self, turn: usize) -> RedisResult<PubSub> {
        let places = self.places();
        let place = turn.checked_rem(places.len()).and_then(|at| places.get(at));
        let place = place.ok_or_else(|| misled("the cluster has no nodes"))?;
        self.model.at(place.clone()).dial_pubsub().await
    }

    /// Everybody who may know the map: the nodes first, then the seeds.
    fn places(&self) -> Vec<Place> {
        let state = self.state.borrow();
        let up = |link: &Arc<Link>| link.health() == LinkHealth::Connected;
        let (up, other): (Vec<_>, Vec<_>) = state.nodes.iter().partition(|(_, link)| up(link));
        let known = up.into_iter().chain(other).map(|(place, _)| place.clone());
        let unknown = self.seeds.iter().filter(|place| !state.nodes.contains_key(*place)).cloned();
        known.chain(unknown).collect()
    }

    /// Asks for the map, some nodes at once, the next ones if none of them has it.
    async fn read_map(self: &Arc<Self>) -> Result<SlotMap, Failure> {
        let mut failure = Failure::unavailable();
        for places in self.places().chunks(ASKED_AT_ONCE) {
            let mut asked: FuturesUnordered<_> = places.iter().map(|place| self.ask(place)).collect();
            while let Some(answer) = asked.next().await {
                match answer {
                    Ok(map) => return Ok(map),
                    Err(why) => failure = why,
                }
            }
        }
        Err(failure)
    }

    async fn ask(&self, place: &Place) -> Result<SlotMap, Failure> {
        let link = self.link_to(place);
        let line = link.up(Instant::now() + self.attempt_timeout).await?;
        let deadline = Instant::now() + self.attempt_timeout;
        match line.send(&words("CLUSTER", &["SLOTS"]), deadline).await {
            Ok(redis::Value::ServerError(error)) => Err(Failure::of_connect(error.into())),
            Ok(reply) => SlotMap::read(&reply, place).ok_or_else(Failure::unavailable),
            Err(Unanswered::Broken(error)) => {
                let failure = Failure::broken(error);
                link.give_up(&line, Dropped::Broken(&failure.cause()));
                Err(failure)
            }
            Err(Unanswered::Timeout) => Err(Failure::timeout()),
        }
    }

    /// Those who have slots, and no others.
    fn adopt(&self, state: &mut State, map: SlotMap) {
        let before = std::mem::take(&mut state.nodes);
        let link = |place| before.get(place).cloned().unwrap_or_else(|| self.link(place));
        state.nodes = map.owners().into_iter().map(|place| (place.clone(), link(place))).collect();
        state.map = Some(map);
    }

    fn link(&self, place: &Place) -> Arc<Link> {
        Arc::new(Link::new(Connector::Server(self.model.at(place.clone())), self.attempt_timeout))
    }
}

impl State {
    fn owner(&self, slot: u16) -> Option<Arc<Link>> {
        self.nodes.get(self.map.as_ref()?.owner(slot)?).cloned()
    }

    /// The owner, if there is one; an error if there is none, and none to be expected from the map that is being read.
    fn settled(&self, slot: u16) -> Result<Option<Arc<Link>>, Failure> {
        if let Some(link) = self.owner(slot) {
            return Ok(Some(link));
        }
        match &self.refresh {
            Refresh::Running => Ok(None),
            Refresh::Rested { failure, .. } => Err(failure.clone().unwrap_or_else(Failure::unavailable)),
        }
    }
}

impl Default for Refresh {
    fn default() -> Self {
        Self::Rested { began: None, failure: None }
    }
}

/// The map is being read. However that ends, also with its runtime, the state says so.
struct Refreshing {
    cluster: Arc<Cluster>,
    began: Instant,
    outcome: Option<Result<SlotMap, Failure>>,
}

impl Refreshing {
    async fn run(mut self) {
        let within = self.cluster.attempt_timeout * 2;
        let read = timeout(within, self.cluster.read_map()).await;
        self.outcome = Some(read.unwrap_or_else(|_| Err(Failure::timeout())));
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| Err(Failure::unavailable()));
        self.cluster.state.send_modify(|state| {
            let failure = match outcome {
                Ok(map) => {
                    self.cluster.adopt(state, map);
                    None
                }
                Err(failure) => {
                    debug!(target: "portcullis_redis", cause = %failure.cause(), "cannot read the cluster's map");
                    Some(failure)
                }
            };
            state.refresh = Refresh::Rested { began: Some(self.began), failure };
        });
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("nodes", &self.health()).finish_non_exhaustive()
    }
}
