//! [`measure`]: how much more two threads get done than one.

use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::harness::{Effort, quartiles};

/// Work of which every thread has its own, on something that they share.
pub(crate) struct Concurrent {
    pub(crate) name: &'static str,
    /// What is aimed at.
    pub(crate) at_least: Option<f64>,
    pub(crate) jobs: Vec<Job>,
}

/// One piece of work.
pub(crate) type Job = Box<dyn FnMut() -> Result<(), Failure> + Send>;

/// How much more two threads get done than one: 2 is perfect, under 1 they are in each other's way.
#[derive(Debug)]
pub(crate) struct Speedup {
    pub(crate) name: &'static str,
    pub(crate) at_least: Option<f64>,
    pub(crate) quartiles: [f64; 3],
}

/// So many that starting a thread is nothing, and so few that a round ends before the machine turns to others.
const REPETITIONS: u32 = 5_000;

/// Takes every candidate's speed-up.
pub(crate) fn measure(candidates: Vec<Concurrent>, effort: Effort) -> Result<Vec<Speedup>, Failure> {
    candidates.into_iter().map(|candidate| speedup(candidate, effort)).collect()
}

fn speedup(mut candidate: Concurrent, effort: Effort) -> Result<Speedup, Failure> {
    let mut ratios = Vec::with_capacity(effort.rounds());
    for _ in 0..effort.rounds() {
        let jobs = candidate.jobs.as_mut_slice();
        let alone = together(jobs.get_mut(..1).unwrap_or_default())?;
        let both = together(jobs)?;
        ratios.push(alone.as_secs_f64() * candidate.jobs.len() as f64 / both.as_secs_f64());
    }
    Ok(Speedup { name: candidate.name, at_least: candidate.at_least, quartiles: quartiles(ratios) })
}

/// How long it takes until all jobs are done, each on a thread of its own.
fn together(jobs: &mut [Job]) -> Result<Duration, Failure> {
    let barrier = Barrier::new(jobs.len());
    let times: Result<Vec<Duration>, Failure> = std::thread::scope(|scope| {
        let threads: Vec<_> = jobs.iter_mut().map(|job| scope.spawn(|| repeated(job, &barrier))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a job panicked")?).collect()
    });
    times.map(|times| times.into_iter().max().unwrap_or_default())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
fn repeated(job: &mut Job, barrier: &Barrier) -> Result<Duration, Failure> {
    // The first one warms up.
    let mut done = job();
    barrier.wait();
    let start = Instant::now();
    for _ in 0..REPETITIONS {
        done = std::mem::replace(&mut done, Ok(())).and_then(|()| black_box(job()));
    }
    done.map(|()| start.elapsed())
}
