//! [`Challenge`]: what a client is told that it could authenticate by.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderValue;

/// A challenge of `WWW-Authenticate` (RFC 9110, section 11.6.1). A clone is one atomic increment.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge(Arc<Scheme>);

#[derive(Clone, Default)]
struct Scheme {
    name: &'static str,
    params: Vec<(&'static str, String)>,
    /// How it is sent when nothing is added to it: most are made once and sent often.
    header: OnceLock<HeaderValue>,
    /// How it was sent with the first few errors; a challenge that never is has no room for them.
    refusals: OnceLock<Box<[Sent; REFUSALS]>>,
}

/// An error and its description. A program has few of them, and sends some often.
type Refusal = (&'static str, &'static str);

/// One of them as it was sent, once it was.
type Sent = OnceLock<(Refusal, HeaderValue)>;

/// How many are kept as they were sent: what most refused tokens are refused for.
const REFUSALS: usize = 8;

/// A parameter that goes with one answer.
type Param<'a> = (&'static str, Cow<'a, str>);

impl Challenge {
    /// A challenge of this scheme, an RFC 9110 token such as `Bearer`, without parameters.
    #[must_use]
    pub fn new(scheme: &'static str) -> Self {
        Self(Arc::new(Scheme { name: scheme, ..Scheme::default() }))
    }

    /// Adds a parameter, or replaces the one of this name. The value is quoted and escaped when it is sent.
    #[must_use]
    pub fn param(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.change().set(name, value.into());
        self
    }

    /// The same of another scheme.
    #[cfg_attr(
        not(any(feature = "bearer", feature = "rust-crypto")),
        allow(dead_code, reason = "only bearer tokens have two schemes")
    )]
    pub(crate) fn in_scheme(mut self, scheme: &'static str) -> Self {
        self.change().name = scheme;
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
            return self.header();
        }
        match scope {
            None => self.refusal((error, description)),
            Some(scope) => {
                let [error, description] = params((error, description));
                self.header_with(&[error, description, ("scope", scope.into())])
            }
        }
    }

    /// Made once, while there is room for it.
    fn refusal(&self, refusal: Refusal) -> HeaderValue {
        let make = || self.header_with(&params(refusal));
        for place in self.0.refusals.get_or_init(Box::default).iter() {
            let (held, header) = place.get_or_init(|| (refusal, make()));
            if *held == refusal {
                return header.clone();
            }
        }
        make()
    }

    pub(super) fn step_up(&self, acr_values: &[String], max_age: Option<Duration>) -> HeaderValue {
        if !self.has_errors() {
            return self.header();
        }
        let mut more = vec![
            ("error", Cow::from("insufficient_user_authentication")),
            ("error_description", Cow::from("sign in again to do this")),
        ];
        if !acr_values.is_empty() {
            more.push(("acr_values", acr_values.join(" ").into()));
        }
        more.extend(max_age.map(|age| ("max_age", age.as_secs().to_string().into())));
        self.header_with(&more)
    }

    /// Whether it is of tokens.
    pub(crate) fn has_errors(&self) -> bool {
        matches!(self.0.name, "Bearer" | "DPoP")
    }

    /// As it is.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.header.get_or_init(|| self.header_with(&[])).clone()
    }

    /// With more parameters, which take the place of those of their name.
    fn header_with(&self, more: &[Param<'_>]) -> HeaderValue {
        let Scheme { name, params, .. } = &*self.0;
        let mut text = String::with_capacity(160);
        text.push_str(name);
        text.push(' ');
        for (name, held) in params {
            let other = more.iter().find(|(other, _)| other == name);
            push(&mut text, name, other.map_or(held.as_str(), |(_, value)| &**value));
        }
        for (name, value) in more.iter().filter(|(name, _)| params.iter().all(|(held, _)| held != name)) {
            push(&mut text, name, value);
        }
        text.truncate(text.trim_end_matches([',', ' ']).len());
        // Only printable ASCII is left, so this cannot fail unless the scheme or a parameter's name is not a token.
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Unknown"))
    }

    /// Forgets how it was sent before.
    fn change(&mut self) -> &mut Scheme {
        let scheme = Arc::make_mut(&mut self.0);
        scheme.header = OnceLock::new();
        scheme.refusals = OnceLock::new();
        scheme
    }
}

impl Scheme {
    /// Each parameter stands once (RFC 9110, section 11.2).
    fn set(&mut self, name: &'static str, value: String) {
        match self.params.iter_mut().find(|(held, _)| *held == name) {
            Some((_, held)) => *held = value,
            None => self.params.push((name, value)),
        }
    }
}

/// Two are the same if they are sent as the same.
impl PartialEq for Scheme {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.params == other.params
    }
}

impl Eq for Scheme {}

fn params((error, description): Refusal) -> [Param<'static>; 2] {
    [("error", error.into()), ("error_description", description.into())]
}

/// Appends a parameter, and what stands before the next one.
fn push(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str("=\"");
    // Without a way out in between, so that the compiler can look at many bytes at once.
    let is_plain = |all, byte| all & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    if value.bytes().fold(true, is_plain) {
        text.push_str(value);
    } else {
        text.extend(value.chars().filter(|c| matches!(c, ' '..='~')).flat_map(escaped));
    }
    text.push_str("\", ");
}

/// A character of a quoted string (RFC 9110, section 5.6.4).
fn escaped(character: char) -> impl Iterator<Item = char> {
    let backslash = matches!(character, '"' | '\\').then_some('\\');
    backslash.into_iter().chain([character])
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({:?})", self.header())
    }
}
