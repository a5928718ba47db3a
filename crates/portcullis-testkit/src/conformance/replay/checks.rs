//! What holds of claims.

use std::sync::Arc;

use portcullis_store::{Claimed, ReplayBackend};
use tokio::task::JoinSet;

use super::Harness;
use super::stage::{LONG, Stage, Way};
use crate::conformance::outcome::{Outcome, Stop, ensure, fails, locator, realm};

/// How many there are at a time.
const MANY: usize = 16;

pub(super) async fn names_are_claimed_once<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for first in Way::BOTH {
        let name = locator();
        stage.expect(first, name, Claimed::First, "the first claim").await?;
        for way in Way::BOTH {
            stage.expect(way, name, Claimed::Again, "another claim").await?;
        }
    }
    Ok(())
}

pub(super) async fn names_are_apart<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for way in Way::BOTH {
        for _ in 0..MANY {
            stage.expect(way, locator(), Claimed::First, "one of many names").await?;
        }
    }
    Ok(())
}

pub(super) async fn realms_are_apart<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (name, elsewhere) = (locator(), realm());
    stage.expect(Way::Waiting, name, Claimed::First, "in one realm").await?;
    let claimed = stage.store.claim(&elsewhere, name, LONG).await?;
    ensure!(claimed == Claimed::First, "in another realm: {claimed:?}");
    Ok(())
}

pub(super) async fn handles_agree<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other = stage.harness.handle().await;
    let (one, two) = (locator(), locator());
    stage.expect(Way::Waiting, one, Claimed::First, "by one handle").await?;
    let claimed = other.claim(&stage.realm, one, LONG).await?;
    ensure!(claimed == Claimed::Again, "by another handle, after the first: {claimed:?}");
    let claimed = other.claim(&stage.realm, two, LONG).await?;
    ensure!(claimed == Claimed::First, "by another handle: {claimed:?}");
    stage.expect(Way::Waiting, two, Claimed::Again, "by the first handle, after another").await
}

pub(super) async fn one_of_many_is_first<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for round in 0..4 {
        let (name, mut tasks) = (locator(), JoinSet::new());
        for _ in 0..MANY {
            let (store, realm) = (Arc::clone(&stage.store), stage.realm.clone());
            tasks.spawn(async move { store.claim(&realm, name, LONG).await });
        }
        let mut first = 0;
        while let Some(claimed) = tasks.join_next().await {
            let claimed = claimed.map_err(|error| Stop::Broken(format!("a call panicked: {error}")))??;
            first += usize::from(claimed == Claimed::First);
        }
        ensure!(first == 1, "in round {round}, {first} of {MANY} were the first");
    }
    Ok(())
}

pub(super) async fn claims_end<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for way in Way::BOTH {
        let (name, keep) = (locator(), stage.unit * 2);
        let end = stage.now().saturating_add(keep);
        let claimed = stage.claim(way, name, keep).await?;
        ensure!(claimed == Claimed::First, "the first claim is {claimed:?}");
        // The store may have begun to count as late as now.
        let latest = stage.now().saturating_add(keep);
        stage.pass(end.saturating_sub(stage.unit)).await;
        let claimed = stage.claim(way, name, LONG).await?;
        stage.before(end, claimed == Claimed::Again, "a claim")?;
        stage.pass(latest).await;
        stage.expect(way, name, Claimed::First, "after the end").await?;
    }
    Ok(())
}

pub(super) async fn later_claims_change_nothing<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (name, keep) = (locator(), stage.unit * 4);
    let end = stage.now().saturating_add(keep);
    let claimed = stage.claim(Way::Waiting, name, keep).await?;
    ensure!(claimed == Claimed::First, "the first claim is {claimed:?}");
    let latest = stage.now().saturating_add(keep);
    for keep in [stage.unit, LONG] {
        let claimed = stage.claim(Way::Waiting, name, keep).await?;
        stage.before(end, claimed == Claimed::Again, "a claim")?;
    }
    stage.pass(stage.now().saturating_add(stage.unit)).await;
    let claimed = stage.claim(Way::Waiting, name, LONG).await?;
    stage.before(end, claimed == Claimed::Again, "a claim that a later one was shorter than")?;
    stage.pass(latest).await;
    stage.expect(Way::Waiting, name, Claimed::First, "after the end of the first").await
}

pub(super) async fn an_outage_is_an_error<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let Some(store) = stage.harness.unreachable().await else { return Err(Stop::NotChecked) };
    fails("claim", store.claim(&stage.realm, locator(), LONG)).await?;
    if let Some(answer) = store.claim_now(&stage.realm, locator(), LONG) {
        fails("claim_now", async { answer }).await?;
    }
    Ok(())
}
