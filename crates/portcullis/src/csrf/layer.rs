//! [`CsrfLayer`]: the builder of the check, and [`Csrf`], the check.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use tower_layer::Layer;

use super::ambient::{Ambient, may_be_in};
use super::authority::Host;
use super::binding::Binding;
use super::error::{ConfigError, ConfigErrorKind};
use super::events::{Consequence, failed, refused_further_in};
use super::metadata::{Offered, Policy, passes_at_a_glance, verify};
use super::origin::Origin;
use super::presented::offered_text;
use super::tokens::Tokens;
use super::withhold::withhold;
use super::{CsrfKeys, CsrfVerdict, OnFailure, SameSite, handle, nonce};
use crate::guard::{Check, Guard, GuardLayer, Head, Parting, Pass};
use crate::realm::{Name, NameOrigin, looks};
use crate::rejection::{CsrfReason, Rejection, Unproven};
use crate::respond::DefaultResponder;

/// Refuses requests that another site made a browser send with the user's credential.
///
/// It stands inside the layers that find out who is calling. See the [module page](super) for what it decides.
#[derive(Clone)]
#[must_use]
pub struct CsrfLayer<R = DefaultResponder> {
    check: Csrf,
    responder: R,
}

/// The check that a [`CsrfLayer`] makes.
#[derive(Clone)]
pub struct Csrf {
    policy: Policy,
    exempt: Option<Exempt>,
    report_only: bool,
    on_failure: OnFailure,
    tokens: Option<Arc<Tokens>>,
    /// Shared by all copies: a router makes one per route, and one warning is enough.
    warned: Arc<Once>,
    /// Whether a look at a few headers is enough to let most requests pass.
    glances: bool,
    /// Whether a layer around this one has looked at a request before. Until then nothing passes at a glance but safe
    /// methods, so that a missing layer is warned of.
    is_surrounded: Arc<AtomicBool>,
}

type Exempt = Arc<dyn Fn(Head<'_>) -> bool + Send + Sync>;

impl CsrfLayer {
    /// Trusts the service's own origin only, and refuses by [`DefaultResponder`].
    pub fn new() -> Self {
        let check = Csrf {
            policy: Policy::default(),
            exempt: None,
            report_only: false,
            on_failure: OnFailure::Reject,
            tokens: None,
            warned: Arc::new(Once::new()),
            glances: false,
            is_surrounded: Arc::default(),
        };
        Self { check, responder: DefaultResponder }
    }
}

impl Default for CsrfLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> CsrfLayer<R> {
    /// Also trusts pages of this origin, `scheme://host[:port]`, with all that their users may do here.
    ///
    /// Case does not matter, and a default port may be written or not. Schemes of apps and browser extensions are
    /// fine too. Default: none.
    ///
    /// # Errors
    /// When no request could ever match it.
    pub fn add_trusted_origin(mut self, origin: impl AsRef<str>) -> Result<Self, ConfigError> {
        self.check.policy.trusted.push(Origin::configured(origin.as_ref())?);
        Ok(self)
    }

    /// The origin by which browsers know this service. Needed only behind a proxy that rewrites `Host`, for browsers
    /// that do not send `Sec-Fetch-Site` and for WebSockets. Default: what `Host` says.
    ///
    /// # Errors
    /// When no request could ever match it, or when it is neither `http` nor `https`.
    pub fn public_origin(mut self, origin: impl AsRef<str>) -> Result<Self, ConfigError> {
        let text = origin.as_ref();
        let origin = Origin::configured(text)?;
        if !origin.is_http() {
            return Err(ConfigError::new(ConfigErrorKind::NotHttp, text));
        }
        self.check.policy.public = Some(origin);
        Ok(self)
    }

    /// Refuses every request to another host than these, with safe methods too, against DNS rebinding.
    ///
    /// Names and addresses without port; the request's port does not matter. Default: any host.
    ///
    /// # Errors
    /// When there is none, or one that no request could ever match.
    pub fn allowed_hosts<T: AsRef<str>>(
        mut self,
        hosts: impl IntoIterator<Item = T>,
    ) -> Result<Self, ConfigError> {
        let hosts: Result<Vec<_>, _> =
            hosts.into_iter().map(|host| Host::configured(host.as_ref())).collect();
        let hosts = hosts?;
        if hosts.is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::NoHosts, ""));
        }
        self.check.policy.hosts = Some(hosts);
        Ok(self)
    }

    /// Whether to take requests that other hosts of the same site (`blog.example.com` for `www.example.com`) made the
    /// browser send. Default: [`SameSite::Deny`]. WebSockets are judged by `Origin` in either case.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.check.policy.same_site = same_site;
        self
    }

    /// Takes requests with neither `Sec-Fetch-Site` nor `Origin` also when an ambient credential came along, for
    /// clients that keep cookies but are no browsers.
    ///
    /// Default: such requests are refused, because a proxy that strips both headers would switch the defence off
    /// silently. Without an ambient credential they pass in any case.
    pub fn allow_missing_metadata(mut self) -> Self {
        self.check.policy.allow_missing = true;
        self
    }

    /// Takes a [token](super::CsrfToken) as proof of origin, and lets pages make some. A token is read from the header
    /// `X-CSRF-Token`, or from what a [`FormTokenLayer`](super::FormTokenLayer) further out has found in a form. Costs
    /// nothing in the store. Default: none.
    ///
    /// All processes of a service need the same keys. Of several layers on a path the outermost one's make tokens.
    ///
    /// # Errors
    /// When a key is shorter than 32 bytes.
    pub fn tokens(mut self, keys: CsrfKeys) -> Result<Self, ConfigError> {
        if !keys.0.is_sound() {
            return Err(ConfigError::new(ConfigErrorKind::ShortKey, ""));
        }
        self.check.tokens = Some(Arc::new(Tokens::new(keys)));
        Ok(self)
    }

    /// What to do with a request that does not prove its origin. Default: [`OnFailure::Reject`].
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.check.on_failure = on_failure;
        self
    }

    /// Checks requests without an ambient credential too. For login forms: another site could log its visitors in to
    /// an account of its own (login CSRF). Default: they pass.
    pub fn always(mut self) -> Self {
        self.check.policy.always = true;
        self
    }

    /// Refuses nothing, and leaves a [`CsrfVerdict`] in the extensions of every request; what would be refused is
    /// logged. For trying a configuration out. Default: off.
    pub fn report_only(mut self) -> Self {
        self.check.report_only = true;
        self
    }

    /// Lets requests pass that `exempt` says yes to. It is asked only about requests that would be refused, and never
    /// overrules [`allowed_hosts`](Self::allowed_hosts). Default: none.
    ///
    /// Under a nested axum router `head.uri` has lost its prefix; the whole of it is in axum's `OriginalUri`, among
    /// `head.extensions`. Requests of bearer clients, webhooks and native gRPC need no exemption.
    pub fn exempt_if(mut self, exempt: impl Fn(Head<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.check.exempt = Some(Arc::new(exempt));
        self
    }

    /// Who answers a refused request. Default: [`DefaultResponder`].
    pub fn responder<T>(self, responder: T) -> CsrfLayer<T> {
        CsrfLayer { check: self.check, responder }
    }

    pub(crate) fn into_check(self) -> Csrf {
        self.check
    }
}

