//! What becomes of the tokens of a family.

use std::sync::Arc;

use portcullis_store::{
    Begun, FamilyBackend, FamilyKey, NewFamily, REVOCATIONS_ARE_TOLD_WITHIN, Revoked, TokenEpoch, Turn,
    Turned, UserKey,
};
use tokio::task::JoinSet;

use super::Harness;
use super::stage::{LONG, PAYLOAD, Stage, new, reused, secret, turn};
use crate::conformance::outcome::{Outcome, Stop, ensure, locator, realm};
use crate::conformance::token::ear::Ear;

/// How many present a token at the same time.
const MANY: usize = 64;

pub(super) async fn families_are_begun_once<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.begun().await?;
    let again = stage.store.begin_family(key, new(LONG, LONG)).await?;
    ensure!(again == Begun::Done(TokenEpoch::default()), "a resend: {again:?}");
    let other = NewFamily { secret: secret(9), payload: b"other", ..new(LONG, LONG) };
    let taken = stage.store.begin_family(key, other).await?;
    ensure!(taken == Begun::Taken, "another beginning: {taken:?}");
    stage.expect(key, turn(0), 1, true).await?;
    let late = stage.store.begin_family(key, new(LONG, LONG)).await?;
    ensure!(late == Begun::Taken, "a beginning after a rotation: {late:?}");
    stage.expect(key, turn(1), 2, true).await
}

pub(super) async fn the_current_token_rotates<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.begun().await?;
    for generation in 0..5 {
        stage.expect(key, turn(generation), generation + 1, true).await?;
    }
    Ok(())
}

pub(super) async fn the_token_before_is_graced<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.begun().await?;
    stage.expect(key, turn(0), 1, true).await?;
    for _ in 0..3 {
        stage.expect(key, turn(0), 1, false).await?;
    }
    stage.expect(key, turn(1), 2, true).await?;
    stage.expect(key, turn(1), 2, false).await?;
    stage.expect_revoked(key, false, "nothing was used twice").await
}

pub(super) async fn an_older_token_ends_the_family<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.begun().await?;
    stage.expect(key, turn(0), 1, true).await?;
    stage.expect(key, turn(1), 2, true).await?;
    stage.expect_revoked(key, false, "before").await?;
    stage.expect_end(key, turn(0), &reused(), "an older token").await?;
    stage.expect_revoked(key, true, "after an older token").await?;
    let current = stage.store.rotate_family(key, turn(2)).await?;
    ensure!(matches!(current, Turned::Gone | Turned::Revoked), "the current token afterwards: {current:?}");
    let found = stage.store.find_family(key).await?;
    ensure!(found.is_none(), "afterwards there is {found:?}");
    let again = stage.store.begin_family(key, new(LONG, LONG)).await?;
    ensure!(again == Begun::Revoked, "it is begun again: {again:?}");
    Ok(())
}

pub(super) async fn reuse_ends_for_good<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.begun().await?;
    stage.expect(key, turn(0), 1, true).await?;
    stage.expect(key, turn(1), 2, true).await?;
    let keep = stage.unit * 4;
    let end = stage.now().saturating_add(keep);
    stage.expect_end(key, Turn { keep, ..turn(0) }, &reused(), "an older token").await?;
    let latest = stage.now().saturating_add(keep);
    stage.pass(end.saturating_sub(stage.unit * 2)).await;
    let revoked = stage.expect_revoked(key, true, "for as long as was asked for").await;
    if stage.now() >= end {
        return Err(Stop::Late);
    }
    revoked?;
    stage.pass(latest).await;
    let current = stage.store.rotate_family(key, turn(2)).await?;
    ensure!(matches!(current, Turned::Gone | Turned::Revoked), "the current token, later: {current:?}");
    let found = stage.store.find_family(key).await?;
    ensure!(found.is_none(), "later there is {found:?}");
    Ok(())
}

pub(super) async fn reuse_is_told<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let patience = REVOCATIONS_ARE_TOLD_WITHIN * 2 + stage.unit * 20;
    let (ear, _watching) = Ear::listening(&*stage.store, &stage.realm, patience).await?;
    let key = stage.begun().await?;
    stage.expect(key, turn(0), 1, true).await?;
    stage.expect(key, turn(1), 2, true).await?;
    stage.expect_end(key, turn(0), &reused(), "an older token").await?;
    let what = Revoked::Family { user: key.user.user, family: key.family };
    ear.hears(what, LONG, "after an older token").await
}

