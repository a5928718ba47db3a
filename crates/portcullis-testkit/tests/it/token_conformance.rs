//! The suite of revocations passes a backend that keeps its promises, and names the promise that a faulty one breaks.

use portcullis_testkit::conformance::token::{self, Promise};

use crate::board::Quirk;
use crate::faults::suite_notices_faults;
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
    (Fault::Watch(Quirk::StandingIsNotTold), Promise::WatchersAreToldWhatStands),
    (Fault::Watch(Quirk::StandingIsToldLate), Promise::WatchersAreToldWhatStands),
    (Fault::Watch(Quirk::TokensAreNotTold), Promise::WatchersAreToldOfEach),
    (Fault::Watch(Quirk::FamiliesAreNotTold), Promise::WatchersAreToldOfEach),
    (Fault::Watch(Quirk::UsersAreNotTold), Promise::WatchersAreToldOfEach),
    (Fault::Watch(Quirk::EveryoneIsNotTold), Promise::WatchersAreToldOfEach),
    (Fault::Watch(Quirk::OthersAreNotTold), Promise::WatchersAreToldOfEach),
    (Fault::Watch(Quirk::ToldAfterTheCall), Promise::WatchersAreToldOfEach),
    (Fault::Watch(Quirk::AnotherEpochIsTold), Promise::WatchersAreToldOfEach),
    (Fault::Watch(Quirk::ExtensionsAreNotTold), Promise::WatchersAreToldOfEach),
    (Fault::Watch(Quirk::KeepIsToldShort), Promise::WatchersAreToldOfEach),
    (Fault::Watch(Quirk::KeepIsToldLong), Promise::WatchersAreToldOfEach),
    (Fault::Watch(Quirk::CurrentForTooLong), Promise::WatchersStayCurrent),
    (Fault::Watch(Quirk::CurrentOnce), Promise::WatchersStayCurrent),
    (Fault::Watch(Quirk::EveryRealmIsTold), Promise::WatchersAreToldNothingElse),
    (Fault::Watch(Quirk::WatchesNeverEnd), Promise::WatchersAreToldNothingElse),
    (Fault::Watch(Quirk::EntersLate), Promise::EnteringWatchersMissNothing),
    (Fault::Watch(Quirk::BreaksAreNotNoticed), Promise::WhatABreakHidIsTold),
    (Fault::Watch(Quirk::BreaksAreForgotten), Promise::WhatABreakHidIsTold),
    (Fault::Watch(Quirk::OutageIsCurrent), Promise::NobodyIsCurrentInAnOutage),
];

suite_notices_faults!(token, Moved, Fault::None, FAULTS, Real lacks [
    Promise::AnOutageIsAnError,
    Promise::WhatABreakHidIsTold,
    Promise::NobodyIsCurrentInAnOutage,
]);

#[tokio::test]
#[should_panic(expected = "UsersAreRevoked (A user whose tokens are revoked has the epoch")]
async fn a_run_names_the_promise_in_words() {
    token::run(&Moved::with(Fault::UsersStayGood)).await;
}
