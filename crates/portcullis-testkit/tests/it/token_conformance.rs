//! The suite of revocations passes a backend that keeps its promises, and names the promise that a faulty one breaks.

use std::collections::HashSet;

use portcullis_testkit::conformance::token::{self, Promise, Verdict};

use crate::token_toy::{Fault, Moved, Real};

const FAULTS: &[(Fault, Promise)] = &[
    (Fault::RevokesStrangers, Promise::NothingIsRevokedAtFirst),
    (Fault::AtOnceIsBlind, Promise::TokensAreRevoked),
    (Fault::TokensStayGood, Promise::TokensAreRevoked),
    (Fault::TokenTakesItsFamily, Promise::TokensAreRevoked),
    (Fault::TokenTakesItsUser, Promise::TokensAreRevoked),
    (Fault::NamesAreOne, Promise::TokensAreRevoked),
    (Fault::NamesAreOfNobody, Promise::TokensAreRevoked),
    (Fault::NamesAreOne, Promise::FamiliesAreRevoked),
    (Fault::NamesAreOfNobody, Promise::FamiliesAreRevoked),
    (Fault::NamelessAreForgiven, Promise::FamiliesAreRevoked),
    (Fault::FamiliesStayGood, Promise::FamiliesAreRevoked),
    (Fault::UsersStayGood, Promise::UsersAreRevoked),
    (Fault::UsersAreOne, Promise::UsersAreRevoked),
    (Fault::UserIsGivenAnotherEpoch, Promise::UsersAreRevoked),
    (Fault::EveryoneStaysGood, Promise::EveryoneIsRevoked),
    (Fault::EveryoneIsOneHandle, Promise::EveryoneIsRevoked),
    (Fault::EveryoneHidesTheUser, Promise::EveryoneIsRevoked),
    (Fault::EpochsAreCounted, Promise::EpochsAreTheTime),
    (Fault::EpochsAreWholeSeconds, Promise::EpochsAreTheTime),
    (Fault::EpochsFollowTheClock, Promise::EpochsOnlyRise),
    (Fault::EpochsAreOfTheHandle, Promise::EpochsOnlyRise),
    (Fault::HandlesKeepACopy, Promise::HandlesAgree),
    (Fault::RealmsAreOne, Promise::RealmsAreApart),
    (Fault::EveryoneIsInEveryRealm, Promise::RealmsAreApart),
    (Fault::ResendFails, Promise::MarksMayBeResent),
    (Fault::ResendForgives, Promise::MarksMayBeResent),
    (Fault::MarksStay, Promise::MarksEnd),
    (Fault::MarksEndAtHalf, Promise::MarksEnd),
    (Fault::LastMarkCounts, Promise::MarksAreNeverShortened),
    (Fault::FirstMarkCounts, Promise::MarksAreNeverShortened),
    (Fault::EpochsStay, Promise::EpochsEnd),
    (Fault::EpochsEndAtHalf, Promise::EpochsEnd),
    (Fault::LastEpochCounts, Promise::EpochsAreNeverShortened),
    (Fault::FirstEpochCounts, Promise::EpochsAreNeverShortened),
    (Fault::MarksAreNotAtomic, Promise::MarksAreAllKept),
    (Fault::EpochsAreNotAtomic, Promise::EpochsDiffer),
    (Fault::OutageIsAPass, Promise::AnOutageIsAnError),
    (Fault::OutageHangs, Promise::AnOutageIsAnError),
];

#[tokio::test]
async fn a_backend_without_fault_keeps_every_promise() {
    for (promise, verdict) in token::report(&Moved::with(Fault::None)).await {
        assert_eq!(verdict, Verdict::Kept, "{promise:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backend_without_fault_keeps_every_promise_on_several_threads() {
    token::run(&Moved::with(Fault::None)).await;
}

#[tokio::test]
async fn a_backend_on_the_real_clock_is_checked_by_waiting() {
    for (promise, verdict) in token::report(&Real::with(Fault::None)).await {
        let needs_more = promise == Promise::AnOutageIsAnError;
        assert_eq!(verdict, if needs_more { Verdict::NotChecked } else { Verdict::Kept }, "{promise:?}");
    }
}

#[tokio::test]
async fn each_fault_breaks_the_promise_that_it_should() {
    let mut unnoticed = Vec::new();
    for &(fault, promise) in FAULTS {
        let verdict = token::check(&Moved::with(fault), promise).await;
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
#[should_panic(expected = "UsersAreRevoked (A user whose tokens are revoked has the epoch")]
async fn a_run_names_the_promise_in_words() {
    token::run(&Moved::with(Fault::UsersStayGood)).await;
}
