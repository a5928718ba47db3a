//! What is logged and counted of a refusal, here and nowhere else.

use metrics::counter;

use super::RequestHead;
use crate::rejection::Rejection;

/// A request was refused.
pub(super) fn refused(rejection: &Rejection, head: &RequestHead) {
    log(rejection, head);
    count(rejection);
}

fn log(rejection: &Rejection, head: &RequestHead) {
    let (reason, message) = (rejection.label(), rejection.message());
    match rejection {
        Rejection::Misconfigured(misassembly) => {
            tracing::error!(reason, path = head.uri().path(), "refused: {misassembly}")
        }
        Rejection::Csrf(csrf) => tracing::warn!(reason, csrf = csrf.label(), "refused: {message}"),
        Rejection::Unavailable { .. } => tracing::warn!(reason, "refused: {message}"),
        Rejection::Unauthenticated(_)
        | Rejection::InvalidCredential { .. }
        | Rejection::InvalidProof { .. }
        | Rejection::BadRequest { .. }
        | Rejection::Forbidden(_)
        | Rejection::StepUp { .. }
        | Rejection::Conflict
        | Rejection::TooLarge
        | Rejection::InsecureTransport { .. } => tracing::debug!(reason, "refused: {message}"),
    }
}

/// Each line has labels of its own, which cost no allocation: those of [`Rejection::label`].
fn count(rejection: &Rejection) {
    match rejection {
        Rejection::Unauthenticated(_) => counter!("portcullis_refused_total", "reason" => "unauthenticated"),
        Rejection::InvalidCredential { .. } => {
            counter!("portcullis_refused_total", "reason" => "invalid_credential")
        }
        Rejection::InvalidProof { .. } => counter!("portcullis_refused_total", "reason" => "invalid_proof"),
        Rejection::BadRequest { .. } => counter!("portcullis_refused_total", "reason" => "bad_request"),
        Rejection::Forbidden(_) => counter!("portcullis_refused_total", "reason" => "forbidden"),
        Rejection::StepUp { .. } => counter!("portcullis_refused_total", "reason" => "step_up"),
        Rejection::Csrf(_) => counter!("portcullis_refused_total", "reason" => "csrf"),
        Rejection::Conflict => counter!("portcullis_refused_total", "reason" => "conflict"),
        Rejection::TooLarge => counter!("portcullis_refused_total", "reason" => "too_large"),
        Rejection::InsecureTransport { .. } => {
            counter!("portcullis_refused_total", "reason" => "insecure_transport")
        }
        Rejection::Unavailable { .. } => counter!("portcullis_refused_total", "reason" => "unavailable"),
        Rejection::Misconfigured(_) => counter!("portcullis_refused_total", "reason" => "misconfigured"),
    }
    .increment(1);
}
