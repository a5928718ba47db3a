//! What passes with time. The clock stands still until it is moved, while sockets go on.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use portcullis::bearer::{KeySource, KeyState};
use portcullis_jwks::RemoteJwks;
use portcullis_testkit::idp::{Answer, FakeIdp};
use tokio::time::{Instant, advance};

use crate::stage::{Stage, retry_after};

/// While it lives, tokio's clock stands still. Paused alone, it would run ahead to the next time-out whenever nothing
/// is to be done but wait for a socket; a thread that blocks keeps it from that.
struct Frozen {
    _release: Sender<()>,
}

fn freeze() -> Frozen {
    let (release, released) = channel::<()>();
    tokio::task::spawn_blocking(move || {
        let _ = released.recv();
    });
    tokio::time::pause();
    Frozen { _release: release }
}

/// Lets everything happen that can without time.
async fn settled(mut so: impl FnMut() -> bool) {
    for _ in 0..1_000_000 {
        if so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never comes to that");
}

const MIN: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_set_is_renewed_before_its_time_is_over_and_nobody_waits() {
    let _frozen = freeze();
    let rows = [
        ("nothing said", None, Duration::from_secs(432), 8 * MIN),
        ("a minute", Some("max-age=1"), Duration::from_millis(43_200), Duration::from_secs(48)),
        ("an hour", Some("max-age=99999"), Duration::from_secs(2592), 48 * MIN),
    ];
    for (name, cache_control, earliest, latest) in rows {
        let idp = FakeIdp::start("api").await;
        cache_control.iter().for_each(|value| idp.cache_control(value));
        let stage = Stage::of(idp);
        stage.layer.ready().await.unwrap();
        stage.idp.rotate("-2");
        advance(earliest - Duration::from_millis(10)).await;
        settled(|| stage.source.health().age == Some(earliest - Duration::from_millis(10))).await;
        assert_eq!((stage.idp.fetches(), stage.state()), (1, KeyState::Good), "{name}");
        advance(latest - earliest + Duration::from_millis(20)).await;
        stage.idp.fetched(2).await;
        settled(|| stage.source.health().age < Some(latest)).await;
        stage.admits(&stage.token()).await;
        assert_eq!((stage.idp.fetches(), stage.state()), (2, KeyState::Good), "{name}");
    }
}

#[tokio::test]
async fn old_keys_are_served_for_a_day_and_then_no_more() {
    let _frozen = freeze();
    let idp = FakeIdp::start("api").await;
    // A token that outlives its keys.
    let lasting = |idp: &FakeIdp| idp.token(serde_json::json!({ "exp": 4_102_444_800u64 }));
    let stage = Stage::of(idp);
    stage.layer.ready().await.unwrap();
    let token = lasting(&stage.idp);
    stage.idp.stop().await;
    // An hour at a time: each attempt in between fails.
    for _ in 0..23 {
        advance(HOUR).await;
        settled(|| stage.state() == KeyState::Degraded).await;
        stage.admits(&token).await;
    }
    advance(HOUR - Duration::from_secs(1)).await;
    stage.admits(&token).await;
    advance(Duration::from_secs(1)).await;
    settled(|| stage.state() == KeyState::Unavailable).await;
    assert!(stage.source.snapshot().is_empty());
    assert_eq!(stage.status(&token).await, 503);
    assert_eq!(stage.source.health().age, None);
    assert!(stage.layer.ready().await.is_err());

    // The same document brings the keys back.
    stage.idp.start_again().await;
    advance(Duration::from_secs(15)).await;
    settled(|| stage.state() == KeyState::Good).await;
    stage.admits(&token).await;
}

#[tokio::test]
async fn a_set_may_become_too_old_while_the_next_one_is_on_its_way() {
    let _frozen = freeze();
    let idp = FakeIdp::start("api").await;
    let source = RemoteJwks::builder(idp.jwks_url()).insecure_http().max_stale(HOUR).build().unwrap();
    let stage = Stage::with(idp, source);
    stage.layer.ready().await.unwrap();
    stage.idp.answer(Answer::Status(500));
    advance(HOUR - Duration::from_secs(20)).await;
    settled(|| stage.state() == KeyState::Degraded).await;
    stage.idp.answer(Answer::Hang);
    let before = stage.idp.fetches();
    advance(Duration::from_secs(16)).await;
    stage.idp.fetched(before + 1).await;
    assert_eq!(stage.state(), KeyState::Degraded);
    // A timer fires a millisecond late.
    advance(Duration::from_millis(4002)).await;
    settled(|| stage.state() == KeyState::Unavailable).await;
    assert_eq!(stage.idp.fetches(), before + 1, "it was the same fetch all the time");
    stage.idp.answer(Answer::Document);
    settled(|| stage.state() == KeyState::Good).await;
}

#[tokio::test]
async fn strays_have_the_provider_asked_every_thirty_seconds_and_get_a_verdict_in_between() {
    let _frozen = freeze();
    let stage = Stage::of(FakeIdp::start("api").await);
    stage.layer.ready().await.unwrap();
    let mut kids = (0..).map(|n| n.to_string());
    let mut stray = async || stage.status(&stage.stray(&kids.next().unwrap())).await;
    for fetches in [2, 3, 3, 3] {
        assert_eq!((stray().await, stage.idp.fetches()), (401, fetches));
    }
    advance(Duration::from_millis(29_900)).await;
    assert_eq!((stray().await, stage.idp.fetches()), (401, 3));
    advance(Duration::from_millis(100)).await;
    for fetches in [4, 4, 4] {
        assert_eq!((stray().await, stage.idp.fetches()), (401, fetches));
    }
}

/// Moves time on by small steps until the set has been asked for this often; how much that took.
async fn asked_again(stage: &Stage, fetches: usize) -> Duration {
    const STEP: Duration = Duration::from_millis(50);
    let began = Instant::now();
    while stage.idp.fetches() < fetches {
        assert!(began.elapsed() < HOUR, "it never comes to that");
        advance(STEP).await;
        // Sockets need real time, of which none passes here.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    began.elapsed()
}

#[tokio::test]
async fn a_fetch_takes_five_seconds_at_most() {
    let _frozen = freeze();
    let idp = FakeIdp::start("api").await;
    idp.answer(Answer::Hang);
    let stage = Stage::of(idp);
    stage.idp.fetched(1).await;
    // The next attempt comes a quarter of a second later at the latest.
    let took = asked_again(&stage, 2).await;
    assert!((5000..5500).contains(&took.as_millis()), "{took:?}");
    stage.idp.answer(Answer::Document);
    settled(|| stage.state() == KeyState::Good).await;
}

#[tokio::test]
async fn attempts_are_spread_over_fifteen_seconds_at_most() {
    let _frozen = freeze();
    let idp = FakeIdp::start("api").await;
    idp.answer(Answer::HangUp);
    let stage = Stage::of(idp);
    stage.idp.fetched(1).await;
    let mut gaps = Vec::new();
    for attempt in 2..40 {
        gaps.push(asked_again(&stage, attempt).await);
    }
    let longest = gaps.iter().max().unwrap();
    assert!(*longest < Duration::from_millis(15_500), "{longest:?}");
    assert!(gaps[0] < Duration::from_millis(500), "{gaps:?}");
    // Half of the most, on average.
    let mean = gaps[8..].iter().sum::<Duration>() / 30;
    assert!((4..12).contains(&mean.as_secs()), "{mean:?}");
    assert!((1..=15).contains(&retry_after(&stage.send(&stage.token()).await)));
}
