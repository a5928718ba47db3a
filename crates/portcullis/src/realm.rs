//! [`Realm`]: customers and staff of one application, as types, so that one is never taken for the other.
//!
//! * Each realm has its own sessions, its own cookie, and its own [`Identity`]: a layer in the realm
//!   `Staff` fills `Identity<Staff>`, and a guard in it looks at nothing else.
//! * [`DefaultRealm`] goes without saying: [`Identity`] is `Identity<DefaultRealm>`, and an application
//!   with one kind of caller never names a realm.
//! * A layer is put into a realm by its setter `realm`; what it gives is asked for by type.
//! * How two credentials combine is decided in each realm for itself. Only `CsrfLayer` looks at all of them.
//!
//! ```
//! use http::{Request, Response};
//! use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
//! use portcullis::identity::{Authentication, IdentityExt};
//! use portcullis::{Identity, Realm, RequireLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! enum Staff {}
//!
//! impl Realm for Staff {
//!     const NAME: &'static str = "staff";
//! }
//!
//! struct Badges;
//!
//! impl Authenticator for Badges {
//!     type Visit = ();
//!
//!     fn open<B>(&self, request: &mut Request<B>) -> Opening<()> {
//!         match request.headers().get("x-badge") {
//!             Some(badge) if badge == "b-42" => Opening::authenticated(Identity::new("grace"), ()),
//!             _ => Opening::anonymous(()),
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = ServiceBuilder::new()
//!     .layer(AuthenticateLayer::new(Badges).realm::<Staff>())
//!     .layer(RequireLayer::authenticated().realm::<Staff>())
//!     .service(service_fn(|request: Request<String>| async move {
//!         let name = request.identity_in::<Staff>().map_or("nobody", |me| me.subject()).to_owned();
//!         Ok::<_, std::io::Error>(Response::new(name))
//!     }));
//!
//! let staff = Request::get("/").header("x-badge", "b-42").body(String::new())?;
//! assert_eq!(service.clone().oneshot(staff).await?.body(), "grace");
//!
//! // Whoever is signed in as a customer, in the default realm, is nobody here.
//! let mut customer = Request::get("/").body(String::new())?;
//! customer.extensions_mut().insert(Authentication::authenticated(Identity::new("ada")));
//! assert_eq!(service.oneshot(customer).await?.status(), 401);
//! # Ok(()) }
//! ```

#[cfg_attr(not(feature = "session"), expect(dead_code, reason = "only session layers claim anything"))]
mod claim;
#[cfg_attr(
    not(all(feature = "csrf", feature = "session")),
    allow(dead_code, reason = "session layers and CsrfLayer meet here")
)]
mod presence;

use std::any::TypeId;

use http::Extensions;
use smallvec::{SmallVec, smallvec};

pub(crate) use self::claim::Claim;
#[cfg_attr(
    not(feature = "session"),
    expect(unused_imports, reason = "only session layers claim anything")
)]
pub(crate) use self::claim::Standing;
#[cfg(any(feature = "bearer", feature = "csrf", feature = "rust-crypto"))]
pub(crate) use self::presence::Forwarded;
pub(crate) use self::presence::Hold;
#[cfg(any(feature = "csrf", feature = "session"))]
pub(crate) use self::presence::{Guest, Presence};
#[cfg(feature = "csrf")]
pub(crate) use self::presence::{Name, NameOrigin};
use crate::identity::{Authentication, Identity, Look};

/// A kind of caller, apart from all others. Implemented by a type of the application's that is used for nothing else.
///
/// Two types of one name share a cookie and what is in the store, and so cannot stand on one path.
pub trait Realm: 'static {
    /// Part of every key in the store, of the record, and of the cookie's default name. 1 to 32 characters of
    /// `a-z`, `0-9`, `_` and `-`, and not `default`; a session layer is not built with another.
    const NAME: &'static str;
}

/// The realm of an application that names none; its name is `default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DefaultRealm {}

impl Realm for DefaultRealm {
    const NAME: &'static str = "default";
}

/// Where the layers of one realm leave what they have found, for code that has no type parameter.
pub(crate) struct Slot {
    pub(crate) name: &'static str,
    id: fn() -> TypeId,
    look: fn(&Extensions) -> Option<Look<'_>>,
    take: fn(&mut Extensions) -> Option<Authentication>,
    put: fn(&mut Extensions, Authentication),
}

/// The realms besides the default one whose layers have looked at a request. In its extensions, so that an application
/// without any pays for none.
#[derive(Clone)]
struct Others(SmallVec<[&'static Slot; 2]>);

impl Slot {
    pub(crate) const fn of<M: Realm>() -> &'static Self {
        const { &Self { name: M::NAME, id: TypeId::of::<M>, look: look::<M>, take: take::<M>, put: put::<M> } }
    }

    pub(crate) fn is_default(&self) -> bool {
        (self.id)() == TypeId::of::<DefaultRealm>()
    }

    /// What the layers have found out so far; `None` when none has looked.
    pub(crate) fn look<'a>(&self, extensions: &'a Extensions) -> Option<Look<'a>> {
        (self.look)(extensions)
    }

    /// Takes it out, to be put back together with more.
    pub(crate) fn take(&self, extensions: &mut Extensions) -> Option<Authentication> {
        (self.take)(extensions)
    }

    /// What handlers will ask for: the authentication, and the identity if there is one.
    pub(crate) fn put(&self, extensions: &mut Extensions, found: Authentication) {
        (self.put)(extensions, found);
    }
}

/// What the layers of each realm have found out, of those that have looked.
pub(crate) fn looks(extensions: &Extensions) -> impl Iterator<Item = (&'static Slot, Look<'_>)> {
    let others = extensions.get::<Others>().map_or(&[][..], |others| &others.0);
    let slots = std::iter::once(Slot::of::<DefaultRealm>()).chain(others.iter().copied());
    slots.filter_map(|slot| Some((slot, slot.look(extensions)?)))
}

fn look<M: Realm>(extensions: &Extensions) -> Option<Look<'_>> {
    extensions.get::<Authentication<M>>().map(Authentication::look)
}

fn take<M: Realm>(extensions: &mut Extensions) -> Option<Authentication> {
    extensions.remove::<Authentication<M>>().map(Authentication::in_realm)
}

fn put<M: Realm>(extensions: &mut Extensions, found: Authentication) {
    let found = found.in_realm::<M>();
    match found.peek().cloned() {
        Some(identity) => _ = extensions.insert(identity),
        // An outer layer may have left one that does not stand.
        None => _ = extensions.remove::<Identity<M>>(),
    }
    extensions.insert(found);
    let slot = Slot::of::<M>();
    if !slot.is_default() {
        slot.note(extensions);
    }
}

impl Slot {
    fn note(&'static self, extensions: &mut Extensions) {
        match extensions.get_mut::<Others>() {
            Some(others) if others.0.iter().any(|other| (other.id)() == (self.id)()) => {}
            Some(others) => others.0.push(self),
            None => _ = extensions.insert(Others(smallvec![self])),
        }
    }
}
