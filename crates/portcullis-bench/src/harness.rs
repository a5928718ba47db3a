//! [`measure`]: every candidate against the bare service, in rounds of shuffled order.

use std::hash::{BuildHasher as _, RandomState};
use std::hint::black_box;
use std::time::Instant;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::runtime::{Builder, Runtime};
use tower::util::BoxService;
use tower::{Service, ServiceExt as _};

use crate::Failure;
use crate::counts::{Counts, Meter};

/// How many rounds to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Enough for medians that repeat.
    Full,
    /// Enough to see that it works.
    Quick,
}

/// How many rounds to take, and how many batches of requests for each candidate in each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) batches: usize,
}

/// A service, and what it is sent.
pub(crate) struct Candidate {
    pub(crate) label: Label,
    /// The same request for the bare service, so that what its head costs is in both.
    request: Request<()>,
    layered: Target,
    bare: Target,
    /// What the layered service answers.
    answer: StatusCode,
}

/// What a candidate is, and what it is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label {
    pub(crate) name: &'static str,
    /// The peer's candidate that does the same.
    pub(crate) peer: Option<&'static str>,
    pub(crate) bounds: Bounds,
}

/// The most that a candidate may cost over the bare service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// What is promised now; its allocations are enforced.
    pub(crate) promised: Option<Bound>,
    /// What is aimed at.
    pub(crate) aim: Option<Bound>,
}

/// Nanoseconds and allocations for one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) nanos: f64,
    pub(crate) allocations: i64,
}

/// What a candidate costs over the bare service, for one request.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) label: Label,
    /// The first quartile, the median and the third one of the steady rounds, in nanoseconds.
    pub(crate) nanos: [f64; 3],
    /// How many rounds were steady.
    pub(crate) rounds: usize,
    pub(crate) allocations: i64,
}

/// What one request took in one round, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Of the bare service.
    bare: f64,
    /// Of the layers, over the bare service.
    pub(crate) net: f64,
}

/// A service whose type is erased, as a router erases its routes': so the code that sends requests is the same for all.
/// Compiled once for each, it differed by more than a small layer costs: one that does nothing saved ten nanoseconds.
struct Target(BoxService<Request<()>, Response<()>, Failure>);

/// Few enough to stay in the nearest caches, many enough that reading the clock is nothing.
const BATCH: usize = 64;
/// In a steady round a yardstick takes at most this many times what it takes in its quickest tenth. A machine that is shared
/// has phases in which everything takes half as long again, and a median over both kinds is that of no machine.
const STEADY: f64 = 1.1;

impl Effort {
    pub(crate) fn rounds(self) -> usize {
        match self {
            Self::Full => 301,
            Self::Quick => 21,
        }
    }

    fn plan(self) -> Plan {
        let batches = if self == Self::Full { 24 } else { 8 };
        Plan { rounds: self.rounds(), batches }
    }
}

impl Candidate {
    pub(crate) fn new<S>(label: Label, request: Request<()>, service: S) -> Self
    where
        S: Service<Request<()>, Response = Response<()>, Error = Failure> + Send + 'static,
        S::Future: Send,
    {
        let bare = tower::service_fn(bare);
        let (layered, bare) = (Target::new(service), Target::new(bare));
        Self { label, request, layered, bare, answer: StatusCode::OK }
    }

    /// The same, of a layer that refuses the request with this status. Default: 200.
    pub(crate) fn answering(self, answer: StatusCode) -> Self {
        Self { answer, ..self }
    }

    /// Of the batches of a round the median counts: in one that was interrupted, the machine was about something else.
    fn round(&mut self, runtime: &Runtime, batches: usize) -> Result<Round, Failure> {
        let (mut layered, mut bare) = (Vec::with_capacity(batches), Vec::with_capacity(batches));
        for _ in 0..batches {
            layered.push(timed(&mut self.layered, runtime, &self.request, self.answer)?);
            bare.push(timed(&mut self.bare, runtime, &self.request, StatusCode::OK)?);
        }
        let ([_, layered, _], [_, bare, _]) = (quartiles(layered), quartiles(bare));
        Ok(Round { bare: bare / BATCH as f64, net: (layered - bare) / BATCH as f64 })
    }

    fn allocations(&mut self, runtime: &Runtime, meter: Meter) -> Result<f64, Failure> {
        let layered = counted(&mut self.layered, runtime, &self.request, self.answer, meter)?;
        Ok(layered - counted(&mut self.bare, runtime, &self.request, StatusCode::OK, meter)?)
    }
}

/// The service that everything is measured against.
pub(crate) async fn bare(request: Request<()>) -> Result<Response<()>, Failure> {
    black_box(&request);
    Ok(json())
}

/// What every handler answers.
pub(crate) fn json() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Target {
    fn new<S>(service: S) -> Self
    where
        S: Service<Request<()>, Response = Response<()>, Error = Failure> + Send + 'static,
        S::Future: Send,
    {
        Self(BoxService::new(service))
    }

    /// A batch of requests at a time.
    fn answer(
        &mut self,
        runtime: &Runtime,
        requests: &mut Vec<Request<()>>,
        expected: StatusCode,
    ) -> Result<(), Failure> {
        runtime.block_on(async {
            for request in requests.drain(..) {
                let response = self.0.ready().await?.call(request).await?;
                let status = black_box(response).status();
                if status != expected {
                    return Err(format!("a request was answered with {status}").into());
                }
            }
            Ok(())
        })
    }
}

