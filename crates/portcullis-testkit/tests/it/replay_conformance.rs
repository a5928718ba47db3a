//! The suite of claims passes a backend that keeps its promises, and names the promise that a faulty one breaks.

use portcullis_testkit::conformance::replay::{self, Promise};

use crate::faults::suite_notices_faults;
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

suite_notices_faults!(replay, Moved, Fault::None, FAULTS, Real lacks [Promise::AnOutageIsAnError]);

#[tokio::test]
#[should_panic(expected = "NamesAreApart (A name says nothing about others.)")]
async fn a_run_names_the_promise_in_words() {
    replay::run(&Moved::with(Fault::NamesAreOne)).await;
}
