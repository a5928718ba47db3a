//! What ends a family.

use portcullis_store::{
    Begun, EVERYONE_IS_SEEN_WITHIN, FamilyBackend, NewFamily, TokenBackend, TokenEpoch, Turned,
};

use super::Harness;
use super::stage::{LONG, Stage, new, turn};
use crate::conformance::outcome::{Outcome, Stop, ensure, fails};

pub(super) async fn revoked_families_end<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.begun().await?;
    stage.store.revoke_family(key.user, key.family, LONG).await?;
    let found = stage.store.find_family(key).await?;
    ensure!(found.is_none(), "there is {found:?}");
    stage.expect_end(key, turn(0), &Turned::Revoked, "it was revoked").await?;
    let begun = stage.store.begin_family(key, NewFamily { epoch: None, ..new(LONG, LONG) }).await?;
    ensure!(begun == Begun::Revoked, "it is begun again: {begun:?}");
    Ok(())
}

pub(super) async fn users_take_their_families_along<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.begun().await?;
    let epoch = stage.store.revoke_user(key.user, LONG).await?;
    let found = stage.store.find_family(key).await?;
    ensure!(found.is_none(), "there is {found:?}");
    stage.expect_end(key, turn(0), &Turned::Revoked, "its user was revoked").await?;

    let mut later = stage.key();
    later.user = key.user;
    let stale = NewFamily { epoch: Some(TokenEpoch::default()), ..new(LONG, LONG) };
    let begun = stage.store.begin_family(later, stale).await?;
    ensure!(begun == Begun::Revoked, "for the epoch before: {begun:?}");
    let begun = stage.store.begin_family(later, NewFamily { epoch: Some(epoch), ..stale }).await?;
    ensure!(begun == Begun::Done(epoch), "after it: {begun:?} instead of {epoch:?}");
    let turned = stage.store.rotate_family(later, turn(0)).await?;
    let is_told = matches!(turned, Turned::Current { epoch: told, .. } if told == epoch);
    ensure!(is_told, "one that was begun after it was told {turned:?}");
    Ok(())
}

pub(super) async fn everyone_takes_families_along<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other = stage.harness.handle().await;
    let [here, there] = [stage.begun().await?, stage.begun().await?];
    // Another handle may know everyone's epoch from before.
    let before = other.rotate_family(there, turn(0)).await?;
    ensure!(matches!(before, Turned::Current { generation: 1, .. }), "before: {before:?}");
    stage.store.revoke_everyone(&stage.realm, LONG).await?;
    let found = stage.store.find_family(here).await?;
    ensure!(found.is_none(), "everyone was revoked, and there is {found:?}");
    stage.expect_end(here, turn(0), &Turned::Revoked, "everyone was revoked").await?;
    stage.pass(stage.now().saturating_add(EVERYONE_IS_SEEN_WITHIN)).await;
    let found = other.find_family(there).await?;
    ensure!(found.is_none(), "another handle, after five seconds, has found {found:?}");
    let seen = other.rotate_family(there, turn(1)).await?;
    ensure!(seen == Turned::Revoked, "another handle, after five seconds: {seen:?}");
    let later = stage.begun().await?;
    stage.expect(later, turn(0), 1, true).await
}

pub(super) async fn idle_families_end<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (idle, active) = (stage.key(), stage.key());
    for key in [idle, active] {
        let begun = stage.store.begin_family(key, new(LONG, stage.unit * 4)).await?;
        ensure!(matches!(begun, Begun::Done(_)), "{begun:?}");
    }
    let latest = stage.now().saturating_add(stage.unit * 4);
    let mut end = stage.now();
    for generation in 0..3 {
        let due = end.saturating_add(stage.unit * 2);
        stage.pass(due).await;
        let asked = stage.now();
        let told = stage.expect_left(active, turn(generation), generation + 1, stage.unit * 4).await;
        // Had it been idle for as long as it may by now, it might have ended.
        if stage.now() >= end.saturating_add(stage.unit * 4) {
            return Err(Stop::Late);
        }
        told?;
        end = asked;
    }
    stage.pass(latest).await;
    stage.expect_end(idle, turn(0), &Turned::Gone, "idle for too long").await?;
    let found = stage.store.find_family(idle).await?;
    ensure!(found.is_none(), "idle for too long: {found:?}");
    Ok(())
}

pub(super) async fn families_end_in_any_case<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let begun = stage.store.begin_family(key, new(stage.unit * 4, LONG)).await?;
    ensure!(matches!(begun, Begun::Done(_)), "{begun:?}");
    let (begun_by, mut generation) = (stage.now(), 0);
    let latest = begun_by.saturating_add(stage.unit * 4);
    while stage.now() <= latest {
        let turned = stage.store.rotate_family(key, turn(generation)).await?;
        if turned == Turned::Gone {
            break;
        }
        let is_bounded = matches!(turned, Turned::Current { left, .. } if left <= stage.unit * 4);
        ensure!(is_bounded, "generation {generation} was told {turned:?}");
        generation += 1;
        stage.harness.advance(stage.unit).await;
    }
    if generation == 0 && stage.now() > latest {
        return Err(Stop::Late);
    }
    ensure!(generation > 0, "it had ended before it could be rotated");
    stage.pass(latest).await;
    stage.expect_end(key, turn(generation), &Turned::Gone, "after its end").await?;
    let again = stage.store.begin_family(key, new(LONG, LONG)).await?;
    ensure!(matches!(again, Begun::Done(_)), "after its end: {again:?}");
    Ok(())
}

pub(super) async fn an_outage_is_an_error<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let Some(store) = stage.harness.unreachable().await else { return Err(Stop::NotChecked) };
    let key = stage.key();
    fails("begin_family", store.begin_family(key, new(LONG, LONG))).await?;
    fails("rotate_family", store.rotate_family(key, turn(0))).await?;
    fails("find_family", store.find_family(key)).await
}
