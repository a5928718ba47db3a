//! What the numbers were taken on: compiler, crates, processor. No names of hosts, no paths.

use std::process::Command;

use crate::Failure;

/// The workspace's lock file, when this was compiled.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// The crates whose versions matter to the numbers.
const CRATES: [&str; 5] = ["portcullis", "tower-sessions", "tower-http", "http", "tokio"];

/// The lines of the report's head.
pub(crate) fn describe() -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    vec![
        rustc().unwrap_or_else(|_| "rustc of an unknown version".to_owned()),
        CRATES.map(|name| format!("{name} {}", version(name).unwrap_or("?"))).join(", "),
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

fn version(name: &str) -> Option<&'static str> {
    let entry = LOCK.split("[[package]]").find(|entry| entry.contains(&format!("\nname = \"{name}\"\n")))?;
    let line = entry.lines().find_map(|line| line.strip_prefix("version = "))?;
    Some(line.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_lock_file() {
        assert_eq!(version("portcullis-bench"), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(version("no-such-crate"), None);
    }
}
