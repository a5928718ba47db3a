//! [`Csrf`]: the check that a [`CsrfLayer`](super::CsrfLayer) makes, and what becomes of a request by it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use super::ambient::{Ambient, Credential, may_be_in};
use super::binding::Binding;
use super::events::{Consequence, failed, refused_further_in};
use super::metadata::{Offered, Policy, passes_at_a_glance, verify};
use super::presented::offered_text;
use super::tokens::Tokens;
use super::withhold::withhold;
use super::{CsrfVerdict, OnFailure, handle, nonce};
use crate::guard::{Check, Head, Pass};
use crate::realm::{Name, NameOrigin, looks};
use crate::rejection::{CsrfReason, Rejection, Unproven};

/// The check that a [`CsrfLayer`](super::CsrfLayer) makes.
#[derive(Clone)]
pub struct Csrf {
    pub(super) policy: Policy,
    pub(super) exempt: Option<Exempt>,
    pub(super) report_only: bool,
    pub(super) on_failure: OnFailure,
    pub(super) tokens: Option<Arc<Tokens>>,
    /// Shared by all copies: a router makes one per route, and one warning is enough.
    warned: Arc<Once>,
    /// Whether a look at a few headers is enough to let most requests pass.
    glances: bool,
    /// Whether a layer around this one has looked at a request before. Until then nothing passes at a glance but safe
    /// methods, so that a missing layer is warned of.
    is_surrounded: Arc<AtomicBool>,
}

pub(super) type Exempt = Arc<dyn Fn(Head<'_>) -> bool + Send + Sync>;

impl Check for Csrf {
    /// Most requests do, and this is so small that it is compiled into whatever calls it.
    #[inline]
    fn passes(&self, head: Head<'_>) -> bool {
        self.glances && passes_at_a_glance(head, || self.is_surrounded.load(Ordering::Relaxed))
    }

    #[inline(never)]
    fn check(&self, head: Head<'_>) -> Result<Pass, Rejection> {
        let mut pass = match self.decide(head) {
            Ok(_) if self.report_only => Pass::with(CsrfVerdict::Passed),
            Ok(pass) => pass,
            Err(reason) => self.consequence(reason, head)?,
        };
        if let Some(tokens) = &self.tokens {
            serve(tokens, head, &mut pass);
        }
        Ok(pass)
    }
}

impl Csrf {
    /// Trusts the service's own origin only.
    pub(super) fn new() -> Self {
        Self {
            policy: Policy::default(),
            exempt: None,
            report_only: false,
            on_failure: OnFailure::Reject,
            tokens: None,
            warned: Arc::new(Once::new()),
            glances: false,
            is_surrounded: Arc::default(),
        }
    }

    /// The same for another service: of each that is made, other layers may stand around it.
    pub(crate) fn anew(&self) -> Self {
        Self { is_surrounded: Arc::default(), glances: self.may_glance(), ..self.clone() }
    }

    /// Not if something is to be left with every request, or safe ones are looked at too.
    fn may_glance(&self) -> bool {
        !self.report_only && self.tokens.is_none() && self.policy.hosts.is_none()
    }

    fn decide(&self, head: Head<'_>) -> Result<Pass, CsrfReason> {
        let mut found = Credential::Ambient;
        let credential = || {
            found = self.credential(head);
            found
        };
        let verified = verify(&self.policy, head, credential, || self.offered(head));
        verified.or_else(|reason| self.excuse(reason, head))?;
        // Nothing has to be remembered of most requests: they carry nothing that could be a credential, or are proven.
        let is_remembered = || head.extensions.get::<Unproven>().is_some();
        let doubtful = found != Credential::Ambient && may_be_in(head.headers) && !is_remembered();
        let unproven = if doubtful { self.decide_if_ambient(head).err() } else { None };
        let unproven = unproven.map(|reason| Unproven { reason, dropped: false, count: refused_further_in });
        Ok(unproven.map_or_else(Pass::new, Pass::with))
    }

    /// What becomes of a request that fails.
    fn consequence(&self, reason: CsrfReason, head: Head<'_>) -> Result<Pass, Rejection> {
        // Of whom no layer has looked for nobody can be dropped, and another host is not this service at all.
        let drops = self.on_failure == OnFailure::DropIdentity
            && reason != CsrfReason::HostNotAllowed
            && looks(head.extensions).next().is_some();
        let consequence = match (self.report_only, drops) {
            (true, _) => Consequence::Reported,
            (false, true) => Consequence::Dropped,
            (false, false) => Consequence::Refused,
        };
        failed(reason, consequence);
        let verdict = || Pass::with(CsrfVerdict::Refused(reason));
        match consequence {
            Consequence::Reported => Ok(verdict()),
            Consequence::Refused => Err(Rejection::Csrf(reason)),
            Consequence::Dropped => {
                let mut pass = verdict();
                pass.leave(Unproven { reason, dropped: true, count: refused_further_in });
                pass.then(withhold);
                Ok(pass)
            }
        }
    }

    /// What a token says that came along.
    fn offered(&self, head: Head<'_>) -> Offered {
        let Some((tokens, text)) = self.tokens.as_ref().zip(offered_text(head.headers, head.extensions))
        else {
            return Offered::Nothing;
        };
        let binding = Binding::of_request(head.headers, head.extensions);
        if tokens.verifies(&binding, text) { Offered::Good } else { Offered::Bad }
    }

    /// What is to become of the request should a layer further in find an ambient credential.
    fn decide_if_ambient(&self, head: Head<'_>) -> Result<(), CsrfReason> {
        let verified = verify(&self.policy, head, || Credential::Ambient, || self.offered(head));
        verified.or_else(|reason| self.excuse(reason, head))
    }

    fn credential(&self, head: Head<'_>) -> Credential {
        let ambient = Ambient::of(head);
        match ambient {
            Ambient::Known(_) => self.is_surrounded.store(true, Ordering::Relaxed),
            Ambient::Guessed(_) => self.warned.call_once(|| {
                tracing::warn!(
                    "CsrfLayer has no layer around it that finds out who is calling; it counts every cookie as a \
                     credential"
                );
            }),
        }
        ambient.credential()
    }

    fn excuse(&self, reason: CsrfReason, head: Head<'_>) -> Result<(), CsrfReason> {
        let is_exempt =
            reason != CsrfReason::HostNotAllowed && self.exempt.as_ref().is_some_and(|exempt| exempt(head));
        if is_exempt { Ok(()) } else { Err(reason) }
    }
}

/// Lets handlers make tokens, and the response say what is to be said of that.
fn serve(tokens: &Arc<Tokens>, head: Head<'_>, pass: &mut Pass) {
    let (presence, new) = handle::host(head.extensions);
    let guest = presence.guest();
    guest.leave(Arc::<Tokens>::clone(tokens), nonce::part);
    if let Some(locator) = nonce::presented(head.headers) {
        let is_somebody = Binding::of_request(head.headers, head.extensions).is_of_somebody();
        let origin = if is_somebody { NameOrigin::Stale } else { NameOrigin::Presented };
        guest.name().get_or_insert(Name { locator, origin });
    }
    if let Some(new) = new {
        pass.leave(new);
    }
    pass.part(presence);
}

impl fmt::Debug for Csrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csrf")
            .field("policy", &self.policy)
            .field("exempts", &self.exempt.is_some())
            .field("report_only", &self.report_only)
            .field("on_failure", &self.on_failure)
            .field("tokens", &self.tokens)
            .finish()
    }
}
