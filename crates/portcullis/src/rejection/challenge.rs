//! [`Challenge`]: what a client is told that it could authenticate by.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

/// A challenge of `WWW-Authenticate` (RFC 9110, section 11.6.1). A clone is one atomic increment.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge(Arc<Scheme>);

#[derive(Clone, PartialEq, Eq)]
struct Scheme {
    name: &'static str,
    params: Vec<(&'static str, String)>,
}

impl Challenge {
    /// A challenge of this scheme, an RFC 9110 token such as `Bearer`, without parameters.
    #[must_use]
    pub fn new(scheme: &'static str) -> Self {
        Self(Arc::new(Scheme { name: scheme, params: Vec::new() }))
    }

    /// Adds a parameter, or replaces the one of this name. The value is quoted and escaped when it is sent.
    #[must_use]
    pub fn param(mut self, name: &'static str, value: impl Into<String>) -> Self {
        set(&mut Arc::make_mut(&mut self.0).params, name, value.into());
        self
    }

    /// The same of another scheme.
    #[cfg_attr(
        not(any(feature = "bearer", feature = "rust-crypto")),
        allow(dead_code, reason = "only bearer tokens have two schemes")
    )]
    pub(crate) fn in_scheme(mut self, scheme: &'static str) -> Self {
        Arc::make_mut(&mut self.0).name = scheme;
        self
    }

    /// The scheme's name.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.0.name
    }

    /// The errors of RFC 6750 belong to the schemes that use it; others get their plain challenge.
    pub(super) fn with_error(
        &self,
        error: &'static str,
        description: &'static str,
        scope: Option<String>,
    ) -> HeaderValue {
        if !self.has_errors() {
            return self.header(&[]);
        }
        let mut more = vec![("error", Cow::from(error)), ("error_description", Cow::from(description))];
        more.extend(scope.map(|scope| ("scope", Cow::from(scope))));
        self.header(&more)
    }

    pub(super) fn step_up(&self, acr_values: &[String], max_age: Option<Duration>) -> HeaderValue {
        if !self.has_errors() {
            return self.header(&[]);
        }
        let mut more = vec![
            ("error", Cow::from("insufficient_user_authentication")),
            ("error_description", Cow::from("sign in again to do this")),
        ];
        if !acr_values.is_empty() {
            more.push(("acr_values", acr_values.join(" ").into()));
        }
        more.extend(max_age.map(|age| ("max_age", age.as_secs().to_string().into())));
        self.header(&more)
    }

    /// Whether it is of tokens.
    pub(crate) fn has_errors(&self) -> bool {
        matches!(self.0.name, "Bearer" | "DPoP")
    }

    pub(super) fn header(&self, more: &[(&'static str, Cow<'_, str>)]) -> HeaderValue {
        let mut params = self.0.params.clone();
        for (name, value) in more {
            set(&mut params, name, value.clone().into_owned());
        }
        let mut text = self.0.name.to_owned();
        for (index, (name, value)) in params.iter().enumerate() {
            text.push_str(if index == 0 { " " } else { ", " });
            text.push_str(name);
            text.push_str("=\"");
            text.extend(value.chars().filter(|c| matches!(c, ' '..='~')).flat_map(escaped));
            text.push('"');
        }
        // Only printable ASCII is left, so this cannot fail unless the scheme or a parameter's name is not a token.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Unknown"))
    }
}

/// Each parameter stands once (RFC 9110, section 11.2).
fn set(params: &mut Vec<(&'static str, String)>, name: &'static str, value: String) {
    match params.iter_mut().find(|(held, _)| *held == name) {
        Some((_, held)) => *held = value,
        None => params.push((name, value)),
    }
}

/// A character of a quoted string (RFC 9110, section 5.6.4).
fn escaped(character: char) -> impl Iterator<Item = char> {
    let backslash = matches!(character, '"' | '\\').then_some('\\');
    backslash.into_iter().chain([character])
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({:?})", self.header(&[]))
    }
}
