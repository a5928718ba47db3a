//! [`per_second`]: `h2load`, and what it says.

use std::env;
use std::io::Write as _;
use std::process::Command;

use crate::Failure;

/// An empty message, not compressed (gRPC over HTTP/2, Length-Prefixed-Message).
const MESSAGE: [u8; 5] = [0; 5];

/// How many unary calls with this header field a server answers in a second, asked on 4 connections of HTTP/2, with 16
/// calls under way on each, by one thread.
#[expect(clippy::disallowed_methods, reason = "whoever runs the benchmarks says which h2load")]
pub(super) fn per_second(port: u16, path: &str, header: Option<&str>) -> Result<f64, Failure> {
    let program = env::var_os("H2LOAD_BIN").unwrap_or_else(|| "h2load".into());
    let mut message = tempfile::NamedTempFile::new()?;
    message.write_all(&MESSAGE)?;
    let mut h2load = Command::new(&program);
    h2load.args(["--threads=1", "--clients=4", "--max-concurrent-streams=16", "--duration=1", "--data"]);
    h2load.arg(message.path());
    for header in ["content-type: application/grpc", "te: trailers"].into_iter().chain(header) {
        h2load.args(["--header", header]);
    }
    let output = h2load.arg(format!("http://127.0.0.1:{port}{path}")).output();
    let output = output.map_err(|error| format!("h2load is found by `cargo xtask bench`: {error}"))?;
    read(&String::from_utf8(output.stdout)?)
}

/// An answer that is no success makes the whole worthless.
fn read(text: &str) -> Result<f64, Failure> {
    let line = |start: &str| {
        let mut lines = text.lines();
        lines.find(|line| line.starts_with(start)).ok_or_else(|| format!("not what h2load says: {text}"))
    };
    let requests = line("requests: ")?;
    let statuses = line("status codes: ")?;
    let is_clean = requests.contains(" 0 failed, 0 errored, 0 timeout")
        && statuses.contains(" 0 3xx, 0 4xx, 0 5xx")
        && !statuses.contains(": 0 2xx");
    if !is_clean {
        return Err(format!("calls failed: {requests}; {statuses}").into());
    }
    let finished = line("finished in ")?;
    let per_second = finished.split(", ").find_map(|part| part.strip_suffix(" req/s"));
    Ok(per_second.ok_or_else(|| format!("not what h2load says: {finished}"))?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_and_failures_are_no_result() {
        let said = |failed: u32, status: &str| {
            format!(
                "finished in 2.00s, 40123.50 req/s, 1.62MB/s\n\
                 requests: 80247 total, 80311 started, 80247 done, 80247 succeeded, {failed} failed, 0 errored, 0 timeout\n\
                 status codes: {status}\n"
            )
        };
        assert_eq!(read(&said(0, "80247 2xx, 0 3xx, 0 4xx, 0 5xx")).unwrap(), 40123.5);
        assert!(read(&said(3, "80247 2xx, 0 3xx, 0 4xx, 0 5xx")).is_err());
        assert!(read(&said(0, "80240 2xx, 0 3xx, 7 4xx, 0 5xx")).is_err());
        assert!(read(&said(0, "0 2xx, 0 3xx, 0 4xx, 0 5xx")).is_err());
        assert!(read("unable to connect").is_err());
    }
}