/// Takes every candidate's costs.
pub(crate) fn measure(
    mut candidates: Vec<Candidate>,
    counts: &Counts,
    effort: Effort,
) -> Result<Vec<Cost>, Failure> {
    let taken = rounds(&mut candidates, effort.plan())?;
    let cost = |(candidate, taken): (Candidate, Vec<Round>)| {
        let bare: Vec<f64> = taken.iter().map(|round| round.bare).collect();
        let nanos: Vec<f64> = steady(&bare, &taken).map(|round| round.net).collect();
        let allocations = counts.of(candidate.label.name)? as i64;
        Ok(Cost { label: candidate.label, rounds: nanos.len(), nanos: quartiles(nanos), allocations })
    };
    candidates.into_iter().zip(taken).map(cost).collect()
}

/// Counts every candidate's allocations.
pub(crate) fn count(mut candidates: Vec<Candidate>, meter: Meter) -> Result<Counts, Failure> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let mut counts = Counts::default();
    for candidate in &mut candidates {
        counts.note(candidate.label.name, candidate.allocations(&runtime, meter)?);
    }
    Ok(counts)
}

/// Each candidate's rounds.
pub(crate) fn rounds(candidates: &mut [Candidate], plan: Plan) -> Result<Vec<Vec<Round>>, Failure> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let mut taken = vec![Vec::with_capacity(plan.rounds); candidates.len()];
    for _ in 0..plan.rounds {
        let mut turns: Vec<_> = candidates.iter_mut().zip(taken.iter_mut()).collect();
        shuffle(&mut turns);
        for (candidate, taken) in turns {
            taken.push(candidate.round(&runtime, plan.batches)?);
        }
    }
    Ok(taken)
}

/// Of what was taken in each round that of the steady ones, by what a yardstick took in the same rounds. Rounds in which
/// that happened to be quick make what is held against it look slow, never quick.
pub(crate) fn steady<'a, T>(yardstick: &'a [f64], taken: &'a [T]) -> impl Iterator<Item = &'a T> {
    let mut sorted = yardstick.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let most = sorted.get(sorted.len() / 10).map_or(f64::INFINITY, |quick| STEADY * quick);
    yardstick.iter().zip(taken).filter(move |(yardstick, _)| **yardstick <= most).map(|(_, taken)| taken)
}

/// How many nanoseconds a batch takes, the making of its requests aside.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
fn timed(
    target: &mut Target,
    runtime: &Runtime,
    request: &Request<()>,
    expected: StatusCode,
) -> Result<f64, Failure> {
    let mut requests = vec![request.clone(); BATCH];
    let start = Instant::now();
    target.answer(runtime, &mut requests, expected)?;
    Ok(start.elapsed().as_secs_f64() * 1e9)
}

/// How often one request allocates once all is warm.
fn counted(
    target: &mut Target,
    runtime: &Runtime,
    request: &Request<()>,
    expected: StatusCode,
    meter: Meter,
) -> Result<f64, Failure> {
    target.answer(runtime, &mut vec![request.clone(); BATCH], expected)?;
    let mut requests = vec![request.clone()];
    let mut answered = Ok(());
    let count = meter(&mut || answered = target.answer(runtime, &mut requests, expected));
    answered.map(|()| count as f64)
}

/// The quartiles of some numbers.
pub(crate) fn quartiles(mut numbers: Vec<f64>) -> [f64; 3] {
    numbers.sort_unstable_by(f64::total_cmp);
    let at = |quarter: usize| numbers.get(numbers.len() * quarter / 4).copied().unwrap_or(f64::NAN);
    [at(1), at(2), at(3)]
}

/// Fisher and Yates; the hashers of the standard library are seeded at random.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    let random = RandomState::new();
    for last in (1..items.len()).rev() {
        let other = random.hash_one(last) % (last as u64 + 1);
        items.swap(last, usize::try_from(other).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bare_service_costs_nothing_over_itself() {
        let label = Label { name: "bare", peer: None, bounds: Bounds::default() };
        let candidate = Candidate::new(label, Request::new(()), tower::service_fn(bare));
        let candidates = vec![candidate];
        // What is counted does not matter here, only that both are counted alike.
        let counts = count(candidates, |work| {
            work();
            7
        });
        assert_eq!(counts.unwrap().of("bare").unwrap(), 0.0);
    }

    #[test]
    fn rounds_of_a_slow_phase_are_left_out() {
        let yardstick = [100.0, 105.0, 150.0, 110.0, 161.0];
        let kept: Vec<_> = steady(&yardstick, &[1, 2, 3, 4, 5]).copied().collect();
        assert_eq!(kept, [1, 2, 4]);
        assert_eq!(steady(&[], &[1]).count(), 0);
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(quartiles(vec![5.0, 1.0, 4.0, 2.0, 3.0]), [2.0, 3.0, 4.0]);
    }
}
