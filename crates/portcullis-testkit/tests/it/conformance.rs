//! The suite passes a backend that keeps its promises, and names the promise that a faulty one breaks.

use std::collections::HashSet;

use portcullis_testkit::conformance::session::{self, Promise, Verdict};

use crate::toy::{Fault, Moved, Real};

const FAULTS: &[(Fault, Promise)] = &[
    (Fault::DropsPreviousSecret, Promise::RecordsSurvive),
    (Fault::StopsAtNul, Promise::PayloadsSurvive),
    (Fault::CutsLargePayloads, Promise::PayloadsSurvive),
    (Fault::SaveOfNothingCreates, Promise::AbsentIsAbsent),
    (Fault::TouchResurrects, Promise::AbsentIsAbsent),
    (Fault::ManyDropsAbsent, Promise::ManyInOrder),
    (Fault::CreateOverwrites, Promise::CreateTakesNothing),
    (Fault::CreateRefusesItsResend, Promise::CreateMayBeResent),
    (Fault::CreateRefusesALateResend, Promise::CreateMayBeResent),
    (Fault::SaveKeepsHeader, Promise::SaveReplaces),
    (Fault::SaveIgnoresTags, Promise::SaveComparesTags),
    (Fault::ConflictShowsNothing, Promise::SaveComparesTags),
    (Fault::SaveForgetsHistory, Promise::SaveMayBeResent),
    (Fault::SaveForgetsAfterTwo, Promise::SaveMayBeResent),
    (Fault::ResendAppliesTwice, Promise::SaveMayBeResent),
    (Fault::ResendAlwaysDone, Promise::AncientResendConflicts),
    (Fault::SaveResurrects, Promise::DestroyIsForEver),
    (Fault::ResendResurrects, Promise::DestroyIsForEver),
    (Fault::TouchResurrects, Promise::DestroyIsForEver),
    (Fault::DestroysOnlyTheFirst, Promise::DestroyNamesItsVictims),
    (Fault::DestroysTooMuch, Promise::DestroyNamesItsVictims),
    (Fault::DestroyOfNothingFails, Promise::DestroyIsIdempotent),
    (Fault::DestroyUnchangedIgnoresTags, Promise::DestroyUnchangedComparesTags),
    (Fault::DestroyUnchangedShowsNothing, Promise::DestroyUnchangedComparesTags),
    (Fault::DestroyUnchangedKeeps, Promise::DestroyUnchangedComparesTags),
    (Fault::DestroyUnchangedIsAlwaysDone, Promise::DestroyUnchangedOfNothingIsGone),
    (Fault::DestroyUnchangedKeeps, Promise::OneDestroysUnchanged),
    (Fault::DestroyUnchangedIsNotAtomic, Promise::HandoversAreExact),
    (Fault::DestroyEnrolledKeepsEntry, Promise::DestroyEnrolledDoesBoth),
    (Fault::DestroyEnrolledTellsNobody, Promise::WatchersAreTold),
    (Fault::SupersedeForgetsEntry, Promise::SupersedeDoesAll),
    (Fault::SupersedeKeepsTheOld, Promise::SupersedeDoesAll),
    (Fault::SupersedeRefusesItsResend, Promise::SupersedeDoesAll),
    (Fault::SupersedeIgnoresTags, Promise::SupersedeDoesNothing),
    (Fault::SupersedeIgnoresLimit, Promise::SupersedeDoesNothing),
    (Fault::SupersedeLeavesTheNew, Promise::SupersedeDoesNothing),
    (Fault::SupersedeIsNotAtomic, Promise::SupersedeTakesOverAll),
    (Fault::SupersedeTellsNobody, Promise::WatchersAreTold),
    (Fault::RealmsAreOne, Promise::RealmsAreApart),
    (Fault::HandlesKeepACopy, Promise::HandlesAgree),
    (Fault::NeverIdle, Promise::IdleEnds),
    (Fault::EndsAtWholeSeconds, Promise::IdleEnds),
    (Fault::ExpiredSavesWork, Promise::IdleEnds),
    (Fault::SaveResurrects, Promise::AbsoluteEnds),
    (Fault::NeverEnds, Promise::AbsoluteEnds),
    (Fault::ExpiredKeysAreTaken, Promise::ExpiredKeysAreFree),
    (Fault::TouchDoesNothing, Promise::TouchProlongs),
    (Fault::TouchForgetsHeader, Promise::TouchProlongs),
    (Fault::TouchForgetsExpiry, Promise::TouchProlongs),
    (Fault::TouchShortens, Promise::TouchNeverShortens),
    (Fault::TouchIsUnbounded, Promise::TouchIsCapped),
    (Fault::TouchChangesTag, Promise::TouchConflictsWithNothing),
    (Fault::SaveMovesIdleDeadline, Promise::SaveKeepsIdleDeadline),
    (Fault::SaveProlongs, Promise::SaveKeepsExpiry),
    (Fault::SavePersists, Promise::SaveKeepsExpiry),
    (Fault::ResendPersists, Promise::SaveKeepsExpiry),
    (Fault::IndexIsAList, Promise::IndexIsASet),
    (Fault::WithdrawalOfNothingFails, Promise::NobodyHasNoMembers),
    (Fault::EntriesStay, Promise::EntriesEnd),
    (Fault::IndexEndsWithLastEnrolment, Promise::EntriesEnd),
    (Fault::EntriesKeepFirstDeadline, Promise::EntriesAreProlonged),
    (Fault::UsersAreOne, Promise::IndexesAreApart),
    (Fault::IndexIgnoresRealm, Promise::IndexesAreApart),
    (Fault::IndexDiesWithSession, Promise::IndexesAreApart),
    (Fault::CreateEnrolledForgets, Promise::CreateEnrolledEnters),
    (Fault::CreateEnrolledUntilIdle, Promise::CreateEnrolledEnters),
    (Fault::CreateEnrolledAlwaysEnters, Promise::CreateEnrolledTakesNothing),
    (Fault::CreateEnrolledIgnoresLimit, Promise::CreateEnrolledKeepsTheLimit),
    (Fault::LimitIsIgnored, Promise::LimitsHold),
    (Fault::LimitIsOneTooMany, Promise::LimitsHold),
    (Fault::LimitCountsTheDead, Promise::LimitsHold),
    (Fault::LimitRefusesAResend, Promise::LimitsHold),
    (Fault::FullShowsNothing, Promise::LimitsHold),
    (Fault::FullEnters, Promise::LimitsHold),
    (Fault::EvictedStay, Promise::EvictedGiveWay),
    (Fault::FullKeepsEvicted, Promise::EvictedGiveWay),
    (Fault::ReplacedCounts, Promise::EvictedGiveWay),
    (Fault::ReplacedIsWithdrawn, Promise::EvictedGiveWay),
    (Fault::VersionIsIgnored, Promise::StaleCredentialsAreRefused),
    (Fault::StaleEnters, Promise::StaleCredentialsAreRefused),
    (Fault::StaleComesAfterFull, Promise::StaleCredentialsAreRefused),
    (Fault::StaleResendIsDone, Promise::StaleCredentialsAreRefused),
    (Fault::BumpDoesNothing, Promise::VersionsChange),
    (Fault::BumpComesRound, Promise::VersionsChange),
    (Fault::BumpConcernsAll, Promise::VersionsChange),
    (Fault::VersionIsForgotten, Promise::VersionsChange),
    (Fault::LimitIsNotAtomic, Promise::OneTakesTheLastPlace),
    (Fault::VersionIsNotAtomic, Promise::BumpsExcludeEnrolments),
    (Fault::CreateIsNotAtomic, Promise::OneCreateWins),
    (Fault::SaveIsNotAtomic, Promise::OneSaveWins),
    (Fault::SaveIsNotAtomic, Promise::CountersAreExact),
    (Fault::TouchWritesBack, Promise::CountersAreExact),
    (Fault::SaveForgetsHistory, Promise::ConcurrentResendsApplyOnce),
    (Fault::TouchWritesBack, Promise::DestroyWinsRaces),
    (Fault::EnrolIsNotAtomic, Promise::EnrolmentsAreAllKept),
    (Fault::SaveTearsWhenDropped, Promise::DroppedWritesAreWhole),
    (Fault::TellsNobody, Promise::WatchersAreTold),
    (Fault::NeverHears, Promise::WatchersAreTold),
    (Fault::TellsItsOwnHandleOnly, Promise::WatchersAreTold),
    (Fault::TellsTheFirstOnly, Promise::WatchersAreTold),
    (Fault::TellsBeforeItIsGone, Promise::WatchersAreTold),
    (Fault::TellsNoHandover, Promise::WatchersAreTold),
    (Fault::TellsConflicts, Promise::WatchersAreToldNothingElse),
    (Fault::TellsSaves, Promise::WatchersAreToldNothingElse),
    (Fault::TellsOtherRealms, Promise::WatchersAreToldNothingElse),
    (Fault::TellsWhoHasLeft, Promise::WatchersAreToldNothingElse),
    (Fault::OverwritesForeignRecords, Promise::ForeignRecordsAreLeftAlone),
    (Fault::TakesForeignForAbsent, Promise::ForeignRecordsAreLeftAlone),
    (Fault::OutageIsAbsence, Promise::AnOutageIsAnError),
    (Fault::OutageHangs, Promise::AnOutageIsAnError),
];

