//! What holds of those who are told what is revoked, and so need not ask. Not checked where a backend does not tell.

use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{REVOCATIONS_ARE_TOLD_WITHIN, Revoked, TokenBackend, UserKey, Watching};
use tokio::task::JoinSet;

use super::Harness;
use super::ear::{Ear, Known};
use super::stage::{LONG, Stage, Token};
use crate::conformance::outcome::{Outcome, Stop, ensure, locator, realm};

/// How many there are at a time.
const MANY: usize = 8;

pub(super) async fn watchers_are_told_what_stands<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other = stage.harness.handle().await;
    let token = stage.token();
    let mut standing = revoke_all(&other, token).await?;
    // More than come in one answer.
    for _ in 0..MANY {
        standing.extend(revoke_all(&other, stage.token()).await?);
    }
    let (ear, _watching) = listening(stage).await?;
    let known = ear.known();
    let latest = standing.iter().rev().find(|what| matches!(what, Revoked::Everyone { .. }));
    for what in &standing {
        if matches!(what, Revoked::Everyone { .. }) && latest != Some(what) {
            continue;
        }
        let keep = known.at_first.get(what).copied();
        let keep = keep.ok_or_else(|| Stop::Broken(format!("{what:?} was not told first")))?;
        ensure!(
            keep > LONG / 2 && keep <= LONG,
            "{what:?} is told to be kept for {keep:?} instead of {LONG:?}"
        );
    }
    Ok(())
}

pub(super) async fn watchers_are_told_of_each<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (ear, _watching) = listening(stage).await?;
    let other = stage.harness.handle().await;
    for (by, handle) in [("by this handle", &*stage.store), ("by another handle", &other)] {
        let Token { user, token, family } = stage.token();
        handle.revoke_token(user, token, LONG).await?;
        ear.hears(Revoked::Token { user: user.user, token }, LONG, by).await?;
        handle.revoke_family(user, family, LONG).await?;
        ear.hears(Revoked::Family { user: user.user, family }, LONG, by).await?;
        let epoch = handle.revoke_user(user, LONG).await?;
        ear.hears(Revoked::User { user: user.user, epoch }, LONG, by).await?;
        let epoch = handle.revoke_everyone(user.realm, LONG).await?;
        ear.hears(Revoked::Everyone { epoch }, LONG, by).await?;

        let short = stage.unit * 2;
        handle.revoke_token(user, family, short).await?;
        handle.revoke_token(user, family, LONG).await?;
        ear.hears(Revoked::Token { user: user.user, token: family }, LONG, "extended").await?;
    }
    Ok(())
}

pub(super) async fn watchers_stay_current<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (ear, _watching) = listening(stage).await?;
    let enough = REVOCATIONS_ARE_TOLD_WITHIN + Duration::from_millis(500);
    let mut lapsed = 0;
    // A machine that stalls may make it lapse once; nothing that is told in time does so for ever.
    for _ in 0..3 {
        let stays = tokio::time::timeout(enough, ear.becomes("anything else", |known| !known.is_current()));
        match stays.await {
            Err(_) => break,
            Ok(_) => lapsed += 1,
        }
        ear.becomes("current again", Known::is_current).await?;
    }
    let known = ear.known();
    ensure!(
        lapsed < 3,
        "nobody says in time that it is still current; it was told so {} times",
        known.renewals
    );
    match known.too_far {
        Some(far) => Err(Stop::Broken(format!(
            "it is told to be current for {far:?}, more than {REVOCATIONS_ARE_TOLD_WITHIN:?}"
        ))),
        None => Ok(()),
    }
}

pub(super) async fn watchers_are_told_nothing_else<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (ear, watching) = listening(stage).await?;
    let elsewhere = realm();
    revoke_all(&*stage.store, stage.token().in_realm(&elsewhere)).await?;
    let Token { user, token, .. } = stage.token();
    stage.store.revoke_token(user, token, LONG).await?;
    ear.hears(Revoked::Token { user: user.user, token }, LONG, "the only one").await?;
    let told = ear.known().all();
    ensure!(told.len() == 1, "one token of the realm is revoked, and told was {told:?}");

    // What the first is not told is known when the second has been told it.
    let (witness, _watching) = listening(stage).await?;
    drop(watching);
    let before = ear.known().all().len();
    let Token { user, token, .. } = stage.token();
    stage.store.revoke_token(user, token, LONG).await?;
    witness.hears(Revoked::Token { user: user.user, token }, LONG, "a second watcher").await?;
    ensure!(ear.known().all().len() == before, "it was told after its watch was dropped");
    Ok(())
}

