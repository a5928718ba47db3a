//! The suite of claims passes a backend that keeps its promises, and names the promise that a faulty one breaks.

use std::collections::HashSet;

use portcullis_testkit::conformance::replay::{self, Promise, Verdict};

use crate::replay_toy::{Fault, Moved, Real};

const FAULTS: &[(Fault, Promise)] = &[
    (Fault::ForgetsAll, Promise::NamesAreClaimedOnce),
    (Fault::RefusesStrangers, Promise::NamesAreClaimedOnce),
    (Fault::AtOnceIsBlind, Promise::NamesAreClaimedOnce),
    (Fault::NamesAreOne, Promise::NamesAreApart),
    (Fault::RealmsAreOne, Promise::RealmsAreApart),
    (Fault::HandlesKeepACopy, Promise::HandlesAgree),
    (Fault::ClaimsAreNotAtomic, Promise::OneOfManyIsFirst),
    (Fault::ClaimsStay, Promise::ClaimsEnd),
    (Fault::ClaimsEndAtHalf, Promise::ClaimsEnd),
    (Fault::LaterClaimsExtend, Promise::LaterClaimsChangeNothing),
    (Fault::LaterClaimsShorten, Promise::LaterClaimsChangeNothing),
    (Fault::OutageIsAPass, Promise::AnOutageIsAnError),
    (Fault::OutageHangs, Promise::AnOutageIsAnError),
];

#[tokio::test]
async fn a_backend_without_fault_keeps_every_promise() {
    for (promise, verdict) in replay::report(&Moved::with(Fault::None)).await {
        assert_eq!(verdict, Verdict::Kept, "{promise:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backend_without_fault_keeps_every_promise_on_several_threads() {
    replay::run(&Moved::with(Fault::None)).await;
}

#[tokio::test]
async fn a_backend_on_the_real_clock_is_checked_by_waiting() {
    for (promise, verdict) in replay::report(&Real::with(Fault::None)).await {
        let needs_more = promise == Promise::AnOutageIsAnError;
        assert_eq!(verdict, if needs_more { Verdict::NotChecked } else { Verdict::Kept }, "{promise:?}");
    }
}

#[tokio::test]
async fn each_fault_breaks_the_promise_that_it_should() {
    let mut unnoticed = Vec::new();
    for &(fault, promise) in FAULTS {
        let verdict = replay::check(&Moved::with(fault), promise).await;
        if !matches!(verdict, Verdict::Broken(_)) {
            unnoticed.push((fault, promise, verdict));
        }
    }
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}

#[test]
fn no_promise_is_without_a_fault_that_breaks_it() {
    let broken: HashSet<Promise> = FAULTS.iter().map(|&(_, promise)| promise).collect();
    let unproven: Vec<&Promise> = Promise::ALL.iter().filter(|promise| !broken.contains(promise)).collect();
    assert!(unproven.is_empty(), "{unproven:?}");
}

#[tokio::test]
#[should_panic(expected = "NamesAreApart (A name says nothing about others.)")]
async fn a_run_names_the_promise_in_words() {
    replay::run(&Moved::with(Fault::NamesAreOne)).await;
}
