//! What holds of users and of everyone.

use portcullis_store::{TokenBackend, TokenEpoch, TokenStatus};

use super::Harness;
use super::stage::{LONG, NOTHING, Stage};
use crate::conformance::outcome::{Outcome, ensure};

pub(super) async fn users_are_revoked<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (token, other) = (stage.token(), stage.token());
    let user = stage.store.revoke_user(token.user, LONG).await?;
    ensure!(!user.is_never(), "the epoch is that of nobody");
    stage.expect(token, TokenStatus { user, ..NOTHING }, "the user's").await?;
    stage.expect(other, NOTHING, "another user's").await
}

pub(super) async fn everyone_is_revoked<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (one, two) = (stage.token(), stage.token());
    let other = stage.harness.handle().await;
    let before = other.status(one.query()).await?;
    ensure!(before == NOTHING, "before: {before:?}");
    let user = stage.store.revoke_user(one.user, LONG).await?;
    let everyone = stage.store.revoke_everyone(one.user.realm, LONG).await?;
    ensure!(!everyone.is_never(), "the epoch is that of nobody");
    stage.expect(one, TokenStatus { user, everyone, ..NOTHING }, "who was revoked before").await?;
    let expected = TokenStatus { everyone, ..NOTHING };
    stage.expect(two, expected, "anybody").await?;
    let seen = stage.eventually(&other, two, expected).await?;
    ensure!(seen == expected, "after five seconds another handle says {seen:?} instead of {expected:?}");
    Ok(())
}

pub(super) async fn epochs_are_the_time<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let token = stage.token();
    for _ in 0..2 {
        let before = stage.now();
        let epochs = [
            ("a user's", stage.store.revoke_user(token.user, LONG).await?),
            ("everyone's", stage.store.revoke_everyone(token.user.realm, LONG).await?),
        ];
        let after = stage.now();
        for (whose, TokenEpoch(at)) in epochs {
            ensure!((before..=after).contains(&at), "{whose} is {at:?}, not from {before:?} to {after:?}");
        }
        stage.pass(after.saturating_add(stage.unit)).await;
    }
    Ok(())
}

pub(super) async fn epochs_only_rise<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other = stage.harness.handle().await;
    let token = stage.token();
    let mut last = [TokenEpoch::default(); 2];
    for round in 0..8 {
        let store = if round % 2 == 0 { &*stage.store } else { &other };
        let user = store.revoke_user(token.user, LONG).await?;
        let everyone = store.revoke_everyone(token.user.realm, LONG).await?;
        ensure!(user > last[0], "a user's epoch is {user:?} after {:?}", last[0]);
        ensure!(everyone > last[1], "everyone's epoch is {everyone:?} after {:?}", last[1]);
        last = [user, everyone];
    }
    let [user, everyone] = last;
    let expected = TokenStatus { user, everyone, ..NOTHING };
    let seen = stage.eventually(&stage.store, token, expected).await?;
    ensure!(seen == expected, "the status is {seen:?} instead of {expected:?}");
    Ok(())
}

pub(super) async fn epochs_end<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let token = stage.token();
    let keep = stage.unit * 2;
    let end = stage.now().saturating_add(keep);
    stage.store.revoke_user(token.user, keep).await?;
    stage.store.revoke_everyone(token.user.realm, keep).await?;
    let latest = stage.now().saturating_add(keep);
    stage.pass(end.saturating_sub(stage.unit)).await;
    let status = stage.status(token).await?;
    stage.before(end, !status.user.is_never(), "a user's epoch")?;
    stage.before(end, !status.everyone.is_never(), "everyone's epoch")?;
    stage.pass(latest).await;
    let seen = stage.eventually(&stage.store, token, NOTHING).await?;
    ensure!(seen == NOTHING, "after the end the status is {seen:?}");
    Ok(())
}

pub(super) async fn epochs_are_never_shortened<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for (name, keeps) in [("first long, then short", [4, 1]), ("first short, then long", [1, 4])] {
        let token = stage.token();
        let end = stage.now().saturating_add(stage.unit * 4);
        let mut epochs = [TokenEpoch::default(); 2];
        for keep in keeps {
            let keep = stage.unit * keep;
            epochs = [
                stage.store.revoke_user(token.user, keep).await?,
                stage.store.revoke_everyone(token.user.realm, keep).await?,
            ];
        }
        let short = stage.now().saturating_add(stage.unit);
        stage.pass(short).await;
        let status = stage.status(token).await?;
        stage.before(end, status.user == epochs[0], &format!("{name}: a user's epoch"))?;
        stage.before(end, status.everyone == epochs[1], &format!("{name}: everyone's epoch"))?;
    }
    Ok(())
}
