//! [`SessionKey`]: the name and type of a value that an application keeps in sessions.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The name and type of a value in a session: declared once, so that writer and reader cannot disagree.
///
/// ```
/// use portcullis::session::SessionKey;
///
/// const CART: SessionKey<Vec<u32>> = SessionKey::new("cart").keep_on_login();
/// ```
///
/// What is stored under a name stays of the type that it was written as, while sessions live: a value of another type cannot
/// be read, nor changed by [`update`](super::Session::update), until it is [set](super::Session::set) anew. So a new type takes a
/// new name, or reads what the one before has written too.
///
/// A name is 1 to 255 bytes long; [`SessionKey::new`] in a `const` checks it when the application is compiled.
pub struct SessionKey<T> {
    name: &'static str,
    keep_on_login: bool,
    holds: PhantomData<fn(T) -> T>,
}

impl<T> SessionKey<T> {
    /// The value named `name`.
    ///
    /// # Panics
    /// When the name is empty or longer than 255 bytes; in a `const`, that is an error of compilation.
    #[must_use]
    #[expect(clippy::panic, reason = "it fails while a const is evaluated, or at start-up")]
    pub const fn new(name: &'static str) -> Self {
        if name.is_empty() || name.len() > 255 {
            panic!("a session key's name is 1 to 255 bytes long");
        }
        Self { name, keep_on_login: false, holds: PhantomData }
    }

    /// An anonymous visitor's value goes along when they sign in. Default: it does not, because whoever used the
    /// browser before may have put it there.
    #[must_use]
    pub const fn keep_on_login(mut self) -> Self {
        self.keep_on_login = true;
        self
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) const fn keeps_on_login(&self) -> bool {
        self.keep_on_login
    }

    pub(crate) const fn owned_name(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.name)
    }
}

impl<T> Clone for SessionKey<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SessionKey<T> {}

impl<T> fmt::Debug for SessionKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionKey").field(&self.name).finish()
    }
}
