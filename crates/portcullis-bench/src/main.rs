//! What the layers of Portcullis cost over a bare service, beside their peers in the same run.
//!
//! `cargo xtask bench` prints the table and writes it to `RESULTS.md` in this package; `-- --quick` takes fewer rounds
//! and leaves the file alone.
//!
//! * Allocations do not vary: one over its bound makes the run fail.
//! * Nanoseconds do, with the machine: the table says whether a bound was met, and nothing else depends on it.

mod candidates;
mod harness;
mod machine;
mod report;
mod threads;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use crate::harness::Effort;
use crate::report::Report;

/// Whatever went wrong; a benchmark tells it to whoever runs it and no one else.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

fn main() -> Result<ExitCode, Failure> {
    let effort = effort()?;
    let report = Report {
        costs: harness::measure(candidates::all()?, effort)?,
        speedups: threads::measure(candidates::concurrent()?, effort)?,
    };
    let text = report.to_string();
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if effort == Effort::Full {
        std::fs::write(RESULTS, text)?;
    }
    Ok(if report.allocates_too_much() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn effort() -> Result<Effort, Failure> {
    match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => Ok(Effort::Full),
        [flag] if flag == "--quick" => Ok(Effort::Quick),
        other => Err(format!("unknown arguments {other:?}; the only one is --quick").into()),
    }
}
