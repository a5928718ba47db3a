//! Refresh tokens: who is given the next one, who is not, and what a theft ends.

mod ends;
mod signer;
mod store;

use std::sync::{Arc, Mutex};

use portcullis::BearerLayer;
use portcullis::bearer::{MemoryTokenBackend, Revocations};
use portcullis::issue::{
    BuildErrorKind, Confirmation, Grant, IssueErrorKind, KeyRing, RefreshErrorKind, RefreshEvent,
    RefreshKeys, RefreshRefusal, RefreshRequest, RefreshTokens, TokenIssuer, TokenPair,
};
use portcullis_store::{Locator, ManualClock};

use crate::common::{ISSUER, present, ring, secs};
use crate::spy::{Asked, Spy};

pub(crate) struct Stage {
    pub(crate) clock: ManualClock,
    pub(crate) store: Spy,
    pub(crate) revocations: Revocations,
    pub(crate) refresh: RefreshTokens,
    pub(crate) bearer: BearerLayer,
    events: Arc<Mutex<Vec<String>>>,
}

const DAY: u64 = 24 * 3600;

impl Stage {
    pub(crate) fn new() -> Self {
        Self::of(MemoryTokenBackend::DEFAULT_MAX)
    }

    /// With room for so many families and revocations.
    fn of(max: usize) -> Self {
        let clock = ManualClock::default();
        let ring = ring(&clock);
        Self::signing(&ring, clock, max)
    }

    /// And the ring that signs.
    pub(crate) fn with_ring() -> (Self, KeyRing) {
        let clock = ManualClock::default();
        let ring = ring(&clock);
        (Self::signing(&ring, clock, MemoryTokenBackend::DEFAULT_MAX), ring)
    }