pub(super) async fn the_grace_ends<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.begun().await?;
    let turn = |generation| Turn { grace: stage.unit * 2, ..turn(generation) };
    let end = stage.now().saturating_add(stage.unit * 2);
    stage.expect(key, turn(0), 1, true).await?;
    // The store may have rotated as late as now.
    let latest = stage.now().saturating_add(stage.unit * 2);
    stage.pass(end.saturating_sub(stage.unit)).await;
    let graced = stage.store.rotate_family(key, turn(0)).await?;
    let is_graced = matches!(graced, Turned::Current { generation: 1, is_new: false, .. });
    if !is_graced && stage.now() >= end {
        return Err(Stop::Late);
    }
    ensure!(is_graced, "within the grace: {graced:?}");
    stage.pass(latest).await;
    stage.expect_end(key, turn(0), &reused(), "after the grace").await?;
    stage.expect_revoked(key, true, "after the grace").await
}

pub(super) async fn another_secret_ends_the_family<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for generation in [0, 1] {
        let key = stage.begun().await?;
        stage.expect(key, turn(0), 1, true).await?;
        let other = Turn { secret: secret(9), ..turn(generation) };
        stage.expect_end(key, other, &reused(), "another secret").await?;
        stage.expect_revoked(key, true, "another secret").await?;
    }
    Ok(())
}

pub(super) async fn a_forgotten_generation_is_taken_up<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.begun().await?;
    stage.expect(key, turn(0), 1, true).await?;
    stage.expect(key, turn(7), 8, true).await?;
    stage.expect(key, turn(7), 8, false).await?;
    stage.expect(key, turn(8), 9, true).await
}

pub(super) async fn one_of_many_rotates<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.begun().await?;
    let mut handles = vec![Arc::clone(&stage.store)];
    for _ in 0..3 {
        handles.push(Arc::new(stage.harness.handle().await));
    }
    for generation in 0..3 {
        let mut tasks = JoinSet::new();
        for at in 0..MANY {
            let store = Arc::clone(handles.get(at % handles.len()).unwrap_or(&stage.store));
            let (realm, user, family) = (stage.realm.clone(), key.user.user, key.family);
            tasks.spawn(async move {
                let key = FamilyKey { user: UserKey { realm: &realm, user }, family };
                store.rotate_family(key, turn(generation)).await
            });
        }
        let mut begun = 0;
        while let Some(turned) = tasks.join_next().await {
            let turned = turned.map_err(|error| Stop::Broken(format!("a call panicked: {error}")))??;
            let is_told =
                matches!(turned, Turned::Current { generation: told, .. } if told == generation + 1);
            ensure!(is_told, "one of many was told {turned:?}");
            begun += usize::from(matches!(turned, Turned::Current { is_new: true, .. }));
        }
        ensure!(begun == 1, "{begun} of {MANY} have begun a generation");
    }
    stage.expect_revoked(key, false, "after many at the same time").await
}

pub(super) async fn handles_agree<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other = stage.harness.handle().await;
    let key = stage.begun().await?;
    let turned = other.rotate_family(key, turn(0)).await?;
    ensure!(matches!(turned, Turned::Current { generation: 1, is_new: true, .. }), "{turned:?}");
    stage.expect(key, turn(0), 1, false).await?;
    let Some(found) = other.find_family(key).await? else {
        return Err(Stop::Broken("another handle finds no family".into()));
    };
    let kept = (found.generation, found.current, found.previous, found.payload.as_slice());
    ensure!(kept == (1, secret(1), secret(0), PAYLOAD), "what is found is {found:?}");
    ensure!(found.idle == LONG && found.epoch.is_never(), "what is found is {found:?}");
    let life = found.absolute.since(found.begun);
    ensure!(life == LONG && found.rotated >= found.begun, "what is found is {found:?}");
    Ok(())
}

pub(super) async fn families_are_apart<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (key, elsewhere) = (stage.begun().await?, realm());
    for (name, other) in [
        ("another name", FamilyKey { family: locator(), ..key }),
        ("another user", FamilyKey { user: UserKey { user: locator(), ..key.user }, ..key }),
        ("another realm", FamilyKey { user: UserKey { realm: &elsewhere, ..key.user }, ..key }),
    ] {
        stage.expect_end(other, turn(0), &Turned::Gone, name).await?;
        let found = stage.store.find_family(other).await?;
        ensure!(found.is_none(), "{name}: {found:?}");
        let begun = stage.store.begin_family(other, new(LONG, LONG)).await?;
        ensure!(matches!(begun, Begun::Done(_)), "{name}: {begun:?}");
    }
    stage.expect(key, turn(0), 1, true).await
}
