//! Periodic renewal: a session's secret is replaced now and then, and a response that is lost signs nobody out.
//!
//! After a renewal two secrets are good: the new one, and the one before for as long as nobody has presented the new
//! one, because then its response may have been lost. Once the new one was presented, requests that were under way
//! with the one before are still served for [`OVERLAP`].
//!
//! A rotation is a renewal at first, too, so that an answer of the store that is lost signs nobody out. It is over, and the
//! secret before refused, when the store has answered and been told so; at the latest, when the new secret is presented.

use std::time::Duration;

use portcullis_store::{Header, SecretHash, Timestamp};

use super::expiry::reissue_after;
use super::transport::Proof;

/// What a request's secret asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// Nothing.
    #[default]
    NotDue,
    /// A new secret in place of this one, for the response.
    Due(SecretHash),
    /// The new secret was presented for the first time: the one before ends soon. Behind the response.
    Arrived,
}

/// How long requests with the secret before are served after the new one was presented.
pub(crate) const OVERLAP: Duration = Duration::from_secs(10);

/// A new secret that was not presented for this long is taken for lost, and another one is sent.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// The bit of a header's flags that says that a rotation is not over: the secret before has no grace.
const ROTATING: u8 = 2;

/// What is to be done about the secret that a request has presented.
pub(crate) fn renewal(header: &Header, proof: Proof, now: Timestamp, every: Option<Duration>) -> Renewal {
    if let (Proof::Current, Some((_, Timestamp::MAX))) = (proof, header.previous) {
        return Renewal::Arrived;
    }
    let Some(every) = [every, reissue_after(header)].into_iter().flatten().min() else {
        return Renewal::NotDue;
    };
    let age = now.since(header.secret_since);
    match (proof, header.previous) {
        (Proof::Current, _) if age >= every => Renewal::Due(header.secret),
        (Proof::Previous, Some((_, Timestamp::MAX))) if age >= LOST_AFTER => Renewal::Due(header.secret),
        (Proof::Current | Proof::Previous | Proof::None, _) => Renewal::NotDue,
    }
}

/// Puts a new secret in the place of `from`, unless another request has done so meanwhile.
pub(crate) fn renew(header: &mut Header, from: SecretHash, to: SecretHash, at: Timestamp) {
    if header.secret != from {
        return;
    }
    // A new secret that was never presented is forgotten; the one before it is what the browser has.
    if !matches!(header.previous, Some((_, Timestamp::MAX))) {
        header.previous = Some((from, Timestamp::MAX));
    }
    (header.secret, header.secret_since) = (to, at);
}

/// Puts a new secret in the place of the current one. `from`, which the client has, stays good until this is
/// [settled](settle). If another rotation has ended it, nothing is given for it.
pub(crate) fn rotate(header: &mut Header, from: SecretHash, to: SecretHash, at: Timestamp) {
    let is_before = header.previous.is_some_and(|(previous, until)| previous == from && at <= until);
    if !is_before && header.secret != from {
        return;
    }
    header.previous = Some((from, Timestamp::MAX));
    header.flags |= ROTATING;
    (header.secret, header.secret_since) = (to, at);
}

/// Ends the secret before, and notes a proof that was given with the rotation, unless another one has come on top of it.
pub(crate) fn settle(header: &mut Header, secret: SecretHash, reauthenticated: Option<Timestamp>) {
    if header.secret != secret {
        return;
    }
    header.previous = None;
    header.flags &= !ROTATING;
    header.authenticated = reauthenticated.or(header.authenticated);
}

