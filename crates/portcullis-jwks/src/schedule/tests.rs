//! The table of the module's page, row by row; and what holds whatever happens in whatever order.

use proptest::prelude::*;

use super::*;

const NEVER: Chance = Chance(0);
const ALWAYS: Chance = Chance(u16::MAX);
const MAX_STALE: Duration = Duration::from_secs(24 * 60 * 60);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const SEC: u64 = 1000;
const MIN: u64 = 60 * SEC;
const HOUR: u64 = 60 * MIN;
/// When the events of the table happen.
const NOW: u64 = 100 * HOUR;

fn flying(began: u64, failures: u32) -> Attempt {
    Attempt::Flying { began: at(began), failures }
}

fn waiting(until: u64, failures: u32) -> Attempt {
    Attempt::Waiting { until: at(until), failures }
}

fn fresh(confirmed: u64, due: u64) -> State {
    State::Fresh { confirmed: at(confirmed), due: at(due) }
}

fn refreshing(confirmed: u64, began: u64) -> State {
    State::Refreshing { confirmed: at(confirmed), began: at(began) }
}

fn stale(confirmed: u64, attempt: Attempt) -> State {
    State::Stale { confirmed: at(confirmed), attempt }
}

/// A bucket with so many left, of which the next one comes back at the 30th second after now.
fn bucket(left: u8) -> Bucket {
    let mut bucket = Bucket::full(at(NOW));
    (left..2).for_each(|_| assert!(bucket.take(at(NOW))));
    bucket
}

fn step(state: State, left: u8, event: Event) -> (State, Action, u8) {
    let schedule = Schedule { state, bucket: bucket(left), max_stale: MAX_STALE };
    let (mut after, action) = schedule.step(event, at(NOW));
    let rest = (0..2).filter(|_| after.bucket.take(at(NOW))).count();
    (after.state, action, rest as u8)
}

fn unavailable(millis: u64) -> Action {
    Action::Unavailable { retry_after: Duration::from_millis(millis) }
}

