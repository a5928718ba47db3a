//! [`Policy`]: what is asked of somebody who is signed in, and how several such questions combine. Pure but for the
//! application's own predicates.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Not;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::Clock;

use crate::guard::Head;
use crate::identity::{AuthMethod, Authentication, Identity, Person};
use crate::realm::{DefaultRealm, Realm};

/// What is asked of somebody who is signed in.
///
/// Policies combine by [`and`](Self::and), [`or`](Self::or) and `!`. What cannot be told stays that, unless it does not
/// matter (Kleene's logic): denied *and* unavailable is denied, allowed *or* unavailable is allowed.
///
/// ```
/// use http::{Request, Response};
/// use portcullis::identity::{AuthMethod, Authentication};
/// use portcullis::require::{Decision, Policy};
/// use portcullis::{Identity, RequireLayer};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let by_day = Policy::predicate(|_: &Identity, head| match head.headers.get("x-hour") {
///     Some(hour) if hour == "10" => Decision::Allow,
///     Some(_) => Decision::Deny("closed"),
///     None => Decision::Unavailable,
/// });
/// let policy = Policy::role("admin").or(Policy::scope("reports").and(by_day)).and(!Policy::role("suspended"));
///
/// let inner = service_fn(|_: Request<String>| async { Ok::<_, std::io::Error>(Response::new(String::new())) });
/// let service = RequireLayer::authenticated().policy(policy).layer(inner);
/// for (hour, status) in [("10", 200), ("23", 403)] {
///     let mut request = Request::get("/reports").header("x-hour", hour).body(String::new())?;
///     request.extensions_mut().insert(Authentication::authenticated(Identity::new("ada").scope("reports")));
///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok(()) }
/// ```
#[must_use]
pub struct Policy<M = DefaultRealm>(pub(super) Rule, PhantomData<fn() -> M>);

/// What a predicate or policy of the application's decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// The request may pass.
    Allow,
    /// It may not: 403. The reason goes to the log; the client is told that it is not allowed.
    Deny(&'static str),
    /// It cannot be told, because something that has to be asked is out of reach: 503.
    Unavailable,
}

/// A policy without its realm.
#[derive(Clone)]
pub(super) enum Rule {
    /// All of these scopes.
    Scopes(Vec<String>),
    /// One of these scopes.
    AnyScope(Vec<String>),
    Role(String),
    Fresh(Duration),
    AnyAcr(Vec<String>),
    Method(AuthMethod),
    Predicate(Predicate),
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
}

/// Erased, together with the realm whose identity it looks at.
#[derive(Clone)]
pub(super) struct Predicate {
    realm: &'static str,
    /// `None`: nobody is signed in in its realm.
    ask: Arc<dyn Fn(Head<'_>) -> Option<Decision> + Send + Sync>,
}

/// Whom a policy is asked about.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) who: &'a Person,
    pub(super) head: Head<'a>,
    pub(super) clock: &'a dyn Clock,
}

