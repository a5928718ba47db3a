//! Two instances on one Redis, with connections of their own.

use std::collections::BTreeSet;

use portcullis_testkit::client::Client;
use serde_json::Value;

use super::stage::{Browser, ORIGIN, Stage, note, sign_in, subject, thief};

/// One browser that talks to two instances, as behind a load balancer.
fn two_tabs(stage: &Stage) -> (Browser, Browser) {
    let first = stage.browser();
    let second = Client::new(stage.another_instance()).base(ORIGIN).with_jar(first.jar().clone());
    (first, second)
}

#[tokio::test]
async fn who_signs_in_on_one_is_known_on_the_other_and_who_signs_out_there_is_unknown_here_at_once() {
    let stage = Stage::in_redis();
    let (here, there) = two_tabs(&stage);
    sign_in(&here, "ada").await.assert_status(303);
    assert_eq!(subject(&there).await.as_deref(), Some("ada"));
    there.post_form("/note", &[("note", "from there")]).await.assert_status(303);
    assert_eq!(note(&here).await.as_deref(), Some("from there"));

    let thief = thief(&here);
    assert_eq!(subject(&thief).await.as_deref(), Some("ada"));
    there.post_form("/logout", &[]).await.assert_status(303);
    assert_eq!(subject(&thief).await, None, "with the next request, though it still has the cookie");
    assert_eq!(subject(&here).await, None);
}

#[tokio::test]
async fn counting_on_both_at_once_loses_nothing() {
    const N: i64 = 20;
    let stage = Stage::in_redis();
    let (here, there) = two_tabs(&stage);
    sign_in(&here, "ada").await.assert_status(303);
    let tab = |n| if n % 2 == 0 { &here } else { &there };
    let posts: Vec<_> = (0..N).map(|n| tokio::spawn(tab(n).post("/counter").into_future())).collect();
    let mut answers = BTreeSet::new();
    for post in posts {
        let answer: Value = post.await.unwrap().assert_status(200).json();
        answers.insert(answer["count"].as_i64().unwrap());
    }
    assert_eq!(answers, (1..=N).collect());
}