#[test]
fn every_state_has_its_row_for_every_event() {
    use Action::*;
    use Event::{Failed, Fetched, Miss, Tick};
    use State::{Cold, Expired};
    let good = Fetched { ttl: Some(Duration::from_secs(600)), chance: NEVER };
    let bad = Failed { chance: ALWAYS };
    // Just young enough to be served, and just too old.
    let (old, too_old) = (NOW - 24 * HOUR + 1, NOW - 24 * HOUR);
    let (young, aged) = (NOW - 30 * SEC + 1, NOW - 30 * SEC);
    let later = NOW + MIN;
    type Row = (&'static str, State, u8, Event, State, Action, u8);
    let rows: [Row; 44] = [
        // Cold
        ("cold, due", Cold(waiting(NOW, 0)), 2, Tick, Cold(flying(NOW, 0)), Fetch, 2),
        ("cold, not due", Cold(waiting(NOW + 1, 3)), 2, Tick, Cold(waiting(NOW + 1, 3)), Rest, 2),
        ("cold, under way", Cold(flying(5, 1)), 2, Tick, Cold(flying(5, 1)), Rest, 2),
        ("cold, due, missed", Cold(waiting(NOW, 0)), 2, Miss, Cold(flying(NOW, 0)), Fetch, 2),
        (
            "cold, not due, missed",
            Cold(waiting(NOW + 1, 3)),
            2,
            Miss,
            Cold(waiting(NOW + 1, 3)),
            unavailable(1),
            2,
        ),
        ("cold, under way, missed", Cold(flying(5, 0)), 2, Miss, Cold(flying(5, 0)), Join, 2),
        ("cold, good", Cold(flying(NOW - 5, 7)), 2, good, fresh(NOW - 5, NOW - 5 + 8 * MIN), Rest, 2),
        ("cold, failed", Cold(flying(5, 0)), 2, bad, Cold(waiting(NOW + 250, 1)), Rest, 2),
        ("cold, failed again", Cold(flying(5, 1)), 2, bad, Cold(waiting(NOW + 500, 2)), Rest, 2),
        ("cold, failed for long", Cold(flying(5, 90)), 2, bad, Cold(waiting(NOW + 15 * SEC, 91)), Rest, 2),
        // Fresh
        ("fresh, not due", fresh(young, NOW + 1), 2, Tick, fresh(young, NOW + 1), Rest, 2),
        ("fresh, due", fresh(aged, NOW), 2, Tick, refreshing(aged, NOW), Fetch, 2),
        ("fresh, too old", fresh(too_old, NOW), 2, Tick, Expired(waiting(NOW, 0)), Withdraw, 2),
        ("fresh, missed", fresh(young, later), 2, Miss, refreshing(young, NOW), Fetch, 1),
        ("fresh, missed again", fresh(young, later), 1, Miss, refreshing(young, NOW), Fetch, 0),
        ("fresh and young, throttled", fresh(young, later), 0, Miss, fresh(young, later), Throttled, 0),
        (
            "fresh and aged, throttled",
            fresh(aged, later),
            0,
            Miss,
            fresh(aged, later),
            unavailable(30 * SEC),
            0,
        ),
        ("fresh, an answer to nothing", fresh(young, later), 2, good, fresh(young, later), Rest, 2),
        ("fresh, a failure of nothing", fresh(young, later), 2, bad, fresh(young, later), Rest, 2),
        // Refreshing
        ("refreshing", refreshing(aged, young), 2, Tick, refreshing(aged, young), Rest, 2),
        ("refreshing, too old", refreshing(too_old, young), 2, Tick, Expired(flying(young, 0)), Withdraw, 2),
        ("refreshing, missed", refreshing(aged, young), 2, Miss, refreshing(aged, young), Join, 2),
        ("refreshing, missed, throttled", refreshing(aged, young), 0, Miss, refreshing(aged, young), Join, 0),
        ("refreshing, good", refreshing(aged, young), 2, good, fresh(young, young + 8 * MIN), Rest, 2),
        ("refreshing, failed", refreshing(aged, young), 2, bad, stale(aged, waiting(NOW + 250, 1)), Rest, 2),
        // Stale
        (
            "stale, not due",
            stale(old, waiting(NOW + 1, 1)),
            2,
            Tick,
            stale(old, waiting(NOW + 1, 1)),
            Rest,
            2,
        ),
        ("stale, due", stale(old, waiting(NOW, 1)), 2, Tick, stale(old, flying(NOW, 1)), Fetch, 2),
        ("stale, too old", stale(too_old, waiting(NOW, 1)), 2, Tick, Expired(waiting(NOW, 1)), Withdraw, 2),
        (
            "stale, too old, under way",
            stale(too_old, flying(5, 1)),
            2,
            Tick,
            Expired(flying(5, 1)),
            Withdraw,
            2,
        ),
        ("stale, under way", stale(old, flying(5, 1)), 2, Tick, stale(old, flying(5, 1)), Rest, 2),
        ("stale, missed", stale(young, waiting(later, 1)), 1, Miss, stale(young, flying(NOW, 1)), Fetch, 0),
        (
            "stale, missed, due",
            stale(young, waiting(NOW, 1)),
            0,
            Miss,
            stale(young, flying(NOW, 1)),
            Fetch,
            0,
        ),
        (
            "stale, throttled",
            stale(young, waiting(later, 1)),
            0,
            Miss,
            stale(young, waiting(later, 1)),
            unavailable(MIN),
            0,
        ),
        ("stale, under way, missed", stale(old, flying(5, 1)), 2, Miss, stale(old, flying(5, 1)), Join, 2),
        ("stale, good", stale(old, flying(NOW, 9)), 2, good, fresh(NOW, NOW + 8 * MIN), Rest, 2),
        ("stale, failed", stale(old, flying(5, 2)), 2, bad, stale(old, waiting(NOW + SEC, 3)), Rest, 2),
        // Expired
        ("expired, due", Expired(waiting(NOW, 4)), 2, Tick, Expired(flying(NOW, 4)), Fetch, 2),
        ("expired, not due", Expired(waiting(NOW + 1, 4)), 2, Tick, Expired(waiting(NOW + 1, 4)), Rest, 2),
        ("expired, under way", Expired(flying(5, 4)), 2, Tick, Expired(flying(5, 4)), Rest, 2),
        ("expired, due, missed", Expired(waiting(NOW, 4)), 2, Miss, Expired(flying(NOW, 4)), Fetch, 2),
        (
            "expired, not due, missed",
            Expired(waiting(NOW + 9, 4)),
            2,
            Miss,
            Expired(waiting(NOW + 9, 4)),
            unavailable(9),
            2,
        ),
        ("expired, under way, missed", Expired(flying(5, 4)), 2, Miss, Expired(flying(5, 4)), Join, 2),
        ("expired, good", Expired(flying(NOW, 4)), 2, good, fresh(NOW, NOW + 8 * MIN), Rest, 2),
        ("expired, failed", Expired(flying(5, 4)), 2, bad, Expired(waiting(NOW + 4 * SEC, 5)), Rest, 2),
    ];
    for (name, state, left, event, after, action, rest) in rows {
        assert_eq!(step(state, left, event), (after, action, rest), "{name}");
    }
}

#[test]
fn an_issuer_s_word_counts_within_bounds() {
    let rows = [
        ("nothing said", None, NEVER, 8 * MIN),
        ("nothing said, earliest", None, ALWAYS, 432 * SEC),
        ("zero", Some(0), NEVER, 48 * SEC),
        ("a second", Some(1), ALWAYS, 43_200),
        ("a minute", Some(60), NEVER, 48 * SEC),
        ("five minutes", Some(300), NEVER, 4 * MIN),
        ("an hour", Some(3600), NEVER, 48 * MIN),
        ("a day", Some(86_400), NEVER, 48 * MIN),
        ("for ever", Some(u64::MAX), ALWAYS, 2592 * SEC),
    ];
    for (name, ttl, chance, due) in rows {
        let event = Event::Fetched { ttl: ttl.map(Duration::from_secs), chance };
        let (state, ..) = step(State::Cold(flying(NOW, 0)), 2, event);
        assert_eq!(state, fresh(NOW, NOW + due), "{name}");
    }
}

#[test]
fn a_bucket_has_two_and_gets_one_back_every_thirty_seconds() {
    let mut bucket = Bucket::full(at(0));
    let takes = [
        (HOUR, true),
        (HOUR, true),
        (HOUR, false),
        (HOUR + 30 * SEC - 1, false),
        (HOUR + 30 * SEC, true),
        (HOUR + 30 * SEC, false),
        (HOUR + 59 * SEC, false),
        (HOUR + 60 * SEC, true),
        (2 * HOUR, true),
        (2 * HOUR, true),
        (2 * HOUR, false),
    ];
    for (row, (now, expected)) in takes.into_iter().enumerate() {
        assert_eq!(bucket.take(at(now)), expected, "{row}");
    }
    assert_eq!(bucket.next_in(at(2 * HOUR + SEC)), Duration::from_secs(29));
}

/// What may happen next, and after how long.
fn happenings() -> impl Strategy<Value = Vec<(u64, Happening)>> {
    let wait = prop_oneof![Just(0), 1..2000u64, 1000..60_000u64, 60_000..HOUR, HOUR..30 * HOUR];
    let happening = prop_oneof![
        Just(Happening::Miss),
        any::<u16>().prop_map(|chance| Happening::End(None, chance)),
        (any::<Option<u32>>(), any::<u16>()).prop_map(|(ttl, chance)| Happening::End(Some(ttl), chance)),
        (0..200_000u32, any::<u32>(), any::<u16>())
            .prop_map(|(age, ttl, chance)| Happening::Offer(age, ttl, chance)),
    ];
    prop::collection::vec((wait, happening), 1..200)
}

#[derive(Clone, Debug)]
enum Happening {
    Miss,
    /// The fetch under way ends: with a failure, or with a set that holds for so many seconds.
    End(Option<Option<u32>>, u16),
    /// Another process has a set, so many seconds old, that holds for so many.
    Offer(u32, u32, u16),
}

/// Drives a schedule as the task does, and checks at every step what must hold at all times.
struct Run {
    schedule: Schedule,
    now: Timestamp,
    fetches: Vec<Timestamp>,
    /// When a fetch began because of a miss.
    forced: Vec<Timestamp>,
    /// When the last good fetch began.
    confirmed: Option<Timestamp>,
    serves: bool,
}

impl Run {
    fn new() -> Self {
        let now = at(NOW);
        let schedule = Schedule::new(MAX_STALE, now);
        Self { schedule, now, fetches: vec![], forced: vec![], confirmed: None, serves: false }
    }

    fn event(&mut self, event: Event) -> Action {
        let was_fetching = self.schedule.is_fetching();
        let had_keys = self.serves;
        let (schedule, action) = self.schedule.clone().step(event, self.now);
        self.schedule = schedule;
        match action {
            Action::Fetch => {
                assert!(!was_fetching, "two fetches at once");
                assert!(self.schedule.is_fetching());
                self.fetches.push(self.now);
                if event == Event::Miss && had_keys {
                    self.forced.push(self.now);
                }
            }
            Action::Join => assert!(was_fetching),
            Action::Withdraw => self.serves = false,
            Action::Throttled => {
                let age = self.schedule.age(self.now).expect("a verdict needs keys");
                assert!(age < YOUNG, "a verdict by keys of {age:?}");
                assert!(!self.schedule.is_stale());
            }
            Action::Adopt | Action::AdoptAndFetch => {
                let Event::Adopted { confirmed, .. } = event else { panic!("nothing was offered") };
                assert!(was_fetching && self.now.since(confirmed) < MAX_STALE);
                assert!(!self.serves || self.confirmed < Some(confirmed), "an older set");
                assert_eq!(self.schedule.is_fetching(), action == Action::AdoptAndFetch);
                (self.serves, self.confirmed) = (true, Some(confirmed));
            }
            Action::Unavailable { .. } | Action::Rest => {}
        }
        if let (Event::Fetched { .. }, true) = (event, was_fetching) {
            self.serves = true;
            self.confirmed = self.fetches.last().copied();
            let due = self.schedule.next_attempt_in(self.confirmed.unwrap());
            let bounds = Duration::from_millis(43_200)..=Duration::from_secs(48 * 60);
            assert!(bounds.contains(&due), "due in {due:?}");
        }
        if let (Event::Failed { .. }, true) = (event, was_fetching) {
            assert!(self.schedule.next_attempt_in(self.now) <= BACKOFF_MOST);
        }
        assert_eq!(self.schedule.age(self.now).is_some(), self.serves);
        assert!(
            self.serves
                || self.schedule.wake_at() <= self.now.saturating_add(BACKOFF_MOST)
                || self.schedule.is_fetching()
        );
        action
    }

    /// As the task does, which ticks whenever the schedule wants to.
    fn pass(&mut self, millis: u64) {
        let end = self.now.saturating_add(Duration::from_millis(millis));
        for turns in 0.. {
            assert!(turns < 10, "it never rests");
            let wake = self.schedule.wake_at();
            if wake > end {
                break;
            }
            self.now = self.now.max(wake);
            self.event(Event::Tick);
            self.check_age();
        }
        self.now = end;
        self.check_age();
    }

    fn check_age(&self) {
        if self.serves {
            let age = self.now.since(self.confirmed.unwrap());
            assert_eq!(self.schedule.age(self.now), Some(age));
            // At that very moment it is withdrawn.
            assert!(age <= MAX_STALE, "served at {age:?}");
        }
    }
}

#[test]
fn what_another_process_was_told_is_taken_over_if_it_is_newer_and_enough_if_it_is_not_due() {
    use Action::{Adopt, AdoptAndFetch, Rest};
    use State::{Cold, Expired};
    let offer = |confirmed, ttl| {
        let ttl = Duration::from_secs(ttl);
        Event::Adopted { confirmed: at(confirmed), ttl, chance: NEVER }
    };
    // Of ten minutes' answers eight count.
    let (young, due) = (NOW - MIN, NOW + 7 * MIN);
    let overdue = NOW - 8 * MIN;
    let (old, too_old) = (NOW - 24 * HOUR + 1, NOW - 24 * HOUR);
    let flight = flying(NOW - SEC, 3);
    let rows = [
        ("cold, young", Cold(flight), offer(young, 600), fresh(young, due), Adopt),
        ("cold, overdue", Cold(flight), offer(overdue, 600), refreshing(overdue, NOW - SEC), AdoptAndFetch),
        ("cold, old", Cold(flight), offer(old, 600), refreshing(old, NOW - SEC), AdoptAndFetch),
        ("cold, too old", Cold(flight), offer(too_old, 600), Cold(flight), Rest),
        (
            "cold, of nobody's hours",
            Cold(flight),
            offer(NOW - HOUR, 9 * 3600),
            refreshing(NOW - HOUR, NOW - SEC),
            AdoptAndFetch,
        ),
        ("expired", Expired(flight), offer(young, 600), fresh(young, due), Adopt),
        ("nobody is asking", Cold(waiting(NOW, 0)), offer(young, 600), Cold(waiting(NOW, 0)), Rest),
        ("fresh, and nobody is asking", fresh(overdue, due), offer(young, 600), fresh(overdue, due), Rest),
        ("newer", refreshing(overdue, NOW - SEC), offer(young, 600), fresh(young, due), Adopt),
        ("the same", refreshing(young, NOW), offer(young, 600), refreshing(young, NOW), Rest),
        ("older", refreshing(young, NOW), offer(overdue, 600), refreshing(young, NOW), Rest),
        ("stale, young", stale(old, flight), offer(young, 600), fresh(young, due), Adopt),
        ("stale, overdue", stale(old, flight), offer(overdue, 600), stale(overdue, flight), AdoptAndFetch),
    ];
    for (name, before, event, after, action) in rows {
        assert_eq!(step(before, 2, event), (after, action, 2), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_fetches_are_single_and_bounded_and_keys_are_served_for_a_day_at_most(
        happenings in happenings()
    ) {
        let mut run = Run::new();
        for (wait, happening) in happenings {
            run.pass(wait);
            match happening {
                Happening::Miss => {
                    run.event(Event::Miss);
                }
                Happening::End(None, chance) if run.schedule.is_fetching() => {
                    run.event(Event::Failed { chance: Chance(chance) });
                }
                Happening::End(Some(ttl), chance) if run.schedule.is_fetching() => {
                    let ttl = ttl.map(|secs| Duration::from_secs(secs.into()));
                    run.event(Event::Fetched { ttl, chance: Chance(chance) });
                }
                Happening::End(..) => {}
                Happening::Offer(age, ttl, chance) => {
                    let [age, ttl] = [age, ttl].map(|secs| Duration::from_secs(secs.into()));
                    let confirmed = run.now.saturating_sub(age);
                    run.event(Event::Adopted { confirmed, ttl, chance: Chance(chance) });
                }
            }
        }
        // Whoever makes up tokens has the issuer asked twice at once, and once more every 30 seconds.
        for (index, first) in run.forced.iter().enumerate() {
            for halves in [1, 2, 120] {
                let window = Duration::from_secs(30 * halves);
                let within = run.forced[index..].iter().filter(|at| at.since(*first) < window).count() as u64;
                prop_assert!(within <= 1 + halves, "{within} in {window:?}");
            }
        }
    }

    #[test]
    fn without_events_a_source_keeps_itself_fresh(ttls in prop::collection::vec((any::<Option<u32>>(), any::<u16>()), 1..50)) {
        let mut run = Run::new();
        for (ttl, chance) in ttls {
            run.now = run.now.max(run.schedule.wake_at());
            prop_assert_eq!(run.event(Event::Tick), Action::Fetch);
            let ttl = ttl.map(|secs| Duration::from_secs(secs.into()));
            run.event(Event::Fetched { ttl, chance: Chance(chance) });
            prop_assert!(run.serves && !run.schedule.is_stale());
        }
    }

    #[test]
    fn a_good_set_is_served_however_it_was_before(failures in 0..200u32, chance in any::<u16>()) {
        let attempt = flying(NOW, failures);
        let before = [
            State::Cold(attempt),
            State::Expired(attempt),
            stale(NOW - HOUR, attempt),
            refreshing(NOW - HOUR, NOW),
        ];
        for state in before {
            let (after, ..) = step(state, 2, Event::Fetched { ttl: None, chance: Chance(chance) });
            let is_fresh = matches!(after, State::Fresh { confirmed, .. } if confirmed == at(NOW));
            prop_assert!(is_fresh, "{:?}", after);
        }
    }
}
