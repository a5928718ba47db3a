//! [`CsrfLayer`]: the builder of the check.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::authority::Host;
use super::check::Csrf;
use super::error::{ConfigError, ConfigErrorKind};
use super::origin::Origin;
use super::tokens::Tokens;
use super::{CsrfKeys, OnFailure, SameSite};
use crate::guard::{Guard, GuardLayer, Head};
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

impl CsrfLayer {
    /// Trusts the service's own origin only, and refuses by [`DefaultResponder`].
    pub fn new() -> Self {
        Self { check: Csrf::new(), responder: DefaultResponder }
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

    /// Checks requests without any credential too. Default: they pass.
    ///
    /// * For login forms: another site could log its visitors in to an account of its own (login CSRF).
    /// * Wherever a session may begin for a visitor. A `SameSite=Lax` cookie stays at home when another site makes a browser
    ///   post a form, so that request looks like a visitor's; the cookie of the session that begins then takes the place of
    ///   the one that was there, and whoever was signed in by it no longer is.
    ///
    /// Whoever is known by a credential that is not ambient, such as a bearer token, passes all the same: no page of another
    /// site can put that there. So it can stand around a whole application.
    pub fn always(mut self) -> Self {
        self.check.policy.always = true;
        self
    }

    /// Refuses nothing, and leaves a [`CsrfVerdict`](super::CsrfVerdict) in the extensions of every request; what
    /// would be refused is logged. For trying a configuration out. Default: off.
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

impl<R> fmt::Debug for CsrfLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CsrfLayer").field(&self.check).finish()
    }
}
