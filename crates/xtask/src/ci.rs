//! The steps of CI: each has a name, is timed and runs alone; all of them run even when one fails.

mod api;
mod deny;
mod direction;
mod features;
mod metrics;
mod msrv;
mod names;
mod repository;
mod source;
mod surface;

use crate::command::Tool;
use crate::failure::Failure;
use crate::fuzz;
use crate::workspace::Workspace;
use std::time::{Duration, Instant};

/// What a step that passed has to add: something it could not look at on this machine.
type Note = Option<String>;

struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Workspace) -> Result<Note, Failure>,
}

/// Cheap ones first. The tests are not among them: `cargo xtask test` runs those.
const STEPS: &[Step] = &[
    Step { name: "fmt", what: "the code is formatted", run: |_| fmt() },
    Step {
        name: "repo",
        what: "no unfinished work and no path of a machine in tracked files",
        run: repository::check,
    },
    Step {
        name: "direction",
        what: "crates depend on each other in the agreed direction only",
        run: direction::check,
    },
    Step { name: "metrics", what: "the guide for operators has every metric", run: metrics::check },
    Step { name: "api", what: "public signatures name no crate outside the allow-list", run: api::check },
    Step { name: "clippy", what: "no warning in any target", run: |_| clippy() },
    Step { name: "docs", what: "the documentation builds without a warning", run: |_| docs() },
    Step {
        name: "features",
        what: "every feature of every published crate builds alone",
        run: features::check,
    },
    Step {
        name: "msrv",
        what: "the published crates build with the Rust version they state",
        run: msrv::check,
    },
    Step {
        name: "fuzz",
        what: "strangers' input, by libFuzzer, for some seconds a target",
        run: |workspace| fuzz::all(workspace).map(|()| None),
    },
    Step { name: "deny", what: "dependencies: bans, licences, sources", run: deny::check },
];

struct Outcome {
    name: &'static str,
    took: Duration,
    result: Result<Note, Failure>,
}

pub(crate) fn run(names: &[String]) -> Result<(), Failure> {
    if names == ["list"] {
        println!("{}", listed());
        return Ok(());
    }
    let steps = chosen(names)?;
    let workspace = Workspace::read()?;
    let outcomes: Vec<_> = steps.into_iter().map(|step| timed(step, &workspace)).collect();
    println!("\n{}", summary(&outcomes));
    verdict(outcomes)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Step>, Failure> {
    if names.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    let unknown = |name: &String| Failure::Usage(format!("no such step: {name}\n\n{}", listed()));
    names
        .iter()
        .map(|name| STEPS.iter().find(|step| step.name == name).ok_or_else(|| unknown(name)))
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures this machine for its user; there is nothing to test with another clock"
)]
fn timed(step: &Step, workspace: &Workspace) -> Outcome {
    println!("\n== {}: {}", step.name, step.what);
    let start = Instant::now();
    let result = (step.run)(workspace);
    if let Err(failure) = &result {
        eprintln!("{failure}");
    }
    Outcome { name: step.name, took: start.elapsed(), result }
}

fn summary(outcomes: &[Outcome]) -> String {
    let lines = outcomes.iter().map(|Outcome { name, took, result }| {
        let verdict = match result {
            Ok(None) => "ok".to_owned(),
            Ok(Some(note)) => format!("ok, but {note}"),
            Err(_) => "FAILED".to_owned(),
        };
        format!("{name:<10} {:>7.1} s  {verdict}", took.as_secs_f64())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// One failed step passes its exit code on; of several, the first does.
fn verdict(outcomes: Vec<Outcome>) -> Result<(), Failure> {
    let failed: Vec<_> = outcomes
        .into_iter()
        .filter_map(|outcome| Some((outcome.name, outcome.result.err()?.code())))
        .collect();
    let names = failed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
    match failed.first() {
        None => Ok(()),
        Some((_, code)) => Err(Failure::Child { command: format!("cargo xtask ci {names}"), code: *code }),
    }
}

fn listed() -> String {
    STEPS.iter().map(|step| format!("{:<10} {}", step.name, step.what)).collect::<Vec<_>>().join("\n")
}

fn fmt() -> Result<Note, Failure> {
    Tool::cargo(["fmt", "--all", "--check"]).run().map(|()| None)
}

fn clippy() -> Result<Note, Failure> {
    let targets = ["clippy", "--workspace", "--all-targets", "--all-features", "--locked"];
    Tool::cargo(targets).args(["--", "-D", "warnings"]).run().map(|()| None)
}

/// The pages for whoever changes the crates, and then those for users, from which nothing may point to what they do not see.
fn docs() -> Result<Note, Failure> {
    let doc = ["doc", "--workspace", "--no-deps", "--all-features", "--locked"];
    for private in [&["--document-private-items"][..], &[]] {
        Tool::cargo(doc).args(private).env("RUSTDOCFLAGS", "-D warnings").run()?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &'static str, result: Result<Note, Failure>) -> Outcome {
        Outcome { name, took: Duration::from_millis(1500), result }
    }

    fn broken(code: u8) -> Result<Note, Failure> {
        Err(Failure::Child { command: String::new(), code })
    }

    #[test]
    fn no_name_means_every_step_and_a_name_means_that_step() {
        assert_eq!(chosen(&[]).unwrap().len(), STEPS.len());
        let names: Vec<_> =
            chosen(&["deny".into(), "fmt".into()]).unwrap().iter().map(|step| step.name).collect();
        assert_eq!(names, ["deny", "fmt"]);
    }

    #[test]
    fn the_first_failed_step_gives_the_exit_code_and_all_are_named() {
        let failure = verdict(vec![outcome("a", Ok(None)), outcome("b", broken(7)), outcome("c", broken(1))]);
        let failure = failure.unwrap_err();
        assert_eq!(failure.code(), 7);
        assert!(failure.to_string().contains("ci b c"), "{failure}");
        assert!(verdict(vec![outcome("a", Ok(None))]).is_ok());
    }

    #[test]
    fn the_summary_says_what_a_step_could_not_look_at() {
        let text =
            summary(&[outcome("msrv", Ok(Some("without a compiler".into()))), outcome("deny", broken(1))]);
        assert_eq!(text, "msrv           1.5 s  ok, but without a compiler\ndeny           1.5 s  FAILED");
    }
}
