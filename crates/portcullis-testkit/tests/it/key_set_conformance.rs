//! The suite of key sets passes a place that keeps its promises, and names the promise that a faulty one breaks.

use std::time::Duration;

use portcullis_store::{Clock, ManualClock, Timestamp};
use portcullis_testkit::conformance::Harness;
use portcullis_testkit::conformance::key_set::{self, Promise};
use portcullis_testkit::key_sets::MemoryKeySets;

use crate::faults::suite_notices_faults;
use crate::key_set_toy::{Fault, Moved, Real};

const FAULTS: &[(Fault, Promise)] = &[
    (Fault::EmptySetsAtFirst, Promise::NothingIsThereAtFirst),
    (Fault::ForgetsAll, Promise::SetsAreKeptWhole),
    (Fault::LosesTheTtl, Promise::SetsAreKeptWhole),
    (Fault::DocumentsAreText, Promise::SetsAreKeptWhole),
    (Fault::RefusesTheLongest, Promise::SetsAreKeptWhole),
    (Fault::Cuts, Promise::NothingIsCut),
    (Fault::SetsStayYoung, Promise::SetsAge),
    (Fault::SetsAgeTwiceAsFast, Promise::SetsAge),
    (Fault::IssuersAreOne, Promise::IssuersAreApart),
    (Fault::LeasesAreOfEveryIssuer, Promise::IssuersAreApart),
    (Fault::HandlesKeepACopy, Promise::HandlesAgree),
    (Fault::HandlesLeaseApart, Promise::HandlesAgree),
    (Fault::TheLastStays, Promise::TheYoungestStays),
    (Fault::TheFirstStays, Promise::TheYoungestStays),
    (Fault::AgesAreNotOfTheClock, Promise::TheYoungestStays),
    (Fault::ResendFails, Promise::SetsMayBeResent),
    (Fault::SavesAreNotAtomic, Promise::TheYoungestOfManyStays),
    (Fault::SetsStay, Promise::SetsEnd),
    (Fault::SetsEndAtHalf, Promise::SetsEnd),
    (Fault::EndedSetsStandInTheWay, Promise::SetsEnd),
    (Fault::LateSetsExtend, Promise::LateSetsChangeNothing),
    (Fault::LateSetsShorten, Promise::LateSetsChangeNothing),
    (Fault::EverybodyHasTheLease, Promise::LeasesHaveOneHolder),
    (Fault::TheHolderHasItOnce, Promise::LeasesHaveOneHolder),
    (Fault::LeasesAreNotAtomic, Promise::OneOfManyHasTheLease),
    (Fault::LeasesStay, Promise::LeasesEnd),
    (Fault::LeasesEndAtHalf, Promise::LeasesEnd),
    (Fault::LeasesAreNotRenewed, Promise::LeasesAreRenewed),
    (Fault::LeasesAreNeverShortened, Promise::LeasesAreRenewed),
    (Fault::AnybodyReleases, Promise::OnlyTheHolderReleases),
    (Fault::NobodyReleases, Promise::OnlyTheHolderReleases),
    (Fault::OutageIsAbsence, Promise::AnOutageIsAnError),
    (Fault::OutageHangs, Promise::AnOutageIsAnError),
];

suite_notices_faults!(key_set, Moved, Fault::None, FAULTS, Real lacks [Promise::AnOutageIsAnError]);

#[tokio::test]
#[should_panic(expected = "LeasesHaveOneHolder (A lease has one holder, who may take it again.)")]
async fn a_run_names_the_promise_in_words() {
    key_set::run(&Moved::with(Fault::EverybodyHasTheLease)).await;
}

/// The place in memory that users test with.
struct Memory<C>(MemoryKeySets, C);

impl<C: Clock + Advance> Harness for Memory<C> {
    type Backend = MemoryKeySets;

    async fn handle(&self) -> MemoryKeySets {
        self.0.clone()
    }

    fn now(&self) -> Timestamp {
        self.1.now()
    }

    async fn advance(&self, time: Duration) {
        self.1.pass(time).await;
    }

    async fn unreachable(&self) -> Option<MemoryKeySets> {
        let away = MemoryKeySets::new();
        away.leave();
        Some(away)
    }
}

/// A clock, and how its time passes.
trait Advance {
    fn pass(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

impl Advance for ManualClock {
    async fn pass(&self, time: Duration) {
        self.advance(time);
    }
}

impl Advance for portcullis_store::SystemClock {
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_in_memory_keeps_its_contract() {
    let clock = ManualClock::default();
    key_set::run(&Memory(MemoryKeySets::with_clock(clock.clone()), clock)).await;
    key_set::run(&Memory(MemoryKeySets::new(), portcullis_store::SystemClock)).await;
}
