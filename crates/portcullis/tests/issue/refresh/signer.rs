//! A signer that is asked elsewhere, and may be away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use portcullis::bearer::{Algorithm, MemoryTokenBackend, Revocations};
use portcullis::issue::{
    IssueErrorKind, KeyRing, RefreshErrorKind, RefreshRefusal, SignError, Signer, Signing, SigningKey,
    VerificationKey,
};
use portcullis_store::ManualClock;

use super::{Stage, grant, refused, text};
use crate::common::{ISSUER, key, secs};
use crate::spy::Asked;

/// A service that signs, unless it is away.
#[derive(Clone, Debug)]
struct Remote {
    key: Arc<SigningKey>,
    is_away: Arc<AtomicBool>,
    /// While it signs, somebody revokes the user's tokens by these.
    revokes: Arc<OnceLock<Revocations>>,
}

impl Remote {
    fn new() -> Self {
        let key = Arc::new(key(Algorithm::EdDSA));
        Self { key, is_away: Arc::default(), revokes: Arc::default() }
    }

    fn stage(&self) -> Stage {
        let clock = ManualClock::default();
        let ring = KeyRing::builder(self.clone()).clock(clock.clone()).build().unwrap();
        Stage::signing(&ring, clock, MemoryTokenBackend::DEFAULT_MAX)
    }

    fn goes(&self, away: bool) {
        self.is_away.store(away, Ordering::Relaxed);
    }
}

impl Signer for Remote {
    fn kid(&self) -> &str {
        self.key.kid()
    }

    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn verification_key(&self) -> VerificationKey {
        self.key.verification_key()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Signing::pending(async move {
            if let Some(revocations) = self.revokes.get() {
                revocations.revoke_user(ISSUER, "ada").await.map_err(SignError::new)?;
            }
            let Signing::Ready(signed) = self.key.sign(message) else { panic!("a local key signs at once") };
            if self.is_away.load(Ordering::Relaxed) { Err(SignError::new("no connection")) } else { signed }
        })
    }
}

#[tokio::test]
async fn a_signer_that_is_away_for_longer_than_the_grace_signs_nobody_out() {
    let remote = Remote::new();
    let stage = remote.stage();
    let login = stage.login().await;
    remote.goes(true);
    for _ in 0..3 {
        let away = text(stage.next(login.refresh_token()).await);
        assert_eq!(away, Err(RefreshErrorKind::Issue(IssueErrorKind::Signer)));
        stage.clock.advance(secs(60));
    }
    remote.goes(false);
    let next = stage.next(login.refresh_token()).await.unwrap();
    assert!(stage.accepts(&next).await);
    // Again within the grace, as ever.
    assert_eq!(text(stage.next(login.refresh_token()).await).as_deref(), Ok(next.refresh_token()));
}

#[tokio::test]
async fn while_a_signer_is_away_no_login_is_begun() {
    let remote = Remote::new();
    let stage = remote.stage();
    let grant = grant().sid("tab");
    remote.goes(true);
    assert_eq!(stage.refresh.begin(&grant).await.unwrap_err().kind(), IssueErrorKind::Signer);
    assert_eq!(stage.events.lock().unwrap().len(), 0);
    remote.goes(false);
    let login = stage.refresh.begin(&grant).await.unwrap();
    assert!(stage.accepts(&login).await && stage.next(login.refresh_token()).await.is_ok());
}

#[tokio::test]
async fn a_stolen_token_is_found_out_while_the_signer_is_away() {
    let remote = Remote::new();
    let stage = remote.stage();
    let login = stage.login().await;
    let second = stage.next(login.refresh_token()).await.unwrap();
    let third = stage.next(second.refresh_token()).await.unwrap();
    remote.goes(true);
    assert_eq!(text(stage.next(login.refresh_token()).await), refused(RefreshRefusal::Reused));
    assert_eq!(text(stage.next(third.refresh_token()).await), refused(RefreshRefusal::Ended));
}

#[tokio::test]
async fn tokens_that_are_revoked_while_they_are_signed_are_given_to_nobody() {
    let remote = Remote::new();
    let stage = remote.stage();
    let login = stage.login().await;
    stage.clock.advance(secs(1));
    remote.revokes.set(stage.revocations.clone()).unwrap();
    assert_eq!(stage.refresh.begin(&grant()).await.unwrap_err().kind(), IssueErrorKind::Revoked);
    assert_eq!(text(stage.next(login.refresh_token()).await), refused(RefreshRefusal::Revoked));
}

#[tokio::test]
async fn who_has_changed_the_password_is_not_signed_in_by_the_old_one_wherever_it_is_signed() {
    let stage = Remote::new().stage();
    let version = stage.revocations.version(ISSUER, "ada").await.unwrap();
    let login = stage.refresh.begin_if(&grant(), version).await.unwrap();
    assert!(stage.accepts(&login).await);
    stage.revocations.revoke_user(ISSUER, "ada").await.unwrap();
    let late = stage.refresh.begin_if(&grant(), version).await.unwrap_err();
    assert_eq!(late.kind(), IssueErrorKind::Revoked);
}

#[tokio::test]
async fn only_a_signer_elsewhere_costs_a_second_round_trip() {
    for (stage, more) in [(Stage::new(), 0), (Remote::new().stage(), 1)] {
        let login = stage.login().await;
        assert_eq!(stage.store.asked(), Asked { families: 1, tokens: more });
        stage.next(login.refresh_token()).await.unwrap();
        assert_eq!(stage.store.asked(), Asked { families: 1 + more, tokens: 0 });
    }
}
