//! Rings: whose turn it is, what is published, and until when.

use std::sync::Arc;

use portcullis::BearerLayer;
use portcullis::bearer::{Algorithm, KeySource};
use portcullis::issue::{
    BuildErrorKind, Grant, KeyRing, KeyState, PublicKey, SignError, Signer, Signing, SigningKey, TokenIssuer,
    VerificationKey,
};
use portcullis_store::{Clock, ManualClock, Timestamp};

use crate::common::{ISSUER, judge, key, part, present, ring, secs};

fn states(ring: &KeyRing) -> Vec<(String, KeyState)> {
    ring.keys().into_iter().map(|key| (key.kid, key.state)).collect()
}

fn named(name: &str) -> SigningKey {
    key(Algorithm::EdDSA).named(name).unwrap()
}

#[tokio::test]
async fn every_token_verifies_at_every_moment_of_a_rotation_and_a_key_goes_after_its_last_token() {
    use KeyState::*;
    let clock = ManualClock::default();
    let ring = ring(&clock);
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).lifetime(secs(24 * 3600)).build().unwrap();
    // It knows nothing of the second key, which is for another algorithm.
    let bearer = BearerLayer::new([issuer.trusted()]).unwrap().clock(clock.clone());
    let grant = Grant::new("ada", "web");
    let kid = |token: &str| part(token, 0)["kid"].as_str().unwrap().to_owned();

    let mut living: Vec<(String, Timestamp)> = Vec::new();
    let mut seen = Vec::new();
    ring.add(named("second")).unwrap();
    // Two and a half days, in steps of ten minutes; the second key begins after an hour, and the first is then over after
    // the longest token, the largest leeway and a second.
    for step in 0..360 {
        if step == 6 {
            ring.activate("second").unwrap();
        }
        let token = issuer.access_token(&grant).await.unwrap();
        assert_eq!(kid(token.as_str()), if step < 6 { "first" } else { "second" });
        living.push((token.as_str().to_owned(), token.expires_at()));
        living.retain(|(_, expires)| *expires > clock.now());
        for (token, _) in living.iter().step_by(7).chain(living.first()).chain(living.last()) {
            assert_eq!(present(&bearer, token).await.0, 200, "{step}");
            assert!(judge(&ring.jwks(), token).is_some(), "{step}: an independent verifier");
        }
        if seen.last() != Some(&states(&ring)) {
            seen.push(states(&ring));
        }
        clock.advance(secs(600));
    }
    let state = |first, second| vec![("first".to_owned(), first), ("second".to_owned(), second)];
    let last = vec![("second".to_owned(), Active)];
    assert_eq!(seen, [state(Active, Pending), state(Retired, Active), last]);
}

#[test]
fn a_retired_key_is_published_until_its_last_token_is_dead_and_no_longer() {
    let clock = ManualClock::default();
    let first = key(Algorithm::ES256).named("first").unwrap();
    let ring = KeyRing::builder(first).clock(clock.clone()).longest_token(secs(3600)).build().unwrap();
    ring.add_at(key(Algorithm::ES256).named("second").unwrap(), clock.now().saturating_add(secs(600)))
        .unwrap();
    clock.advance(secs(600 + 3600 + 300));
    assert!(ring.jwks().contains("first"), "its last token, and the largest leeway of a verifier");
    clock.advance(secs(1));
    assert!(!ring.jwks().contains("first") && ring.jwks().contains("second"));
    assert_eq!(ring.snapshot().len(), 1);
    assert_eq!(ring.remove("first").unwrap_err().kind(), BuildErrorKind::UnknownKey);
}

#[test]
fn a_key_signs_only_after_every_cache_has_heard_of_it() {
    let clock = ManualClock::default();
    let ring = ring(&clock);
    ring.add(named("second")).unwrap();
    clock.advance(secs(299));
    assert_eq!(ring.activate("second").unwrap_err().kind(), BuildErrorKind::NotYetPublished);
    clock.advance(secs(1));
    ring.activate("second").unwrap();
    assert_eq!(
        ring.activate("second").unwrap_err().kind(),
        BuildErrorKind::UnknownKey,
        "it is no longer pending"
    );
    ring.add(named("third")).unwrap();
    ring.activate_at_once("third").unwrap();
    assert_eq!(states(&ring).last().unwrap(), &("third".to_owned(), KeyState::Active));
}

#[test]
fn of_keys_that_begin_in_one_moment_the_one_that_was_activated_last_signs() {
    let ring = ring(&ManualClock::default());
    for name in ["a", "b", "c"] {
        ring.add(named(name)).unwrap();
    }
    for name in ["c", "a", "b"] {
        ring.activate_at_once(name).unwrap();
        assert_eq!(ring.keys().iter().find(|key| key.state == KeyState::Active).unwrap().kid, name);
    }
}

