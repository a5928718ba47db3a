//! [`Report`]: the numbers as a table, for the screen and for `RESULTS.md`.

use std::fmt;

use crate::harness::{Bound, Cost, Label};
use crate::threads::Speedup;
use crate::{http, machine, redis, signatures};

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) costs: Vec<Cost>,
    pub(crate) signatures: Vec<signatures::Row>,
    pub(crate) speedups: Vec<Speedup>,
    pub(crate) redis: Vec<redis::Row>,
    pub(crate) http: Vec<http::Row>,
}

impl Report {
    /// Whether an allocation count is over what is promised.
    pub(crate) fn allocates_too_much(&self) -> bool {
        let costs = self.costs.iter().any(|cost| {
            cost.label.bounds.promised.is_some_and(|promised| cost.allocations > promised.allocations)
        });
        costs || self.signatures.iter().any(signatures::Row::allocates_too_much)
    }

    fn peer_of(&self, label: Label) -> Option<&Cost> {
        self.costs.iter().find(|cost| Some(cost.label.name) == label.peer)
    }

    fn cost_row(&self, cost: &Cost, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, median, high] = cost.nanos;
        write!(f, "| {} | {median:.0} ({low:.0}-{high:.0}) ", cost.label.name)?;
        write!(f, "| {} | {} ", cost.rounds, cost.allocations)?;
        let bounds = cost.label.bounds;
        write!(f, "| {} | {} ", judged(cost, bounds.promised), judged(cost, bounds.aim))?;
        match self.peer_of(cost.label) {
            Some(peer) => writeln!(f, "| {} |", compared(cost, peer)),
            None => writeln!(f, "| |"),
        }
    }
}

impl Cost {
    fn median(&self) -> f64 {
        let [_, median, _] = self.nanos;
        median
    }
}

/// A bound, and which half of it is met.
fn judged(cost: &Cost, bound: Option<Bound>) -> String {
    let Some(Bound { nanos, allocations }) = bound else { return String::new() };
    let time = if cost.median() <= nanos { "met" } else { "not met" };
    let count = if cost.allocations <= allocations { "met" } else { "not met" };
    format!("{nanos} ns {time}, {allocations} {count}")
}

/// How many times as much the peer takes.
fn compared(cost: &Cost, peer: &Cost) -> String {
    let (nanos, allocations) = (peer.median(), peer.allocations);
    format!("{:.1} x ({nanos:.0} ns, {allocations})", nanos / cost.median().max(1.0))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for line in machine::describe() {
            writeln!(f, "* {line}")?;
        }
        f.write_str(COSTS)?;
        self.costs.iter().try_for_each(|cost| self.cost_row(cost, f))?;
        f.write_str(SIGNATURES)?;
        self.signatures.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        f.write_str(SPEEDUPS)?;
        self.speedups.iter().try_for_each(|speedup| writeln!(f, "{speedup}"))?;
        f.write_str(REDIS)?;
        self.redis.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        f.write_str(HTTP)?;
        self.http.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl fmt::Display for Speedup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, median, high] = self.quartiles;
        write!(f, "| {} | {median:.2} ({low:.2}-{high:.2}) | ", self.name)?;
        match self.at_least {
            Some(aim) => write!(f, "{aim} {} |", if median >= aim { "met" } else { "not met" }),
            None => f.write_str("|"),
        }
    }
}

const HEAD: &str = "\
# What the layers cost

Written by `cargo xtask bench`. What a request costs over a bare service that is sent the same request in the same
round: median and quartiles of the rounds, candidates in shuffled order, on a current-thread runtime; and how often it
allocates, counted apart from the timing. Requests have the headers of a browser's, with two cookies besides the
session's; they are made outside of what is timed, and dropped inside, by all. Responses have a content type.

Rounds in which the machine was slow are left out: those in which the bare service took more than 1.1 times what it takes
in its quickest tenth, and with tokens the signature alone. How many are left stands in the table.

";

const COSTS: &str = "
| candidate | net ns (quartiles) | rounds | allocations | promised | aim | the peer takes |
| --- | --- | --- | --- | --- | --- | --- |
";

const SIGNATURES: &str = "
Tokens of a dozen claims besides the registered ones that nobody has seen before, beside their signatures alone: those
are verified by a key that was parsed before, of bytes that were decoded before. Peers read five claims; axum-jwt-auth
has no other cryptography than RustCrypto's. And tokens that are minted, beside their signatures alone.

| candidate | net ns (quartiles) | times the signature alone (quartiles) | rounds | allocations | aim |
| --- | --- | --- | --- | --- | --- |
";

const SPEEDUPS: &str = "
How much more two threads get done than one, each with sessions of its own in one store; 2 is perfect.

| candidate | two threads against one (quartiles) | aim |
| --- | --- | --- |
";

const REDIS: &str = "
Sessions in a redis-server on this machine, over TCP and one connection each (axum_session has a pool), 64 requests in
flight on a current-thread runtime; in each round 1024 sessions that are begun, signed in, read, written and signed out,
contenders in shuffled order. A login takes a visitor's session along. CPU is the client's, then
the server's.

| candidate | work | thousand requests/s (quartiles) | CPU us | server us | allocations | ours gets done | aim |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

const HTTP: &str = "
Whole axum servers over HTTP, each a process with one thread, asked on 64 connections by wrk with one thread for a second a
round, in shuffled order; Redis on the same machine. Tonic's health service over gRPC is asked by h2load on 4 connections,
with 16 calls under way on each. A layer is compared with a bare application that is sent the same headers right before or
after; the bare one's share of itself is what the machine adds.

| server | thousand requests/s (quartiles) | share of the bare one beside it (quartiles) | aim |
| --- | --- | --- | --- |
";
