//! [`Subscriber`]: hears which sessions have ended and which tokens are revoked, on a connection of its own that is there while
//! somebody watches.
//!
//! * Messages are heard at most once, so whoever watches is told when some may have been missed: when listening begins, again
//!   after each break, and in between that it has broken. A connection that has gone silent is found out by a PING.
//! * Who watches for revocations relies on having heard all of them. So it is told what stands, read from the server after
//!   its channel is heard; and that it knows enough only until two seconds after a message was sent that this process has
//!   published to itself and heard: what was published before that has been heard, too.

mod pulse;
mod registry;
mod standing;

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use portcullis_store::{Locator, Realm, RevocationWatcher, StoreError, Watcher, Watching};
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Msg, RedisError};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use self::pulse::{BEAT, Purpose, Reading};
use self::registry::Registry;
use self::standing::Reader;
use crate::client::Client;
use crate::command::words;
use crate::keys::Keys;
use crate::link::backoff;
use crate::reply::accepted;
use crate::unique::unique;
use crate::verdict::Failure;

/// Hears what there is to be told. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Subscriber(Arc<Shared>);

struct Shared {
    client: Client,
    /// How often a connection was tried.
    turns: AtomicUsize,
    keys: Keys,
    patience: Duration,
    /// What this process calls itself.
    process: Locator,
    registry: Mutex<Registry>,
    /// Somebody came or left.
    changed: Notify,
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
    /// It is time for a pulse.
    Beat,
    Quiet,
}

/// Nothing was heard for so long: time to ask whether the connection still lives.
const QUIET: Duration = Duration::from_secs(2);

/// What stands could not be read: how long until it is tried again, and how long at most after several times.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

impl Subscriber {
    pub(crate) fn new(client: Client, keys: Keys, patience: Duration) -> Self {
        let (turns, registry, changed) = (AtomicUsize::default(), Mutex::default(), Notify::new());
        let process = Locator::from_bytes(unique());
        Self(Arc::new(Shared { client, turns, keys, patience, process, registry, changed }))
    }

    /// `None` outside a tokio runtime, and on connections of the application's own.
    pub(crate) fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching> {
        self.0.client.route().can_listen().then_some(())?;
        self.enter(|registry| registry.enter_for_sessions(realm, watcher))
    }

    /// `None` on a cluster as well.
    pub(crate) fn watch_revocations(
        &self,
        realm: &Realm,
        watcher: Arc<dyn RevocationWatcher>,
    ) -> Option<Watching> {
        let route = self.0.client.route();
        (route.can_listen() && !route.spreads()).then_some(())?;
        self.enter(|registry| registry.enter_for_tokens(realm, watcher))
    }

