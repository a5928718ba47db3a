//! [`Origin`]: where the keys of one issuer are, and how a set is got from there.

use bytes::Bytes;
use http::HeaderValue;
use portcullis::bearer::{BuildErrorKind, KeySet};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

use crate::endpoint::{Endpoint, IssuerUrl, Transport};
use crate::fetch::{Answer, Document, FetchError, FetchErrorKind, Fetcher};

/// Where the keys are, and what was learned on the way there.
#[derive(Clone)]
pub(crate) struct Origin {
    fetcher: Fetcher,
    place: Place,
    transport: Transport,
    found: Option<Found>,
    /// Of the set that was fetched last, at the address that it was fetched from.
    etag: Option<(Endpoint, HeaderValue)>,
}

/// Where to look.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Keys(Endpoint),
    Issuer(IssuerUrl),
}

/// Where the issuer's metadata says that the keys are.
#[derive(Clone)]
struct Found {
    endpoint: Endpoint,
    at: Instant,
}

/// What the issuer says which its keys are.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Nothing when they are those that it said the last time.
    pub(crate) keys: Option<(Bytes, KeySet)>,
    pub(crate) ttl: Option<Duration>,
}

/// The members that matter of OpenID Connect Discovery 1.0, section 3, and RFC 8414, section 2.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// For how long the metadata is taken to hold, unless fetching fails.
const METADATA_TTL: Duration = Duration::from_secs(60 * 60);

impl Origin {
    pub(crate) const fn new(fetcher: Fetcher, place: Place, transport: Transport) -> Self {
        Self { fetcher, place, transport, found: None, etag: None }
    }

    /// One set, with what it takes to find out where it is.
    pub(crate) async fn fetch(&mut self) -> Result<Fetched, FetchError> {
        let fetched = self.try_fetch().await;
        if fetched.is_err() {
            // Perhaps they have moved.
            self.found = None;
        }
        fetched
    }

    /// Another document has taken the place of the one that was fetched.
    pub(crate) fn forget(&mut self) {
        self.etag = None;
    }

    async fn try_fetch(&mut self) -> Result<Fetched, FetchError> {
        let endpoint = self.endpoint().await?;
        let known = self.etag.as_ref().filter(|(at, _)| *at == endpoint).map(|(_, etag)| etag);
        match self.fetcher.get(&endpoint, known).await? {
            Answer::NotModified { ttl } => Ok(Fetched { keys: None, ttl }),
            Answer::Document(Document { body, etag, ttl }) => {
                let keys = keys(&body)?;
                self.etag = etag.map(|etag| (endpoint, etag));
                Ok(Fetched { keys: Some((body, keys)), ttl })
            }
        }
    }

    async fn endpoint(&mut self) -> Result<Endpoint, FetchError> {
        let issuer = match &self.place {
            Place::Keys(endpoint) => return Ok(endpoint.clone()),
            Place::Issuer(issuer) => issuer,
        };
        match &self.found {
            Some(found) if found.at.elapsed() < METADATA_TTL => Ok(found.endpoint.clone()),
            Some(_) | None => {
                let at = Instant::now();
                let endpoint = self.discover(issuer).await?;
                self.found = Some(Found { endpoint: endpoint.clone(), at });
                Ok(endpoint)
            }
        }
    }

    /// Where OpenID Connect has the metadata, and if there is none, where OAuth has it.
    async fn discover(&self, issuer: &IssuerUrl) -> Result<Endpoint, FetchError> {
        let [openid, oauth] = issuer.metadata();
        let bad_address = || FetchError::from(FetchErrorKind::BadAddress);
        let body = match self.document(&openid.ok_or_else(bad_address)?).await {
            Err(error) if error.is_absence() => self.document(&oauth.ok_or_else(bad_address)?).await?,
            other => other?,
        };
        let metadata: Metadata = serde_json::from_slice(&body)
            .map_err(|error| FetchError::of(FetchErrorKind::Malformed, error))?;
        // To the letter (OpenID Connect Discovery 1.0, section 4.3; RFC 8414, section 3.3).
        if metadata.issuer != issuer.name() {
            return Err(FetchErrorKind::OtherIssuer.into());
        }
        Endpoint::parse(&metadata.jwks_uri, self.transport).ok_or_else(bad_address)
    }

    async fn document(&self, endpoint: &Endpoint) -> Result<Bytes, FetchError> {
        match self.fetcher.get(endpoint, None).await? {
            Answer::Document(document) => Ok(document.body),
            // Nobody has asked for that.
            Answer::NotModified { .. } => Err(FetchErrorKind::Malformed.into()),
        }
    }
}

impl Place {
    /// The address that is asked first.
    pub(crate) const fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Keys(endpoint) => endpoint,
            Self::Issuer(issuer) => issuer.endpoint(),
        }
    }
}

/// The keys of a document.
pub(crate) fn keys(body: &[u8]) -> Result<KeySet, FetchError> {
    let text = std::str::from_utf8(body).map_err(|error| FetchError::of(FetchErrorKind::Malformed, error))?;
    KeySet::jwks(text).map_err(|error| {
        let is_empty = error.kind() == BuildErrorKind::NoUsableKey;
        FetchError::of(if is_empty { FetchErrorKind::NoUsableKey } else { FetchErrorKind::Malformed }, error)
    })
}
