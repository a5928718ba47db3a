//! [`JobTickets`]: work on somebody's behalf who is not there.
//!
//! * A queue carries a ticket: a signed token with an audience of its own, for who asked, and by whom it is carried out.
//! * It allows what who asked was allowed, or less; never more.
//! * A worker makes an identity of it by the verifier that layers use.
//! * It is void as soon as its user is revoked, or the login that it was asked in ends.
//! * It is good for fifteen minutes. No service accepts it in the place of an access token, because it is not meant for them.
//!
//! So work needs neither a browser nor a password that workers share. Whoever can read the queue can use its tickets within
//! their time, in workers only; so the queue is in a trusted place.
//!
//! ```
//! use portcullis::Identity;
//! # use portcullis::bearer::{Algorithm, MemoryTokenBackend, Revocations};
//! # use portcullis::issue::{KeyRing, SigningKey, TokenIssuer};
//! use portcullis::issue::{JobRequest, JobTickets};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let revocations = Revocations::new(MemoryTokenBackend::new());
//! # let ring = KeyRing::new(SigningKey::generate(Algorithm::ES256)?)?;
//! # let issuer = TokenIssuer::builder("https://auth.example", ["api"], &ring).revocations(&revocations).build()?;
//! let jobs = JobTickets::builder(&issuer, "jobs").build()?;
//!
//! // In a handler, which knows who asks:
//! # let me: Identity = Identity::new("ada").issuer("https://auth.example").scope("reports").build();
//! let ticket = jobs.issue(&JobRequest::of(&me).actor("report-worker")).await?;
//!
//! // In the worker:
//! let on_behalf_of = jobs.accept(ticket.as_str()).await?;
//! assert!(on_behalf_of.subject() == "ada" && on_behalf_of.has_scope("reports"));
//!
//! revocations.revoke_user("https://auth.example", "ada").await?;
//! assert!(jobs.accept(ticket.as_str()).await.is_err());
//! # Ok(()) }
//! ```

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{StoreError, StoreErrorKind};
use serde::Deserialize;

use super::access::AccessToken;
use super::error::{BuildError, BuildErrorKind, IssueError, IssueErrorKind};
use super::grant::Grant;
use super::issuer::{Order, TokenIssuer};
use crate::Identity;
use crate::bearer::{OwnVerifier, Profile, Revocations};

/// Issues tickets, and makes identities of them; see the [module page](self). A clone is one atomic increment.
#[derive(Clone)]
pub struct JobTickets(Arc<Parts>);

struct Parts {
    issuer: TokenIssuer,
    revocations: Revocations,
    audience: [String; 1],
    lifetime: Duration,
    verifier: OwnVerifier,
}

/// Builds [`JobTickets`].
#[derive(Debug)]
#[must_use]
pub struct JobTicketsBuilder {
    issuer: TokenIssuer,
    audience: String,
    lifetime: Duration,
}

/// A ticket. It is a credential: `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct JobTicket(AccessToken);

/// For what a ticket is asked.
#[derive(Clone)]
#[must_use]
pub struct JobRequest {
    identity: Identity,
    actor: Option<String>,
    scopes: Option<Vec<String>>,
}

/// A ticket is not accepted.
///
/// The text is for operators and not part of the API; match on [`TicketError::kind`].
#[derive(Debug)]
pub struct TicketError {
    kind: TicketErrorKind,
    source: Option<StoreError>,
}

/// The classes of [`TicketError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TicketErrorKind {
    /// It is no ticket of this issuer for this audience, or its time is over.
    Invalid,
    /// Its user was revoked, or its login has ended: the work is not to be done.
    Revoked,
    /// It cannot be told; the ticket may be tried again.
    Store(StoreErrorKind),
}

/// What a token says of the login and the client that it came of.
#[derive(Default, Deserialize)]
struct Origin {
    sid: Option<String>,
    client_id: Option<String>,
}

impl JobTickets {
    /// Tickets of this issuer for workers of this name (`aud`), which must not be one that services have.
    pub fn builder(issuer: &TokenIssuer, audience: impl Into<String>) -> JobTicketsBuilder {
        let lifetime = Duration::from_secs(900);
        JobTicketsBuilder { issuer: issuer.clone(), audience: audience.into(), lifetime }
    }

    /// A ticket for what is asked. One round trip.
    ///
    /// # Errors
    /// [`IssueErrorKind::BadGrant`] when more is asked for than who asks is allowed, or who asks is known by another issuer
    /// than this one, so that nothing could make the ticket void; [`IssueErrorKind::Store`] while the store is away.
    pub async fn issue(&self, request: &JobRequest) -> Result<JobTicket, IssueError> {
        let parts = &*self.0;
        let grant = request.grant(&parts.issuer, &parts.audience)?;
        grant.check()?;
        let epoch = parts.revocations.epoch(parts.issuer.name(), &grant.subject).await?;
        let order = Order {
            grant: &grant,
            scopes: &grant.scopes,
            audience: &parts.audience,
            lifetime: parts.lifetime,
            version: Some(epoch.as_version()),
        };
        parts.issuer.mint(order).await.map(JobTicket)
    }

