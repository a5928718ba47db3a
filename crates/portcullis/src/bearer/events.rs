//! What is logged and counted about tokens, here and nowhere else. Labels are of closed sets: never a token, its id, its
//! subject or its issuer.

use metrics::counter;
use portcullis_store::StoreErrorKind;

use super::dpop::ProofRefusal;
use super::introspection::IntrospectionError;
use super::refusal::Refusal;

/// Why a request goes no further. Of those that do, with a good token or with none, nothing is counted here: they are most.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    /// It brings no token, where one is required.
    Missing,
    /// Its credentials contradict their syntax: 400.
    Malformed,
    /// Its token is bad.
    Invalid,
    /// It is not proved that its token is its holder's own.
    Unproved,
    /// It cannot be told whether its token is good: 503.
    Unavailable,
}

/// What a check for revocation came to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Checked {
    Good,
    Revoked,
    /// It could not be revoked, and is refused for that.
    NotRevocable,
    /// The store is away, and the token passes all the same.
    FailedOpen,
    /// The store is away: 503.
    Unavailable,
}

/// What somebody has revoked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Revoked {
    Token,
    Family,
    User,
    Everyone,
}

/// How a process comes to know what is revoked that is told of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pushed {
    /// It was told all, and need not ask.
    Current,
    /// It may miss something, and asks until it was told all anew.
    Deaf,
    /// There is more than there is room for: it asks.
    Overfull,
    /// The store does not tell: it asks.
    Refused,
}

/// What the cache of verified tokens has done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cached {
    Hit,
    Miss,
    /// A token made room for another, and would have been good for longer.
    Evicted,
}

/// What became of a proof.
#[derive(Clone, Copy, Debug)]
pub(super) enum ProofOutcome {
    Good,
    Bad,
    /// It has no nonce, or an old one.
    NoNonce,
    Replayed,
}

/// What became of an opaque token.
#[derive(Clone, Copy, Debug)]
pub(super) enum Introspected {
    /// It was asked about a moment ago.
    Known,
    Active,
    Inactive,
    /// It is active, and not one for us.
    Refused,
    /// Too many others are being asked about.
    Crowded,
    /// The server has failed a moment ago, and was not asked.
    LeftAlone,
}

/// A request was refused. Each line has labels of its own, which cost no allocation.
pub(super) fn refused(refused: Refused) {
    match refused {
        Refused::Missing => counter!("portcullis_bearer_refused_total", "reason" => "missing"),
        Refused::Malformed => counter!("portcullis_bearer_refused_total", "reason" => "malformed"),
        Refused::Invalid => counter!("portcullis_bearer_refused_total", "reason" => "invalid"),
        Refused::Unproved => counter!("portcullis_bearer_refused_total", "reason" => "unproved"),
        Refused::Unavailable => counter!("portcullis_bearer_refused_total", "reason" => "unavailable"),
    }
    .increment(1);
}

/// A token's status was asked for. Each line has labels of its own, which cost no allocation.
pub(super) fn checked(checked: Checked) {
    match checked {
        Checked::Good => counter!("portcullis_bearer_revocation_checks_total", "result" => "good"),
        Checked::Revoked => counter!("portcullis_bearer_revocation_checks_total", "result" => "revoked"),
        Checked::NotRevocable => {
            counter!("portcullis_bearer_revocation_checks_total", "result" => "not_revocable")
        }
        Checked::FailedOpen => {
            counter!("portcullis_bearer_revocation_checks_total", "result" => "failed_open")
        }
        Checked::Unavailable => {
            counter!("portcullis_bearer_revocation_checks_total", "result" => "unavailable")
        }
    }
    .increment(1);
}

/// A token was looked up among those verified before, or put there.
pub(super) fn cached(cached: Cached) {
    match cached {
        Cached::Hit => counter!("portcullis_bearer_cache_total", "result" => "hit"),
        Cached::Miss => counter!("portcullis_bearer_cache_total", "result" => "miss"),
        Cached::Evicted => counter!("portcullis_bearer_cache_total", "result" => "evicted"),
    }
    .increment(1);
}

