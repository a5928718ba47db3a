//! Refresh families on Redis: many at once in two processes, thefts, outages, and what a refresh costs.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::future::join_all;
use portcullis::bearer::{Algorithm, Revocations, TokenCache};
use portcullis::issue::{
    Grant, IssueErrorKind, KeyRing, RefreshErrorKind, RefreshKeys, RefreshRefusal, RefreshRequest,
    RefreshTokens, SigningKey, TokenIssuer,
};
use portcullis::{BearerLayer, Identity};
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::Locator;
use portcullis_testkit::client::Client;
use portcullis_testkit::redis::{Proxy, RedisServer};
use serde::{Deserialize, Serialize};

use crate::support::store::{PATIENCE, connect};

const ISSUER: &str = "https://auth.example";

/// What makes a process one of several.
#[derive(Clone, Serialize, Deserialize)]
struct Config {
    redis: String,
    signing_key: String,
    refresh_key: [u8; 32],
}

/// One process' view, over a connection of its own.
struct Process {
    refresh: RefreshTokens,
    revocations: Revocations,
    client: Client<Router>,
}

impl Config {
    fn new(redis: String) -> Self {
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        Self { redis, signing_key: key.to_private_pem().unwrap(), refresh_key: [7; 32] }
    }

    fn process(&self) -> Process {
        self.over(connect(&self.redis, "p"), PATIENCE)
    }

    fn over(&self, backend: RedisBackend, budget: Duration) -> Process {
        let revocations = Revocations::new(backend.clone()).budget(budget);
        let ring = KeyRing::new(SigningKey::pem(&self.signing_key, Algorithm::ES256).unwrap()).unwrap();
        let issuer = TokenIssuer::builder(ISSUER, ["api"], &ring).revocations(&revocations).build().unwrap();
        let refresh = RefreshTokens::builder(&issuer, backend, RefreshKeys::new(self.refresh_key));
        let refresh = refresh.budget(budget).grace(Duration::from_secs(60)).build().unwrap();
        let bearer = BearerLayer::new([issuer.trusted()]).unwrap().required();
        let bearer = bearer.cache(TokenCache::default()).revocation(&revocations);
        let app = Router::new().route("/me", get(async |me: Identity| me.subject().to_owned())).layer(bearer);
        Process { refresh, revocations, client: Client::new(app) }
    }
}

impl Process {
    async fn login(&self) -> (String, String) {
        let pair = self.refresh.begin(&Grant::new("ada", "web").scope("read")).await.unwrap();
        (pair.access().as_str().to_owned(), pair.refresh_token().to_owned())
    }

    async fn next(&self, token: &str) -> Result<(String, String), RefreshErrorKind> {
        let pair = self.refresh.refresh(RefreshRequest::new(token, "web")).await;
        let pair = pair.map_err(|error| error.kind())?;
        Ok((pair.access().as_str().to_owned(), pair.refresh_token().to_owned()))
    }

    async fn accepts(&self, access: &str) -> bool {
        match self.client.get("/me").bearer(access).await.status.as_u16() {
            200 => true,
            401 => false,
            other => panic!("{other}"),
        }
    }
}

/// Another process: this test binary, started once more for its test [`worker`]. It is ended when it is dropped.
struct Worker {
    child: Child,
    input: ChildStdin,
    answers: BufReader<std::process::ChildStdout>,
}

/// What begins a line of a worker's.
const ANSWER: &str = "refreshed ";

impl Worker {
    fn start(config: &Config) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["issue::families::worker", "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        writeln!(input, "{}", serde_json::to_string(config).unwrap()).unwrap();
        let mut worker = Self { child, input, answers };
        assert_eq!(worker.line(), "ready");
        worker
    }

    /// Has it refresh this token so often at once, over connections of its own.
    fn ask(&mut self, token: &str) {
        writeln!(self.input, "{token}").unwrap();
        self.input.flush().unwrap();
    }