    fn signing(ring: &KeyRing, clock: ManualClock, max: usize) -> Self {
        let store = Spy::new(MemoryTokenBackend::with_clock(clock.clone()).max(max));
        let revocations = Revocations::new(store.clone()).clock(clock.clone());
        let issuer = TokenIssuer::builder(ISSUER, ["api"], ring).revocations(&revocations).build().unwrap();
        let bearer =
            BearerLayer::new([issuer.trusted()]).unwrap().clock(clock.clone()).revocation(&revocations);
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let refresh = RefreshTokens::builder(&issuer, store.clone(), RefreshKeys::new([7; 32]))
            .events(move |event: &RefreshEvent<'_>| told.lock().unwrap().push(format!("{event:?}")))
            .build()
            .unwrap();
        Self { clock, store, revocations, refresh, bearer, events }
    }

    pub(crate) async fn login(&self) -> TokenPair {
        self.refresh.begin(&grant()).await.unwrap()
    }

    async fn next(&self, token: &str) -> Result<TokenPair, RefreshErrorKind> {
        self.refresh.refresh(RefreshRequest::new(token, "web")).await.map_err(|error| error.kind())
    }

    pub(crate) async fn accepts(&self, pair: &TokenPair) -> bool {
        present(&self.bearer, pair.access().as_str()).await.0 == 200
    }
}

pub(crate) fn grant() -> Grant {
    Grant::new("ada", "web").scope("read").scope("write")
}

fn refused<T>(refusal: RefreshRefusal) -> Result<T, RefreshErrorKind> {
    Err(RefreshErrorKind::Refused(refusal))
}

fn text(pair: Result<TokenPair, RefreshErrorKind>) -> Result<String, RefreshErrorKind> {
    pair.map(|pair| pair.refresh_token().to_owned())
}

#[tokio::test]
async fn each_refresh_gives_the_next_token_and_what_was_granted_stays() {
    let stage = Stage::new();
    let mut pair = stage.login().await;
    let sid = pair.sid().to_owned();
    for generation in 1..5 {
        let next = stage.next(pair.refresh_token()).await.unwrap();
        assert_ne!(next.refresh_token(), pair.refresh_token());
        assert_ne!(next.access().id(), pair.access().id());
        assert!(next.refresh_token().split('.').nth(2) == Some(&generation.to_string()));
        assert_eq!((next.sid(), next.access().scopes().count()), (&*sid, 2));
        assert!(stage.accepts(&next).await);
        pair = next;
    }
}

#[tokio::test]
async fn the_token_before_is_given_the_identical_successor_for_ten_seconds() {
    let stage = Stage::new();
    let login = stage.login().await;
    let next = text(stage.next(login.refresh_token()).await);
    stage.clock.advance(secs(9));
    assert_eq!(text(stage.next(login.refresh_token()).await), next);
    assert_eq!(text(stage.next(login.refresh_token()).await), next);
    stage.clock.advance(secs(1));
    assert_eq!(text(stage.next(login.refresh_token()).await), refused(RefreshRefusal::Reused));
}

#[tokio::test]
async fn what_cannot_be_written_begins_no_family() {
    let stage = Stage::new();
    for grant in [Grant::new("", "web"), grant().scope("a b"), grant().amr("")] {
        assert_eq!(stage.refresh.begin(&grant).await.unwrap_err().kind(), IssueErrorKind::BadGrant);
    }
    assert_eq!(stage.store.asked(), Asked::default());
}

#[tokio::test]
async fn what_is_guessed_changed_or_of_another_client_never_reaches_the_store() {
    let stage = Stage::new();
    let login = stage.login().await;
    let token = login.refresh_token();
    stage.store.asked();
    let other = Locator::from_bytes([9; 16]);
    for at in 4..token.len() {
        let mut changed = token.to_owned().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let refusal = stage.next(&changed).await.err();
        let expected = [RefreshRefusal::Forged, RefreshRefusal::Malformed].map(RefreshErrorKind::Refused);
        assert!(refusal.is_some_and(|refusal| expected.contains(&refusal)), "{at}");
    }
    let parts: Vec<_> = token.split('.').collect();
    let guessed = format!("rt1.{}{}.0.{}.{}", &parts[1][..22], other, parts[3], parts[4]);
    assert_eq!(text(stage.next(&guessed).await), refused(RefreshRefusal::Forged));
    let theirs = stage.refresh.refresh(RefreshRequest::new(token, "mobile")).await;
    assert_eq!(theirs.unwrap_err().kind(), RefreshErrorKind::Refused(RefreshRefusal::Forged));
    let key = Confirmation::Jkt("k".into());
    let bound = stage.refresh.refresh(RefreshRequest::new(token, "web").confirmation(&key)).await;
    assert_eq!(bound.unwrap_err().kind(), RefreshErrorKind::Refused(RefreshRefusal::Forged));
    for text_of in ["", "rt1", login.access().as_str(), "rt1....", &"x".repeat(100_000)] {
        assert_eq!(text(stage.next(text_of).await), refused(RefreshRefusal::Malformed));
    }
    assert_eq!(stage.store.asked(), Asked::default(), "the store was not asked");
    assert!(stage.next(token).await.is_ok(), "and nothing has changed");
}

#[tokio::test]
async fn a_family_that_is_bound_to_a_key_is_refreshed_with_it_only() {
    let stage = Stage::new();
    let key = Confirmation::Jkt("thumb".into());
    let login = stage.refresh.begin(&grant().confirmation(key.clone())).await.unwrap();
    assert_eq!(login.token_type(), "DPoP");
    assert_eq!(text(stage.next(login.refresh_token()).await), refused(RefreshRefusal::Forged));
    let with =
        |key| stage.refresh.refresh(RefreshRequest::new(login.refresh_token(), "web").confirmation(key));
    let other = Confirmation::Jkt("other".into());
    assert!(with(&other).await.is_err());
    let next = with(&key).await.unwrap();
    assert_eq!(crate::common::part(next.access().as_str(), 1)["cnf"]["jkt"], "thumb");
}

#[tokio::test]
async fn scope_only_narrows_and_asking_for_more_changes_nothing() {
    let stage = Stage::new();
    let login = stage.login().await;
    let ask = |token: String, scope: &'static str| {
        let refresh = stage.refresh.clone();
        async move { refresh.refresh(RefreshRequest::new(&token, "web").scope(scope)).await }
    };
    let more = ask(login.refresh_token().to_owned(), "read admin").await;
    assert_eq!(more.unwrap_err().kind(), RefreshErrorKind::InvalidScope);
    // Longer than a token that was used is good for.
    stage.clock.advance(secs(11));
    let less = ask(login.refresh_token().to_owned(), "write").await.unwrap();
    assert_eq!(less.access().scopes().collect::<Vec<_>>(), ["write"]);
    // What the family allows has not shrunk (RFC 6749, section 6), and has not grown.
    let all = stage.next(less.refresh_token()).await.unwrap();
    assert_eq!(all.access().scopes().collect::<Vec<_>>(), ["read", "write"]);
}

