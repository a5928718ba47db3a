//! What ends a family: theft, time, and revocation of whatever it hangs on.

use portcullis::BearerLayer;
use portcullis::bearer::Revocations;
use portcullis::issue::{Grant, IssueErrorKind, RefreshKeys, RefreshRefusal, RefreshTokens, TokenIssuer};

use super::{DAY, Stage, grant, refused, text};
use crate::common::{ISSUER, ring, secs};

#[tokio::test]
async fn an_older_token_ends_the_family_and_its_access_tokens_and_is_told_of() {
    let stage = Stage::new();
    let (login, other) = (stage.login().await, stage.login().await);
    let second = stage.next(login.refresh_token()).await.unwrap();
    let third = stage.next(second.refresh_token()).await.unwrap();
    assert_eq!(text(stage.next(login.refresh_token()).await), refused(RefreshRefusal::Reused));
    for pair in [&login, &second, &third] {
        assert!(!stage.accepts(pair).await, "its access tokens are refused on the next request");
    }
    assert_eq!(text(stage.next(third.refresh_token()).await), refused(RefreshRefusal::Ended));
    assert!(stage.accepts(&other).await && stage.next(other.refresh_token()).await.is_ok(), "another login");
    let told = stage.events.lock().unwrap().get(2).cloned().unwrap();
    assert!(told.starts_with("Reused") && told.contains("ada"), "{told}");
    // Revoked for as long as they would be good.
    stage.clock.advance(secs(599));
    assert!(!stage.accepts(&third).await && stage.accepts(&other).await);
}

/// A layer takes an access token for a little longer than it says, and has to hear of the theft for as long.
#[tokio::test]
async fn a_theft_is_known_for_as_long_as_any_of_the_access_tokens_is_taken() {
    let stage = Stage::new();
    let revocations =
        Revocations::new(stage.store.clone()).clock(stage.clock.clone()).longest_token(secs(600));
    let ring = ring(&stage.clock);
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).revocations(&revocations).build().unwrap();
    let lenient = BearerLayer::new([issuer.trusted().leeway(secs(300))]).unwrap();
    let bearer = lenient.clock(stage.clock.clone()).revocation(&revocations);
    let refresh = RefreshTokens::builder(&issuer, stage.store.clone(), RefreshKeys::new([7; 32]));
    let stage = Stage { refresh: refresh.idle(secs(600)).build().unwrap(), revocations, bearer, ..stage };

    let (login, other) = (stage.login().await, stage.login().await);
    let second = stage.next(login.refresh_token()).await.unwrap();
    let third = stage.next(second.refresh_token()).await.unwrap();
    assert_eq!(text(stage.next(login.refresh_token()).await), refused(RefreshRefusal::Reused));
    stage.clock.advance(secs(899));
    assert!(stage.accepts(&other).await && !stage.accepts(&third).await);
}

#[tokio::test]
async fn a_refresh_token_is_said_to_last_no_longer_than_its_family() {
    let stage = Stage::new();
    let keys = RefreshKeys::new([7; 32]);
    let refresh = RefreshTokens::builder(stage.refresh.issuer(), stage.store.clone(), keys);
    let refresh = refresh.absolute(secs(DAY)).build().unwrap();
    let login = refresh.begin(&grant()).await.unwrap();
    assert_eq!(login.refresh_expires_in(), secs(DAY));
}

#[tokio::test]
async fn a_family_ends_when_idle_for_a_week_and_after_thirty_days_in_any_case() {
    let stage = Stage::new();
    let login = stage.login().await;
    stage.clock.advance(secs(7 * DAY));
    assert_eq!(text(stage.next(login.refresh_token()).await), refused(RefreshRefusal::Ended));

    let mut pair = stage.login().await;
    for day in 1..30 {
        stage.clock.advance(secs(DAY));
        pair = stage.next(pair.refresh_token()).await.unwrap();
        let left = (30 - day).min(7);
        assert_eq!(pair.refresh_expires_in(), secs(left * DAY), "{day}");
    }
    stage.clock.advance(secs(DAY));
    assert_eq!(text(stage.next(pair.refresh_token()).await), refused(RefreshRefusal::Ended));
}

#[tokio::test]
async fn revoking_a_login_its_user_or_everyone_ends_the_family_and_a_token_does_not() {
    for what in 0..4 {
        let stage = Stage::new();
        let login = stage.login().await;
        stage.clock.advance(secs(1));
        let revocations = &stage.revocations;
        match what {
            0 => revocations.revoke_family(ISSUER, "ada", login.sid()).await,
            1 => revocations.revoke_user(ISSUER, "ada").await,
            2 => revocations.revoke_everyone().await,
            _ => revocations.revoke_token(ISSUER, "ada", login.access().id(), None).await,
        }
        .unwrap();
        assert!(!stage.accepts(&login).await, "{what}");
        let next = text(stage.next(login.refresh_token()).await);
        if what == 3 {
            assert!(next.is_ok());
        } else {
            assert_eq!(next, refused(RefreshRefusal::Revoked), "{what}");
        }
    }
}

#[tokio::test]
async fn a_family_that_lies_idle_for_as_long_as_it_may_does_not_outlive_its_revocation() {
    let stage = Stage::new();
    let login = stage.login().await;
    stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
    stage.clock.advance(secs(7 * DAY - 1));
    assert_eq!(text(stage.next(login.refresh_token()).await), refused(RefreshRefusal::Revoked));
}

#[tokio::test]
async fn who_has_changed_the_password_meanwhile_is_not_signed_in_by_the_old_one() {
    let stage = Stage::new();
    let version = stage.revocations.version(ISSUER, "ada").await.unwrap();
    assert!(stage.refresh.begin_if(&grant(), version).await.is_ok());
    stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
    let late = stage.refresh.begin_if(&grant(), version).await.unwrap_err();
    assert_eq!(late.kind(), IssueErrorKind::Revoked);
}

#[tokio::test]
async fn who_signs_in_after_a_revocation_is_given_tokens_that_are_good() {
    let stage = Stage::new();
    stage.login().await;
    stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
    let login = stage.login().await;
    let next = stage.next(login.refresh_token()).await.unwrap();
    let again = stage.next(login.refresh_token()).await.unwrap();
    for pair in [&login, &next, &again] {
        assert!(stage.accepts(pair).await);
    }
}

#[tokio::test]
async fn a_login_has_one_family_and_one_that_was_revoked_has_none() {
    let stage = Stage::new();
    let grant = Grant::new("ada", "web").sid("login");
    let begin = || stage.refresh.begin(&grant);
    let login = begin().await.unwrap();
    assert_eq!(login.sid(), "login");
    assert_eq!(begin().await.unwrap_err().kind(), IssueErrorKind::LoginTaken);
    stage.revocations.revoke_family(ISSUER, "ada", "login").await.unwrap();
    stage.next(login.refresh_token()).await.unwrap_err();
    assert_eq!(begin().await.unwrap_err().kind(), IssueErrorKind::Revoked);
}