/// What a policy comes to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict<'a> {
    Allow,
    /// By this rule, which is none that combines others.
    Deny(&'a Rule),
    /// By a predicate of the application's, or because what was asked not to be so is.
    Because(&'static str),
    Unavailable,
    /// A predicate for another realm than the guard's.
    Misplaced {
        realm: &'static str,
    },
}

impl<M> Policy<M> {
    /// Somebody is signed in; no more is asked.
    pub fn authenticated() -> Self {
        Self::of(Rule::All(Vec::new()))
    }

    /// The credential has this scope.
    pub fn scope(scope: impl Into<String>) -> Self {
        Self::of(Rule::Scopes(vec![scope.into()]))
    }

    /// The credential has one of these scopes.
    pub fn any_scope<T: Into<String>>(scopes: impl IntoIterator<Item = T>) -> Self {
        Self::of(Rule::AnyScope(scopes.into_iter().map(Into::into).collect()))
    }

    /// The user has this role.
    pub fn role(role: impl Into<String>) -> Self {
        Self::of(Rule::Role(role.into()))
    }

    /// The user proved who they are no longer ago than `max_age`. Unknown counts as too long ago.
    pub fn fresh(max_age: Duration) -> Self {
        Self::of(Rule::Fresh(max_age))
    }

    /// The user proved who they are by one of these authentication context classes (RFC 9470).
    pub fn acr<T: Into<String>>(classes: impl IntoIterator<Item = T>) -> Self {
        Self::of(Rule::AnyAcr(classes.into_iter().map(Into::into).collect()))
    }

    /// The caller was recognised by this kind of credential.
    pub fn method(method: AuthMethod) -> Self {
        Self::of(Rule::Method(method))
    }

    /// Both. The client is told what the first of them lacks.
    pub fn and(self, other: Self) -> Self {
        if let Rule::All(mut rules) = self.0 {
            rules.push(other.0);
            return Self::of(Rule::All(rules));
        }
        Self::of(Rule::All(vec![self.0, other.0]))
    }

    /// One of them at least. The client is told what the first of them lacks.
    pub fn or(self, other: Self) -> Self {
        if let Rule::Any(mut rules) = self.0 {
            rules.push(other.0);
            return Self::of(Rule::Any(rules));
        }
        Self::of(Rule::Any(vec![self.0, other.0]))
    }

    fn of(rule: Rule) -> Self {
        Self(rule, PhantomData)
    }
}

impl<M: Realm> Policy<M> {
    /// Whatever `predicate` says of the caller and the request's head. It must not wait; for what has to, there is
    /// [`AuthorizeLayer`](super::AuthorizeLayer).
    pub fn predicate(predicate: impl Fn(&Identity<M>, Head<'_>) -> Decision + Send + Sync + 'static) -> Self {
        Self::of(Rule::Predicate(Predicate::new(predicate)))
    }
}

/// Signed in, and not this. What cannot be told still cannot.
impl<M> Not for Policy<M> {
    type Output = Self;

    fn not(self) -> Self {
        Self::of(Rule::Not(Box::new(self.0)))
    }
}

impl Predicate {
    fn new<M: Realm>(predicate: impl Fn(&Identity<M>, Head<'_>) -> Decision + Send + Sync + 'static) -> Self {
        let ask = move |head: Head<'_>| {
            let who = head.extensions.get::<Authentication<M>>().and_then(Authentication::peek)?;
            Some(predicate(who, head))
        };
        Self { realm: M::NAME, ask: Arc::new(ask) }
    }

    fn judge(&self, head: Head<'_>) -> Verdict<'static> {
        match (self.ask)(head) {
            Some(Decision::Allow) => Verdict::Allow,
            Some(Decision::Deny(reason)) => Verdict::Because(reason),
            Some(Decision::Unavailable) => Verdict::Unavailable,
            None => Verdict::Misplaced { realm: self.realm },
        }
    }
}

impl Rule {
    pub(super) fn judge(&self, caller: Caller<'_>) -> Verdict<'_> {
        let who = caller.who;
        let met = match self {
            Self::Scopes(all) => all.iter().all(|scope| who.has_scope(scope)),
            Self::AnyScope(any) => any.iter().any(|scope| who.has_scope(scope)),
            Self::Role(role) => who.has_role(role),
            Self::Method(method) => who.method() == *method,
            Self::Fresh(max_age) => caller.is_fresh(*max_age),
            Self::AnyAcr(any) => who.acr().is_some_and(|acr| any.iter().any(|class| class == acr)),
            Self::Predicate(predicate) => return predicate.judge(caller.head),
            Self::All(rules) => return all(rules.iter().map(|rule| rule.judge(caller))),
            Self::Any(rules) => return any(rules.iter().map(|rule| rule.judge(caller))),
            Self::Not(rule) => return rule.judge(caller).negated(),
        };
        if met { Verdict::Allow } else { Verdict::Deny(self) }
    }
}

impl Caller<'_> {
    fn is_fresh(&self, max_age: Duration) -> bool {
        self.who.authenticated_at().is_some_and(|at| self.clock.now().since(at) <= max_age)
    }
}

impl Verdict<'_> {
    fn negated(self) -> Self {
        match self {
            Self::Allow => Self::Because("what must not be so is so"),
            Self::Deny(_) | Self::Because(_) => Self::Allow,
            Self::Unavailable | Self::Misplaced { .. } => self,
        }
    }
}

/// A denial decides, whatever else cannot be told; the first one is what the client hears of.
pub(super) fn all<'a>(verdicts: impl Iterator<Item = Verdict<'a>>) -> Verdict<'a> {
    let mut so_far = Verdict::Allow;
    for verdict in verdicts {
        match verdict {
            Verdict::Allow => {}
            Verdict::Unavailable => so_far = verdict,
            Verdict::Deny(_) | Verdict::Because(_) | Verdict::Misplaced { .. } => return verdict,
        }
    }
    so_far
}

