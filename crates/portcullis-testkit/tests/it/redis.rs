//! The private server: it does what it is told, and it never outlives the test process.

mod acl;
mod cluster;
mod proxy;
mod replication;
mod sentinel;
mod tls;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use portcullis_testkit::redis::{RedisCluster, RedisSentinel, RedisServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CHILD: &str = "PORTCULLIS_TESTKIT_CHILD";

fn runs(pid: u32) -> bool {
    let probe = Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status();
    probe.unwrap().success()
}

#[expect(clippy::disallowed_methods, reason = "the end of somebody else's child sends no notification")]
fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    (0..2000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        holds()
    })
}

#[test]
fn a_server_ends_with_its_handle_and_leaves_nothing_behind() {
    let server = RedisServer::start();
    let (pid, url) = (server.pid().unwrap(), server.url());
    let directory = url.strip_prefix("redis+unix://").unwrap().strip_suffix("/socket").unwrap();
    assert!(runs(pid) && std::fs::exists(directory).unwrap());
    drop(server);
    assert!(!runs(pid) && !std::fs::exists(directory).unwrap());
}

/// Whether this process was started by one of the tests below, to be killed.
#[expect(clippy::disallowed_methods, reason = "how a test tells its child from an ordinary run")]
fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// This test binary once more, as a child that runs [`hold_servers`].
fn child() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "redis::the_servers_of_a_killed_test_process_end", "--nocapture"])
        .env(CHILD, "1");
    command
}

/// The half that runs in the process to be killed.
#[expect(clippy::print_stdout, reason = "how it tells its parent which servers to look for")]
fn hold_servers() {
    let servers = [RedisServer::start(), RedisServer::builder().tcp().start(), RedisServer::start()];
    servers[2].pause();
    let cluster = RedisCluster::builder(1).replicas(1).start();
    let sentinel = RedisSentinel::start();
    let groups = [&servers, cluster.nodes(), sentinel.nodes(), sentinel.sentinels()];
    let pids: Vec<String> =
        groups.into_iter().flatten().map(|server| server.pid().unwrap().to_string()).collect();
    let directory = servers[0].url().strip_prefix("redis+unix://").unwrap().replace("/socket", "");
    println!("\nstarted {directory} {}", pids.join(" "));
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn the_servers_of_a_killed_test_process_end() {
    if is_child() {
        return hold_servers();
    }
    let mut child = child().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("started ")).unwrap();
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let pids: Vec<u32> = words[1..].iter().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 3 + 2 + 2 + 3);
    assert!(pids.iter().all(|&pid| runs(pid)), "they run before");

    child.kill().unwrap(); // SIGKILL: no destructor, no handler
    child.wait().unwrap();

    for pid in pids {
        assert!(eventually(|| !runs(pid)), "server {pid} outlived its test process");
    }
    assert!(eventually(|| !std::fs::exists(words[0]).unwrap()), "its directory is gone");
}

#[test]
fn without_a_server_binary_a_test_fails_and_says_what_to_do() {
    let child = child().env("PATH", "/nonexistent").env_remove("REDIS_SERVER_BIN").output().unwrap();
    assert!(!child.status.success());
    let said = [child.stdout, child.stderr].concat();
    assert!(
        String::from_utf8_lossy(&said).contains("cargo xtask test"),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn a_killed_server_is_gone_and_a_restarted_one_is_empty_at_the_same_address() {
    for (name, server) in [
        ("unix", RedisServer::start()),
        ("tcp", RedisServer::builder().tcp().password("s3:cret@ \"").start()),
    ] {
        let url = server.url();
        server.command(&["SET", "key", "value"]);
        let pid = server.pid().unwrap();
        server.kill();
        assert!(!runs(pid) && server.pid().is_none(), "{name}");
        server.kill();
        server.restart();
        assert_eq!(server.command(&["GET", "key"]), "", "{name}");
        assert_eq!(server.url(), url, "{name}");
    }
}

#[test]
fn options_reach_the_server() {
    let server = RedisServer::builder().arg("--maxmemory", "3mb").config("maxclients 123\n").start();
    assert_eq!(server.command(&["CONFIG", "GET", "maxmemory"]), "maxmemory\n3145728");
    assert_eq!(server.command(&["CONFIG", "GET", "maxclients"]), "maxclients\n123");
    assert_eq!(server.command(&["CONFIG", "GET", "save"]), "save\n");
}

#[test]
fn calls_are_counted_by_command() {
    let server = RedisServer::start();
    for _ in 0..3 {
        server.command(&["EXISTS", "key"]);
    }
    assert_eq!(server.calls("exists"), 3);
    assert_eq!(server.calls("get"), 0);
}

#[test]
#[should_panic(expected = ">>> 'no-such-option")]
fn an_option_that_redis_refuses_fails_the_test_with_its_words() {
    let _ = RedisServer::builder().arg("--no-such-option", "1").start();
}

#[test]
#[should_panic(expected = "WRONGTYPE")]
fn a_refused_command_fails_the_test() {
    let server = RedisServer::start();
    server.command(&["LPUSH", "list", "1"]);
    server.command(&["GET", "list"]);
}

#[test]
fn many_servers_start_at_once() {
    let started: Vec<_> =
        (0..6).map(|_| std::thread::spawn(|| RedisServer::builder().tcp().start())).collect();
    let servers: Vec<RedisServer> = started.into_iter().map(|thread| thread.join().unwrap()).collect();
    let mut ports: Vec<u16> = servers.iter().map(|server| server.port().unwrap()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 6);
}

const SOON: Duration = Duration::from_secs(10);
/// Long enough for an answer that is on its way, on a loopback.
const A_MOMENT: Duration = Duration::from_millis(100);

async fn ask(stream: &mut TcpStream, command: &str) {
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 256];
    let len = timeout(SOON, stream.read(&mut buffer)).await.expect("an answer in time").unwrap_or(0);
    String::from_utf8_lossy(&buffer[..len]).into_owned()
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(A_MOMENT, stream.read(&mut [0; 256])).await.is_err()
}

#[tokio::test]
async fn a_paused_server_answers_once_it_is_resumed() {
    let server = RedisServer::builder().tcp().start();
    server.pause();
    let mut client = TcpStream::connect(("127.0.0.1", server.port().unwrap())).await.unwrap();
    ask(&mut client, "PING").await;
    assert!(is_silent(&mut client).await);
    server.resume();
    assert_eq!(answer(&mut client).await, "+PONG\r\n");
}