#[test]
fn processes_with_the_same_keys_and_moments_agree_also_when_one_starts_later() {
    let clock = ManualClock::default();
    let texts: Vec<_> = (0..3).map(|_| key(Algorithm::ES256).to_private_pem().unwrap()).collect();
    let load = |text: &String| SigningKey::pem(text, Algorithm::ES256).unwrap();
    let begins = |at: u64| ManualClock::default().now().saturating_add(secs(at * 86_400 * 30));
    let process = || {
        let ring = KeyRing::builder(load(&texts[0])).clock(clock.clone()).build().unwrap();
        ring.add_at(load(&texts[1]), begins(1)).unwrap();
        ring.add_at(load(&texts[2]), begins(2)).unwrap();
        ring
    };
    let long_running = process();
    for _ in 0..70 {
        assert_eq!(states(&long_running), states(&process()));
        assert_eq!(long_running.jwks(), process().jwks());
        clock.advance(secs(86_400));
    }
    assert_eq!(states(&long_running).len(), 1);
}

#[tokio::test]
async fn a_removed_key_verifies_nothing_from_then_on() {
    let clock = ManualClock::default();
    let ring = ring(&clock);
    let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).build().unwrap();
    let bearer = BearerLayer::new([issuer.trusted()]).unwrap().clock(clock.clone());
    let token = issuer.access_token(&Grant::new("ada", "web")).await.unwrap();
    assert_eq!(ring.remove("first").unwrap_err().kind(), BuildErrorKind::ActiveKey);
    ring.add(key(Algorithm::ES256).named("second").unwrap()).unwrap();
    ring.activate_at_once("second").unwrap();
    assert_eq!(present(&bearer, token.as_str()).await.0, 200);
    ring.remove("first").unwrap();
    assert_eq!(present(&bearer, token.as_str()).await.0, 401);
    assert_eq!(ring.remove("none").unwrap_err().kind(), BuildErrorKind::UnknownKey);
}

#[test]
fn a_ring_is_of_one_kind_and_each_id_stands_once() {
    let ring = ring(&ManualClock::default());
    let refused = |key| ring.add(key).unwrap_err().kind();
    assert_eq!(refused(named("first")), BuildErrorKind::DuplicateKey);
    assert_eq!(refused(key(Algorithm::HS256)), BuildErrorKind::MixedKeys);
    for at in 1..100 {
        ring.add(named(&at.to_string())).unwrap();
    }
    assert_eq!(refused(named("100")), BuildErrorKind::MixedKeys);
    assert_eq!(ring.snapshot().len(), 100);
}

#[test]
fn a_set_stays_the_same_while_its_keys_do() {
    let clock = ManualClock::default();
    let ring = ring(&clock);
    let before = ring.snapshot();
    clock.advance(secs(86_400));
    assert!(Arc::ptr_eq(&before, &ring.snapshot()));
    ring.add(named("second")).unwrap();
    let both = ring.snapshot();
    assert!(!Arc::ptr_eq(&before, &both));
    // What is verified stays known while another of its keys signs.
    clock.advance(secs(300));
    ring.activate("second").unwrap();
    assert!(Arc::ptr_eq(&both, &ring.snapshot()));
}

/// A service that signs elsewhere, after a while.
#[derive(Debug)]
struct Remote {
    kid: &'static str,
    key: SigningKey,
    says: VerificationKey,
    fails: bool,
}

impl Signer for Remote {
    fn kid(&self) -> &str {
        self.kid
    }

    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn verification_key(&self) -> VerificationKey {
        self.says.clone()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Signing::pending(async move {
            tokio::task::yield_now().await;
            let Signing::Ready(signed) = self.key.sign(message) else { panic!("a local key signs at once") };
            if self.fails { Err(SignError::new("no quota")) } else { signed }
        })
    }
}

#[tokio::test]
async fn a_signer_elsewhere_is_waited_for_and_its_failure_mints_nothing() {
    use portcullis::issue::IssueErrorKind;
    for fails in [false, true] {
        let key = key(Algorithm::EdDSA);
        let remote = Remote { kid: "remote", says: key.verification_key(), key, fails };
        let ring = KeyRing::new(remote).unwrap();
        let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).build().unwrap();
        let minted = issuer.access_token(&Grant::new("ada", "web")).await;
        match minted {
            Ok(token) => assert!(!fails && judge(&ring.jwks(), token.as_str()).is_some()),
            Err(error) => assert!(fails && error.kind() == IssueErrorKind::Signer),
        }
    }
}

#[test]
fn a_signer_that_contradicts_itself_is_refused() {
    let VerificationKey::Public(public) = key(Algorithm::ES256).verification_key() else { panic!() };
    assert_eq!(PublicKey::algorithm(&public), Algorithm::ES256);
    let remote = || Remote {
        kid: "remote",
        key: key(Algorithm::EdDSA),
        says: VerificationKey::Public(public.clone()),
        fails: false,
    };
    assert_eq!(KeyRing::new(remote()).unwrap_err().kind(), BuildErrorKind::WrongAlgorithm);
    let ring = ring(&ManualClock::default());
    assert_eq!(ring.add(remote()).unwrap_err().kind(), BuildErrorKind::WrongAlgorithm);
    for kid in ["", "a\nb"] {
        let key = key(Algorithm::EdDSA);
        let nameless = Remote { kid, says: key.verification_key(), key, fails: false };
        assert_eq!(ring.add(nameless).unwrap_err().kind(), BuildErrorKind::BadKeyId, "{kid:?}");
    }
    assert_eq!(ring.keys().len(), 1);
    let brief = KeyRing::builder(key(Algorithm::EdDSA)).longest_token(secs(0)).build();
    assert_eq!(brief.unwrap_err().kind(), BuildErrorKind::BadLifetime);
}