    fn enter(&self, enter: impl FnOnce(&mut Registry) -> u64) -> Option<Watching> {
        let runtime = Handle::try_current().ok()?;
        let mut registry = self.0.registry();
        let (id, is_first) = (enter(&mut registry), registry.start());
        drop(registry);
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
            let listening = self.client.route().listen(turn).await.ok_or_else(Failure::unavailable)?;
            listening.map_err(Failure::of_connect)
        };
        self.patiently(connecting).await.map(redis::aio::PubSub::split)
    }

    async fn patiently<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        timeout(self.patience, work).await.unwrap_or_else(|_| Err(Failure::timeout()))
    }

    /// Hears what is watched, and no more; and has those told what stands who have not been.
    async fn tune(self: &Arc<Self>, sink: &mut PubSubSink, work: &mut JoinSet<()>) -> Result<(), Failure> {
        let (missing, idle) = self.registry().retune(&self.keys, self.process);
        let refused = |error: RedisError| Failure::of_connect(error);
        if !missing.is_empty() {
            let names: Vec<&String> = missing.keys().collect();
            self.patiently(async { sink.subscribe(names).await.map_err(refused) }).await?;
            self.registry().hear(missing);
        }
        if !idle.is_empty() {
            self.patiently(async { sink.unsubscribe(idle).await.map_err(refused) }).await?;
        }
        let unread = self.registry().begin_reading();
        for (reading, realm) in unread {
            work.spawn(Arc::clone(self).tell_standing(reading, realm));
        }
        Ok(())
    }

    /// Listens for as long as the connection serves and somebody watches. `began`: it has served.
    async fn listen(self: &Arc<Self>, began: &mut bool) -> Result<(), Failure> {
        let (mut sink, mut stream) = self.connect().await?;
        // It ends with the connection that it is for.
        let mut work = JoinSet::new();
        self.tune(&mut sink, &mut work).await?;
        *began = true;
        debug!(target: "portcullis_redis", "listening");
        let (mut next_beat, mut was_overdue) = (Instant::now(), false);
        loop {
            let beat = self.registry().hears_pulses().then_some(next_beat);
            match event(&mut stream, &self.changed, beat).await {
                Event::Message(message) => self.registry().tell(&message)?,
                Event::Closed => return Err(Failure::unavailable()),
                Event::Changed if self.registry().is_empty() => return Ok(()),
                Event::Changed => self.tune(&mut sink, &mut work).await?,
                Event::Beat => {
                    next_beat = Instant::now() + BEAT;
                    // At two beats, because a machine that stalls has not read yet what has come.
                    let is_overdue = self.registry().pulses.is_overdue(Instant::now());
                    if std::mem::replace(&mut was_overdue, is_overdue) && is_overdue {
                        return Err(Failure::timeout());
                    }
                    while work.try_join_next().is_some() {}
                    work.spawn(Arc::clone(self).pulse());
                }
                Event::Quiet => {
                    let ping = async { sink.ping::<redis::Value>().await.map_err(Failure::of_connect) };
                    self.patiently(ping).await.map(drop)?;
                }
            }
        }
    }

    /// Publishes to itself, where commands go.
    async fn pulse(self: Arc<Self>) {
        let number = self.registry().pulses.begin(Purpose::Renew, Instant::now());
        let publish = words("PUBLISH", &[&self.keys.pulse(self.process), &number.to_string()]);
        let taken = self.client.call().send(&publish).await.and_then(accepted);
        if let Err(error) = &taken {
            debug!(target: "portcullis_redis", kind = error.kind().label(), "cannot publish to itself");
        }
        self.registry().pulses.answered(number, taken.is_ok());
    }

    /// Tells a watcher what stands, and then that this was all.
    async fn tell_standing(self: Arc<Self>, reading: Reading, realm: Realm) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.read_standing(reading, &realm).await {
            let kind = error.kind().label();
            warn!(target: "portcullis_redis", kind, %realm, "cannot read what is revoked");
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn read_standing(&self, reading: Reading, realm: &Realm) -> Result<(), StoreError> {
        let connecting = async {
            let link = self.client.route().link(|| 0, self.client.deadline()).await?;
            link.connector().connect().await
        };
        let line = self.patiently(connecting).await?;
        let reader = Reader { line, keys: &self.keys, realm, patience: self.client.budget() };
        reader.read(|standing| self.registry().tell_standing(reading, standing)).await?;
        let number = self.registry().pulses.begin(Purpose::Complete(reading), Instant::now());
        let published = reader.publish(&self.keys.pulse(self.process), &number.to_string()).await;
        self.registry().pulses.answered(number, published.is_ok());
        published
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
            self.shared.registry().stop();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Not dropped under the lock: a watcher may have a lock of its own to take.
        let left = self.shared.registry().leave(self.id);
        drop(left);
        self.shared.changed.notify_one();
    }
}

async fn event(stream: &mut PubSubStream, changed: &Notify, beat: Option<Instant>) -> Event {
    let (mut changed, mut quiet) = (pin!(changed.notified()), pin!(sleep(QUIET)));
    let mut beating = pin!(beat.map(sleep_until));
    poll_fn(|cx| {
        // First, because messages that never end would leave no time for it.
        if beating.as_mut().as_pin_mut().is_some_and(|beat| beat.poll(cx).is_ready()) {
            return Poll::Ready(Event::Beat);
        }
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
        1 => warn!(target: "portcullis_redis", kind, %cause, "cannot listen"),
        _ => debug!(target: "portcullis_redis", kind, %cause, failures, "cannot listen"),
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = self.0.registry();
        f.debug_struct("Subscriber").field("heard", &registry.heard()).finish_non_exhaustive()
    }
}
