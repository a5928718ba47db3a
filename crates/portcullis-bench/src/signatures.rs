//! [`measure`]: what verifying a token costs beside verifying its signature, which nobody can do without; and minting one
//! beside signing it.

use std::fmt;

use crate::Failure;
use crate::candidates::{Group, issue, tokens};
use crate::counts::{Counts, Meter};
use crate::harness::{self, Candidate, Effort, Plan, quartiles, steady};

/// What one candidate costs.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    /// Of the rounds in which the signature alone was steady.
    nanos: [f64; 3],
    rounds: usize,
    /// As a multiple of what the signature alone takes in the same round.
    ratio: [f64; 3],
    allocations: i64,
    /// The most that the multiple may be.
    aim: Option<f64>,
    /// How often it may allocate.
    most: Option<i64>,
}

/// Takes the candidates whose name is `wanted`, and what they are held against.
pub(crate) fn measure(
    wanted: impl Fn(&str) -> bool,
    counts: &Counts,
    effort: Effort,
) -> Result<Vec<Row>, Failure> {
    // A signature takes up to a hundred times as long as what the other candidates do, so fewer are enough.
    let plan = Plan { rounds: effort.rounds() / 3, batches: 3 };
    let mut rows = Vec::new();
    for group in groups(wanted)? {
        let (aim, most) = (group.aim, group.allocations);
        let mut candidates = flat(group);
        let taken = harness::rounds(&mut candidates, plan)?;
        let base: Vec<f64> = taken.first().into_iter().flatten().map(|round| round.net).collect();
        let bases: Vec<f64> = steady(&base, &base).copied().collect();
        for (at, (candidate, taken)) in candidates.iter().zip(taken).enumerate() {
            let name = candidate.label.name;
            let nanos: Vec<f64> = steady(&base, &taken).map(|round| round.net).collect();
            let ratio = nanos.iter().zip(&bases).map(|(nanos, base)| nanos / base).collect();
            let (rounds, allocations) = (nanos.len(), counts.of(name)? as i64);
            let (aim, most) = if at == 1 { (Some(aim), most) } else { (None, None) };
            let (nanos, ratio) = (quartiles(nanos), quartiles(ratio));
            rows.push(Row { name, nanos, rounds, ratio, allocations, aim, most });
        }
    }
    Ok(rows)
}

/// Counts how often they allocate.
pub(crate) fn count(wanted: impl Fn(&str) -> bool, meter: Meter) -> Result<Counts, Failure> {
    let candidates = groups(wanted)?.into_iter().flat_map(flat).collect();
    harness::count(candidates, meter)
}

fn groups(wanted: impl Fn(&str) -> bool) -> Result<Vec<Group>, Failure> {
    let wanted = |candidate: &Candidate| wanted(candidate.label.name);
    let groups = tokens::groups()?.into_iter().chain(issue::groups()?);
    Ok(groups.filter(|it| wanted(&it.base) || wanted(&it.ours) || it.peers.iter().any(wanted)).collect())
}

/// What the others are held against, ours, and the peers.
fn flat(group: Group) -> Vec<Candidate> {
    [group.base, group.ours].into_iter().chain(group.peers).collect()
}

impl Row {
    pub(crate) fn allocates_too_much(&self) -> bool {
        self.most.is_some_and(|most| self.allocations > most)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, median, high] = self.nanos;
        write!(f, "| {} | {median:.0} ({low:.0}-{high:.0}) ", self.name)?;
        let [low, median, high] = self.ratio;
        write!(f, "| {median:.2} ({low:.2}-{high:.2}) | {} | {} ", self.rounds, self.allocations)?;
        let met = |is_met| if is_met { "met" } else { "not met" };
        let aim = self.aim.map(|aim| format!("{aim:.2} {}", met(median <= aim)));
        let most = self.most.map(|most| format!("{most} {}", met(self.allocations <= most)));
        write!(f, "| {} |", aim.into_iter().chain(most).collect::<Vec<_>>().join(", "))
    }
}
