//! A process that is told what is revoked answers from that, and from nothing else: not from what may be old, nor from a part.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use portcullis::BearerLayer;
use portcullis::bearer::{MemoryTokenBackend, RevocationPush, Revocations};
use portcullis_store::{
    Locator, ManualClock, Realm, Revocation, RevocationNotice, RevocationWatcher, Revoked, StoreError,
    TokenBackend, TokenEpoch, TokenQuery, TokenStatus, UserKey, Watching,
};
use serde_json::json;
use tokio::time::{Instant, advance};
use tower::{Layer, ServiceExt, service_fn};

use crate::mint::{ES256, ISSUER, claims_with, handler};

const HOUR: Duration = Duration::from_secs(3600);

/// A store elsewhere, whose watchers are told what a test says, and that counts what it is asked.
#[derive(Clone)]
struct Teller {
    inner: MemoryTokenBackend,
    asked: Arc<AtomicUsize>,
    watchers: Arc<Mutex<Vec<Arc<dyn RevocationWatcher>>>>,
    /// How often somebody began to watch, and ended it.
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    tells: bool,
}

struct Ending(Teller);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        self.0.watchers.lock().unwrap().clear();
    }
}

impl Teller {
    fn new(tells: bool) -> Self {
        Self {
            inner: MemoryTokenBackend::with_clock(ManualClock::default()),
            asked: Arc::default(),
            watchers: Arc::default(),
            begun: Arc::default(),
            ended: Arc::default(),
            tells,
        }
    }

    fn say(&self, notice: RevocationNotice<'_>) {
        self.watchers.lock().unwrap().iter().for_each(|watcher| watcher.notice(notice));
    }

    fn current(&self, lasts: Duration) {
        self.say(RevocationNotice::Current { until: Some((Instant::now() + lasts).into_std()) });
    }

    fn revoked(&self, what: Revoked, keep: Duration) {
        self.say(RevocationNotice::Revoked(&[Revocation { what, keep }]));
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

impl TokenBackend for Teller {
    async fn status(&self, query: TokenQuery<'_>) -> Result<TokenStatus, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        self.inner.status(query).await
    }

    async fn revoke_token(
        &self,
        user: UserKey<'_>,
        token: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.inner.revoke_token(user, token, keep).await
    }

    async fn revoke_family(
        &self,
        user: UserKey<'_>,
        family: Locator,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.inner.revoke_family(user, family, keep).await
    }

    async fn revoke_user(&self, user: UserKey<'_>, keep: Duration) -> Result<TokenEpoch, StoreError> {
        self.inner.revoke_user(user, keep).await
    }

    async fn revoke_everyone(&self, realm: &Realm, keep: Duration) -> Result<TokenEpoch, StoreError> {
        self.inner.revoke_everyone(realm, keep).await
    }

    fn watch_revocations(&self, _: &Realm, watcher: Arc<dyn RevocationWatcher>) -> Option<Watching> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.tells.then(|| {
            self.watchers.lock().unwrap().push(watcher);
            Watching::new(Ending(self.clone()))
        })
    }
}

struct Stage {
    store: Teller,
    revocations: Revocations,
    layer: BearerLayer,
}

impl Stage {
    fn new() -> Self {
        Self::with(Teller::new(true), RevocationPush::new())
    }

    fn with(store: Teller, push: RevocationPush) -> Self {
        let clock = ManualClock::default();
        let revocations = Revocations::new(store.clone()).clock(clock.clone()).push(push);
        let layer = BearerLayer::new([ES256.issuer()]).unwrap().clock(clock).revocation(&revocations);
        Self { store, revocations, layer }
    }

    /// One that knows enough for an hour.
    async fn current() -> Self {
        let stage = Self::new();
        assert_eq!(stage.status(&token("first", "s")).await, 200);
        stage.store.current(HOUR);
        assert_eq!(stage.store.asked(), 1, "the first request asks, and has it told");
        stage
    }

    async fn status(&self, token: &str) -> u16 {
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
        let request = request.body(String::new()).unwrap();
        let response: Response<String> =
            self.layer.clone().layer(service_fn(handler)).oneshot(request).await.unwrap();
        response.status().as_u16()
    }

