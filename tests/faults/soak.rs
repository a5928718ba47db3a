//! A steady load for minutes, under which something goes wrong every other second: on one server, with Sentinels and on a
//! cluster by turns. `cargo xtask soak` runs it, and says for how long.

mod cluster;
mod leaks;
mod sentinel;
mod standalone;

use std::fmt;
use std::time::Duration;

use portcullis_redis::RedisConfig;
use portcullis_testkit::redis::RedisServer;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::app::Service;
use crate::checks::Left;
use crate::load::{Crowd, Load};
use crate::random::Random;
use crate::tally::{Count, Counts, Kind};
use crate::trial::machine;

use self::leaks::Leaks;

/// Servers, and what can go wrong with them.
trait Setup: Sized {
    const NAME: &'static str;
    /// Whether sessions can be ended durably.
    const REPLICATED: bool = true;

    async fn start() -> Self;

    /// As the load reaches it.
    fn config(&self) -> RedisConfig;

    /// As what is left is looked at, past any network that breaks.
    fn direct(&self) -> RedisConfig;

    /// All that clients connect to.
    fn servers(&self) -> Vec<&RedisServer>;

    /// Those that have sessions.
    fn masters(&self) -> Vec<&RedisServer>;

    /// Has something go wrong, and mends it. Says what it was.
    async fn harm(&self, load: &Load, random: &mut Random) -> &'static str;
}

/// How one turn on one set-up went.
struct Turn {
    name: &'static str,
    counts: Counts,
    faults: usize,
    slowest_recovery: Duration,
    left: Left,
    leaks: Leaks,
}

/// Between two faults.
const CALM: (u64, u64) = (300, 1500);

/// How long it runs, and by which chance.
#[expect(
    clippy::disallowed_methods,
    reason = "the caller of this program is a person, by way of `cargo xtask soak`"
)]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn any_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: cargo xtask soak"]
async fn soak() {
    let _machine = machine().await;
    let seconds = number("PORTCULLIS_SOAK_SECONDS").unwrap_or(360);
    let seed = number("PORTCULLIS_SOAK_SEED").unwrap_or_else(any_seed);
    println!("for {seconds} s, with seed {seed}");
    let (mut random, each) = (Random(seed), Duration::from_secs(seconds) / 3);
    let turns = [
        turn::<standalone::Standalone>(each, &mut random).await,
        turn::<sentinel::Sentinel>(each, &mut random).await,
        turn::<cluster::Cluster>(each, &mut random).await,
    ];
    println!("{}", Table(&turns));
    turns.iter().for_each(|turn| turn.check(seed));
}

async fn turn<S: Setup>(time: Duration, random: &mut Random) -> Turn {
    let setup = S::start().await;
    let resident = Handle::current().metrics().num_alive_tasks();
    let patient = Service::patient(&setup.direct());
    let mut crowd = Crowd::gather(&patient).await;
    if S::REPLICATED {
        crowd = crowd.with_tenants(&patient).await;
    }
    drop(patient);
    let mut load = Load::start(Service::new(&setup.config()), crowd);
    let (start, mut faults, mut slowest_recovery) = (Instant::now(), 0, Duration::ZERO);
    while start.elapsed() < time {
        sleep(random.millis(CALM.0, CALM.1)).await;
        let began = Instant::now();
        let what = setup.harm(&load, random).await;
        let mended = Instant::now();
        let recovered = load.recovery(mended).await;
        println!("{}: {what}, for {:.1?}, recovered after {recovered:.1?}", S::NAME, mended - began);
        slowest_recovery = slowest_recovery.max(recovered);
        faults += 1;
    }
    load.stop().await;
    let left = Left::of(&load, &setup.direct()).await;
    let counts = load.counts();
    let cookies = load.living();
    drop(load);
    let leaks = Leaks::find(&setup.masters(), &setup.servers(), &cookies, resident).await;
    Turn { name: S::NAME, counts, faults, slowest_recovery, left, leaks }
}

impl Turn {
    fn check(&self, seed: u64) {
        let Self { name, counts, left, leaks, .. } = self;
        assert!(counts.violations.is_empty(), "{name}, seed {seed}: {:#?}", counts.violations);
        assert!(left.wrong.is_empty(), "{name}, seed {seed}: {:#?}", left.wrong);
        assert_eq!(*leaks, Leaks { orphans: leaks.orphans, ..Leaks::default() }, "{name}, seed {seed}");
        assert_eq!(counts.all_within(Kind::calls), Ok(()), "{name}, seed {seed}");
    }
}

struct Table<'a>(&'a [Turn]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "",
            "requests",
            "refused",
            "faults",
            "slowest",
            "recovery",
            "writes",
            "lost",
            "by Redis",
            "violations",
            "eternal",
            "unindexed",
            "orphans",
            "connections",
            "tasks",
        ];
        writeln!(f, "| {} |", head.join(" | "))?;
        writeln!(f, "|{}", " --- |".repeat(head.len()))?;
        for turn in self.0 {
            let Count { requests, refused, .. } = turn.counts.all();
            let slowest = turn.counts.slowest();
            let Leaks { eternal, unindexed, orphans, connections, tasks } = turn.leaks;
            writeln!(
                f,
                "| {} | {requests} | {refused} | {} | {slowest} | {:.1?} | {} | {} | {} | {} | {eternal} | \
                 {unindexed} | {orphans} | {connections} | {tasks} |",
                turn.name,
                turn.faults,
                turn.slowest_recovery,
                turn.left.kept.acknowledged,
                turn.left.wrong.len(),
                turn.left.kept.lost_by_redis,
                turn.counts.violations.len(),
            )?;
        }
        Ok(())
    }
}
