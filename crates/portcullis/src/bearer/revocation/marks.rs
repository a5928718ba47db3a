//! [`Marks`]: by what a token can be revoked, and whether it is. Pure.

use std::time::Duration;

use portcullis_store::{Locator, Realm, Timestamp, TokenEpoch, TokenQuery, TokenStatus, UserKey};

use crate::bearer::claims::Claims;
use crate::bearer::refusal::Refusal;
use crate::names;

/// By what a token can be revoked. Of its `jti` and `sid` there are hashes only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::bearer) struct Marks {
    user: Locator,
    token: Option<Locator>,
    family: Option<Locator>,
    issued: Option<Timestamp>,
    expires: Timestamp,
    leeway: Duration,
    version: Version,
}

/// Which version of its user a token was issued for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// The issuer states none.
    Unversioned,
    /// The issuer states one, and here it is, unless it has forgotten to.
    Stated(Option<u64>),
}

impl Marks {
    /// What the claims of a token that was accepted say.
    pub(in crate::bearer) fn of(
        claims: &Claims<'_>,
        issuer: &str,
        subject: &str,
        versioned: bool,
        leeway: Duration,
    ) -> Self {
        Self {
            user: names::user(Some(issuer), subject),
            token: claims.jti.as_deref().map(names::of_id),
            family: claims.sid.as_deref().map(names::of_id),
            issued: claims.iat,
            // An opaque token need not say: it may be good for ever.
            expires: claims.exp.unwrap_or(Timestamp::MAX),
            leeway,
            version: if versioned { Version::Stated(claims.version) } else { Version::Unversioned },
        }
    }

    /// What the store is asked.
    pub(super) fn query<'r>(&self, realm: &'r Realm) -> TokenQuery<'r> {
        TokenQuery { user: UserKey { realm, user: self.user }, token: self.token, family: self.family }
    }

    /// Whether every way to revoke a token could reach this one; a family it need not have.
    pub(super) fn are_complete(&self) -> bool {
        self.token.is_some() && self.issued.is_some() && self.version != Version::Stated(None)
    }

    /// Whether it could still be used when its revocation is forgotten after `kept`. Of a token that does not say when
    /// it was issued that is told by what is left of it.
    pub(super) fn outlive(&self, kept: Duration, now: Timestamp) -> bool {
        self.expires > self.issued.unwrap_or(now).saturating_add(kept)
    }

    /// Whether the token is good, by what is known of it.
    pub(in crate::bearer) fn judge(&self, status: &TokenStatus) -> Result<(), Refusal> {
        if status.token_is_revoked {
            return Err(Refusal::TokenRevoked);
        }
        if status.family_is_revoked {
            return Err(Refusal::FamilyRevoked);
        }
        if !self.is_of_user(status.user) {
            return Err(Refusal::UserRevoked);
        }
        if self.is_after(status.everyone) { Ok(()) } else { Err(Refusal::EveryoneRevoked) }
    }

    fn is_of_user(&self, epoch: TokenEpoch) -> bool {
        match self.version {
            Version::Stated(version) => epoch.is_never() || version == Some(epoch.as_version()),
            Version::Unversioned => self.is_after(epoch),
        }
    }

    /// Whether it was issued after this, by whichever of the two clocks: the issuer's may be ahead of the store's by the
    /// leeway. A token without `iat` was issued at any time.
    fn is_after(&self, epoch: TokenEpoch) -> bool {
        let end = epoch.0.saturating_add(self.leeway);
        epoch.is_never() || self.issued.is_some_and(|issued| issued > end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bearer::claims::Shape;

    const LEEWAY: Duration = Duration::from_secs(5);

    fn marks() -> Marks {
        let shape = Shape::default();
        let claims = Claims::parse(r#"{"iat":1000,"exp":1300,"jti":"j"}"#, &shape).unwrap();
        Marks::of(&claims, "i", "s", false, LEEWAY)
    }

    fn epoch(millis: u64) -> TokenEpoch {
        TokenEpoch(Timestamp::from_millis(millis))
    }

    #[test]
    fn every_way_to_revoke_has_its_refusal() {
        let own = Marks { version: Version::Stated(Some(7)), ..marks() };
        let forgetful = Marks { version: Version::Stated(None), ..marks() };
        let timeless = Marks { issued: None, ..marks() };
        let none = TokenStatus::default;
        let rows = [
            ("nothing", marks(), none(), Ok(())),
            (
                "its token",
                marks(),
                TokenStatus { token_is_revoked: true, ..none() },
                Err(Refusal::TokenRevoked),
            ),
            (
                "its family",
                marks(),
                TokenStatus { family_is_revoked: true, ..none() },
                Err(Refusal::FamilyRevoked),
            ),
            ("long before it", marks(), TokenStatus { user: epoch(1), ..none() }, Ok(())),
            ("just before it", marks(), TokenStatus { user: epoch(994_999), ..none() }, Ok(())),
            (
                "within the leeway",
                marks(),
                TokenStatus { user: epoch(995_000), ..none() },
                Err(Refusal::UserRevoked),
            ),
            (
                "after it",
                marks(),
                TokenStatus { user: epoch(1_000_500), ..none() },
                Err(Refusal::UserRevoked),
            ),
            ("its version", own, TokenStatus { user: epoch(7), ..none() }, Ok(())),
            ("a later version", own, TokenStatus { user: epoch(8), ..none() }, Err(Refusal::UserRevoked)),
            ("an earlier version", own, TokenStatus { user: epoch(6), ..none() }, Err(Refusal::UserRevoked)),
            ("a version that was forgotten", own, none(), Ok(())),
            ("no version, and none is known", forgetful, none(), Ok(())),
            ("no version", forgetful, TokenStatus { user: epoch(7), ..none() }, Err(Refusal::UserRevoked)),
            ("no iat, and no epoch", timeless, none(), Ok(())),
            ("no iat", timeless, TokenStatus { user: epoch(1), ..none() }, Err(Refusal::UserRevoked)),
            ("everyone before", own, TokenStatus { everyone: epoch(994_999), ..none() }, Ok(())),
            (
                "everyone",
                own,
                TokenStatus { everyone: epoch(995_000), ..none() },
                Err(Refusal::EveryoneRevoked),
            ),
            (
                "everyone, no iat",
                timeless,
                TokenStatus { everyone: epoch(1), ..none() },
                Err(Refusal::EveryoneRevoked),
            ),
        ];
        for (name, marks, status, expected) in rows {
            assert_eq!(marks.judge(&status), expected, "{name}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_revoked_is_told_from_one_that_can() {
        assert!(marks().are_complete());
        for (name, marks) in [
            ("no jti", Marks { token: None, ..marks() }),
            ("no iat", Marks { issued: None, ..marks() }),
            ("no tv", Marks { version: Version::Stated(None), ..marks() }),
        ] {
            assert!(!marks.are_complete(), "{name}");
        }
        let now = Timestamp::from_secs(1100);
        for (name, issued, kept, expected) in [
            ("as long as it is kept", Some(1000), 300, false),
            ("longer", Some(1000), 299, true),
            ("no iat, as long as it is kept", None, 200, false),
            ("no iat, longer", None, 199, true),
        ] {
            let marks = Marks { issued: issued.map(Timestamp::from_secs), ..marks() };
            assert_eq!(marks.outlive(Duration::from_secs(kept), now), expected, "{name}");
        }
    }
}
