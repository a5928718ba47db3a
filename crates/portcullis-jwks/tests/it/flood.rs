//! Tokens that somebody makes up.

use std::sync::Arc;

use portcullis_testkit::idp::Answer;
use serde_json::json;

use crate::stage::Stage;

/// Sends the tokens over eight connections' worth of tasks, a good one beside every tenth; the statuses of the former.
async fn flood(stage: &Arc<Stage>, tokens: Vec<String>) -> Vec<u16> {
    let good = stage.token();
    let tasks: Vec<_> = tokens
        .chunks(tokens.len().div_ceil(8))
        .map(|part| {
            let (stage, part, good) = (Arc::clone(stage), part.to_vec(), good.clone());
            tokio::spawn(async move {
                let mut statuses = Vec::new();
                for (n, token) in part.iter().enumerate() {
                    statuses.push(stage.status(token).await);
                    if n % 10 == 0 {
                        stage.admits(&good).await;
                    }
                }
                statuses
            })
        })
        .collect();
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.extend(task.await.unwrap());
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_random_ids_are_two_fetches_while_good_tokens_flow() {
    let stage = Arc::new(Stage::warm().await);
    let tokens: Vec<_> = (0..10_000).map(|n| stage.stray(&format!("stray-{n}"))).collect();
    let statuses = flood(&stage, tokens).await;
    assert!(statuses.iter().all(|status| *status == 401));
    assert_eq!(stage.idp.fetches(), 1 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_bad_signatures_are_two_fetches_while_good_tokens_flow() {
    let stage = Arc::new(Stage::warm().await);
    let issuer = stage.idp.issuer();
    let token = issuer.token(json!({})).tampered().to_string();
    let statuses = flood(&stage, vec![token; 10_000]).await;
    assert!(statuses.iter().all(|status| *status == 401));
    assert_eq!(stage.idp.fetches(), 1 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_while_the_provider_fails_takes_no_verdict_for_granted() {
    let stage = Arc::new(Stage::warm().await);
    stage.idp.answer(Answer::Status(500));
    let tokens: Vec<_> = (0..200).map(|n| stage.stray(&format!("stray-{n}"))).collect();
    let statuses = flood(&stage, tokens).await;
    assert!(statuses.iter().all(|status| *status == 503));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_strangers_and_garbage_ask_nobody() {
    let stage = Arc::new(Stage::warm().await);
    let issuer = stage.idp.issuer();
    let stranger = json!({ "iss": "https://stranger.example" });
    let foreign = |kid: String| issuer.token(stranger.clone()).header("kid", kid).to_string();
    let odd = |kid: usize| issuer.token(json!({})).header("kid", kid).to_string();
    let tokens = (0..100).flat_map(|n| [foreign(n.to_string()), odd(n), "a.b.c".to_owned()]).collect();
    let statuses = flood(&stage, tokens).await;
    assert!(statuses.iter().all(|status| *status == 401));
    assert_eq!(stage.idp.fetches(), 1);
}
