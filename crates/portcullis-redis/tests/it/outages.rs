//! A server that does not answer, in every way in which one does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{SessionBackend, StoreErrorKind};
use portcullis_testkit::redis::{Proxy, RedisServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::support::{BUDGET, MARGIN, Session, backend, commands, recovery, timed};

const A_SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn with_nothing_listening_calls_fail_at_once() {
    let server = RedisServer::builder().tcp().start();
    server.kill();
    let backend = backend(&server.url());
    let session = Session::new();
    let start = Instant::now();
    for _ in 0..50 {
        let error = backend.load(session.key()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
    assert!(start.elapsed() < BUDGET, "50 calls took {:?}", start.elapsed());
}

/// Logs everybody in and answers nothing after that. How many of its connections are there.
async fn swallowing() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, open) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                // What two commands are answered that say who is there.
                connection.write_all(b"+OK\r\n+OK\r\n").await.unwrap();
                let mut swallowed = [0; 1024];
                while connection.read(&mut swallowed).await.is_ok_and(|read| read > 0) {}
                count.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (port, open)
}

#[tokio::test]
async fn a_connection_that_is_given_up_is_closed_although_it_owes_answers() {
    let (port, open) = swallowing().await;
    let backend = backend(&format!("redis://127.0.0.1:{port}"));
    for _ in 0..8 {
        backend.load(Session::new().key()).await.unwrap_err();
    }
    let closed = async {
        while open.load(Ordering::SeqCst) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let closed = timeout(Duration::from_secs(20), closed).await;
    assert!(closed.is_ok(), "{} are there", open.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_pool_that_has_none_left_costs_no_more_than_the_budget() {
    let server = RedisServer::start();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let is_empty = Arc::new(AtomicBool::new(false));
    let pool = Arc::clone(&is_empty);
    let provider = move || {
        let (connection, is_empty) = (connection.clone(), pool.load(Ordering::SeqCst));
        async move {
            if is_empty {
                std::future::pending::<()>().await;
            }
            Ok::<_, redis::RedisError>(Box::new(connection))
        }
    };
    let backend = RedisBackend::connect(RedisConfig::from_provider(provider)).unwrap();
    backend.load(Session::new().key()).await.unwrap();
    is_empty.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let loading = timeout(Duration::from_secs(20), backend.load(Session::new().key())).await;
        loading.expect("it ends").unwrap_err();
    }
    is_empty.store(false, Ordering::SeqCst);
    recovery(&backend, &Session::new()).await;
}

#[tokio::test]
async fn a_service_boots_before_its_server() {
    let server = RedisServer::builder().tcp().start();
    server.kill();
    let backend = backend(&server.url());
    let session = Session::new();
    for _ in 0..20 {
        backend.load(session.key()).await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.restart();
    let took = recovery(&backend, &session).await;
    assert!(took < A_SECOND + MARGIN, "{took:?}");
}

/// Runs callers until the set is dropped; each asserts that no call of its takes longer than the budget.
fn callers(backend: &RedisBackend) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let backend = backend.clone();
        callers.spawn(async move {
            let session = Session::new();
            loop {
                let (_, took) = timed(backend.load(session.key())).await;
                assert!(took < BUDGET + MARGIN, "a call took {took:?}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    callers
}

/// None of the callers has met a call that took too long.
fn nobody_waited(mut callers: JoinSet<()>) {
    if let Some(ended) = callers.try_join_next() {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_that_comes_back_is_found_within_a_second() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let session = Session::new();
    recovery(&backend, &session).await;
    let callers = callers(&backend);
    for _ in 0..3 {
        server.kill();
        let error = backend.load(session.key()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        server.restart();
        let took = recovery(&backend, &session).await;
        assert!(took < A_SECOND + MARGIN, "{took:?}");
    }
    nobody_waited(callers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_server_costs_no_more_than_the_budget() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let session = Session::new();
    recovery(&backend, &session).await;
    let callers = callers(&backend);
    server.pause();
    for _ in 0..3 {
        let (outcome, took) = timed(backend.load(session.key())).await;
        let kind = outcome.unwrap_err().kind();
        assert!(matches!(kind, StoreErrorKind::Timeout | StoreErrorKind::Unavailable), "{kind:?}");
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
    server.resume();
    let took = recovery(&backend, &session).await;
    assert!(took < A_SECOND + MARGIN, "{took:?}");
    nobody_waited(callers);
}

#[tokio::test]
async fn the_only_caller_leaves_a_black_hole_within_half_a_second() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    let session = Session::new();
    recovery(&backend, &session).await;
    proxy.black_hole_open();
    let took = recovery(&backend, &session).await;
    assert!(took < Duration::from_millis(500) + MARGIN, "{took:?}");
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn callers_in_a_hurry_leave_a_black_hole_too() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    let session = Session::new();
    recovery(&backend, &session).await;
    proxy.black_hole_open();
    let start = Instant::now();
    // None of them waits long enough to see a timeout of the backend's own.
    while timeout(Duration::from_millis(40), backend.load(session.key())).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "still in the black hole");
    }
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn a_network_that_comes_back_is_used_within_a_second() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    let session = Session::new();
    recovery(&backend, &session).await;
    proxy.black_hole();
    for _ in 0..3 {
        let (outcome, took) = timed(backend.load(session.key())).await;
        assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::Timeout);
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
    proxy.forward();
    let took = recovery(&backend, &session).await;
    assert!(took < A_SECOND + MARGIN, "{took:?}");
}

#[tokio::test]
async fn a_caller_that_leaves_while_connecting_holds_nobody_up() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    proxy.black_hole();
    let backend = backend(&proxy.url());
    let session = Session::new();
    for _ in 0..10 {
        let _ = timeout(Duration::from_millis(10), backend.load(session.key())).await;
    }
    proxy.forward();
    let took = recovery(&backend, &session).await;
    assert!(took < A_SECOND + MARGIN, "{took:?}");
}

#[tokio::test]
async fn callers_that_leave_do_not_cost_the_connection() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    let session = Session::new();
    recovery(&backend, &session).await;
    for _ in 0..50 {
        // Polled once, then dropped.
        let _ = timeout(Duration::ZERO, backend.load(session.key())).await;
        backend.load(session.key()).await.unwrap();
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_no_call() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    let session = Session::new();
    recovery(&backend, &session).await;
    for round in 0..5 {
        proxy.close_all();
        backend.load(session.key()).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
}

/// As a server does that is only just starting.
#[tokio::test]
async fn a_reconnect_that_breaks_too_costs_no_call() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    let session = Session::new();
    recovery(&backend, &session).await;
    for round in 0..5 {
        proxy.close_all();
        tokio::time::sleep(Duration::from_millis(20)).await;
        proxy.cut_next_reply();
        backend.load(session.key()).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    assert_eq!(proxy.connections(), 11, "of each two new ones the first is cut");
}

#[tokio::test]
async fn a_server_that_is_gone_is_waited_for_in_the_first_moment_only() {
    let server = RedisServer::builder().tcp().start();
    let backend = backend(&server.url());
    let session = Session::new();
    recovery(&backend, &session).await;
    server.kill();
    let (loaded, took) = timed(backend.load(session.key())).await;
    assert_eq!(loaded.unwrap_err().kind(), StoreErrorKind::Unavailable);
    assert!(took < BUDGET, "{took:?}");
    let start = Instant::now();
    for _ in 0..50 {
        let error = backend.load(session.key()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
    assert!(start.elapsed() < BUDGET, "50 calls took {:?}", start.elapsed());
}

#[tokio::test]
async fn one_slow_answer_does_not_cost_the_connection() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    let session = Session::new();
    recovery(&backend, &session).await;
    // And not the second one either, when it has answered in between.
    for _ in 0..2 {
        proxy.delay(Duration::from_millis(300));
        let only_the_next = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            proxy.delay(Duration::ZERO);
        };
        let (loaded, ()) = tokio::join!(backend.load(session.key()), only_the_next);
        assert_eq!(loaded.unwrap(), None, "answered within the budget");
        assert_eq!(backend.load(session.key()).await.unwrap(), None);
        assert_eq!(proxy.connections(), 1);
    }
}

#[tokio::test]
async fn what_a_connection_takes_is_not_taken_off_the_time_of_its_first_command() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let config =
        RedisConfig::standalone(proxy.url()).unwrap().budget(10 * A_SECOND).attempt_timeout(A_SECOND);
    let (backend, session) = (RedisBackend::connect(config).unwrap(), Session::new());
    // Each in time, and both together not.
    proxy.delay(Duration::from_millis(700));
    let (loaded, sent) = commands(&server, backend.load(session.key())).await;
    assert_eq!((loaded.unwrap(), sent["get"]), (None, 1), "it is sent once");
}

#[test]
fn a_backend_outlives_the_runtime_that_connected_it() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let session = Session::new();
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { backend.load(session.key()).await.unwrap() });
    }
}
