//! [`combine`]: what two layers found out together. Pure.

use crate::identity::{AuthMethod, Authentication, Carrier, Identity, Outcome};
use crate::rejection::Rejection;

/// What to do when two good credentials belong to two users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnConflict {
    /// 400, [`Rejection::Conflict`].
    #[default]
    Refuse,
    /// The identity that was recognised by this method stays. If that is not the session's, handlers have no hold on the
    /// session, which is another user's: its handle reads as empty, and writing, logging in or out, and listing devices are
    /// [`Withheld`](crate::session::SessionErrorKind::Withheld). The same subject of another issuer is another user: see
    /// [`SessionLayerBuilder::issuer`](crate::session::SessionLayerBuilder::issuer). Where both were recognised by it, or
    /// neither was, it settles nothing: [`Rejection::Conflict`].
    Prefer(AuthMethod),
}

/// What two layers found out together.
pub(super) fn combine(
    outer: &Authentication,
    inner: &Authentication,
    on_conflict: OnConflict,
) -> Result<Outcome, Rejection> {
    match (outer.state(), inner.state()) {
        (Outcome::Authenticated(one), Outcome::Authenticated(other)) => {
            choose(one, other, on_conflict).map(|identity| Outcome::Authenticated(identity.clone()))
        }
        (found @ Outcome::Authenticated(who), away @ Outcome::Unavailable { .. })
        | (away @ Outcome::Unavailable { .. }, found @ Outcome::Authenticated(who)) => {
            // What cannot be checked may be an explicit credential, and that would decide.
            Ok(if who.carrier() == Carrier::Explicit { found } else { away }.clone())
        }
        (found, Outcome::Anonymous) | (Outcome::Anonymous, found) => Ok(found.clone()),
        (away @ Outcome::Unavailable { .. }, Outcome::Unavailable { .. }) => Ok(away.clone()),
    }
}

fn choose<'a>(
    outer: &'a Identity,
    inner: &'a Identity,
    on_conflict: OnConflict,
) -> Result<&'a Identity, Rejection> {
    if outer.is_same_user(inner) {
        let outer_is_explicit = outer.carrier() == Carrier::Explicit && inner.carrier() == Carrier::Ambient;
        return Ok(if outer_is_explicit { outer } else { inner });
    }
    let OnConflict::Prefer(method) = on_conflict else { return Err(Rejection::Conflict) };
    match [outer, inner].map(|identity| identity.method() == method) {
        [true, false] => Ok(outer),
        [false, true] => Ok(inner),
        [true, true] | [false, false] => Err(Rejection::Conflict),
    }
}