    /// What it has been given: each refresh token, or error, once.
    fn answer(&mut self) -> BTreeSet<String> {
        serde_json::from_str(&self.line()).unwrap()
    }

    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the worker has ended");
            // The harness of the test says things of its own.
            if let Some((_, answer)) = line.trim_end().split_once(ANSWER) {
                return answer.to_owned();
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Refreshes 32 times at once, over four connections.
async fn storm(processes: &[Process], token: &str) -> BTreeSet<String> {
    let each = (0..32).map(|at| processes[at % processes.len()].next(token));
    let told = |next: Result<(String, String), RefreshErrorKind>| match next {
        Ok((_, refresh)) => refresh,
        Err(kind) => format!("{kind:?}"),
    };
    join_all(each).await.into_iter().map(told).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process that the test of two processes starts"]
async fn worker() {
    let mut lines = std::io::stdin().lines();
    let Some(Ok(config)) = lines.next() else { return };
    let config: Config = serde_json::from_str(&config).unwrap();
    let processes: Vec<_> = (0..4).map(|_| config.process()).collect();
    for process in &processes {
        process.login().await; // so that it is connected
    }
    println!("{ANSWER}ready");
    for token in lines {
        let told = storm(&processes, &token.unwrap()).await;
        println!("{ANSWER}{}", serde_json::to_string(&told).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_refreshes_in_two_processes_begin_one_generation_and_all_hold_the_same_successor() {
    let server = RedisServer::start();
    let config = Config::new(server.url());
    let mut worker = Worker::start(&config);
    let here: Vec<_> = (0..4).map(|_| config.process()).collect();
    let (access, mut token) = here[0].login().await;
    let first = token.clone();
    for generation in 1..=10 {
        worker.ask(&token);
        let mut told = storm(&here, &token).await;
        told.extend(worker.answer());
        assert_eq!(told.len(), 1, "one successor: {told:?}");
        token = told.pop_first().unwrap();
        assert_eq!(token.split('.').nth(2), Some(&*generation.to_string()), "one generation");
        assert!(here[1].accepts(&access).await, "nothing is revoked");
    }

    // An older one, presented there: dead here, on the next request.
    let (access, token) = here[0].next(&token).await.unwrap();
    assert!(here[2].accepts(&access).await);
    worker.ask(&first);
    let told = worker.answer();
    assert!(told.iter().all(|told| told.starts_with("Refused")), "{told:?}");
    for process in &here {
        assert!(!process.accepts(&access).await);
        let next = process.next(&token).await.unwrap_err();
        assert!(matches!(next, RefreshErrorKind::Refused(_)), "{next:?}");
    }
    worker.ask(&token);
    assert!(worker.answer().iter().all(|told| told.starts_with("Refused")));
}

#[tokio::test]
async fn a_guessed_family_changes_nothing_and_costs_no_round_trip() {
    let server = RedisServer::start();
    let process = Config::new(server.url()).process();
    let (access, token) = process.login().await;
    let parts: Vec<_> = token.split('.').collect();
    let calls = || server.calls("evalsha") + server.calls("eval") + server.calls("mget");
    let before = calls();
    for generation in 0..50 {
        let other = Locator::from_bytes([generation; 16]);
        for guess in [
            format!("rt1.{}.{generation}.{}.{}", parts[1], parts[3], parts[3]),
            format!("rt1.{}{other}.0.{}.{}", &parts[1][..22], parts[3], parts[4]),
        ] {
            let refused = process.next(&guess).await.unwrap_err();
            assert_eq!(refused, RefreshErrorKind::Refused(RefreshRefusal::Forged));
        }
    }
    assert_eq!(calls(), before);
    assert!(process.accepts(&access).await && process.next(&token).await.is_ok());
}

#[tokio::test]
async fn a_refresh_is_one_round_trip_and_so_is_a_login() {
    let server = RedisServer::builder().tcp().start();
    let proxy = Proxy::start(&server).await;
    let process = Config::new(proxy.url()).process();
    // Once for the connection, and for each script that the server does not know.
    let (_, token) = process.login().await;
    let (_, token) = process.next(&token).await.unwrap();
    let before = proxy.round_trips();
    let (_, next) = process.next(&token).await.unwrap();
    assert_eq!(proxy.round_trips() - before, 1, "a refresh");
    process.next(&token).await.unwrap();
    assert_eq!(proxy.round_trips() - before, 2, "a refresh within the grace");
    process.login().await;
    assert_eq!(proxy.round_trips() - before, 3, "a login");
    assert!(process.next(&next).await.is_ok());
}

/// A refresh whose store is away: the error that is 503.
fn is_away(next: Result<(String, String), RefreshErrorKind>) -> bool {
    matches!(next, Err(RefreshErrorKind::Issue(IssueErrorKind::Store(_))))
}

/// Refreshes until the store is there again.
async fn recovered(process: &Process, token: &str) -> Result<(String, String), RefreshErrorKind> {
    for _ in 0..400 {
        match process.next(token).await {
            Err(RefreshErrorKind::Issue(_)) => tokio::time::sleep(Duration::from_millis(25)).await,
            other => return other,
        }
    }
    panic!("the store stays away")
}

#[tokio::test]
async fn while_redis_is_away_nothing_is_half_rotated_and_the_old_token_works_afterwards() {
    // Kept over a restart, as a server that people rely on keeps it.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let server = RedisServer::builder().tcp().arg("--dir", &path).arg("--appendonly", "yes");
    let server = server.arg("--appendfsync", "always").start();
    let proxy = Proxy::start(&server).await;
    let backend = RedisBackend::connect(RedisConfig::standalone(proxy.url()).unwrap()).unwrap();
    let process = Config::new(proxy.url()).over(backend, Duration::from_millis(500));
    let (_, mut token) = process.login().await;

    server.pause();
    assert!(is_away(process.next(&token).await), "it hangs");
    server.resume();
    token = recovered(&process, &token).await.unwrap().1;

    proxy.black_hole();
    assert!(is_away(process.next(&token).await), "nothing arrives");
    proxy.forward();
    token = recovered(&process, &token).await.unwrap().1;

    // It arrives, and the answer is lost: what was rotated is told again.
    proxy.swallow_replies();
    assert!(is_away(process.next(&token).await), "no answer arrives");
    proxy.forward();
    let (access, next) = recovered(&process, &token).await.unwrap();
    assert_eq!(process.next(&token).await.unwrap().1, next, "one generation");
    assert!(process.accepts(&access).await);
    token = next;

    server.kill();
    assert!(is_away(process.next(&token).await), "it is gone");
    server.restart();
    let (access, _) = recovered(&process, &token).await.unwrap();
    assert!(process.accepts(&access).await);
    process.revocations.revoke_user(ISSUER, "ada").await.unwrap();
    assert!(!process.accepts(&access).await);
}

#[tokio::test]
async fn what_is_stored_cannot_be_used_and_expires() {
    let server = RedisServer::start();
    let process = Config::new(server.url()).process();
    let (_, token) = process.login().await;
    let (_, token) = process.next(&token).await.unwrap();
    let keys = server.command(&["KEYS", "*:g:*"]);
    let name = keys.trim();
    let left: u64 = server.command(&["PTTL", name]).parse().unwrap();
    let week = 7 * 24 * 3_600_000;
    assert!((week - 60_000..=week).contains(&left), "{left}");
    let stored = server.command(&["EVAL", AS_HEX, "1", name]);
    use base64::Engine;
    for part in token.split('.').skip(3) {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!stored.contains(&hex), "neither secret nor MAC is stored");
    }
}

const AS_HEX: &str = "return (redis.call('GET', KEYS[1]):gsub('.', function(byte) return string.format('%02x', byte:byte()) end))";
