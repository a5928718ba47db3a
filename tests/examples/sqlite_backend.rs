//! The worked example of a backend keeps the whole contract, in one process and between several.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use axum::Router;
use portcullis::SessionLayer;
use portcullis_store::{Clock, Key, ManualClock, SystemClock, Timestamp};
use portcullis_testkit::client::Client;
use portcullis_testkit::conformance::Harness;
use portcullis_testkit::conformance::session::{self, Promise, Verdict};
use rusqlite::{Connection, OptionalExtension, params};
use tempfile::TempDir;

#[path = "../../examples/sqlite_backend.rs"]
#[expect(dead_code, reason = "what only the program uses")]
mod program;

use self::program::app;
use self::program::sqlite_backend::SqliteBackend;

const PATIENCE: Duration = Duration::from_secs(20);

/// A backend that waits for a busy machine: what is asked here is whether it is right, not how fast the disk is.
fn patient(file: &Path, clock: impl Clock) -> SqliteBackend {
    SqliteBackend::with(file, clock, PATIENCE)
}

fn service(file: &Path) -> Router {
    app(SessionLayer::builder(patient(file, SystemClock)).budget(PATIENCE).build().unwrap())
}

struct Sqlite {
    directory: TempDir,
    clock: ManualClock,
}

impl Sqlite {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), clock: ManualClock::default() }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("sessions.db")
    }

    fn raw(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }
}

impl Harness for Sqlite {
    type Backend = SqliteBackend;

    /// Connections of its own, as another process has them.
    async fn handle(&self) -> SqliteBackend {
        patient(&self.file(), self.clock.clone())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn plant(&self, key: Key<'_>, bytes: &[u8]) -> bool {
        let expires = self.now().saturating_add(Duration::from_secs(60)).as_millis() as i64;
        let values = params![key.realm.as_str(), key.locator.as_str(), bytes, expires];
        self.raw().execute("INSERT INTO session VALUES (?1, ?2, ?3, ?4)", values).unwrap() == 1
    }

    async fn peek(&self, key: Key<'_>) -> Option<Vec<u8>> {
        let query = "SELECT record FROM session WHERE realm = ?1 AND locator = ?2";
        let values = params![key.realm.as_str(), key.locator.as_str()];
        self.raw().query_row(query, values, |row| row.get(0)).optional().unwrap()
    }

    /// Where there is no directory, there is no file and none can be made.
    async fn unreachable(&self) -> Option<SqliteBackend> {
        Some(SqliteBackend::new(self.directory.path().join("nowhere/sessions.db")))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_backend_keeps_every_promise() {
    // What the contract leaves open, and the backend to the layer: a file tells nobody that it has changed, and has no
    // round trips that a login or a logout in one step would save.
    let left_out = [
        Promise::WatchersAreTold,
        Promise::WatchersAreToldNothingElse,
        Promise::DestroyEnrolledDoesBoth,
        Promise::SupersedeDoesAll,
        Promise::SupersedeDoesNothing,
        Promise::SupersedeTakesOverAll,
    ];
    let expected = |promise| if left_out.contains(&promise) { Verdict::NotChecked } else { Verdict::Kept };
    let report = session::report(&Sqlite::new()).await;
    let broken: Vec<(Promise, Verdict)> =
        report.into_iter().filter(|(promise, verdict)| *verdict != expected(*promise)).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[tokio::test]
async fn a_file_that_somebody_else_has_locked_is_an_outage_and_not_an_empty_store() {
    let store = Sqlite::new();
    let locked = store.raw();
    locked.execute_batch("PRAGMA locking_mode = exclusive; BEGIN EXCLUSIVE; CREATE TABLE t (x);").unwrap();
    let verdict = session::check(&Locked(store.file()), Promise::AnOutageIsAnError).await;
    assert_eq!(verdict, Verdict::Kept);
}

/// A store that is there, and that somebody else keeps for themselves.
struct Locked(PathBuf);

impl Harness for Locked {
    type Backend = SqliteBackend;

    async fn handle(&self) -> SqliteBackend {
        SqliteBackend::new(&self.0)
    }

    async fn unreachable(&self) -> Option<SqliteBackend> {
        Some(self.handle().await)
    }
}

#[tokio::test]
async fn a_session_outlives_the_service() {
    let store = Sqlite::new();
    let before = Client::new(service(&store.file()));
    assert_eq!(before.post("/count").await.assert_status(200).text(), "1\n");
    let after = Client::new(service(&store.file())).with_jar(before.jar().copy());
    assert_eq!(after.post("/count").await.assert_status(200).text(), "2\n");
    assert_eq!(after.get("/").await.text(), "2\n");
}

#[tokio::test]
async fn another_site_counts_for_nobody() {
    let client = Client::new(service(&Sqlite::new().file()));
    client.post("/count").from_origin("https://evil.example").await.assert_status(403);
}

const COUNTS: usize = 25;

#[tokio::test]
async fn four_processes_count_in_one_session_and_none_is_lost() {
    let store = Sqlite::new();
    let client = Client::new(service(&store.file()));
    let cookie = client.post("/count").await.assert_status(200).set_cookies()[0].to_owned();
    let cookie = cookie.split(';').next().unwrap();
    let processes: Vec<Child> = (0..4).map(|_| another_process(&store.file(), cookie)).collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(client.get("/").await.text(), format!("{}\n", 1 + 4 * COUNTS));
}

/// This test program once more, which runs the one below.
fn another_process(file: &Path, cookie: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "examples::sqlite_backend::counts_in_a_process_of_its_own"])
        .env("SESSIONS", file)
        .env("COOKIE", cookie)
        .spawn()
        .unwrap()
}

#[tokio::test]
#[ignore = "it is started by the test above"]
#[expect(clippy::disallowed_methods, reason = "it is how one process tells another")]
async fn counts_in_a_process_of_its_own() {
    let (Ok(file), Ok(cookie)) = (std::env::var("SESSIONS"), std::env::var("COOKIE")) else { return };
    let client = Client::new(service(Path::new(&file)));
    for _ in 0..COUNTS {
        let request = client.post("/count").header("cookie", &cookie);
        request.header("sec-fetch-site", "same-origin").await.assert_status(200);
    }
}
