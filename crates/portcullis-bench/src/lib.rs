//! What the layers of Portcullis cost over a bare service, beside their peers in the same run.
//!
//! `cargo xtask bench` prints the table and writes it to `RESULTS.md` in this package. `--quick` takes fewer rounds,
//! `--only NAME` only the candidates with that in their names; both leave the file alone.
//!
//! * Allocations do not vary: one over its bound makes the run fail. They are counted by a program of their own,
//!   `portcullis-bench-allocations`, because an allocator that counts takes longer.
//! * Nanoseconds do, with the machine: the table says whether a bound was met, and nothing else depends on it.

mod candidates;
mod counts;
mod harness;
mod http;
mod machine;
mod redis;
mod report;
mod signatures;
mod threads;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use crate::counts::Counts;
pub use crate::counts::Meter;
use crate::harness::Effort;
use crate::report::Report;

/// Whatever went wrong; a benchmark tells it to whoever runs it and no one else.
pub type Failure = Box<dyn Error + Send + Sync>;

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

/// What whoever runs it asks for.
struct Wish {
    effort: Effort,
    /// Only candidates with this in their names, such as for a profiler.
    only: Option<String>,
}

/// Times everything and reports it; the allocations are counted by the program beside this one.
///
/// # Errors
/// Whatever went wrong, for whoever runs it.
pub fn report() -> Result<ExitCode, Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [serve, name, redis] = args.as_slice()
        && serve == "--serve"
    {
        return http::serve(name, redis).map(|()| ExitCode::SUCCESS);
    }
    let wish = wish(args.iter().cloned())?;
    let wanted = |name: &str| wish.wants(name);
    let counts = Counts::of_the_program_beside(&args)?;
    let candidates = candidates::all()?.into_iter().filter(|it| wanted(it.label.name)).collect();
    let concurrent = candidates::concurrent()?.into_iter().filter(|it| wanted(it.name)).collect();
    let report = Report {
        costs: harness::measure(candidates, &counts, wish.effort)?,
        signatures: signatures::measure(wanted, &counts, wish.effort)?,
        speedups: threads::measure(concurrent, wish.effort)?,
        redis: redis::measure(wanted, &counts, wish.effort)?,
        http: http::measure(wanted, wish.effort)?,
    };
    let text = report.to_string();
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if wish.effort == Effort::Full && wish.only.is_none() {
        std::fs::write(RESULTS, text)?;
    }
    Ok(if report.allocates_too_much() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Counts how often everything allocates, by `meter`, and prints it for [`report()`].
///
/// # Errors
/// Whatever went wrong, for whoever runs it.
pub fn count(meter: Meter) -> Result<(), Failure> {
    let wish = wish(std::env::args().skip(1))?;
    let candidates = candidates::all()?.into_iter().filter(|it| wish.wants(it.label.name)).collect();
    let mut counts = harness::count(candidates, meter)?;
    counts.extend(signatures::count(|name| wish.wants(name), meter)?);
    counts.extend(redis::count(|name| wish.wants(name), meter)?);
    Ok(std::io::stdout().lock().write_all(counts.to_string().as_bytes())?)
}

impl Wish {
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }
}

fn wish(mut args: impl Iterator<Item = String>) -> Result<Wish, Failure> {
    let mut wish = Wish { effort: Effort::Full, only: None };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--quick" => wish.effort = Effort::Quick,
            "--only" => wish.only = Some(args.next().ok_or("--only wants a part of a name")?),
            other => {
                return Err(format!("unknown argument {other}; there are --quick and --only NAME").into());
            }
        }
    }
    Ok(wish)
}
