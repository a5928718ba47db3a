//! The suite of refresh families passes a backend that keeps its promises, and names the promise that a faulty one breaks.

use portcullis_testkit::conformance::family::{self, Promise};

use crate::family_toy::{Fault, Moved};
use crate::faults::suite_notices_faults;

const FAULTS: &[(Fault, Promise)] = &[
    (Fault::BeginsOver, Promise::FamiliesAreBegunOnce),
    (Fault::ResendIsTaken, Promise::FamiliesAreBegunOnce),
    (Fault::NeverRotates, Promise::TheCurrentTokenRotates),
    (Fault::LosesThePayload, Promise::TheCurrentTokenRotates),
    (Fault::GraceRotates, Promise::TheTokenBeforeIsGraced),
    (Fault::NoGrace, Promise::TheTokenBeforeIsGraced),
    (Fault::GraceForEver, Promise::TheGraceEnds),
    (Fault::OlderIsGraced, Promise::AnOlderTokenEndsTheFamily),
    (Fault::ReuseLeavesTokensGood, Promise::AnOlderTokenEndsTheFamily),
    (Fault::ReuseKeepsTheFamily, Promise::ReuseEndsForGood),
    (Fault::ReuseIsForgottenEarly, Promise::ReuseEndsForGood),
    (Fault::ReuseIsNotTold, Promise::ReuseIsTold),
    (Fault::SecretsAreNotCompared, Promise::AnotherSecretEndsTheFamily),
    (Fault::ForgottenIsReuse, Promise::AForgottenGenerationIsTakenUp),
    (Fault::IsNotAtomic, Promise::OneOfManyRotates),
    (Fault::HandlesAreApart, Promise::HandlesAgree),
    (Fault::FindForgetsTheRest, Promise::HandlesAgree),
    (Fault::NamesAreOne, Promise::FamiliesAreApart),
    (Fault::UsersAreOne, Promise::FamiliesAreApart),
    (Fault::RealmsAreOne, Promise::FamiliesAreApart),
    (Fault::MarksDoNotMatter, Promise::RevokedFamiliesEnd),
    (Fault::BegunAgainAfterRevocation, Promise::RevokedFamiliesEnd),
    (Fault::EpochsDoNotMatter, Promise::UsersTakeTheirFamiliesAlong),
    (Fault::ExpectedEpochsDoNotMatter, Promise::UsersTakeTheirFamiliesAlong),
    (Fault::EveryoneDoesNotMatter, Promise::EveryoneTakesFamiliesAlong),
    (Fault::IdleDoesNotMatter, Promise::IdleFamiliesEnd),
    (Fault::IdleIsFromTheBeginning, Promise::IdleFamiliesEnd),
    (Fault::LeftIsToTheEnd, Promise::IdleFamiliesEnd),
    (Fault::NoEnd, Promise::FamiliesEndInAnyCase),
    (Fault::OutageIsGone, Promise::AnOutageIsAnError),
];

suite_notices_faults!(family, Moved, Fault::None, FAULTS);

#[tokio::test]
#[should_panic(expected = "RevokedFamiliesEnd (A family that was revoked is not rotated")]
async fn a_run_names_the_promise_in_words() {
    family::run(&Moved::with(Fault::MarksDoNotMatter)).await;
}
