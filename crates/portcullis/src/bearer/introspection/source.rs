//! [`TokenIntrospection`]: who is asked about opaque tokens.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

/// Who is asked about opaque tokens: the authorization server that has issued them, by RFC 7662. `RemoteIntrospection` of the
/// crate `portcullis-jwks` asks over HTTPS.
///
/// It asks, once, and no more: that a token is asked about once at a time, for how long an answer holds, how long a request
/// waits, and when a server that fails is left alone, is the layer's matter.
pub trait TokenIntrospection: Send + Sync + 'static {
    /// Asks about a token. The answer is the JSON text of the response, as it came (RFC 7662, section 2.2), if the response
    /// is one of status 200 from the server itself.
    ///
    /// The future may be dropped when it takes too long.
    fn introspect(&self, token: &str) -> Introspecting;
}

/// The future of an answer.
pub type Introspecting = Pin<Box<dyn Future<Output = Result<Bytes, IntrospectionError>> + Send>>;

/// There is no answer: nothing is known of the token.
///
/// The text is for operators and not part of the API; match on [`IntrospectionError::kind`]. Neither the text nor the source
/// may hold a token or a client's secret.
#[derive(Debug)]
pub struct IntrospectionError {
    kind: IntrospectionErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The classes of [`IntrospectionError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IntrospectionErrorKind {
    /// The server is out of reach, or says that it cannot answer.
    Unavailable,
    /// There was no answer in time.
    Timeout,
    /// The server does not let us ask: an operator must act.
    Unauthorized,
    /// What came is no answer.
    Malformed,
    /// The server answers, but what it says of this token cannot be used: that it does not take the question, or too much.
    /// Anybody may bring such a token, so this counts as no failure of the server's.
    Rejected,
}

impl IntrospectionError {
    /// An error of this kind without a cause.
    #[must_use]
    pub const fn new(kind: IntrospectionErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// An error of this kind with its cause.
    #[must_use]
    pub fn with_source(
        kind: IntrospectionErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// The class of the error.
    #[must_use]
    pub const fn kind(&self) -> IntrospectionErrorKind {
        self.kind
    }
}

impl IntrospectionErrorKind {
    /// A stable label for counters and log fields.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::Malformed => "malformed",
            Self::Rejected => "rejected",
        }
    }
}

impl<T: TokenIntrospection + ?Sized> TokenIntrospection for Arc<T> {
    fn introspect(&self, token: &str) -> Introspecting {
        (**self).introspect(token)
    }
}

impl fmt::Display for IntrospectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            IntrospectionErrorKind::Unavailable => "the authorization server is out of reach",
            IntrospectionErrorKind::Timeout => "the authorization server did not answer in time",
            IntrospectionErrorKind::Unauthorized => "the authorization server does not let us ask",
            IntrospectionErrorKind::Malformed => "the authorization server's answer is none",
            IntrospectionErrorKind::Rejected => "the authorization server does not answer about this token",
        })
    }
}

impl Error for IntrospectionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}
