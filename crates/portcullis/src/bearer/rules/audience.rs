//! [`Audience`]: for whom a token must be meant, and in which claim it says so. Pure.

use std::borrow::Cow;

use crate::bearer::claims::Claims;
use crate::bearer::json::Texts;
use crate::bearer::refusal::Refusal;

/// For whom the tokens of an issuer must be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// Who may be meant by `aud`.
    names: Vec<String>,
    /// Where the issuer says it in another claim: which one, and what it may hold.
    other: Option<(String, Vec<String>)>,
}

impl Audience {
    /// `aud` must name one of these; others may be named beside it (RFC 7519, section 4.1.3).
    ///
    /// They are names of this service, as the issuer calls it, and not ids of clients: an ID token is meant for a client, and
    /// need not say that it is one. Where the issuer calls both by one name, have access tokens told by
    /// [`Profile::AccessToken`](crate::bearer::Profile::AccessToken), or by a [claim](crate::bearer::Issuer::require_claim)
    /// that only they have.
    pub fn one_of<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self { names: owned(names), other: None }
    }

    /// The issuer says in another claim whom its tokens are for, as Cognito does in `client_id`; it must name one of
    /// these.
    ///
    /// A token that has an `aud` all the same is meant for whom that names (RFC 7519, section 4.1.3), and refused unless
    /// [that is expected](Self::with_aud).
    pub fn claim<T: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = T>) -> Self {
        Self { names: Vec::new(), other: Some((name.into(), owned(values))) }
    }

    /// Beside [another claim](Self::claim): where a token has an `aud`, it must name one of these. Default: a token with an
    /// `aud` is refused.
    #[must_use]
    pub fn with_aud<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.names = owned(names);
        self
    }

    /// The other claim, if there is one.
    pub(in crate::bearer) fn other_claim(&self) -> Option<&str> {
        self.other.as_ref().map(|(name, _)| name.as_str())
    }

    /// Whether there are names, none of them empty.
    pub(in crate::bearer) fn is_sound(&self) -> bool {
        let needed = self.other.as_ref().map_or(&self.names, |(_, values)| values);
        !needed.is_empty() && self.names.iter().chain(needed).all(|name| !name.is_empty())
    }

    /// Whether the token is meant for one of them.
    pub(in crate::bearer) fn judge(&self, claims: &Claims<'_>) -> Result<(), Refusal> {
        let aud = claims.aud.as_ref().map(Texts::as_slice);
        if aud.is_some_and(|aud| !is_among(&self.names, aud)) {
            return Err(Refusal::WrongAudience);
        }
        let (held, expected) = match &self.other {
            Some((name, values)) => (claims.texts(name), values),
            None => (aud, &self.names),
        };
        let held = held.ok_or(Refusal::MissingAudience)?;
        if is_among(expected, held) { Ok(()) } else { Err(Refusal::WrongAudience) }
    }
}

fn owned<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

fn is_among(expected: &[String], held: &[Cow<'_, str>]) -> bool {
    held.iter().any(|name| expected.iter().any(|one| one == name))
}
