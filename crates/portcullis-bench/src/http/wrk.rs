//! [`per_second`]: `wrk`, and what it says.

use std::env;
use std::process::Command;

use crate::Failure;

/// How many requests with this header field a server answers in a second, asked on 64 connections by one thread.
#[expect(clippy::disallowed_methods, reason = "whoever runs the benchmarks says which wrk")]
pub(super) fn per_second(port: u16, header: Option<&str>) -> Result<f64, Failure> {
    let program = env::var_os("WRK_BIN").unwrap_or_else(|| "wrk".into());
    let mut wrk = Command::new(&program);
    wrk.args(["-t1", "-c64", "-d1s"]);
    if let Some(header) = header {
        wrk.args(["-H", header]);
    }
    let output = wrk.arg(format!("http://127.0.0.1:{port}/")).output();
    let output = output.map_err(|error| format!("wrk is found by `cargo xtask bench`: {error}"))?;
    read(&String::from_utf8(output.stdout)?)
}

/// An answer that is no success makes the whole worthless.
fn read(text: &str) -> Result<f64, Failure> {
    let value = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name));
    if let Some(refused) = value("Non-2xx or 3xx responses:").or_else(|| value("Socket errors:")) {
        return Err(format!("requests failed: {refused}").into());
    }
    Ok(value("Requests/sec:").ok_or_else(|| format!("not what wrk says: {text}"))?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_failures_are_no_result() {
        let good =
            "  63540 requests in 2.00s, 9.15MB read\nRequests/sec:  31770.12\nTransfer/sec:      4.57MB\n";
        assert_eq!(read(good).unwrap(), 31770.12);
        assert!(read("  Non-2xx or 3xx responses: 3\nRequests/sec:  31770.12\n").is_err());
        assert!(read("  Socket errors: connect 0, read 1\nRequests/sec:  31770.12\n").is_err());
        assert!(read("unable to connect").is_err());
    }
}