/// A proof was judged.
pub(super) fn proof(outcome: ProofOutcome) {
    match outcome {
        ProofOutcome::Good => counter!("portcullis_bearer_proofs_total", "result" => "good"),
        ProofOutcome::Bad => counter!("portcullis_bearer_proofs_total", "result" => "bad"),
        ProofOutcome::NoNonce => counter!("portcullis_bearer_proofs_total", "result" => "no_nonce"),
        ProofOutcome::Replayed => counter!("portcullis_bearer_proofs_total", "result" => "replayed"),
    }
    .increment(1);
}

/// It cannot be told whether a proof was used before: 503. What `Rejection::Unavailable` is logged as says how often.
pub(super) fn proofs_are_away(kind: StoreErrorKind) {
    tracing::debug!(error = kind.label(), "it cannot be told whether a proof was used before");
    counter!("portcullis_bearer_proofs_total", "result" => "unavailable").increment(1);
}

/// Something became of an opaque token.
pub(super) fn introspected(what: Introspected) {
    counter!("portcullis_bearer_introspections_total", "result" => what.label()).increment(1);
}

/// The server has not answered. One warning for each time that it is left alone for it.
pub(super) fn introspection_failed(error: &IntrospectionError, is_left_alone: bool) {
    let kind = error.kind().label();
    counter!("portcullis_bearer_introspections_total", "result" => kind).increment(1);
    if is_left_alone {
        tracing::warn!(kind, %error, "opaque tokens cannot be asked about");
    } else {
        tracing::debug!(kind, %error, "an opaque token could not be asked about");
    }
}

/// The server answers again.
pub(super) fn introspection_is_back() {
    tracing::info!("opaque tokens can be asked about again");
}

/// Tokens were revoked, or could not be.
pub(super) fn revoked(what: Revoked, realm: &str, outcome: Result<&(), StoreErrorKind>) {
    let (what, result) = (what.label(), outcome.map_or_else(StoreErrorKind::label, |()| "ok"));
    match outcome {
        Ok(()) => tracing::info!(what, realm, "bearer tokens revoked"),
        Err(_) => tracing::warn!(what, realm, error = result, "bearer tokens could not be revoked"),
    }
    counter!("portcullis_bearer_revocations_total", "what" => what, "result" => result).increment(1);
}

/// From here on requests are answered from what this process was told, or no longer.
pub(super) fn pushed(state: Pushed, realm: &str) {
    let label = state.label();
    match state {
        Pushed::Current => tracing::debug!(realm, "revocations are told, requests do not ask"),
        Pushed::Deaf | Pushed::Overfull | Pushed::Refused => {
            tracing::warn!(realm, state = label, "revocations are not told, each request asks the store");
        }
    }
    counter!("portcullis_bearer_revocation_push_total", "state" => label).increment(1);
}

/// It cannot be told whether tokens are revoked. One warning for each outage.
pub(super) fn revocation_is_away(kind: StoreErrorKind, is_new: bool) {
    let error = kind.label();
    if is_new {
        tracing::warn!(error, "it cannot be told whether bearer tokens are revoked");
    } else {
        tracing::debug!(error, "it cannot be told whether a bearer token is revoked");
    }
}

/// It can be told again.
pub(super) fn revocation_is_back() {
    tracing::info!("it can be told again whether bearer tokens are revoked");
}

impl ProofOutcome {
    pub(super) const fn of(refusal: ProofRefusal) -> Self {
        if matches!(refusal, ProofRefusal::Replayed) { Self::Replayed } else { Self::Bad }
    }
}

impl Introspected {
    pub(super) const fn of(refusal: Option<&Refusal>) -> Self {
        match refusal {
            None => Self::Active,
            Some(Refusal::Inactive) => Self::Inactive,
            Some(_) => Self::Refused,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Refused => "refused",
            Self::Crowded => "crowded",
            Self::LeftAlone => "left_alone",
        }
    }
}

impl Pushed {
    const fn label(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Deaf => "deaf",
            Self::Overfull => "overfull",
            Self::Refused => "refused",
        }
    }
}

impl Revoked {
    const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Family => "family",
            Self::User => "user",
            Self::Everyone => "everyone",
        }
    }
}