#[tokio::test]
async fn keys_can_be_changed_while_families_live() {
    let stage = Stage::new();
    let login = stage.login().await;
    let with =
        |keys| RefreshTokens::builder(stage.refresh.issuer(), stage.store.clone(), keys).build().unwrap();
    let changed = with(RefreshKeys::new([8; 32]).add_key([7; 32]));
    let next = changed.refresh(RefreshRequest::new(login.refresh_token(), "web")).await.unwrap();
    // A process that does not have the new key yet, in the grace: another MAC, and the same secret.
    let theirs = stage.next(login.refresh_token()).await.unwrap();
    let secret = |pair: &TokenPair| pair.refresh_token().split('.').nth(3).unwrap().to_owned();
    assert_eq!(secret(&next), secret(&theirs));
    let without = with(RefreshKeys::new([8; 32]));
    assert!(without.refresh(RefreshRequest::new(theirs.refresh_token(), "web")).await.is_err());
    assert!(without.refresh(RefreshRequest::new(next.refresh_token(), "web")).await.is_ok());
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused() {
    let stage = Stage::new();
    let issuer = stage.refresh.issuer();
    let builder = |key: &[u8]| RefreshTokens::builder(issuer, stage.store.clone(), RefreshKeys::new(key));
    for (name, built, expected) in [
        ("a short key", builder(&[7; 31]).build(), BuildErrorKind::WeakKey),
        (
            "idle for longer than revocations are kept",
            builder(&[7; 32]).idle(secs(7 * DAY + 1)).build(),
            BuildErrorKind::BadLifetime,
        ),
        ("no idle time", builder(&[7; 32]).idle(secs(0)).build(), BuildErrorKind::BadLifetime),
        ("no end", builder(&[7; 32]).absolute(secs(0)).build(), BuildErrorKind::BadLifetime),
        ("a long grace", builder(&[7; 32]).grace(secs(301)).build(), BuildErrorKind::BadLifetime),
    ] {
        assert_eq!(built.unwrap_err().kind(), expected, "{name}");
    }
    let plain = TokenIssuer::builder(ISSUER, ["api"], &ring(&stage.clock)).build().unwrap();
    let built = RefreshTokens::builder(&plain, stage.store.clone(), RefreshKeys::new([7; 32])).build();
    assert_eq!(built.unwrap_err().kind(), BuildErrorKind::NotRevocable);
}

#[tokio::test]
async fn nothing_secret_is_shown_by_debug_or_told() {
    let stage = Stage::new();
    let login = stage.login().await;
    let request = RefreshRequest::new(login.refresh_token(), "web");
    let shown = format!("{login:?} {:?} {request:?} {:?}", stage.refresh, RefreshKeys::new([7; 32]));
    let shown = shown + &stage.events.lock().unwrap().concat();
    let secret = login.refresh_token().split('.').nth(3).unwrap();
    assert!(!shown.contains(secret) && !shown.contains("7, 7"), "{shown}");
}
