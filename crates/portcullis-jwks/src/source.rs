//! [`RemoteJwks`]: a key set at an issuer's address, as a source of keys.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis::bearer::{KeyHealth, KeyQuery, KeySet, KeySource, Missed, Missing};
use tokio::runtime;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::builder::RemoteJwksBuilder;
use crate::desk::{Attendance, Desk, Outcome, Plan, Reply};
use crate::error::ConfigError;
use crate::fleet::Fleet;
use crate::origin::Origin;

/// The keys that an issuer publishes; see the [crate's page](crate).
///
/// A clone is the same source. Its task ends with the last of them, a layer's among them.
#[derive(Clone)]
pub struct RemoteJwks(Arc<Handle>);

struct Handle {
    desk: Arc<Desk>,
    origin: Origin,
    fleet: Option<Fleet>,
    task: Mutex<Option<AbortHandle>>,
}

/// How long a request waits for a fetch.
const WAIT: Duration = Duration::from_secs(2);

/// When to come back to a source that has no runtime to fetch in.
const LATER: Duration = Duration::from_secs(1);

impl RemoteJwks {
    /// The key set at this address, an `https` URL.
    ///
    /// Nothing is fetched yet: a service starts while its issuer is away. The first fetch begins when a layer is built
    /// with it inside of a tokio runtime, or else with the first request.
    ///
    /// # Errors
    /// When the URL is not one, or this machine has no certificate authorities; see [`RemoteJwks::builder`].
    pub fn new(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::builder(url).build()
    }

    /// The key set of this issuer, an `https` URL, wherever its metadata says that it is: OpenID Connect Discovery 1.0,
    /// or RFC 8414 where there is none. The metadata must name the issuer to the letter.
    ///
    /// # Errors
    /// When the issuer is not a URL, or this machine has no certificate authorities; see [`RemoteJwks::discovery`].
    pub fn discover(issuer: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::discovery(issuer).build()
    }

    /// As [`new`](Self::new), with settings of one's own.
    pub fn builder(url: impl AsRef<str>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::at_url(url.as_ref())
    }

    /// As [`discover`](Self::discover), with settings of one's own.
    pub fn discovery(issuer: impl AsRef<str>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::of_issuer(issuer.as_ref())
    }

    pub(crate) fn of(origin: Origin, desk: Desk, fleet: Option<Fleet>) -> Self {
        Self(Arc::new(Handle { desk: Arc::new(desk), origin, fleet, task: Mutex::default() }))
    }
}

impl KeySource for RemoteJwks {
    fn snapshot(&self) -> Arc<KeySet> {
        self.0.start();
        self.0.desk.set()
    }

    fn miss(&self, query: KeyQuery) -> Missing {
        let is_attended = self.0.start();
        let desk = &self.0.desk;
        let missed = if query.is_answered_by(&desk.set()) {
            Missed::Replaced
        } else if !is_attended {
            Missed::Unavailable { retry_after: LATER }
        } else {
            match desk.miss() {
                Reply::Await { flight, is_own } => {
                    let (desk, deadline) = (Arc::clone(desk), Instant::now() + WAIT);
                    return Missing::pending(async move {
                        let missed = wait(&desk, &query, flight, is_own, deadline).await;
                        desk.report().missed(missed);
                        missed
                    });
                }
                Reply::Throttled => Missed::Throttled,
                Reply::Unavailable { retry_after } => Missed::Unavailable { retry_after },
            }
        };
        desk.report().missed(missed);
        Missing::Ready(missed)
    }

    fn health(&self) -> KeyHealth {
        self.0.start();
        self.0.desk.health()
    }
}

/// "No such key" is a verdict only of a fetch that began after the token came. One that was under way by then may have
/// the answer of the moment before a rotation, and so may one of another process; so there is a second one, if the bucket
/// allows.
async fn wait(desk: &Desk, query: &KeyQuery, flight: u64, is_own: bool, deadline: Instant) -> Missed {
    let (missed, outcome) = landing(desk, query, flight, deadline).await;
    if missed != Missed::Absent || (is_own && outcome == Outcome::Fetched) {
        return missed;
    }
    match desk.miss() {
        Reply::Await { flight, .. } => landing(desk, query, flight, deadline).await.0,
        Reply::Throttled => Missed::Throttled,
        Reply::Unavailable { retry_after } => Missed::Unavailable { retry_after },
    }
}

async fn landing(desk: &Desk, query: &KeyQuery, flight: u64, deadline: Instant) -> (Missed, Outcome) {
    let landed = desk.landing(query, flight, deadline).await;
    let outcome = landed.map_or(Outcome::Failed, |landed| landed.outcome);
    let missed = if query.is_answered_by(&desk.set()) {
        Missed::Replaced
    } else if outcome == Outcome::Failed {
        Missed::Unavailable { retry_after: desk.next_attempt_in() }
    } else {
        Missed::Absent
    };
    (missed, outcome)
}

impl Handle {
    /// Sees to it that a task fetches, if there is a runtime for it to run in. A runtime that has ended took its task
    /// along; then another one is started.
    fn start(&self) -> bool {
        if self.desk.is_attended() {
            return true;
        }
        let Ok(runtime) = runtime::Handle::try_current() else { return false };
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attendance) = Attendance::take(&self.desk) {
            let fleet = self.fleet.as_ref().map(Fleet::again);
            *task = Some(runtime.spawn(attend(attendance, self.origin.clone(), fleet)).abort_handle());
        }
        true
    }
}

