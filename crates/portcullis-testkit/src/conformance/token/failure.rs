//! What holds when the store is away.

use portcullis_store::{TokenBackend, TokenQuery};

use super::Harness;
use super::stage::{LONG, Stage};
use crate::conformance::outcome::{Outcome, Stop, fails};

pub(super) async fn an_outage_is_an_error<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let Some(store) = stage.harness.unreachable().await else { return Err(Stop::NotChecked) };
    let token = stage.token();
    fails("status", store.status(token.query())).await?;
    let nameless = TokenQuery { token: None, family: None, ..token.query() };
    fails("status of a token without names", store.status(nameless)).await?;
    if let Some(answer) = store.status_now(token.query()) {
        fails("status_now", async { answer }).await?;
    }
    fails("revoke_token", store.revoke_token(token.user, token.token, LONG)).await?;
    fails("revoke_family", store.revoke_family(token.user, token.family, LONG)).await?;
    fails("revoke_user", store.revoke_user(token.user, LONG)).await?;
    fails("revoke_everyone", store.revoke_everyone(token.user.realm, LONG)).await
}
