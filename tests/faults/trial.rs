//! [`Trial`]: the common course of the tests. A load runs undisturbed, something goes wrong, it recovers, and what is
//! left is compared with what was promised.

use std::time::Duration;

use portcullis_redis::RedisConfig;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

use crate::app::Service;
use crate::checks::Left;
use crate::ledger::Kept;
use crate::load::{Crowd, Load};
use crate::tally::{Count, Counts, KINDS, Kind};

/// How long a call of the store may take by default, and so what a failure may cost a request.
pub(crate) const BUDGET: Duration = Duration::from_millis(450);
/// What a busy test machine may add to any time.
pub(crate) const MARGIN: Duration = Duration::from_millis(550);
/// From the return of a server to the last refusal.
pub(crate) const AFTER_A_RESTART: Duration = Duration::from_secs(1);

/// How long a load runs undisturbed.
const CALM: Duration = Duration::from_millis(300);

static MACHINE: Mutex<()> = Mutex::const_new(());

/// The machine, for one test at a time.
pub(crate) async fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().await
}

/// A load under which something goes wrong.
pub(crate) struct Trial {
    what: &'static str,
    pub(crate) load: Load,
    /// The servers, past any network that something happens to.
    direct: RedisConfig,
}

/// What a trial has shown.
#[derive(Debug)]
pub(crate) struct Outcome {
    what: &'static str,
    pub(crate) counts: Counts,
    pub(crate) recovered: Duration,
    left: Left,
}

impl Trial {
    /// Starts a load on the servers of this configuration, and sees that it runs.
    pub(crate) async fn begin(what: &'static str, config: &RedisConfig) -> Self {
        Self::begin_through(what, config, config).await
    }

    /// The same, by way of a network that something is going to happen to; `direct` leads past it.
    pub(crate) async fn begin_through(
        what: &'static str,
        network: &RedisConfig,
        direct: &RedisConfig,
    ) -> Self {
        let crowd = Crowd::gather(&Service::patient(direct)).await;
        Self::begin_with(what, network, direct, crowd).await
    }

    /// On servers with replicas, where sessions are ended durably, too.
    pub(crate) async fn begin_replicated(what: &'static str, config: &RedisConfig) -> Self {
        let service = Service::patient(config);
        let crowd = Crowd::gather(&service).await.with_tenants(&service).await;
        Self::begin_with(what, config, config, crowd).await
    }

    /// The same with a crowd that has gathered.
    pub(crate) async fn begin_with(
        what: &'static str,
        network: &RedisConfig,
        direct: &RedisConfig,
        crowd: Crowd,
    ) -> Self {
        let trial = Self { what, load: Load::start(Service::new(network), crowd), direct: direct.clone() };
        sleep(CALM).await;
        let calm = trial.load.counts();
        assert!(calm.violations.is_empty() && calm.all().refused == 0, "{what}, before it: {calm:?}");
        trial
    }

    /// The same, while nothing listens: the service has never had a connection.
    pub(crate) async fn begin_without(what: &'static str, config: &RedisConfig, end: impl FnOnce()) -> Self {
        let crowd = Crowd::gather(&Service::patient(config)).await;
        end();
        Self { what, load: Load::start(Service::new(config), crowd), direct: config.clone() }
    }

    /// Lets the load go on for a time.
    pub(crate) async fn goes_on_for(&self, time: Duration) {
        sleep(time).await;
    }

    /// Waits until nothing is refused any more, counted from `since`, then ends the load and looks what is left.
    ///
    /// A failure has cost a request one budget, however many calls it would have made: it ends with the first that fails.
    pub(crate) async fn end(self, since: Instant) -> Outcome {
        self.end_within(since, |kind| kind.calls().min(1)).await
    }

    /// The same where all calls were slow, and none need have failed: each of a request's has taken its time.
    pub(crate) async fn end_slow(self, since: Instant) -> Outcome {
        self.end_within(since, Kind::calls).await
    }

    async fn end_within(mut self, since: Instant, budgets: fn(Kind) -> u32) -> Outcome {
        let recovered = self.load.recovery(since).await;
        self.load.stop().await;
        let left = Left::of(&self.load, &self.direct).await;
        let outcome = Outcome { what: self.what, counts: self.load.counts(), recovered, left };
        outcome.print();
        outcome.check();
        assert_eq!(outcome.counts.all_within(budgets), Ok(()), "{}", outcome.what);
        outcome
    }
}

impl Outcome {
    fn print(&self) {
        let Count { requests, refused, .. } = self.counts.all();
        let Kept { acknowledged, kept, lost_by_redis, applied_in_doubt } = self.left.kept;
        println!(
            "{}: {requests} requests, {refused} refused, slowest {}, recovered after {:.1?}; \
             writes: {acknowledged} acknowledged, {kept} kept, {lost_by_redis} lost by Redis, {applied_in_doubt} \
             applied in doubt; {} sessions ended, {} of them confirmed by a replica in a failover, {} others came back",
            self.what,
            self.counts.slowest(),
            self.recovered,
            self.left.ended,
            self.left.confirmed,
            self.left.came_back
        );
    }

    /// What is promised in every case.
    fn check(&self) {
        let what = self.what;
        let violations = &self.counts.violations;
        assert!(violations.is_empty(), "{what}, {} violations: {violations:#?}", violations.len());
        for kind in KINDS {
            let count = self.counts.of(kind);
            assert!(count.requests > 0, "{what}: no {kind:?}");
        }
        let wrong = &self.left.wrong;
        assert!(wrong.is_empty(), "{what}: {wrong:#?}");
    }

    /// It has recovered in this time.
    pub(crate) fn recovered_within(&self, limit: Duration) -> &Self {
        assert!(self.recovered < limit + MARGIN, "{}: recovered after {:?}", self.what, self.recovered);
        self
    }

    /// The fault was one: requests were refused.
    pub(crate) fn refused_some(&self) -> &Self {
        assert!(self.counts.all().refused > 0, "{}: nothing was refused", self.what);
        self
    }

    /// Nobody has noticed anything.
    pub(crate) fn refused_none(&self) -> &Self {
        assert_eq!(self.counts.all().refused, 0, "{}: {:?}", self.what, self.counts);
        self
    }

    /// Nothing that Redis acknowledged was lost by itself either.
    pub(crate) fn kept_all(&self) -> &Self {
        assert_eq!(self.left.kept.lost_by_redis, 0, "{}", self.what);
        self
    }

    /// Sessions were ended durably while Redis might lose it, and have stayed so.
    pub(crate) fn confirmed_some(&self) -> &Self {
        assert!(self.left.confirmed > 0, "{}: no end was confirmed", self.what);
        self
    }

    pub(crate) fn of(&self, kind: Kind) -> Count {
        self.counts.of(kind)
    }
}
