//! The conformance suite of [`FamilyBackend`]: each promise of its documentation, checked.
//!
//! * The [harness](super::token::Harness) is that of revocations; run [that suite](super::token) too, since a family ends by
//!   them.
//! * Every check works on random users of its own, in a realm of its own.
//! * A store with a clock that can be moved is checked in no time; any other in about four seconds.
//! * The suite starts tasks, so it needs a tokio runtime; one with several threads checks more.
//!
//! ```no_run
//! use portcullis_testkit::conformance::{family, token};
//!
//! async fn the_backend_keeps_its_contract<H: family::Harness>(my_store: &H) {
//!     token::run(my_store).await; // panics and names every promise that is broken
//!     family::run(my_store).await;
//! }
//! ```

mod ends;
mod stage;
mod turns;

use portcullis_store::FamilyBackend;

use self::stage::Stage;
pub use super::Verdict;
use super::outcome::Stop;
use super::{promises, token};

/// How the suite reaches the store under test: by any harness of revocations whose backend keeps families, too.
pub trait Harness: token::Harness<Backend: FamilyBackend> {}

impl<H: token::Harness<Backend: FamilyBackend>> Harness for H {}

promises! {
    /// A family is begun once; a resend is told of it, and another beginning that it is taken.
    FamiliesAreBegunOnce => turns::families_are_begun_once,
    /// The current token begins the next generation, as often as it is presented anew, and what is allowed stays.
    TheCurrentTokenRotates => turns::the_current_token_rotates,
    /// The token before is told of the same generation within the grace, and begins none.
    TheTokenBeforeIsGraced => turns::the_token_before_is_graced,
    /// A token that is older than the one before ends the family and revokes its access tokens, in the same step.
    AnOlderTokenEndsTheFamily => turns::an_older_token_ends_the_family,
    /// It has ended for good, however long its access tokens are known to be revoked; and they are for as long as was asked for.
    ReuseEndsForGood => turns::reuse_ends_for_good,
    /// Who watches for revocations is told of that.
    ReuseIsTold => turns::reuse_is_told,
    /// So does the token before when its grace is over.
    TheGraceEnds => turns::the_grace_ends,
    /// So does another secret under the number of the current one, or of the one before.
    AnotherSecretEndsTheFamily => turns::another_secret_ends_the_family,
    /// A generation that the store has lost is taken up.
    AForgottenGenerationIsTakenUp => turns::a_forgotten_generation_is_taken_up,
    /// Of many who present one token at the same time one begins a generation, and all are told of it.
    OneOfManyRotates => turns::one_of_many_rotates,
    /// What one handle has done, another sees at once; what is found is what was kept.
    HandlesAgree => turns::handles_agree,
    /// Families of two realms, users or names are two.
    FamiliesAreApart => turns::families_are_apart,
    /// A family that was revoked is not rotated, not found, and not begun again.
    RevokedFamiliesEnd => ends::revoked_families_end,
    /// A family whose user was revoked is not rotated; one that is begun later is, but not for the epoch before.
    UsersTakeTheirFamiliesAlong => ends::users_take_their_families_along,
    /// A family that was begun before everyone was revoked is not rotated, through other handles after five seconds.
    EveryoneTakesFamiliesAlong => ends::everyone_takes_families_along,
    /// A family that lies idle for too long has ended; one that is rotated meanwhile has not.
    IdleFamiliesEnd => ends::idle_families_end,
    /// A family ends at its end, however often it is rotated, and a new one can take its place.
    FamiliesEndInAnyCase => ends::families_end_in_any_case,
    /// Out of reach is Unavailable or Timeout within a second, never an answer.
    AnOutageIsAnError => ends::an_outage_is_an_error,
}
