//! What holds when several revoke at the same time.

use std::collections::HashSet;
use std::sync::Arc;

use portcullis_store::{StoreError, TokenBackend, TokenEpoch, TokenStatus, UserKey};
use tokio::task::JoinSet;

use super::Harness;
use super::stage::{LONG, NOTHING, Stage, Token};
use crate::conformance::outcome::{Outcome, Stop, ensure, locator};

/// How many there are at a time.
const MANY: usize = 16;

pub(super) async fn marks_are_all_kept<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let user = stage.token().user;
    let tokens: Vec<_> = (0..MANY).map(|_| (locator(), locator())).collect();
    let mut tasks = JoinSet::new();
    for &(token, family) in &tokens {
        let (store, realm, user) = (Arc::clone(&stage.store), stage.realm.clone(), user.user);
        tasks.spawn(async move {
            let user = UserKey { realm: &realm, user };
            store.revoke_token(user, token, LONG).await?;
            store.revoke_user(user, LONG).await?;
            store.revoke_family(user, family, LONG).await
        });
    }
    all(tasks).await?;
    for (token, family) in tokens {
        let status = stage.status(Token { user, token, family }).await?;
        let kept = TokenStatus { token_is_revoked: true, family_is_revoked: true, ..status };
        ensure!(status == kept && !status.user.is_never(), "one was lost: {status:?}");
    }
    Ok(())
}

pub(super) async fn epochs_differ<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let token = stage.token();
    let (mut users, mut everyone) = (JoinSet::new(), JoinSet::new());
    for _ in 0..MANY {
        let (realm, user) = (stage.realm.clone(), token.user.user);
        let store = Arc::clone(&stage.store);
        users.spawn(async move { store.revoke_user(UserKey { realm: &realm, user }, LONG).await });
        let (store, realm) = (Arc::clone(&stage.store), stage.realm.clone());
        everyone.spawn(async move { store.revoke_everyone(&realm, LONG).await });
    }
    let [user, everyone] = [latest(all(users).await?)?, latest(all(everyone).await?)?];
    let expected = TokenStatus { user, everyone, ..NOTHING };
    let seen = stage.eventually(&stage.store, token, expected).await?;
    ensure!(seen == expected, "the status is {seen:?} instead of the latest, {expected:?}");
    Ok(())
}

fn latest(epochs: Vec<TokenEpoch>) -> Result<TokenEpoch, Stop> {
    let distinct: HashSet<_> = epochs.iter().collect();
    ensure!(distinct.len() == epochs.len(), "two were given one epoch: {epochs:?}");
    Ok(epochs.into_iter().max().unwrap_or_default())
}

async fn all<T: Send + 'static>(mut tasks: JoinSet<Result<T, StoreError>>) -> Result<Vec<T>, Stop> {
    let mut answers = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        answers.push(answer.map_err(|error| Stop::Broken(format!("a call panicked: {error}")))??);
    }
    Ok(answers)
}
