//! [`ReturnTo`]: keeps in the session where somebody was going who is asked to sign in first.

use std::fmt;
use std::marker::PhantomData;

use super::Session;
use super::key::SessionKey;
use crate::realm::{DefaultRealm, Realm};
use crate::respond::{RequestHead, SafePath, WayBack};
use crate::session::error::SessionError;

/// Keeps in the session where somebody was going who is asked to sign in first, so that it does not stand in the address
/// of the login page.
///
/// Only in a session that is stored already: a visitor without one costs no write, and is sent on with the parameter. So
/// a login page asks for both. The last page that was wanted counts, and it costs a write each time.
///
/// It needs the refusing guard inside `SessionLayer`. What an extractor refuses is answered after the session was saved,
/// so then it is the parameter too.
///
/// ```
/// use portcullis::Session;
/// use portcullis::respond::{LoginRedirect, SafePath};
/// use portcullis::session::{ReturnTo, SessionError};
///
/// let responder = LoginRedirect::to("/login").way_back(ReturnTo::new());
///
/// /// Where to go after signing in; `next` is the form's field.
/// async fn wanted(session: &Session, next: Option<SafePath>) -> Result<Option<SafePath>, SessionError> {
///     Ok(ReturnTo::new().take(session).await?.or(next))
/// }
/// # let _ = (responder, wanted);
/// ```
#[derive(Clone, Copy)]
pub struct ReturnTo<M = DefaultRealm>(PhantomData<fn() -> M>);

/// It goes along into the session of whoever signs in.
const KEY: SessionKey<String> = SessionKey::new("portcullis.return_to").keep_on_login();

impl ReturnTo {
    /// In the session of the default realm.
    #[must_use]
    pub fn new() -> Self {
        Self::in_realm()
    }
}

impl Default for ReturnTo {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Realm> ReturnTo<M> {
    /// In the session of this [realm](crate::realm).
    #[must_use]
    pub fn in_realm() -> Self {
        Self(PhantomData)
    }

    /// Takes out where to go, exactly once however many requests ask. It costs a round trip, and none when there is
    /// nothing to take.
    ///
    /// # Errors
    /// When the session cannot be read or written.
    pub async fn take(self, session: &Session<M>) -> Result<Option<SafePath>, SessionError> {
        if session.get(&KEY)?.is_none() {
            return Ok(None);
        }
        // Whoever can write to the store could have put another there.
        Ok(session.take(&KEY).await?.and_then(|path| SafePath::parse(&path).ok()))
    }
}

impl<M: Realm> WayBack for ReturnTo<M> {
    fn keep(&self, wanted: &SafePath, head: &RequestHead) -> bool {
        let session = head.extensions().get::<Session<M>>();
        session.is_some_and(|session| {
            let is_stored = session.shared().lock().stored().is_some();
            is_stored && session.set(&KEY, &wanted.as_str().to_owned()).is_ok()
        })
    }
}

impl<M> fmt::Debug for ReturnTo<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReturnTo")
    }
}
