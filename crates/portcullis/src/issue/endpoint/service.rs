//! [`TokenEndpoints`]: what each endpoint does with a form. [`EndpointService`]: the service around it.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request;
use http::{Method, Request, Response};
use http_body::Body;
use serde_json::{Value, json};
use tower_service::Service;

use super::answer::{Answer, Fault};
use super::client::{Client, ClientKind, Clients};
use super::form::Form;
use super::proven::{ProofError, ProvenKey};
use crate::bearer::{self, Dpop, KeyFault, KeyProof, KeyProofs, OwnVerifier};
use crate::issue::{
    BuildError, BuildErrorKind, Confirmation, RefreshError, RefreshErrorKind, RefreshRequest, RefreshTokens,
    TokenPair,
};

/// The endpoints of an issuer's refresh tokens; see the [module page](super). A clone is one atomic increment.
#[derive(Clone)]
pub struct TokenEndpoints(Arc<Parts>);

struct Parts {
    refresh: RefreshTokens,
    clients: Arc<dyn Clients>,
    verifier: Arc<OwnVerifier>,
    proofs: Option<KeyProofs>,
}

/// A tower service that answers at one of the [endpoints](TokenEndpoints).
#[must_use]
pub struct EndpointService<B> {
    endpoints: TokenEndpoints,
    kind: Kind,
    body: PhantomData<fn() -> B>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Token,
    Revocation,
    Introspection,
}

impl TokenEndpoints {
    /// Endpoints for these clients.
    ///
    /// # Errors
    /// [`BuildErrorKind::BadIssuer`] when the issuer's own tokens could not be verified.
    pub fn new(refresh: &RefreshTokens, clients: impl Clients) -> Result<Self, BuildError> {
        let verifier = OwnVerifier::new(refresh.issuer().trusted()).map_err(|_| BuildErrorKind::BadIssuer)?;
        let (refresh, verifier) = (refresh.clone(), Arc::new(verifier));
        Ok(Self(Arc::new(Parts { refresh, clients: Arc::new(clients), verifier, proofs: None })))
    }

    /// Takes proofs of keys (RFC 9449, section 5), for the address below which clients know the endpoints. Default: a proof is
    /// not looked at, so that what is bound to a key cannot be refreshed here.
    ///
    /// * A refresh with a good proof gives an access token that is bound to its key, and `token_type` is `DPoP`.
    /// * A refresh token that is bound to a key, because its login was, is good with a proof of that key only; without, or
    ///   with another's, it is `invalid_grant`, and stays good. So it is where tokens are revoked.
    /// * One that is bound to none, and presented with a proof, is exchanged for one that is bound. That of a confidential
    ///   client stays as it is, because the client's secret does the same (RFC 9449, section 5).
    /// * A proof that is none is `invalid_dpop_proof`. So is a missing one, if proofs are [required](Dpop::required).
    /// * With [nonces](Dpop::nonces), a proof without a good one is `use_dpop_nonce`, with a nonce in the field `DPoP-Nonce`.
    /// * A proof is good once; while the store that knows it is away, the answer is 503.
    ///
    /// The login itself is the application's: see [`proven_key`](Self::proven_key).
    ///
    /// # Errors
    /// When an address is none, an algorithm is symmetric, proofs would be valid for too long, or a key of nonces is short.
    pub fn dpop(self, dpop: Dpop) -> Result<Self, bearer::BuildError> {
        let proofs = KeyProofs::new(dpop)?;
        let Parts { refresh, clients, verifier, .. } = &*self.0;
        let (refresh, clients, verifier) = (refresh.clone(), Arc::clone(clients), Arc::clone(verifier));
        Ok(Self(Arc::new(Parts { refresh, clients, verifier, proofs: Some(proofs) })))
    }

    /// The key that a request proves to have, whatever it is for: a login binds what it gives to it by
    /// [`Grant::confirmation`](crate::issue::Grant::confirmation). `None` if it brings no proof and need not, or if no
    /// [proofs](Self::dpop) are looked at.
    ///
    /// The proof is used up by this. Ask once, and after everything else that may be wrong with the request, such as the
    /// password: then strangers fill no store.
    ///
    /// # Errors
    /// [`ProofError`], which is a response.
    pub async fn proven_key(&self, head: &request::Parts) -> Result<Option<ProvenKey>, ProofError> {
        let Some(proof) = self.0.proof(head)? else { return Ok(None) };
        proof.claim().await?;
        Ok(Some(ProvenKey::of(&proof)))
    }

