//! `cargo xtask fuzz`: libFuzzer on the targets of the package `portcullis-fuzz`.
//!
//! The coverage counters that it is led by are made by LLVM, which a stable compiler lets one ask for; so neither a nightly
//! compiler nor `cargo fuzz` is needed. What a sanitizer would find besides, `unsafe` code alone can cause.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Tool;
use crate::failure::Failure;
use crate::needs;
use crate::workspace::Workspace;

const USAGE: &str = "cargo xtask fuzz [TARGET...] [--seconds N]";

/// What `cargo fuzz` asks LLVM for, too.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// An input may take so long, in seconds, and a target so much memory, in MiB.
const LIMITS: [&str; 4] = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=16384", "-print_final_stats=1"];

/// Which targets, and for how long each.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    /// All, if there are none.
    targets: Vec<String>,
    seconds: u64,
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let options = Options::parse(args)?;
    fuzz(&Workspace::read()?, &options)
}

/// Every target for some seconds, as CI does.
pub(crate) fn all(workspace: &Workspace) -> Result<(), Failure> {
    fuzz(workspace, &Options { targets: Vec::new(), seconds: 10 })
}

fn fuzz(workspace: &Workspace, options: &Options) -> Result<(), Failure> {
    let corpus = workspace.root.join("fuzz/corpus");
    let known = names(&corpus)?;
    if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
        return Err(Failure::Usage(format!("no such target: {unknown}; there are {}", known.join(", "))));
    }
    let program = build(workspace)?;
    let chosen = if options.targets.is_empty() { &known } else { &options.targets };
    chosen.iter().try_for_each(|target| attack(&program, &corpus, target, options.seconds))
}

fn names(corpus: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error| Failure::Said(format!("{}: {error}", corpus.display()));
    let entries = fs::read_dir(corpus).map_err(failed)?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// The triple is named, because flags are for build scripts too unless one is.
fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let found = needs::ensure(needs::FUZZ)?;
    let host = host()?;
    let folder = workspace.root.join("target/fuzz");
    Tool::cargo(["build", "--locked", "--profile", "fuzz", "-p", "portcullis-fuzz", "--target", &host])
        .args(["--target-dir".as_ref(), folder.as_os_str()])
        .env("RUSTFLAGS", COVERAGE)
        .envs(found)
        .run()?;
    Ok(folder.join(host).join("fuzz").join("portcullis-fuzz"))
}

fn host() -> Result<String, Failure> {
    let said = Tool::new("rustc").args(["-vV"]).output()?;
    let said = String::from_utf8_lossy(&said);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::Said("rustc does not say what it compiles for".to_owned()))
}

/// What is found along the way is kept beside the program, and goes on from there the next time.
fn attack(program: &Path, corpus: &Path, target: &str, seconds: u64) -> Result<(), Failure> {
    let found = program.with_file_name("found").join(target);
    fs::create_dir_all(&found).map_err(|error| Failure::Said(format!("{}: {error}", found.display())))?;
    Tool::new(program)
        .args([found.as_os_str(), corpus.join(target).as_os_str()])
        .args([format!("-max_total_time={seconds}"), format!("-artifact_prefix={}-", found.display())])
        .args(LIMITS)
        .env("PORTCULLIS_FUZZ_TARGET", target)
        .run()
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Failure> {
        let mut options = Self { targets: Vec::new(), seconds: 60 };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seconds" => {
                    let number = args.next().and_then(|number| number.parse().ok()).filter(|it| *it > 0);
                    options.seconds =
                        number.ok_or_else(|| Failure::Usage(format!("--seconds wants a number: {USAGE}")))?;
                }
                flag if flag.starts_with('-') => return Err(Failure::Usage(format!("{flag}: {USAGE}"))),
                target => options.targets.push(target.to_owned()),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused() {
        let parse = |args: &[&str]| Options::parse(&args.iter().map(ToString::to_string).collect::<Vec<_>>());
        let options = |targets: &[&str], seconds| {
            Some(Options { targets: targets.iter().map(ToString::to_string).collect(), seconds })
        };
        for (args, expected) in [
            (&[][..], options(&[], 60)),
            (&["jwks"], options(&["jwks"], 60)),
            (&["jwks", "--seconds", "3600", "header"], options(&["jwks", "header"], 3600)),
            (&["--seconds"], None),
            (&["--seconds", "0"], None),
            (&["--seconds", "x"], None),
            (&["--minutes", "1"], None),
        ] {
            assert_eq!(parse(args).ok(), expected, "{args:?}");
        }
    }

    #[test]
    fn every_target_has_a_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let proofs = ["dpop", "dpop_claims", "dpop_header"];
        let expected = [&["authorization", "claims", "cookie"][..], &proofs, &["header", "jwks", "origin"]];
        assert_eq!(names(&corpus).unwrap(), expected.concat());
    }
}