    /// On whose behalf the work is done, by the ticket's text. One round trip.
    ///
    /// # Errors
    /// [`TicketErrorKind`].
    pub async fn accept(&self, ticket: &str) -> Result<Identity, TicketError> {
        let parts = &*self.0;
        let own = parts.verifier.verify(ticket, parts.issuer.now()).ok_or(TicketErrorKind::Invalid)?;
        if own.stands(&parts.revocations).await? {
            Ok(own.identity)
        } else {
            Err(TicketErrorKind::Revoked.into())
        }
    }
}

impl JobRequest {
    /// On behalf of this identity, with all its scopes.
    pub fn of(identity: &Identity) -> Self {
        Self { identity: identity.clone(), actor: None, scopes: None }
    }

    /// Who carries it out (`act`).
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// One of the scopes that are enough, in place of all.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.get_or_insert_default().push(scope.into());
        self
    }

    fn grant(&self, issuer: &TokenIssuer, audience: &[String; 1]) -> Result<Grant, IssueError> {
        let me = &self.identity;
        if me.issuer() != Some(issuer.name()) {
            return Err(IssueErrorKind::BadGrant.into());
        }
        let origin: Origin = me.claims().unwrap_or_default();
        let [client] = audience;
        let mut grant = Grant::new(me.subject(), origin.client_id.as_deref().unwrap_or(client));
        for scope in me.scopes() {
            grant = grant.scope(scope);
        }
        if let Some(asked) = &self.scopes {
            let asked: Vec<_> = asked.iter().map(String::as_str).collect();
            grant.scopes = grant.narrowed(&asked).ok_or(IssueErrorKind::BadGrant)?;
        }
        // A session is the login itself; a token names it.
        grant.sid = me.session_ref().map(str::to_owned).or(origin.sid);
        grant.actor.clone_from(&self.actor);
        grant.auth_time = me.authenticated_at().map(|at| at.as_secs());
        grant.acr = me.acr().map(str::to_owned);
        grant.amr = me.amr().map(str::to_owned).collect();
        Ok(grant)
    }
}

impl JobTicketsBuilder {
    /// How long a ticket is good for: how long work may wait, and then take to begin. Default: fifteen minutes.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The tickets.
    ///
    /// # Errors
    /// [`BuildErrorKind::NotRevocable`] when the issuer's tokens cannot be revoked; [`BuildErrorKind::BadAudience`] when the
    /// audience is empty, or that of the issuer's access tokens; [`BuildErrorKind::BadLifetime`] as for an issuer.
    pub fn build(self) -> Result<JobTickets, BuildError> {
        let Self { issuer, audience, lifetime } = self;
        let Some(revocations) = issuer.revocations().cloned() else {
            return Err(BuildErrorKind::NotRevocable.into());
        };
        if audience.is_empty() || issuer.audience().contains(&audience) {
            return Err(BuildErrorKind::BadAudience.into());
        }
        let longest = issuer.ring().longest_token().min(revocations.longest());
        if lifetime.as_secs() == 0 || lifetime > longest {
            return Err(BuildErrorKind::BadLifetime.into());
        }
        let audience = [audience];
        let trusted = issuer.trusted_for(&audience).profile(Profile::AccessToken);
        let verifier = OwnVerifier::new(trusted).map_err(|_| BuildErrorKind::BadIssuer)?;
        Ok(JobTickets(Arc::new(Parts { issuer, revocations, audience, lifetime, verifier })))
    }
}

impl JobTicket {
    /// The text, to be put in a queue.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// How long it is good for.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.0.expires_in()
    }
}

impl TicketError {
    /// The class of the error.
    #[must_use]
    pub const fn kind(&self) -> TicketErrorKind {
        self.kind
    }
}

impl From<TicketErrorKind> for TicketError {
    fn from(kind: TicketErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<StoreError> for TicketError {
    fn from(error: StoreError) -> Self {
        Self { kind: TicketErrorKind::Store(error.kind()), source: Some(error) }
    }
}

impl fmt::Display for TicketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TicketErrorKind::Invalid => "the ticket is none, or its time is over",
            TicketErrorKind::Revoked => "the ticket's user was revoked, or its login has ended",
            TicketErrorKind::Store(_) => "it cannot be told whether the ticket is revoked",
        })
    }
}

impl Error for TicketError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn Error + 'static))
    }
}

impl fmt::Debug for JobTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobTickets")
            .field("issuer", &self.0.issuer)
            .field("audience", &self.0.audience)
            .field("lifetime", &self.0.lifetime)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JobRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRequest")
            .field("identity", &self.identity)
            .field("actor", &self.actor)
            .field("scopes", &self.scopes)
            .finish()
    }
}
