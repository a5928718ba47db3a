//! Two processes on one Redis, each with a memory of its own: this test binary, started twice more to serve the program.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use hyper::Method;
use portcullis_testkit::redis::RedisServer;
use serde_json::Value;
use tokio::net::TcpListener;

use super::stage::{PASSWORD, instance};
use crate::integration::wire::{Answer, Wire};

const LISTENING: &str = "listening on ";

/// A process that serves, until it is dropped or its test ends.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(redis: &RedisServer) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["quickstart::processes::serves", "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{}", redis.url()).unwrap();
        let said = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut addresses = said.map_while(Result::ok).filter_map(|line| {
            let (_, address) = line.split_once(LISTENING)?;
            address.parse().ok()
        });
        let address = addresses.next().expect("it says where it listens");
        Self { child, address }
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        Wire::h1(self.address).get(path, &[("cookie", cookie)]).await
    }

    /// Sends a form as a page of the process's own does.
    async fn post(&self, path: &str, cookie: &str, form: &str) -> Answer {
        let own = format!("http://{}", self.address);
        let content_type = ("content-type", "application/x-www-form-urlencoded");
        let headers = [("origin", own.as_str()), ("cookie", cookie), content_type];
        Wire::h1(self.address)
            .ask(Method::POST, path, &headers, Bytes::copy_from_slice(form.as_bytes()))
            .await
    }

    /// Who is signed in, if anybody.
    async fn subject(&self, cookie: &str) -> Option<String> {
        let answer = self.get("/api/me", cookie).await;
        assert!([200, 401].contains(&answer.status), "{answer:?}");
        let me: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        me["subject"].as_str().map(str::to_owned)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process that the tests start"]
async fn serves() {
    let mut redis_url = String::new();
    std::io::stdin().read_line(&mut redis_url).unwrap();
    if redis_url.is_empty() {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    println!("{LISTENING}{}", listener.local_addr().unwrap());
    let service = axum::serve(listener, instance(Some(redis_url.trim().to_owned())));
    // Its standard input ends with the process that has started it, however that ends.
    let orphaned = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    tokio::select! {
        served = service.into_future() => served.unwrap(),
        _ = orphaned => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_on_one_is_known_on_the_other_and_who_signs_out_there_is_unknown_here_at_once() {
    let redis = RedisServer::start();
    let (here, there) = (Process::start(&redis), Process::start(&redis));
    assert_ne!(here.child.id(), there.child.id());
    let form = format!("username=ada&password={}", PASSWORD.replace(' ', "+"));
    let signed_in = here.post("/login", "", &form).await;
    assert_eq!(signed_in.status, 303, "{signed_in:?}");
    let cookie = signed_in.all("set-cookie")[0].split(';').next().unwrap().to_owned();
    for process in [&here, &there] {
        assert_eq!(process.subject(&cookie).await.as_deref(), Some("ada"));
    }
    assert_eq!(there.post("/note", &cookie, "note=from+there").await.status, 303);
    assert!(here.get("/account", &cookie).await.text.contains("<blockquote>from there</blockquote>"));

    assert_eq!(there.post("/logout", &cookie, "").await.status, 303);
    for process in [&here, &there] {
        assert_eq!(
            process.subject(&cookie).await,
            None,
            "with the next request, though the cookie comes along"
        );
    }
    assert_eq!(here.post("/note", &cookie, "note=late").await.status, 401);
}
