//! [`Subscriber`]: hears which sessions have ended, on a connection of its own that is there while somebody watches.
//!
//! Messages are heard at most once, so whoever watches is told when some may have been missed: when listening begins,
//! again after each break, and in between that it has broken. A connection that has gone silent is found out by a PING.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use portcullis_store::{Locator, Notice, Realm, Watcher, Watching};
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Msg, RedisError};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::backoff;
use crate::keys::Keys;
use crate::route::Route;
use crate::verdict::Failure;

/// Hears which sessions have ended. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Subscriber(Arc<Shared>);

struct Shared {
    route: Route,
    /// How often a connection was tried.
    turns: AtomicUsize,
    keys: Keys,
    patience: Duration,
    registry: Mutex<Registry>,
    /// Somebody came or left.
    changed: Notify,
}

/// Watchers are told under the lock, so that what they are told last is how it is.
#[derive(Default)]
struct Registry {
    watchers: HashMap<u64, (Realm, Arc<dyn Watcher>)>,
    next: u64,
    /// The channels that are heard.
    heard: HashMap<String, Realm>,
    /// A task listens, or tries to.
    running: bool,
}

/// One watcher's place. It leaves by being dropped.
struct Place {
    shared: Arc<Shared>,
    id: u64,
}

/// The task that listens. However it ends, also with its runtime, the next watcher starts another.
struct Task {
    shared: Arc<Shared>,
    stopped: bool,
}

enum Event {
    Message(Msg),
    Closed,
    Changed,
    Quiet,
}

/// Nothing was heard for so long: time to ask whether the connection still lives.
const QUIET: Duration = Duration::from_secs(2);

impl Subscriber {
    pub(crate) fn new(route: Route, keys: Keys, patience: Duration) -> Self {
        let (turns, registry, changed) = (AtomicUsize::default(), Mutex::default(), Notify::new());
        Self(Arc::new(Shared { route, turns, keys, patience, registry, changed }))
    }

    /// `None` outside a tokio runtime, and on connections of the application's own.
    pub(crate) fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching> {
        let runtime = Handle::try_current().ok().filter(|_| self.0.route.can_listen())?;
        let (id, is_first) = self.0.registry().enter(realm, watcher);
        if is_first {
            runtime.spawn(Task { shared: Arc::clone(&self.0), stopped: false }.run());
        }
        self.0.changed.notify_one();
        Some(Watching::new(Place { shared: Arc::clone(&self.0), id }))
    }
}

impl Shared {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<(PubSubSink, PubSubStream), Failure> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let connecting = async {
            let listening = self.route.listen(turn).await.ok_or_else(Failure::unavailable)?;
            listening.map_err(Failure::of_connect)
        };
        self.patiently(connecting).await.map(redis::aio::PubSub::split)
    }

    async fn patiently<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout(self.patience, work).await.unwrap_or_else(|_| Err(Failure::timeout()))
    }

    /// Hears what is watched, and no more.
    async fn tune(&self, sink: &mut PubSubSink) -> Result<(), Failure> {
        let (missing, idle) = self.registry().retune(&self.keys);
        let refused = |error: RedisError| Failure::of_connect(error);
        if !missing.is_empty() {
            let names: Vec<&String> = missing.keys().collect();
            self.patiently(async { sink.subscribe(names).await.map_err(refused) }).await?;
            self.registry().hear(missing);
        }
        if !idle.is_empty() {
            self.patiently(async { sink.unsubscribe(idle).await.map_err(refused) }).await?;
        }
        Ok(())
    }

    /// Listens for as long as the connection serves and somebody watches. `began`: it has served.
    async fn listen(&self, began: &mut bool) -> Result<(), Failure> {
        let (mut sink, mut stream) = self.connect().await?;
        self.tune(&mut sink).await?;
        *began = true;
        debug!(target: "portcullis_redis", "listening");
        loop {
            match event(&mut stream, &self.changed).await {
                Event::Message(message) => self.registry().tell(&message),
                Event::Closed => return Err(Failure::unavailable()),
                Event::Changed if self.registry().watchers.is_empty() => return Ok(()),
                Event::Changed => self.tune(&mut sink).await?,
                Event::Quiet => {
                    let ping = async { sink.ping::<redis::Value>().await.map_err(Failure::of_connect) };
                    self.patiently(ping).await.map(drop)?;
                }
            }
        }
    }
}

