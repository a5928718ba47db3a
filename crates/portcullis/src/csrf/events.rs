//! What is logged and counted about refusals, here and nowhere else. Labels are of closed sets.

use metrics::counter;

use crate::rejection::CsrfReason;

/// What became of a request that did not prove where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// It was refused. The refusal is logged where it is answered.
    Refused,
    /// It went on as nobody's.
    Dropped,
    /// It went on as it was: the layer only reports.
    Reported,
}

/// A request did not prove where it came from.
pub(crate) fn failed(reason: CsrfReason, consequence: Consequence) {
    match consequence {
        Consequence::Refused => {}
        Consequence::Dropped => {
            tracing::warn!(csrf = reason.label(), "goes on without identity: {}", reason.hint());
        }
        Consequence::Reported => {
            tracing::warn!(csrf = reason.label(), "would be refused: {}", reason.hint());
        }
    }
    let consequence = consequence.label();
    counter!("portcullis_csrf_failures_total", "reason" => reason.label(), "consequence" => consequence)
        .increment(1);
}

/// A layer further in had to refuse, for what a layer had left it to know.
pub(super) fn refused_further_in(reason: CsrfReason) {
    failed(reason, Consequence::Refused);
}

impl Consequence {
    const fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Dropped => "dropped",
            Self::Reported => "reported",
        }
    }
}
