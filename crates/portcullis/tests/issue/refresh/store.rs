//! What a refresh asks of its store, and what becomes of it while that is full, away or hangs.

use portcullis::issue::{IssueErrorKind, RefreshErrorKind, RefreshRefusal, RefreshRequest};
use portcullis_store::StoreErrorKind;

use super::{DAY, Stage, grant, refused, text};
use crate::common::secs;
use crate::spy::Asked;

#[tokio::test]
async fn a_store_in_memory_that_is_full_begins_nothing_and_ends_a_theft_all_the_same() {
    let stage = Stage::of(1);
    let login = stage.login().await;
    let full = stage.refresh.begin(&grant()).await.unwrap_err();
    assert_eq!(full.kind(), IssueErrorKind::Store(StoreErrorKind::Full));
    let second = stage.next(login.refresh_token()).await.unwrap();
    let third = stage.next(second.refresh_token()).await.unwrap();
    assert_eq!(text(stage.next(login.refresh_token()).await), refused(RefreshRefusal::Reused));
    assert!(!stage.accepts(&third).await, "what ends makes room for the mark");
    stage.clock.advance(secs(8 * DAY));
    stage.login().await;
}

#[tokio::test]
async fn while_the_store_is_away_nothing_changes_and_the_token_is_good_afterwards() {
    let stage = Stage::new();
    let login = stage.login().await;
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Timeout, StoreErrorKind::Full] {
        stage.store.fail(Some(kind));
        let away = stage.next(login.refresh_token()).await.unwrap_err();
        assert_eq!(away, RefreshErrorKind::Issue(IssueErrorKind::Store(kind)));
        let begun = stage.refresh.begin(&grant()).await.unwrap_err();
        assert_eq!(begun.kind(), IssueErrorKind::Store(kind));
    }
    stage.store.fail(None);
    stage.clock.advance(secs(3600));
    assert!(stage.next(login.refresh_token()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_each_call_its_budget_and_no_more() {
    let stage = Stage::new();
    let login = stage.login().await;
    stage.store.hang();
    let away = RefreshErrorKind::Issue(IssueErrorKind::Store(StoreErrorKind::Timeout));
    let begun = tokio::time::Instant::now();
    let calls = async {
        assert_eq!(stage.next(login.refresh_token()).await.unwrap_err(), away);
        let narrower = RefreshRequest::new(login.refresh_token(), "web").scope("read");
        assert_eq!(stage.refresh.refresh(narrower).await.unwrap_err().kind(), away);
        let begin = stage.refresh.begin(&grant()).await;
        assert_eq!(begin.unwrap_err().kind(), IssueErrorKind::Store(StoreErrorKind::Timeout));
    };
    tokio::time::timeout(secs(60), calls).await.unwrap();
    let took = begun.elapsed().as_millis();
    assert!((1500..1510).contains(&took), "{took}");
}

#[tokio::test]
async fn a_refresh_is_one_call_of_the_store_and_with_a_scope_two() {
    let stage = Stage::new();
    let login = stage.login().await;
    assert_eq!(stage.store.asked(), Asked { families: 1, tokens: 0 }, "a login");
    let next = stage.next(login.refresh_token()).await.unwrap();
    assert_eq!(stage.store.asked(), Asked { families: 1, tokens: 0 }, "a refresh");
    let request = RefreshRequest::new(next.refresh_token(), "web").scope("read");
    stage.refresh.refresh(request).await.unwrap();
    assert_eq!(stage.store.asked(), Asked { families: 2, tokens: 0 }, "a refresh with a scope");
}