impl Registry {
    /// The watcher's number, and whether there is nobody yet who listens.
    fn enter(&mut self, realm: &Realm, watcher: Arc<dyn Watcher>) -> (u64, bool) {
        if self.heard.values().any(|heard| heard == realm) {
            watcher.notice(Notice::Hearing);
        }
        let id = self.next;
        self.next += 1;
        self.watchers.insert(id, (realm.clone(), watcher));
        (id, !std::mem::replace(&mut self.running, true))
    }

    /// The channels that are to be heard besides, and those that no longer need to be.
    fn retune(&mut self, keys: &Keys) -> (HashMap<String, Realm>, Vec<String>) {
        let watched = self.watchers.values().map(|(realm, _)| (keys.ended(realm), realm.clone()));
        let mut wanted: HashMap<_, _> = watched.collect();
        let idle = self.heard.extract_if(|name, _| !wanted.contains_key(name)).map(|(name, _)| name);
        let idle = idle.collect();
        wanted.retain(|name, _| !self.heard.contains_key(name));
        (wanted, idle)
    }

    fn hear(&mut self, channels: HashMap<String, Realm>) {
        for realm in channels.values() {
            self.tell_all(realm, Notice::Hearing);
        }
        self.heard.extend(channels);
    }

    /// Nothing is heard any more.
    fn lose(&mut self) {
        for realm in std::mem::take(&mut self.heard).into_values() {
            self.tell_all(&realm, Notice::Deaf);
        }
    }

    fn tell(&self, message: &Msg) {
        let Some(realm) = self.heard.get(message.get_channel_name()) else { return };
        let (texts, _) = message.get_payload_bytes().as_chunks::<{ Locator::LEN }>();
        let ended = texts.iter().filter_map(|text| Locator::parse(std::str::from_utf8(text).ok()?));
        self.tell_all(realm, Notice::Ended(&ended.collect::<Vec<_>>()));
    }

    fn tell_all(&self, realm: &Realm, notice: Notice<'_>) {
        let concerned = self.watchers.values().filter(|(watched, _)| watched == realm);
        concerned.for_each(|(_, watcher)| watcher.notice(notice));
    }

    /// Whether the task may end because nobody watches; then the next watcher starts another.
    fn stop_if_idle(&mut self) -> bool {
        if self.watchers.is_empty() {
            self.running = false;
        }
        !self.running
    }
}

impl Task {
    async fn run(mut self) {
        let mut failures = 0;
        while !self.shared.registry().stop_if_idle() {
            let mut began = false;
            let listened = self.shared.listen(&mut began).await;
            self.shared.registry().lose();
            let Err(failure) = listened else { continue };
            failures = if began { 1 } else { failures + 1 };
            log(&failure, failures);
            sleep(backoff::before_reconnect(failures)).await;
        }
        self.stopped = true;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.stopped {
            let mut registry = self.shared.registry();
            registry.running = false;
            registry.lose();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Not dropped under the lock: a watcher may have a lock of its own to take.
        let left = self.shared.registry().watchers.remove(&self.id);
        drop(left);
        self.shared.changed.notify_one();
    }
}

async fn event(stream: &mut PubSubStream, changed: &Notify) -> Event {
    let (mut changed, mut quiet) = (pin!(changed.notified()), pin!(sleep(QUIET)));
    poll_fn(|cx| {
        if let Poll::Ready(message) = Pin::new(&mut *stream).poll_next(cx) {
            return Poll::Ready(message.map_or(Event::Closed, Event::Message));
        }
        if changed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Changed);
        }
        quiet.as_mut().poll(cx).map(|()| Event::Quiet)
    })
    .await
}

/// One warning for each time that it breaks; what follows is the same.
fn log(failure: &Failure, failures: u32) {
    let (cause, kind) = (failure.cause(), failure.kind().label());
    match failures {
        1 => warn!(target: "portcullis_redis", kind, %cause, "cannot listen for ended sessions"),
        _ => debug!(target: "portcullis_redis", kind, %cause, failures, "cannot listen for ended sessions"),
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = self.0.registry();
        let heard: Vec<_> = registry.heard.values().collect();
        f.debug_struct("Subscriber").field("heard", &heard).finish_non_exhaustive()
    }
}
