//! While the server is away, answers nonsense, or is asked about too much.

use std::sync::Arc;
use std::time::Duration;

use portcullis::bearer::{IntrospectionErrorKind, TokenCache};
use serde_json::json;

use super::server::{Failure, REJECTED};
use super::{Stage, send};

#[tokio::test(start_paused = true)]
async fn while_the_server_is_away_nobody_is_let_in_who_is_not_known_and_nobody_waits_for_long() {
    use IntrospectionErrorKind::*;
    let kinds = [Unavailable, Timeout, Unauthorized, Malformed].map(Failure::Kind);
    for failure in kinds.into_iter().chain([Failure::Hangs]) {
        let stage = Stage::with(|it| it.budget(Duration::from_millis(500)));
        stage.server.knows("known", json!({ "sub": "ada" }));
        stage.server.knows("new", json!({ "sub": "ada" }));
        assert_eq!(stage.status("known").await, 200);
        stage.server.asked();
        stage.server.fails(failure);
        let began = tokio::time::Instant::now();
        for _ in 0..50 {
            let before = tokio::time::Instant::now();
            let response = send(&stage.layer, "new").await;
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key("retry-after"));
            assert!(before.elapsed() <= Duration::from_millis(510), "{:?}", before.elapsed());
        }
        assert_eq!(stage.status("known").await, 200, "who is known");
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "left alone after three failures: {:?}",
            began.elapsed()
        );
        assert_eq!(stage.server.asked(), 3);
        stage.server.fails(None);
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!((stage.status("new").await, stage.server.asked()), (200, 1), "it is back");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_an_outage_and_no_verdict() {
    for answer in
        ["", "{}", "[]", "<html>", r#"{"active":"true","sub":"ada"}"#, r#"{"active":true,"active":false}"#]
    {
        let stage = Stage::new();
        stage.server.says("good", answer);
        assert_eq!(stage.status("good").await, 503, "{answer}");
    }
}

/// Whoever brings tokens that the server does not take, by the thousand, takes nothing from the others.
#[tokio::test(start_paused = true)]
async fn a_server_that_rejects_made_up_tokens_is_asked_about_others_all_the_same() {
    let stage = Stage::new();
    stage.server.knows("good", json!({ "sub": "ada" }));
    for at in 0..100 {
        assert_eq!(stage.status(&format!("{REJECTED}{at}")).await, 503, "no verdict");
    }
    assert_eq!((stage.status("good").await, stage.server.asked()), (200, 101));
    // One that was left alone is back, whatever token it is that it is asked about then.
    stage.server.fails(Failure::Kind(IntrospectionErrorKind::Unavailable));
    for at in 0..3 {
        assert_eq!(stage.status(&format!("away-{at}")).await, 503);
    }
    stage.server.fails(None);
    tokio::time::advance(Duration::from_millis(250)).await;
    assert_eq!(stage.status(&format!("{REJECTED}again")).await, 503);
    assert_eq!(stage.status("away-0").await, 401);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_made_up_tokens_asks_about_few_at_a_time_and_stays_within_its_memory() {
    let stage = Arc::new(Stage::with(|it| {
        it.max_calls(4).budget(Duration::from_millis(100)).cache(TokenCache::default().max_tokens(80))
    }));
    stage.server.fails(Failure::Waits);
    let mut requests = tokio::task::JoinSet::new();
    for at in 0..200 {
        let stage = Arc::clone(&stage);
        requests.spawn(async move { stage.status(&format!("made-up-{at}")).await });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(stage.server.asked(), 4);
    stage.server.fails(None);
    stage.server.0.gate.notify_waiters();
    let statuses = requests.join_all().await;
    assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
    assert!(
        format!("{:?}", stage.layer).contains("known: Cache { usage: CacheUsage { tokens: 80"),
        "{:?}",
        stage.layer
    );
}

/// Asks about so many tokens at a time.
async fn crowd(stage: &Arc<Stage>, size: usize) -> Vec<u16> {
    let mut requests = tokio::task::JoinSet::new();
    for at in 0..size {
        let stage = Arc::clone(stage);
        requests.spawn(async move { stage.status(&format!("one-of-{size}-{at}")).await });
    }
    requests.join_all().await
}

#[tokio::test(start_paused = true)]
async fn a_hiccup_is_one_failure_however_many_were_asking() {
    let stage = Arc::new(Stage::with(|it| it.budget(Duration::from_millis(500))));
    stage.server.knows("good", json!({ "sub": "ada" }));
    stage.server.fails(Failure::Hangs);
    assert_eq!(crowd(&stage, 60).await, [503; 60]);
    assert_eq!(stage.server.asked(), 60);
    stage.server.fails(None);
    tokio::time::advance(Duration::from_millis(250)).await;
    assert_eq!((stage.status("good").await, stage.server.asked()), (200, 1), "it is back");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_is_not_left_alone_because_many_wait_for_their_turn() {
    let stage = Arc::new(Stage::with(|it| it.max_calls(4).budget(Duration::from_millis(100))));
    stage.server.knows("good", json!({ "sub": "ada" }));
    stage.server.fails(Failure::Slow(Duration::from_millis(60)));
    let statuses = crowd(&stage, 40).await;
    // Those after the first four have 40 ms left, or none.
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 4, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 36, "{statuses:?}");
    assert_eq!(stage.status("good").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_too_long_is_left_alone_although_many_wait_for_their_turn() {
    let stage = Arc::new(Stage::with(|it| it.max_calls(4).budget(Duration::from_millis(100))));
    stage.server.fails(Failure::Slow(Duration::from_millis(101)));
    assert_eq!(crowd(&stage, 40).await, [503; 40]);
    stage.server.asked();
    assert_eq!((stage.status("good").await, stage.server.asked()), (503, 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_left_alone_also_while_everybody_has_waited_for_their_turn() {
    let stage = Arc::new(Stage::with(|it| it.max_calls(4).budget(Duration::from_millis(100))));
    let began = tokio::time::Instant::now();
    stage.server.fails(Failure::Slow(Duration::from_millis(60)));
    for at in 0..400 {
        if at == 200 {
            stage.server.fails(Failure::Hangs);
        }
        let stage = Arc::clone(&stage);
        tokio::spawn(async move { stage.status(&format!("one-of-many-{at}")).await });
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(1));
    stage.server.asked();
    let before = tokio::time::Instant::now();
    assert_eq!(stage.status("good").await, 503);
    assert_eq!((before.elapsed(), stage.server.asked()), (Duration::ZERO, 0), "left alone");
}
