//! [`Forms`]: verifies forms by their tokens, for extractors.

use std::sync::Arc;

use http::{Extensions, HeaderMap};

use super::binding::Binding;
use super::events::{Consequence, failed};
use super::handle::CsrfToken;
use super::presented::offered_text;
use super::tokens::Tokens;
use super::withhold::looks_or_withheld;
use super::{field, withhold};
use crate::identity::{Carrier, Seen};
use crate::rejection::CsrfReason;

/// What verifies the forms of a request.
#[derive(Debug)]
pub(crate) struct Forms(Arc<Tokens>);

impl Forms {
    /// `None` where no layer with tokens stands around.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        CsrfToken::of(extensions).map(|token| Self(token.into_tokens()))
    }

    /// Whether the content is a form.
    pub(crate) fn are_in(headers: &HeaderMap) -> bool {
        field::is_urlencoded(headers)
    }

    /// The form's fields but for its token.
    pub(crate) fn without_token(form: &[u8]) -> Vec<u8> {
        field::without_token(form)
    }

    /// Whether the form's token is good for who sends it. Who was withheld for want of proof is then given back.
    pub(crate) fn verify(
        &self,
        form: &[u8],
        headers: &HeaderMap,
        extensions: &mut Extensions,
    ) -> Result<(), CsrfReason> {
        let verdict = self.judge(form, headers, extensions);
        match verdict {
            Ok(()) => withhold::give_back(extensions),
            Err(reason) => failed(reason, Consequence::Refused),
        }
        verdict
    }

    /// Programs, which put their credential on a request themselves, need no token.
    fn judge(&self, form: &[u8], headers: &HeaderMap, extensions: &Extensions) -> Result<(), CsrfReason> {
        if is_of_a_program(extensions) {
            return Ok(());
        }
        let field = field::token(form);
        let offered = field.as_deref().map(str::as_bytes).or_else(|| offered_text(headers, extensions));
        let token = offered.ok_or(CsrfReason::MissingToken)?;
        let binding = Binding::of_request(headers, extensions);
        if self.0.verifies(&binding, token) { Ok(()) } else { Err(CsrfReason::TokenMismatch) }
    }
}

/// Whether somebody is signed in, and by nothing that browsers send by themselves.
fn is_of_a_program(extensions: &Extensions) -> bool {
    let (mut explicit, mut ambient) = (false, false);
    looks_or_withheld(extensions, |look| match look.seen {
        Seen::Authenticated(who) if who.carrier() == Carrier::Explicit => explicit = true,
        // What cannot be told may be a browser's.
        Seen::Authenticated(_) | Seen::Unavailable { .. } => ambient = true,
        Seen::Anonymous => {}
    });
    explicit && !ambient
}