    /// Refreshes tokens (RFC 6749, section 6). `B` is the response's body.
    pub fn token_service<B: From<Bytes>>(&self) -> EndpointService<B> {
        self.service(Kind::Token)
    }

    /// Revokes tokens (RFC 7009): a refresh token with its whole family and the family's access tokens, an access token
    /// alone. `B` is the response's body.
    pub fn revocation_service<B: From<Bytes>>(&self) -> EndpointService<B> {
        self.service(Kind::Revocation)
    }

    /// Says whether a token of this issuer is good, and what it says (RFC 7662). Only confidential clients may ask. `B` is the
    /// response's body.
    pub fn introspection_service<B: From<Bytes>>(&self) -> EndpointService<B> {
        self.service(Kind::Introspection)
    }

    fn service<B>(&self, kind: Kind) -> EndpointService<B> {
        EndpointService { endpoints: self.clone(), kind, body: PhantomData }
    }
}

impl Parts {
    async fn answer<T: Body>(&self, kind: Kind, request: Request<T>) -> Result<Answer, Answer> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return Err(Answer::NotPosted);
        }
        let form = Form::read(&head.headers, body).await?;
        let client = Client::of(&*self.clients, &head.headers, &form).await?;
        match kind {
            Kind::Token => self.refresh(&client, &form, self.proof(&head)?).await,
            // Whoever gives a token up need not prove a key, but where the token is bound to it.
            Kind::Revocation => self.revoke(&client, &form, self.optional_proof(&head)?).await,
            Kind::Introspection => self.introspect(&client, &form).await,
        }
    }

    /// What a request proves, if proofs are looked at. It is not used up yet.
    fn proof(&self, head: &request::Parts) -> Result<Option<KeyProof>, KeyFault> {
        let Some(proofs) = &self.proofs else { return Ok(None) };
        let target = (&head.method, head.uri.path());
        proofs.find(target, &head.headers, self.refresh.issuer().now())
    }

    /// The same where none is required.
    fn optional_proof(&self, head: &request::Parts) -> Result<Option<KeyProof>, KeyFault> {
        let Some(proofs) = &self.proofs else { return Ok(None) };
        let target = (&head.method, head.uri.path());
        proofs.find_optional(target, &head.headers, self.refresh.issuer().now())
    }

    /// The request by what its token is bound to: the key that is proved, or none. The proof is used up if the token is ours,
    /// so that nobody else fills the store of used ones.
    async fn presented<'a>(
        &self,
        client: &Client,
        plain: RefreshRequest<'a>,
        key: Option<&'a Confirmation>,
        proof: Option<&KeyProof>,
    ) -> Result<RefreshRequest<'a>, Answer> {
        let (Some(key), Some(proof)) = (key, proof) else { return Ok(plain) };
        // A client that has a secret is known by that, and its refresh tokens stay as they are (RFC 9449, section 5).
        let unbound = match client.kind {
            ClientKind::Public => plain.bind(key),
            ClientKind::Confidential => plain.bind_access(key),
        };
        let bound = plain.confirmation(key);
        let request = if self.refresh.knows(unbound) { unbound } else { bound };
        if self.refresh.knows(request) {
            proof.claim().await?;
        }
        Ok(request)
    }

    async fn refresh(&self, client: &Client, form: &Form, proof: Option<KeyProof>) -> Result<Answer, Answer> {
        match form.get("grant_type") {
            Some("refresh_token") => {}
            Some(_) => return Err(Answer::Refused(Fault::UnsupportedGrantType)),
            None => return Err(Answer::Refused(Fault::InvalidRequest)),
        }
        let token = form.get("refresh_token").ok_or(Answer::Refused(Fault::InvalidRequest))?;
        let request = RefreshRequest::new(token, &client.id);
        let request = form.get("scope").map_or(request, |scope| request.scope(scope));
        let key = proof.as_ref().map(confirmation);
        let request = self.presented(client, request, key.as_ref(), proof.as_ref()).await?;
        let pair = self.refresh.refresh(request).await.map_err(|error| refused(&error))?;
        let nonce = proof.as_ref().and_then(KeyProof::nonce).cloned();
        Ok(Answer::Tokens { document: document(&pair), nonce })
    }

    /// What is unknown is as good as revoked (RFC 7009, section 2.2).
    async fn revoke(&self, client: &Client, form: &Form, proof: Option<KeyProof>) -> Result<Answer, Answer> {
        let token = form.get("token").ok_or(Answer::Refused(Fault::InvalidRequest))?;
        let unavailable = |_| Answer::Unavailable;
        let key = proof.as_ref().map(confirmation);
        let request = RefreshRequest::new(token, &client.id);
        let request = self.presented(client, request, key.as_ref(), proof.as_ref()).await?;
        if self.refresh.revoke(request).await.map_err(unavailable)? {
            return Ok(Answer::Done);
        }
        if let Some(own) = self.verifier.describe(token, self.refresh.issuer().now()) {
            let claims = own.identity.claims::<Value>().unwrap_or_default();
            if claims.get("client_id").and_then(Value::as_str) == Some(client.id.as_str()) {
                self.refresh.revocations().revoke(&own.identity).await.map_err(unavailable)?;
            }
        }
        Ok(Answer::Done)
    }

    async fn introspect(&self, client: &Client, form: &Form) -> Result<Answer, Answer> {
        if client.kind != ClientKind::Confidential {
            return Err(Answer::InvalidClient { challenged: false });
        }
        let token = form.get("token").ok_or(Answer::Refused(Fault::InvalidRequest))?;
        if let Some(claims) = self.access_claims(token).await? {
            return Ok(Answer::Json(claims));
        }
        let request = RefreshRequest::new(token, &client.id);
        match self.refresh.find(request).await.map_err(|error| refused(&error))? {
            Some((grant, family)) => Ok(Answer::Json(json!({
                "active": true,
                "iss": self.refresh.issuer().name(),
                "sub": grant.subject,
                "client_id": grant.client_id,
                "scope": grant.scopes.join(" "),
                "sid": grant.sid,
                "iat": family.begun.as_secs(),
                "exp": family.deadline().as_secs(),
            }))),
            None => Ok(Answer::Json(json!({ "active": false }))),
        }
    }

    /// What a good access token says.
    async fn access_claims(&self, token: &str) -> Result<Option<Value>, Answer> {
        let Some(own) = self.verifier.describe(token, self.refresh.issuer().now()) else { return Ok(None) };
        let stands = own.stands(self.refresh.revocations()).await.map_err(|_| Answer::Unavailable)?;
        let claims = own.identity.claims::<serde_json::Map<String, Value>>();
        let Some(mut claims) = claims.ok().filter(|_| stands) else { return Ok(None) };
        claims.insert("active".into(), true.into());
        let is_dpop = claims.get("cnf").is_some_and(|cnf| cnf.get("jkt").is_some());
        claims.insert("token_type".into(), if is_dpop { "DPoP" } else { "Bearer" }.into());
        Ok(Some(Value::Object(claims)))
    }
}

