//! [`Revocations`] as [`Dependents`]: tokens end with the session of their login.

use portcullis_store::{Locator, StoreError, UserKey};

use super::Revocations;
use crate::bearer::events::Revoked;
use crate::dependents::{Dependents, EndingDependents};
use crate::names;

impl Dependents for Revocations {
    fn end<'a>(&'a self, user: Locator, sessions: &'a [Locator]) -> EndingDependents<'a> {
        Box::pin(async move {
            for session in sessions {
                let (user, name) = (UserKey { realm: &self.realm, user }, names::of_id(session.as_str()));
                let revoked = self.backend.revoke_family(user, name, self.longest_kept()).await;
                self.told(Revoked::Family, revoked).map_err(StoreError::from)?;
            }
            Ok(())
        })
    }

    fn end_all<'a>(&'a self, user: Locator) -> EndingDependents<'a> {
        Box::pin(async move {
            let user = UserKey { realm: &self.realm, user };
            let revoked = self.backend.revoke_user(user, self.longest_kept()).await.map(drop);
            self.told(Revoked::User, revoked).map_err(StoreError::from)
        })
    }
}
