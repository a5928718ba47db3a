//! What holds of leases, and of a store that is out of reach.

use std::sync::Arc;

use portcullis_store::KeySetBackend;
use tokio::task::JoinSet;

use super::Harness;
use super::stage::{LONG, Stage, set};
use crate::conformance::outcome::{Outcome, Stop, ensure, fails, locator};

/// How many ask at a time.
const MANY: usize = 16;

pub(super) async fn handles_agree<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other = stage.harness.handle().await;
    let (issuer, here, there) = (locator(), locator(), locator());
    let before = other.load(issuer).await?;
    ensure!(before.is_none(), "before: {before:?}");
    let set = set(stage.unit);
    stage.save(issuer, &set).await?;
    let tag = other.load(issuer).await?.map(|found| found.tag);
    ensure!(tag == Some(set.tag), "another handle has the set {tag:?} instead of {:?}", set.tag);
    stage.expect_lease(issuer, here, true, "by one handle").await?;
    ensure!(!other.lease(issuer, there, LONG).await?, "another handle gives the lease a second time");
    stage.store.release(issuer, here).await?;
    ensure!(other.lease(issuer, there, LONG).await?, "another handle does not know that it was released");
    stage.expect_lease(issuer, here, false, "by the first handle, after another").await
}

pub(super) async fn leases_have_one_holder<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (issuer, one, two) = (locator(), locator(), locator());
    stage.expect_lease(issuer, one, true, "nobody has it").await?;
    stage.expect_lease(issuer, two, false, "another has it").await?;
    stage.expect_lease(issuer, one, true, "its holder asks again").await?;
    stage.expect_lease(issuer, two, false, "another still has it").await
}

pub(super) async fn one_of_many_has_the_lease<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for round in 0..4 {
        let (issuer, mut tasks) = (locator(), JoinSet::new());
        for _ in 0..MANY {
            let store = Arc::clone(&stage.store);
            tasks.spawn(async move { store.lease(issuer, locator(), LONG).await });
        }
        let mut holders = 0;
        while let Some(has) = tasks.join_next().await {
            let has = has.map_err(|error| Stop::Broken(format!("a call panicked: {error}")))??;
            holders += usize::from(has);
        }
        ensure!(holders == 1, "in round {round}, {holders} of {MANY} have the lease");
    }
    Ok(())
}

pub(super) async fn leases_end<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (issuer, one, two, lasts) = (locator(), locator(), locator(), stage.unit * 2);
    let end = stage.now().saturating_add(lasts);
    ensure!(stage.store.lease(issuer, one, lasts).await?, "nobody has it");
    let latest = stage.now().saturating_add(lasts);
    stage.pass(end.saturating_sub(stage.unit)).await;
    let is_refused = !stage.store.lease(issuer, two, LONG).await?;
    stage.before(end, is_refused, "a lease")?;
    stage.pass(latest).await;
    stage.expect_lease(issuer, two, true, "after the end").await?;
    stage.store.release(issuer, one).await?;
    stage.expect_lease(issuer, one, false, "who had it before has released what is another's").await
}

pub(super) async fn leases_are_renewed<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (issuer, one, two) = (locator(), locator(), locator());
    ensure!(stage.store.lease(issuer, one, stage.unit * 2).await?, "nobody has it");
    let first = stage.now().saturating_add(stage.unit * 2);
    let end = stage.now().saturating_add(stage.unit * 6);
    ensure!(stage.store.lease(issuer, one, stage.unit * 6).await?, "its holder asks again");
    stage.pass(first).await;
    let is_refused = !stage.store.lease(issuer, two, LONG).await?;
    stage.before(end, is_refused, "a lease that was renewed")?;
    let shortened = stage.now().saturating_add(stage.unit);
    ensure!(stage.store.lease(issuer, one, stage.unit).await?, "its holder asks for less");
    stage.pass(shortened.saturating_add(stage.unit)).await;
    stage.expect_lease(issuer, two, true, "after the end of what was asked for last").await
}

pub(super) async fn only_the_holder_releases<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (issuer, one, two) = (locator(), locator(), locator());
    stage.store.release(issuer, one).await?;
    stage.expect_lease(issuer, one, true, "released before there was one").await?;
    stage.store.release(issuer, two).await?;
    stage.expect_lease(issuer, two, false, "released by another").await?;
    for _ in 0..2 {
        stage.store.release(issuer, one).await?;
    }
    stage.expect_lease(issuer, two, true, "released by its holder").await
}

pub(super) async fn an_outage_is_an_error<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let Some(store) = stage.harness.unreachable().await else { return Err(Stop::NotChecked) };
    let (issuer, holder) = (locator(), locator());
    fails("load", store.load(issuer)).await?;
    fails("save", store.save(issuer, set(stage.unit), LONG)).await?;
    fails("lease", store.lease(issuer, holder, LONG)).await?;
    fails("release", store.release(issuer, holder)).await
}