/// What allows decides, whatever else cannot be told. A mistake in the configuration is told in any case.
fn any<'a>(verdicts: impl Iterator<Item = Verdict<'a>>) -> Verdict<'a> {
    let mut so_far = None;
    for verdict in verdicts {
        match (verdict, so_far) {
            (Verdict::Allow | Verdict::Misplaced { .. }, _) => return verdict,
            (Verdict::Unavailable, _) | (Verdict::Deny(_) | Verdict::Because(_), None) => {
                so_far = Some(verdict);
            }
            (Verdict::Deny(_) | Verdict::Because(_), Some(_)) => {}
        }
    }
    so_far.unwrap_or(Verdict::Because("none of no policies"))
}

impl<M> Clone for Policy<M> {
    fn clone(&self) -> Self {
        Self::of(self.0.clone())
    }
}

impl<M> fmt::Debug for Policy<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scopes(scopes) => f.debug_tuple("Scopes").field(scopes).finish(),
            Self::AnyScope(scopes) => f.debug_tuple("AnyScope").field(scopes).finish(),
            Self::Role(role) => f.debug_tuple("Role").field(role).finish(),
            Self::Fresh(max_age) => f.debug_tuple("Fresh").field(max_age).finish(),
            Self::AnyAcr(classes) => f.debug_tuple("AnyAcr").field(classes).finish(),
            Self::Method(method) => f.debug_tuple("Method").field(method).finish(),
            Self::Predicate(_) => f.write_str("Predicate"),
            Self::All(rules) => f.debug_tuple("All").field(rules).finish(),
            Self::Any(rules) => f.debug_tuple("Any").field(rules).finish(),
            Self::Not(rule) => f.debug_tuple("Not").field(rule).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` allowed, `-` denied, `?` cannot be told, `!` misplaced.
    fn verdict(letter: char) -> Verdict<'static> {
        match letter {
            '+' => Verdict::Allow,
            '-' => Verdict::Because("denied"),
            '?' => Verdict::Unavailable,
            _ => Verdict::Misplaced { realm: "staff" },
        }
    }

    fn letter(verdict: Verdict<'_>) -> char {
        match verdict {
            Verdict::Allow => '+',
            Verdict::Deny(_) | Verdict::Because(_) => '-',
            Verdict::Unavailable => '?',
            Verdict::Misplaced { .. } => '!',
        }
    }

    #[test]
    fn policies_combine_by_kleenes_logic_and_a_mistake_is_never_hidden_by_an_outage() {
        // Rows: the first; columns: the second.
        let both = ["+-?!", "----", "?-?!", "!!!!"];
        let either = ["++++", "+-?!", "+??!", "!!!!"];
        for (row, one) in "+-?!".chars().enumerate() {
            for (column, other) in "+-?!".chars().enumerate() {
                let pair = || [verdict(one), verdict(other)].into_iter();
                assert_eq!(letter(all(pair())), both[row].chars().nth(column).unwrap(), "{one} and {other}");
                assert_eq!(letter(any(pair())), either[row].chars().nth(column).unwrap(), "{one} or {other}");
            }
        }
        for (one, negated) in [('+', '-'), ('-', '+'), ('?', '?'), ('!', '!')] {
            assert_eq!(letter(verdict(one).negated()), negated, "not {one}");
        }
        assert_eq!((letter(all([].into_iter())), letter(any([].into_iter()))), ('+', '-'));
    }
}
