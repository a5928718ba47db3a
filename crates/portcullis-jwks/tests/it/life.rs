//! The task that fetches: where it runs, and when it ends.

use std::time::Duration;

use portcullis::bearer::{KeySource, KeyState};
use portcullis_jwks::RemoteJwks;
use portcullis_testkit::idp::{Answer, FakeIdp};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::stage::{Stage, until};

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[tokio::test]
async fn dropping_the_layer_ends_its_task() {
    let idp = FakeIdp::start("api").await;
    let before = tasks();
    let source = RemoteJwks::builder(idp.jwks_url()).insecure_http().build().unwrap();
    assert_eq!(tasks(), before);
    let stage = Stage::with(idp, source);
    stage.layer.ready().await.unwrap();
    until(async || tasks() == before + 1).await;

    let Stage { idp, source, layer, app } = stage;
    drop((source, layer));
    tokio::task::yield_now().await;
    assert_eq!(tasks(), before + 1, "a service still has it");
    drop(app);
    until(async || tasks() == before).await;
    drop(idp);
}

#[tokio::test]
async fn dropping_the_layer_ends_a_fetch_that_hangs() {
    let idp = FakeIdp::start("api").await;
    let before = tasks();
    idp.answer(Answer::Hang);
    let source = RemoteJwks::builder(idp.jwks_url()).insecure_http().build().unwrap();
    source.snapshot();
    idp.fetched(1).await;
    assert!(tasks() > before);
    drop(source);
    idp.answer(Answer::Document);
    until(async || tasks() == before).await;
    assert_eq!(idp.fetches(), 1);
}

#[test]
fn a_layer_that_is_built_outside_of_a_runtime_fetches_with_the_first_request() {
    let runtime = runtime();
    let idp = runtime.block_on(FakeIdp::start("api"));
    let stage = Stage::of(idp);
    assert_eq!((stage.state(), stage.idp.asked().len()), (KeyState::Unavailable, 0));
    runtime.block_on(stage.admits(&stage.token()));
}

#[test]
fn a_runtime_that_ends_takes_the_task_along_and_the_next_one_gets_another() {
    let provider = runtime();
    let idp = provider.block_on(FakeIdp::start("api"));
    let stage = Stage::of(idp);
    let first = runtime();
    first.block_on(async {
        stage.admits(&stage.token()).await;
        stage.idp.answer(Answer::Hang);
        // It ends in the middle of a fetch.
        let stray = stage.stray("new");
        let _ = tokio::time::timeout(Duration::from_millis(100), stage.send(&stray)).await;
        stage.idp.fetched(2).await;
    });
    drop(first);
    assert_eq!(stage.state(), KeyState::Degraded);
    stage.idp.rotate("-2");
    stage.idp.answer(Answer::Document);
    runtime().block_on(until(async || stage.status(&stage.token()).await == 200));
}
