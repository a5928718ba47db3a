//! What the numbers were taken on: compiler, crates, processor. No names of hosts, no paths.

use std::process::Command;

use crate::Failure;

/// The workspace's lock file, when this was compiled.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// The crates whose versions matter to the numbers.
const CRATES: [&str; 17] = [
    "portcullis",
    "tower-sessions",
    "tower-sessions-redis-store",
    "axum-login",
    "axum_csrf",
    "axum_session",
    "axum_session_redispool",
    "tower-http",
    "aws-lc-rs",
    "jsonwebtoken",
    "jwt-authorizer",
    "tower-oauth2-resource-server",
    "axum-jwt-auth",
    "axum",
    "tonic",
    "http",
    "tokio",
];

/// The lines of the report's head.
pub(crate) fn describe() -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    vec![
        rustc().unwrap_or_else(|_| "rustc of an unknown version".to_owned()),
        CRATES.map(|name| format!("{name} {}", versions(name).join(" and "))).join(", "),
        format!(
            "{}, {cores} cores",
            processor().as_deref().unwrap_or("a processor that does not say its name")
        ),
    ]
}

fn rustc() -> Result<String, Failure> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn processor() -> Option<String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpus.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// More than one where two peers want different ones of a third.
fn versions(name: &str) -> Vec<&'static str> {
    let name = format!("\nname = \"{name}\"\n");
    let entries = LOCK.split("[[package]]").filter(|entry| entry.contains(&name));
    let lines = entries.filter_map(|entry| entry.lines().find_map(|line| line.strip_prefix("version = ")));
    lines.map(|line| line.trim_matches('"')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_lock_file() {
        assert_eq!(versions("portcullis-bench"), [env!("CARGO_PKG_VERSION")]);
        assert_eq!(versions("no-such-crate"), [""; 0]);
    }
}
