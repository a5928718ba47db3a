//! [`Provider`]: a provider of tokens that shares no code with what is tested, in a process of its own: Authlib's.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// It is ended when it is dropped.
pub struct Provider {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub issuer: String,
}

impl Provider {
    /// By the interpreter that `cargo xtask test` has prepared.
    #[expect(clippy::disallowed_methods, reason = "the caller's machine says where it is")]
    pub fn start() -> Self {
        let prepared = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/provider/bin/python");
        let program = std::env::var("AUTHLIB_PYTHON").unwrap_or_else(|_| prepared.to_owned());
        let mut child = Command::new(&program)
            .args(["-u", "-c", include_str!("provider.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} with Authlib, see `cargo xtask test`: {error}"));
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut provider = Self { child, input, output, issuer: String::new() };
        provider.issuer = provider.line();
        provider
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let len = self.output.read_line(&mut line).unwrap();
        assert_ne!(len, 0, "Authlib or Flask is missing: see `cargo xtask test`");
        line.trim().to_owned()
    }

    /// Another key signs from now on, and the one before is published no longer.
    pub fn rotate(&mut self) {
        writeln!(self.input, "rotate").unwrap();
        assert_eq!(self.line(), "done");
    }

    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// `Authorization` with a token for this audience and scope, good for as many seconds.
    pub async fn bearer(&self, audience: &str, scope: &str, seconds: i32) -> String {
        let form =
            format!("grant_type=client_credentials&audience={audience}&scope={scope}&expires_in={seconds}");
        let request = Request::post(format!("{}/token", self.issuer))
            .header("authorization", "Basic am9iOnNlY3JldA==") // job:secret
            .header("content-type", "application/x-www-form-urlencoded");
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let response = client.request(request.body(Full::from(form)).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        let document = response.into_body().collect().await.unwrap().to_bytes();
        let document: Value = serde_json::from_slice(&document).unwrap();
        format!("Bearer {}", document["access_token"].as_str().unwrap())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}
