//! What holds of single tokens and families.

use portcullis_store::{TokenBackend, TokenQuery, TokenStatus};

use super::Harness;
use super::stage::{LONG, NOTHING, Stage, Token, realm};
use crate::conformance::outcome::{Outcome, ensure, locator};

const TOKEN: TokenStatus = TokenStatus { token_is_revoked: true, ..NOTHING };
const FAMILY: TokenStatus = TokenStatus { family_is_revoked: true, ..NOTHING };

pub(super) async fn nothing_is_revoked_at_first<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let Token { user, token, family } = stage.token();
    for token in [Some(token), None] {
        for family in [Some(family), None] {
            let status = stage.ask(TokenQuery { user, token, family }).await?;
            ensure!(status == NOTHING, "of a token that nobody knows: {status:?}");
        }
    }
    Ok(())
}

pub(super) async fn tokens_are_revoked<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let token = stage.token();
    stage.store.revoke_token(token.user, token.token, LONG).await?;
    stage.expect(token, TOKEN, "the token itself").await?;
    stage.expect(Token { family: locator(), ..token }, TOKEN, "in whatever family").await?;
    stage.expect(Token { token: locator(), ..token }, NOTHING, "another token of the family").await?;
    stage.expect(Token { user: stage.token().user, ..token }, NOTHING, "another user's of its name").await?;
    let swapped = Token { token: locator(), family: token.token, ..token };
    stage.expect(swapped, NOTHING, "a family of its name").await?;
    let nameless = stage.ask(TokenQuery { token: None, ..token.query() }).await?;
    ensure!(nameless == NOTHING, "a token without a name: {nameless:?}");
    Ok(())
}

pub(super) async fn families_are_revoked<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let token = stage.token();
    stage.store.revoke_family(token.user, token.family, LONG).await?;
    stage.expect(token, FAMILY, "a token of the family").await?;
    stage.expect(Token { token: locator(), ..token }, FAMILY, "another one").await?;
    stage.expect(Token { family: locator(), ..token }, NOTHING, "another family").await?;
    stage.expect(Token { user: stage.token().user, ..token }, NOTHING, "another user's of its name").await?;
    let swapped = Token { token: token.family, family: locator(), ..token };
    stage.expect(swapped, NOTHING, "a token of its name").await?;
    let nameless = stage.ask(TokenQuery { token: None, ..token.query() }).await?;
    ensure!(nameless == FAMILY, "a token of the family without a name: {nameless:?}");
    Ok(())
}

pub(super) async fn handles_agree<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other = stage.harness.handle().await;
    let token = stage.token();
    let before = other.status(token.query()).await?;
    ensure!(before == NOTHING, "before: {before:?}");
    stage.store.revoke_token(token.user, token.token, LONG).await?;
    let seen = other.status(token.query()).await?;
    ensure!(seen == TOKEN, "after a revocation of the token another handle says {seen:?}");
    stage.store.revoke_family(token.user, token.family, LONG).await?;
    let seen = other.status(token.query()).await?;
    let both = TokenStatus { family_is_revoked: true, ..TOKEN };
    ensure!(seen == both, "after a revocation of the family another handle says {seen:?}");
    let user = stage.store.revoke_user(token.user, LONG).await?;
    let seen = other.status(token.query()).await?;
    ensure!(
        seen == TokenStatus { user, ..both },
        "after a revocation of the user another handle says {seen:?}"
    );
    Ok(())
}

pub(super) async fn realms_are_apart<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (token, elsewhere) = (stage.token(), realm());
    stage.store.revoke_token(token.user, token.token, LONG).await?;
    stage.store.revoke_family(token.user, token.family, LONG).await?;
    stage.store.revoke_user(token.user, LONG).await?;
    stage.store.revoke_everyone(token.user.realm, LONG).await?;
    stage.expect(token.in_realm(&elsewhere), NOTHING, "in another realm").await
}

pub(super) async fn marks_may_be_resent<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let token = stage.token();
    for time in ["once", "twice", "three times"] {
        stage.store.revoke_token(token.user, token.token, LONG).await?;
        stage.store.revoke_family(token.user, token.family, LONG).await?;
        let both = TokenStatus { family_is_revoked: true, ..TOKEN };
        stage.expect(token, both, &format!("revoked {time}")).await?;
    }
    Ok(())
}

pub(super) async fn marks_end<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let token = stage.token();
    let end = stage.now().saturating_add(stage.unit * 2);
    stage.store.revoke_token(token.user, token.token, stage.unit * 2).await?;
    stage.store.revoke_family(token.user, token.family, stage.unit * 2).await?;
    // The store may have begun to count as late as now.
    let latest = stage.now().saturating_add(stage.unit * 2);
    stage.pass(end.saturating_sub(stage.unit)).await;
    let status = stage.status(token).await?;
    stage.before(end, status.token_is_revoked, "a token's mark")?;
    stage.before(end, status.family_is_revoked, "a family's mark")?;
    stage.pass(latest).await;
    stage.expect(token, NOTHING, "after the end").await
}

pub(super) async fn marks_are_never_shortened<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for (name, keeps) in [("first long, then short", [4, 1]), ("first short, then long", [1, 4])] {
        let token = stage.token();
        let end = stage.now().saturating_add(stage.unit * 4);
        for keep in keeps {
            stage.store.revoke_token(token.user, token.token, stage.unit * keep).await?;
            stage.store.revoke_family(token.user, token.family, stage.unit * keep).await?;
        }
        let short = stage.now().saturating_add(stage.unit);
        stage.pass(short).await;
        let status = stage.status(token).await?;
        stage.before(end, status.token_is_revoked, &format!("{name}: a token's mark"))?;
        stage.before(end, status.family_is_revoked, &format!("{name}: a family's mark"))?;
    }
    Ok(())
}