impl<S, R: Clone> Layer<S> for CsrfLayer<R> {
    type Service = Guard<S, Csrf, R>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardLayer::with_responder(self.check.anew(), self.responder.clone()).layer(inner)
    }
}

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
    /// The same for another service: of each that is made, other layers may stand around it.
    pub(crate) fn anew(&self) -> Self {
        Self { is_surrounded: Arc::default(), glances: self.may_glance(), ..self.clone() }
    }

    /// Not if something is to be left with every request, or safe ones are looked at too.
    fn may_glance(&self) -> bool {
        !self.report_only && self.tokens.is_none() && self.policy.hosts.is_none()
    }

    fn decide(&self, head: Head<'_>) -> Result<Pass, CsrfReason> {
        let mut ambient = true;
        let is_ambient = || {
            ambient = self.ambient(head);
            ambient
        };
        let verified = verify(&self.policy, head, is_ambient, || self.offered(head));
        verified.or_else(|reason| self.excuse(reason, head))?;
        // Nothing has to be remembered of most requests: they carry nothing that could be a credential, or are proven.
        let doubtful = !ambient && may_be_in(head.headers);
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
        let mut pass = Pass::with(CsrfVerdict::Refused(reason));
        match consequence {
            Consequence::Reported => Ok(pass),
            Consequence::Refused => Err(Rejection::Csrf(reason)),
            Consequence::Dropped => {
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
        verify(&self.policy, head, || true, || self.offered(head)).or_else(|reason| self.excuse(reason, head))
    }

    fn ambient(&self, head: Head<'_>) -> bool {
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
        ambient.came_along()
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
    guest.leave(Arc::<Tokens>::clone(tokens));
    if let Some(locator) = nonce::presented(head.headers) {
        let is_somebody = Binding::of_request(head.headers, head.extensions).is_of_somebody();
        let origin = if is_somebody { NameOrigin::Stale } else { NameOrigin::Presented };
        guest.name().get_or_insert(Name { locator, origin });
    }
    if let Some(new) = new {
        pass.leave(new);
    }
    pass.part(Parting::Of(presence, nonce::part));
}

impl<R> fmt::Debug for CsrfLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CsrfLayer").field(&self.check).finish()
    }
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
