//! [`CsrfLayer`]: the builder of the check, and [`Csrf`], the check.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

use tower_layer::Layer;

use super::ambient::{Ambient, may_be_in};
use super::authority::Host;
use super::error::{ConfigError, ConfigErrorKind};
use super::metadata::{Policy, is_safe, verify};
use super::origin::Origin;
use super::{CsrfVerdict, SameSite};
use crate::guard::{Check, Guard, GuardLayer, Head, Pass};
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
    /// Shared by all copies: a router makes one per route, and one warning is enough.
    warned: Arc<Once>,
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
            warned: Arc::new(Once::new()),
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
    #[inline]
    fn check(&self, head: Head<'_>) -> Result<Pass, Rejection> {
        if self.passes_at_a_glance(head) { Ok(Pass::new()) } else { self.check_closely(head) }
    }
}

impl Csrf {
    /// The same for another service: of each that is made, other layers may stand around it.
    pub(crate) fn anew(&self) -> Self {
        Self { is_surrounded: Arc::default(), ..self.clone() }
    }

    /// Most requests do, and this is so small that it is compiled into whatever calls it.
    #[inline]
    fn passes_at_a_glance(&self, head: Head<'_>) -> bool {
        !self.report_only
            && self.policy.passes_at_a_glance(head)
            && (is_safe(head.method) || self.is_surrounded.load(Ordering::Relaxed))
    }

    #[cold]
    #[inline(never)]
    fn check_closely(&self, head: Head<'_>) -> Result<Pass, Rejection> {
        let decided = self.decide(head);
        if self.report_only {
            return Ok(Pass::with(report(decided)));
        }
        decided.map_err(Rejection::Csrf)
    }
}

impl Csrf {
    fn decide(&self, head: Head<'_>) -> Result<Pass, CsrfReason> {
        let mut ambient = true;
        let verified = verify(&self.policy, head, || {
            ambient = self.ambient(head);
            ambient
        });
        verified.or_else(|reason| self.excuse(reason, head))?;
        // Nothing has to be remembered of most requests: they carry nothing that could be a credential, or are proven.
        let doubtful = !ambient && may_be_in(head.headers);
        let unproven = if doubtful { self.decide_if_ambient(head).err() } else { None };
        Ok(unproven.map_or_else(Pass::new, |reason| Pass::with(Unproven(reason))))
    }

    /// What is to become of the request should a layer further in find an ambient credential.
    fn decide_if_ambient(&self, head: Head<'_>) -> Result<(), CsrfReason> {
        verify(&self.policy, head, || true).or_else(|reason| self.excuse(reason, head))
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

fn report(decided: Result<Pass, CsrfReason>) -> CsrfVerdict {
    match decided {
        Ok(_) => CsrfVerdict::Passed,
        Err(reason) => {
            tracing::warn!(csrf = reason.label(), "would be refused: {}", reason.hint());
            CsrfVerdict::Refused(reason)
        }
    }
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
            .finish()
    }
}