    async fn expect(&self, token: &str, status: u16, asked: usize, when: &str) {
        assert_eq!(self.status(token).await, status, "{when}");
        assert_eq!(self.store.asked(), asked, "{when}: how often the store was asked");
    }
}

fn token(jti: &str, sid: &str) -> String {
    let mut claims = claims_with("jti", json!(jti));
    claims["sid"] = json!(sid);
    ES256.token(&claims)
}

/// What another process would have to revoke, found out by revoking it there.
async fn names(revoke: impl AsyncFnOnce(&Revocations)) -> Revoked {
    struct Names(Mutex<Option<Revoked>>);
    impl RevocationWatcher for Names {
        fn notice(&self, notice: RevocationNotice<'_>) {
            if let RevocationNotice::Revoked([told]) = notice {
                *self.0.lock().unwrap() = Some(told.what);
            }
        }
    }
    let clock = ManualClock::default();
    let (store, names) = (MemoryTokenBackend::with_clock(clock.clone()), Arc::new(Names(Mutex::default())));
    let _watching = store.watch_revocations(&Realm::default(), Arc::clone(&names) as _);
    revoke(&Revocations::new(store).clock(clock)).await;
    let found = names.0.lock().unwrap().take();
    found.unwrap()
}

async fn one_token(jti: &str) -> Revoked {
    names(async |there| there.revoke_token(ISSUER, "ada", jti, None).await.unwrap()).await
}

#[tokio::test(start_paused = true)]
async fn who_is_told_does_not_ask_until_that_is_too_old() {
    let stage = Stage::current().await;
    let good = token("a", "s");
    for _ in 0..3 {
        stage.expect(&good, 200, 0, "current").await;
    }
    assert!(stage.revocations.is_told());
    stage.store.current(Duration::from_millis(1_999));
    advance(Duration::from_millis(1_998)).await;
    stage.expect(&good, 200, 0, "just before it is over").await;
    advance(Duration::from_millis(1)).await;
    assert!(!stage.revocations.is_told());
    stage.expect(&good, 200, 1, "when it is over").await;
    stage.store.current(HOUR);
    stage.expect(&good, 200, 0, "told again").await;
    stage.store.say(RevocationNotice::Current { until: None });
    advance(HOUR * 2).await;
    stage.expect(&good, 200, 0, "for as long as nothing else is said").await;
    assert_eq!(stage.store.begun.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_told_counts_for_what_it_is_about_and_as_long_as_is_said() {
    let stage = Stage::current().await;
    let login = names(async |there| there.revoke_family(ISSUER, "ada", "s2").await.unwrap()).await;
    stage.store.revoked(one_token("a").await, HOUR);
    stage.store.revoked(login, HOUR / 2);
    stage.expect(&token("a", "s"), 401, 0, "the token").await;
    stage.expect(&token("b", "s"), 200, 0, "another token").await;
    stage.expect(&token("c", "s2"), 401, 0, "the login").await;
    advance(HOUR * 3 / 4).await;
    stage.expect(&token("c", "s2"), 200, 0, "it need not be known any longer").await;
    stage.store.revoked(one_token("a").await, Duration::from_secs(1));
    advance(HOUR / 8).await;
    stage.expect(&token("a", "s"), 401, 0, "the longest counts").await;

    let stage = Stage::current().await;
    let user = names(async |there| there.revoke_user(ISSUER, "ada").await.unwrap()).await;
    let Revoked::User { user, epoch } = user else { panic!("{user:?}") };
    stage.store.revoked(Revoked::User { user, epoch }, HOUR);
    stage.store.revoked(Revoked::User { user, epoch: TokenEpoch::default() }, Duration::from_secs(1));
    advance(HOUR / 2).await;
    stage.expect(&token("b", "s"), 401, 0, "the user, by the latest epoch, for the longest time").await;

    let stage = Stage::current().await;
    let everyone = names(async |there| there.revoke_everyone().await.unwrap()).await;
    stage.store.revoked(everyone, HOUR);
    stage.expect(&token("b", "s"), 401, 0, "everyone").await;
}

#[tokio::test(start_paused = true)]
async fn who_may_have_missed_something_asks_and_begins_anew() {
    let stage = Stage::current().await;
    let (old, new) = (token("old", "s"), token("new", "s"));
    stage.store.revoked(one_token("old").await, HOUR);
    stage.expect(&old, 401, 0, "told").await;
    stage.store.say(RevocationNotice::Deaf);
    let (realm, hidden) = (Realm::default(), one_token("new").await);
    let user = UserKey { realm: &realm, user: user_of(hidden) };
    stage.store.inner.revoke_token(user, locator(hidden), HOUR).await.unwrap();
    stage.expect(&new, 401, 1, "revoked while nothing was heard").await;
    stage.expect(&old, 200, 1, "the store knows nothing of it").await;
    // A part of what stands is not all.
    stage.store.revoked(one_token("new").await, HOUR);
    stage.expect(&new, 401, 1, "being told").await;
    stage.store.current(HOUR);
    stage.expect(&new, 401, 0, "told anew").await;
    stage.expect(&old, 200, 0, "what was told before the break is forgotten").await;
}

fn user_of(what: Revoked) -> Locator {
    let Revoked::Token { user, .. } = what else { panic!("{what:?}") };
    user
}

fn locator(what: Revoked) -> Locator {
    let Revoked::Token { token, .. } = what else { panic!("{what:?}") };
    token
}

#[tokio::test(start_paused = true)]
async fn what_this_process_revokes_it_knows_at_once() {
    let stage = Stage::current().await;
    let here = &stage.revocations;
    here.revoke_token(ISSUER, "ada", "a", None).await.unwrap();
    stage.expect(&token("a", "s"), 401, 0, "the token").await;
    here.revoke_family(ISSUER, "ada", "s2").await.unwrap();
    stage.expect(&token("b", "s2"), 401, 0, "the login").await;
    stage.expect(&token("b", "s"), 200, 0, "another").await;
    here.revoke_user(ISSUER, "ada").await.unwrap();
    stage.expect(&token("b", "s"), 401, 0, "the user").await;

    let stage = Stage::current().await;
    stage.revocations.revoke_everyone().await.unwrap();
    stage.expect(&token("b", "s"), 401, 0, "everyone").await;
}

#[tokio::test(start_paused = true)]
async fn whoever_mints_asks_the_store() {
    let stage = Stage::current().await;
    let before = stage.revocations.version(ISSUER, "ada").await.unwrap();
    // By another process, of which nothing was told yet.
    let (realm, user) = (Realm::default(), user_of(one_token("any").await));
    let epoch = stage.store.inner.revoke_user(UserKey { realm: &realm, user }, HOUR).await.unwrap();
    let after = stage.revocations.version(ISSUER, "ada").await.unwrap();
    assert_eq!((before, after), (0, epoch.as_version()));
    assert_eq!(stage.store.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn more_than_there_is_room_for_is_not_taken_for_all_and_is_tried_again() {
    let stage = Stage::with(Teller::new(true), RevocationPush::new().max_revocations(2));
    let good = token("good", "s");
    stage.expect(&good, 200, 1, "at first").await;
    stage.store.current(HOUR);
    for jti in ["a", "b"] {
        stage.store.revoked(one_token(jti).await, HOUR);
    }
    stage.expect(&good, 200, 0, "there is room for two").await;
    stage.store.revoked(one_token("c").await, HOUR);
    stage.store.current(HOUR);
    assert!(!stage.revocations.is_told());
    stage.expect(&good, 200, 1, "there is none for three").await;
    advance(Duration::from_secs(59)).await;
    stage.expect(&good, 200, 1, "nor soon").await;
    let watches = || {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&stage.store.begun), count(&stage.store.ended))
    };
    assert_eq!(watches(), (1, 0));
    stage.store.revoked(one_token("d").await, HOUR);
    advance(Duration::from_secs(1)).await;
    stage.expect(&good, 200, 1, "but it is told anew after a minute").await;
    assert_eq!(watches(), (2, 1));
    stage.store.revoked(one_token("c").await, HOUR);
    stage.store.current(HOUR);
    stage.expect(&token("c", "s"), 401, 0, "now there is room").await;
}

#[tokio::test]
async fn a_store_that_does_not_tell_is_asked() {
    let stage = Stage::with(Teller::new(false), RevocationPush::new());
    for _ in 0..3 {
        stage.expect(&token("a", "s"), 200, 1, "it cannot tell").await;
    }
    assert!(!stage.revocations.is_told());
}

#[tokio::test]
async fn a_store_in_this_process_tells_before_its_call_returns() {
    let clock = ManualClock::default();
    let store = MemoryTokenBackend::with_clock(clock.clone());
    let told = || Revocations::new(store.clone()).clock(clock.clone()).push(RevocationPush::new());
    let (here, there) = (told(), told());
    let layer = BearerLayer::new([ES256.issuer()]).unwrap().clock(clock).revocation(&there);
    let stage = Stage { store: Teller::new(true), revocations: there, layer };
    here.revoke_token(ISSUER, "ada", "before", None).await.unwrap();
    stage.expect(&token("a", "s"), 200, 0, "the first asks in no time").await;
    assert!(stage.revocations.is_told());
    stage.expect(&token("before", "s"), 401, 0, "it stood").await;
    here.revoke_token(ISSUER, "ada", "a", None).await.unwrap();
    stage.expect(&token("a", "s"), 401, 0, "it was told").await;
}