fn confirmation(proof: &KeyProof) -> Confirmation {
    Confirmation::Jkt(proof.jkt.clone())
}

/// RFC 6749, section 5.1.
fn document(pair: &TokenPair) -> Value {
    let scopes: Vec<_> = pair.access().scopes().collect();
    let mut document = json!({
        "access_token": pair.access().as_str(),
        "token_type": pair.token_type(),
        "expires_in": pair.access().expires_in().as_secs(),
        "refresh_token": pair.refresh_token(),
    });
    if let (Some(members), false) = (document.as_object_mut(), scopes.is_empty()) {
        members.insert("scope".into(), scopes.join(" ").into());
    }
    document
}

fn refused(error: &RefreshError) -> Answer {
    match error.kind() {
        RefreshErrorKind::Refused(_) => Answer::Refused(Fault::InvalidGrant),
        RefreshErrorKind::InvalidScope => Answer::Refused(Fault::InvalidScope),
        RefreshErrorKind::Issue(_) => Answer::Unavailable,
    }
}

impl<T, B> Service<Request<T>> for EndpointService<B>
where
    T: Body + Send + 'static,
    T::Data: Send,
    B: From<Bytes>,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<T>) -> Self::Future {
        let (endpoints, kind) = (self.endpoints.clone(), self.kind);
        Box::pin(async move {
            let answer = endpoints.0.answer(kind, request).await.unwrap_or_else(|refused| refused);
            Ok(answer.into_response())
        })
    }
}

impl<B> Clone for EndpointService<B> {
    fn clone(&self) -> Self {
        Self { endpoints: self.endpoints.clone(), kind: self.kind, body: PhantomData }
    }
}

impl<B> fmt::Debug for EndpointService<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointService").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoints").field("refresh", &self.0.refresh).finish_non_exhaustive()
    }
}