/// The task: does what the schedule says, for ever.
async fn attend(attendance: Attendance, mut origin: Origin, mut fleet: Option<Fleet>) {
    let desk = attendance.desk();
    loop {
        match desk.plan() {
            Plan::SleepUntil(until) => desk.rest(until).await,
            Plan::Fetch => {
                let mut flight = pin!(fly(desk, &mut origin, fleet.as_mut()));
                // A set may become too old while the next one is on its way.
                while timeout_at(desk.wake_at(), flight.as_mut()).await.is_err() {
                    let _ = desk.plan();
                }
            }
        }
    }
}

async fn fly(desk: &Desk, origin: &mut Origin, fleet: Option<&mut Fleet>) {
    match fleet {
        Some(fleet) => fleet.fly(origin, desk).await,
        None => drop(desk.land(origin.fetch().await)),
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        task.iter().for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for RemoteJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJwks")
            .field("source", &self.0.desk.report().source())
            .field("health", &self.0.desk.health())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use portcullis::bearer::Algorithm;
    use serde_json::json;

    use super::*;
    use crate::desk::{Adoption, Offer};
    use crate::fetch::{FetchError, FetchErrorKind};
    use crate::origin::Fetched;

    const KEY: &str =
        r#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn fetched(kids: &[&str]) -> Result<Fetched, FetchError> {
        let keys: Vec<_> = kids
            .iter()
            .map(|kid| {
                let mut key: serde_json::Value = serde_json::from_str(KEY).unwrap();
                key["kid"] = (*kid).into();
                key
            })
            .collect();
        let body = json!({ "keys": keys }).to_string();
        let set = KeySet::jwks(&body).unwrap();
        Ok(Fetched { keys: Some((Bytes::from(body), set)), ttl: None })
    }

    /// A desk that has been told of the key `old`, and a task that does nothing by itself.
    fn desk() -> Arc<Desk> {
        let desk = Arc::new(Desk::new("idp.example".into(), Duration::from_secs(86_400)));
        assert!(matches!(desk.plan(), Plan::Fetch));
        desk.land(fetched(&["old"]));
        desk
    }

    fn asks(desk: &Arc<Desk>, kid: &str) -> impl Future<Output = Missed> + use<> {
        let query = KeyQuery::unknown(desk.set(), Algorithm::EdDSA, Some(kid));
        let Reply::Await { flight, is_own } = desk.miss() else { panic!("no flight") };
        let desk = Arc::clone(desk);
        async move { wait(&desk, &query, flight, is_own, Instant::now() + WAIT).await }
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_began_before_the_token_came_is_no_verdict() {
        let desk = desk();
        let first = asks(&desk, "stray");
        // The issuer has answered and rotates; its answer is still on its way when this token comes.
        let mut second = tokio::spawn(asks(&desk, "new"));
        tokio::task::yield_now().await;
        desk.land(fetched(&["old"]));
        assert_eq!(first.await, Missed::Absent);
        tokio::task::yield_now().await;
        assert!(!second.is_finished() && matches!(desk.plan(), Plan::Fetch));
        desk.land(fetched(&["old", "new"]));
        assert_eq!((&mut second).await.unwrap(), Missed::Replaced);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_fetch_is_the_last_one() {
        let desk = desk();
        let (first, second) = (asks(&desk, "a"), tokio::spawn(asks(&desk, "b")));
        desk.land(fetched(&["old"]));
        assert_eq!(first.await, Missed::Absent);
        tokio::task::yield_now().await;
        desk.land(fetched(&["other"]));
        assert_eq!(second.await.unwrap(), Missed::Absent);
        // The bucket is empty, and the set young.
        assert!(matches!(desk.miss(), Reply::Throttled));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_of_a_failure_and_waits_two_seconds_at_most() {
        let desk = desk();
        let failing = asks(&desk, "new");
        desk.land(Err(FetchErrorKind::Timeout.into()));
        assert!(matches!(failing.await, Missed::Unavailable { .. }));
        let hanging = asks(&desk, "new");
        let began = Instant::now();
        assert!(matches!(hanging.await, Missed::Unavailable { .. }));
        assert_eq!(began.elapsed().as_millis() / 10, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_told_to_no_other_process() {
        let desk = desk();
        let waiting = asks(&desk, "new");
        assert!(desk.land(Err(FetchErrorKind::Timeout.into())).is_none());
        waiting.await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_of_another_process_is_as_old_as_its_answer_is_late() {
        let desk = desk();
        let waiting = asks(&desk, "new");
        tokio::time::advance(Duration::from_secs(60)).await;
        let (asked, age) = (Instant::now(), Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(2)).await;
        let Some((document, keys)) = fetched(&["old", "new"]).unwrap().keys else { panic!("no keys") };
        let offer = Offer { document, keys, asked, age, ttl: Duration::from_secs(600) };
        assert_eq!(desk.adopt(offer), Adoption::Suffices);
        assert_eq!(desk.health().age, Some(Duration::from_secs(7)));
        assert_eq!(waiting.await, Missed::Replaced);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_in_a_fetch_leaves_nobody_waiting() {
        let desk = desk();
        let attendance = Attendance::take(&desk).unwrap();
        assert!(Attendance::take(&desk).is_none());
        let waiting = asks(&desk, "new");
        drop(attendance);
        let began = Instant::now();
        assert!(matches!(waiting.await, Missed::Unavailable { .. }));
        assert!(began.elapsed().is_zero() && !desk.is_attended());
    }
}