pub(super) async fn entering_watchers_miss_nothing<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let mut tasks = JoinSet::new();
    for _ in 0..MANY {
        let (store, realm) = (Arc::clone(&stage.store), stage.realm.clone());
        tasks.spawn(async move {
            let mut revoked = Vec::new();
            for _ in 0..MANY * 4 {
                let (user, token) = (locator(), locator());
                store.revoke_token(UserKey { realm: &realm, user }, token, LONG).await?;
                revoked.push(Revoked::Token { user, token });
                tokio::task::yield_now().await;
            }
            Ok::<_, portcullis_store::StoreError>(revoked)
        });
    }
    // In the middle of it, and again when there is more.
    let mut ears = Vec::new();
    for _ in 0..MANY {
        tokio::task::yield_now().await;
        let entered = Ear::entering(&*stage.store, &stage.realm, patience(stage));
        ears.push(entered.ok_or(Stop::NotChecked)?);
    }
    let mut revoked = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        let answer = answer.map_err(|error| Stop::Broken(format!("a call panicked: {error}")))?;
        revoked.extend(answer?);
    }
    for (ear, _watching) in &ears {
        ear.becomes("current", Known::is_current).await?;
        for what in &revoked {
            ear.hears(*what, LONG, "revoked while the watcher entered").await?;
        }
    }
    Ok(())
}

pub(super) async fn what_a_break_hid_is_told<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other = stage.harness.handle().await;
    let (ear, _watching) = listening(stage).await?;
    let before = revoke_all(&other, stage.token()).await?;
    for _ in 0..2 {
        let breaks = ear.known().breaks;
        if !stage.harness.deafen().await {
            return Err(Stop::NotChecked);
        }
        let hidden = revoke_all(&other, stage.token()).await?;
        let is_back = |known: &Known| known.breaks > breaks && known.is_current();
        ear.becomes("told of a break, and current after it", is_back).await?;
        let known = ear.known();
        for what in before.iter().chain(&hidden).filter(|what| !matches!(what, Revoked::Everyone { .. })) {
            ensure!(known.at_first.contains_key(what), "{what:?} was not told after a break");
        }
    }
    Ok(())
}

pub(super) async fn nobody_is_current_in_an_outage<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let Some(store) = stage.harness.unreachable().await else { return Err(Stop::NotChecked) };
    let entered = Ear::entering(&store, &stage.realm, patience(stage));
    let (ear, _watching) = entered.ok_or(Stop::NotChecked)?;
    tokio::time::sleep(stage.unit * 5).await;
    let known = ear.known();
    ensure!(
        known.renewals == 0 && known.is_empty(),
        "a store that is out of reach has told that it is current"
    );
    Ok(())
}

/// Everything that can be revoked of a token.
async fn revoke_all(store: &impl TokenBackend, token: Token<'_>) -> Result<Vec<Revoked>, Stop> {
    let Token { user: key, token, family } = token;
    let user = key.user;
    store.revoke_token(key, token, LONG).await?;
    store.revoke_family(key, family, LONG).await?;
    let mine = Revoked::User { user, epoch: store.revoke_user(key, LONG).await? };
    let all = Revoked::Everyone { epoch: store.revoke_everyone(key.realm, LONG).await? };
    Ok(vec![Revoked::Token { user, token }, Revoked::Family { user, family }, mine, all])
}

async fn listening<H: Harness>(stage: &Stage<'_, H>) -> Result<(Arc<Ear>, Watching), Stop> {
    Ear::listening(&*stage.store, &stage.realm, patience(stage)).await
}

/// How long a notice may be under way.
fn patience<H: Harness>(stage: &Stage<'_, H>) -> Duration {
    REVOCATIONS_ARE_TOLD_WITHIN * 2 + stage.unit * 20
}
