//! The developer's commands: `cargo xtask test`, `cargo xtask soak`, `cargo xtask fuzz`, `cargo xtask ci`, `cargo xtask
//! bench`.
//!
//! Everything a contributor or a CI machine runs is here, in Rust, so that a machine with Rust alone can run it.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program speaks through its terminal"
)]

mod ci;
mod command;
mod failure;
mod fuzz;
mod needs;
mod package_manager;
mod python;
mod soak;
mod workspace;

use command::Tool;
use failure::Failure;
use std::process::ExitCode;
use workspace::Workspace;

const USAGE: &str = "\
cargo xtask test [ARGS]          find or install what the tests need, then run every test
                                 ARGS go to `cargo test`: --test e2e, -- --nocapture
cargo xtask soak [--minutes N] [--seed N]
                                 a steady load on Redis with faults at random, for 6 minutes or N; the seed is shown
cargo xtask fuzz [TARGET...] [--seconds N]
                                 strangers' input, by libFuzzer: all targets or some, for 60 seconds each or N
cargo xtask ci [STEP...]         run the named steps of CI, or all that CI runs
cargo xtask ci list              name the steps
cargo xtask bench [ARGS]         run the benchmarks in release mode; ARGS go to the program";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit(),
    }
}

fn dispatch(args: &[String]) -> Result<(), Failure> {
    match args.split_first().map(|(command, rest)| (command.as_str(), rest)) {
        Some(("test", rest)) => test(rest),
        Some(("soak", rest)) => soak::run(rest),
        Some(("fuzz", rest)) => fuzz::run(rest),
        Some(("ci", rest)) => ci::run(rest),
        Some(("bench", rest)) => bench(rest),
        Some(("help" | "--help" | "-h", _)) => {
            println!("{USAGE}");
            Ok(())
        }
        Some((unknown, _)) => Err(Failure::Usage(format!("no such command: {unknown}\n\n{USAGE}"))),
        None => Err(Failure::Usage(USAGE.to_owned())),
    }
}

/// One command for unit, integration and documentation tests; the examples are built by the same command.
fn test(args: &[String]) -> Result<(), Failure> {
    let mut found = needs::ensure(needs::TESTS)?;
    let python = found.iter().find(|(name, _)| *name == needs::PYTHON_BIN).map(|(_, path)| path.clone());
    if let Some(python) = python {
        found.extend(python::ensure(&python, &Workspace::read()?.root)?);
    }
    Tool::cargo(["test", "--all-features", "--locked"]).args(scope(args)).args(args).envs(found).run()?;
    if args.is_empty() { test_pure_rust() } else { Ok(()) }
}

/// Bearer tokens once more, by the cryptographic library that is not used while all features are on.
fn test_pure_rust() -> Result<(), Failure> {
    let only = ["--no-default-features", "--features", "rust-crypto,csrf", "--test", "bearer"];
    Tool::cargo(["test", "--locked", "-p", "portcullis"]).args(only).run()
}

/// Everything, unless the caller names packages: cargo would not narrow `--workspace` to them.
fn scope(args: &[String]) -> Option<&'static str> {
    let mut ours = args.iter().take_while(|arg| *arg != "--");
    let names_packages = ours.any(|arg| arg.starts_with("-p") || arg.starts_with("--package"));
    (!names_packages).then_some("--workspace")
}

fn bench(args: &[String]) -> Result<(), Failure> {
    let found = needs::ensure(needs::BENCHES)?;
    // Two programs: one times, and runs the other, which counts.
    Tool::cargo(["build", "--release", "--locked", "-p", "portcullis-bench", "--bins"]).run()?;
    Tool::cargo(["run", "--release", "--locked", "-p", "portcullis-bench", "--"]).args(args).envs(found).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatched(args: &[&str]) -> Result<(), Failure> {
        dispatch(&args.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn an_unknown_command_and_no_command_are_usage_errors() {
        for args in [
            &[][..],
            &["tset"],
            &["ci", "no-such-step"],
            &["ci", "fmt", "no-such-step"],
            &["soak", "5"],
            &["fuzz", "--minutes"],
        ] {
            let failure = dispatched(args).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{args:?}: {failure:?}");
            assert_eq!(failure.code(), 2, "{args:?}");
        }
    }

    #[test]
    fn all_packages_are_tested_unless_some_are_named() {
        let rows = [
            (&[][..], true),
            (&["--test", "e2e"], true),
            (&["-p", "portcullis"], false),
            (&["--package=portcullis"], false),
            (&["--", "-p"], true),
        ];
        for (args, all) in rows {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            assert_eq!(scope(&args).is_some(), all, "{args:?}");
        }
    }

    #[test]
    fn help_is_not_an_error() {
        assert!(dispatched(&["--help"]).is_ok());
    }
}