/// Notes that the new secret was presented; `None` when that is known already.
pub(crate) fn arrived(header: &Header, now: Timestamp) -> Option<Header> {
    match header.previous {
        Some(_) if header.flags & ROTATING != 0 => {
            Some(Header { previous: None, flags: header.flags & !ROTATING, ..*header })
        }
        Some((previous, Timestamp::MAX)) => {
            Some(Header { previous: Some((previous, now.saturating_add(OVERLAP))), ..*header })
        }
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_store::Tag;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn header(secret_since: u64, previous_until: Option<Timestamp>) -> Header {
        Header {
            tags: [Tag::default(); 4],
            flags: 0,
            secret: SecretHash([2; 32]),
            previous: previous_until.map(|until| (SecretHash([1; 32]), until)),
            secret_since: Timestamp::from_secs(secret_since),
            created: Timestamp::EPOCH,
            authenticated: None,
            absolute_deadline: Timestamp::MAX,
            idle: HOUR,
            idle_deadline: Timestamp::MAX,
        }
    }

    #[test]
    fn a_secret_is_renewed_when_it_is_old_and_again_when_the_response_was_lost() {
        let pending = Some(Timestamp::MAX);
        let settled = Some(Timestamp::from_secs(10));
        let due = Renewal::Due(SecretHash([2; 32]));
        let rows = [
            ("young", header(0, None), Proof::Current, 3599, Renewal::NotDue),
            ("old", header(0, None), Proof::Current, 3600, due),
            ("old, renewed before", header(0, settled), Proof::Current, 3600, due),
            ("the new one arrives", header(0, pending), Proof::Current, 1, Renewal::Arrived),
            ("the new one arrives late", header(0, pending), Proof::Current, 7200, Renewal::Arrived),
            ("the one before, at once", header(0, pending), Proof::Previous, 59, Renewal::NotDue),
            ("the one before, the response was lost", header(0, pending), Proof::Previous, 60, due),
            (
                "the one before, the new one is known",
                header(0, settled),
                Proof::Previous,
                7200,
                Renewal::NotDue,
            ),
        ];
        for (name, header, proof, now, expected) in rows {
            assert_eq!(renewal(&header, proof, Timestamp::from_secs(now), Some(HOUR)), expected, "{name}");
            let off = if expected == Renewal::Arrived { expected } else { Renewal::NotDue };
            assert_eq!(renewal(&header, proof, Timestamp::from_secs(now), None), off, "{name}, off");
        }
    }

    #[test]
    fn until_a_rotation_is_settled_the_secret_that_the_client_has_is_good() {
        let [current, previous, new] = [2, 1, 3].map(|byte| SecretHash([byte; 32]));
        let (at, pending, settled) =
            (Timestamp::from_secs(5), Some(Timestamp::MAX), Some(Timestamp::from_secs(4)));
        let rows = [
            ("the current one", None, current, true),
            ("the current one, renewed a moment ago", pending, current, true),
            ("the one before, not known to have been replaced", pending, previous, true),
            ("the one before, replaced too long ago", settled, previous, false),
            ("one that another rotation has ended", None, SecretHash([9; 32]), false),
        ];
        for (name, previous_until, from, is_good) in rows {
            let before = header(0, previous_until);
            let mut rotated = before;
            rotate(&mut rotated, from, new, at);
            if !is_good {
                assert_eq!(rotated, before, "{name}");
                continue;
            }
            let expected = (new, Some((from, Timestamp::MAX)), at);
            assert_eq!((rotated.secret, rotated.previous, rotated.secret_since), expected, "{name}");
            let known = arrived(&rotated, at).unwrap();
            assert_eq!(
                (known.previous, known.flags),
                (None, 0),
                "{name}: no grace when the new one is presented"
            );
            let mut other = rotated;
            settle(&mut other, current, Some(at));
            assert_eq!(other, rotated, "{name}: another one came on top");
            settle(&mut rotated, new, Some(at));
            assert_eq!(
                (rotated.previous, rotated.flags, rotated.authenticated),
                (None, 0, Some(at)),
                "{name}"
            );
            settle(&mut rotated, new, None);
            assert_eq!(rotated.authenticated, Some(at), "{name}: the proof stays");
        }
    }

    #[test]
    fn of_two_renewals_at_once_one_counts_and_a_lost_one_keeps_what_the_browser_has() {
        let mut header = header(0, None);
        let [first, second] = [SecretHash([3; 32]), SecretHash([4; 32])];
        let from = header.secret;
        renew(&mut header, from, first, Timestamp::from_secs(1));
        renew(&mut header, from, second, Timestamp::from_secs(2));
        assert_eq!((header.secret, header.previous), (first, Some((from, Timestamp::MAX))));
        renew(&mut header, first, second, Timestamp::from_secs(90));
        assert_eq!((header.secret, header.previous), (second, Some((from, Timestamp::MAX))));
        let known = arrived(&header, Timestamp::from_secs(100)).unwrap();
        assert_eq!(known.previous, Some((from, Timestamp::from_secs(110))));
        assert_eq!(arrived(&known, Timestamp::from_secs(101)), None);
    }
}