#[tokio::test]
async fn a_backend_without_fault_keeps_every_promise() {
    let report = session::report(&Moved::with(Fault::None)).await;
    for (promise, verdict) in report {
        assert_eq!(verdict, Verdict::Kept, "{promise:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backend_without_fault_keeps_every_promise_on_several_threads() {
    session::run(&Moved::with(Fault::None)).await;
}

#[tokio::test]
async fn a_backend_on_the_real_clock_is_checked_by_waiting() {
    for (promise, verdict) in session::report(&Real::with(Fault::None)).await {
        let needs_more = [Promise::ForeignRecordsAreLeftAlone, Promise::AnOutageIsAnError].contains(&promise);
        assert_eq!(verdict, if needs_more { Verdict::NotChecked } else { Verdict::Kept }, "{promise:?}");
    }
}

#[tokio::test]
async fn each_fault_breaks_the_promise_that_it_should() {
    let mut unnoticed = Vec::new();
    for &(fault, promise) in FAULTS {
        let verdict = session::check(&Moved::with(fault), promise).await;
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
#[should_panic(expected = "TouchNeverShortens (A touch never moves the idle deadline backwards.)")]
async fn a_run_names_the_promise_in_words() {
    session::run(&Moved::with(Fault::TouchShortens)).await;
}
