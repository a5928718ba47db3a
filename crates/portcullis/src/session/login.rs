//! [`Login`]: who signs in, and how. What [`Session::login`](super::Session::login) takes.

mod admission;
mod handover;
mod limit;
mod network;
mod succession;

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

use portcullis_store::CredentialVersion;

pub use self::limit::{Limit, LimitPolicy};
pub use self::network::NetworkPrefix;
use crate::Identity;
use crate::identity::IdentityBuilder;
use crate::realm::DefaultRealm;

/// Who signs in, and how.
///
/// An [`Identity`] and what builds one become a login without anything else, so most handlers never name this type.
///
/// ```
/// use portcullis::Identity;
/// use portcullis::session::Login;
///
/// let login: Login = Login::new(Identity::new("ada").role("admin")).device("Firefox on Linux");
/// ```
#[must_use]
pub struct Login<M = DefaultRealm> {
    pub(crate) what: SignIn,
    realm: PhantomData<fn() -> M>,
}

/// A login, in whatever realm.
#[derive(Clone, Debug)]
pub(crate) struct SignIn {
    pub(crate) identity: Identity,
    pub(crate) credential_version: Option<CredentialVersion>,
    pub(crate) device: Option<String>,
    pub(crate) network: Option<NetworkPrefix>,
    pub(crate) remember: bool,
}

/// So that no caller can fill the store by what it calls itself.
const MAX_DEVICE_LEN: usize = 128;

impl<M> Login<M> {
    /// This person, with the layer's defaults. An [`Identity`] signs in in its own [realm](crate::realm) only.
    ///
    /// ```compile_fail,E0277
    /// # use portcullis::{Identity, Realm, Session};
    /// # enum Staff {} impl Realm for Staff { const NAME: &'static str = "staff"; }
    /// async fn a_customer_does_not_become_staff_by_mistake(customer: Identity, session: Session<Staff>) {
    ///     let _ = session.login(customer).await;
    /// }
    /// ```
    pub fn new(identity: impl Into<Identity<M>>) -> Self {
        let identity = identity.into().in_realm();
        let what =
            SignIn { identity, credential_version: None, device: None, network: None, remember: false };
        Self { what, realm: PhantomData }
    }

    /// The version of the user's credentials at which they were checked, from
    /// [`Sessions::credential_version`](super::Sessions::credential_version). If they were changed since, the login is
    /// refused as [`StaleCredential`](super::SessionErrorKind::StaleCredential). Default: whatever it is now.
    pub fn credential_version(mut self, checked: CredentialVersion) -> Self {
        self.what.credential_version = Some(checked);
        self
    }

    /// The user asked to stay signed in: the session lives by the layer's
    /// [`remembered_lifetime`](super::SessionLayerBuilder::remembered_lifetime), whatever is written to it later, and the
    /// browser keeps the cookie when it is closed, as long as the session may live. Default: neither.
    ///
    /// It is chosen at each login; one of the same user without it ends the profile.
    pub fn remember(mut self) -> Self {
        self.what.remember = true;
        self
    }

    /// What the user's list of devices calls this session; what is past 128 bytes is cut off, and control characters
    /// are left out. Default: nothing, or, for a user who signs in again, what it was called before.
    pub fn device(mut self, label: impl AsRef<str>) -> Self {
        let label = label.as_ref().chars().filter(|character| !character.is_control());
        let mut kept = String::new();
        for character in label {
            if kept.len() + character.len_utf8() > MAX_DEVICE_LEN {
                break;
            }
            kept.push(character);
        }
        self.what.device = Some(kept);
        self
    }

    /// What network this sign-in comes from, for the user's list of devices: of the address only its
    /// [prefix](NetworkPrefix) is kept, and only as long as the session lives. Default: nothing, or, for a user who signs
    /// in again, the network before.
    ///
    /// * It is for people to recognise their own sessions by, when they look at where they are signed in (OWASP ASVS
    ///   7.5.2). No session is refused for it: phones change networks, and a network has many users.
    /// * Say it only if your users are told. A prefix is less than an address (truncation, RFC 6235, section 4.1.1), but
    ///   kept beside a name it is still data about a person; [`encrypt`](super::SessionLayerBuilder::encrypt) hides it in
    ///   the store.
    /// * The layer does not know who the peer is: with axum it is `ConnectInfo`'s address. Behind a proxy that is the
    ///   proxy's; take what your own proxy says of its client, never a header field that the client could have sent.
    pub fn network(mut self, peer: IpAddr) -> Self {
        self.what.network = Some(peer.into());
        self
    }
}

impl<M> From<Identity<M>> for Login<M> {
    fn from(identity: Identity<M>) -> Self {
        Self::new(identity)
    }
}

impl<M> From<IdentityBuilder> for Login<M> {
    fn from(identity: IdentityBuilder) -> Self {
        Self::new(identity)
    }
}

impl<M> Clone for Login<M> {
    fn clone(&self) -> Self {
        Self { what: self.what.clone(), realm: PhantomData }
    }
}

impl<M> fmt::Debug for Login<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Login").field(&self.what).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_short_and_of_one_line() {
        let rows = [
            ("as it is", "Firefox on Linux".to_owned(), "Firefox on Linux".to_owned()),
            ("control characters", "a\r\nb\u{85}\0\u{1f}c".to_owned(), "abc".to_owned()),
            ("too long", "x".repeat(200), "x".repeat(128)),
            ("cut between characters", "é".repeat(100), "é".repeat(64)),
            ("cut before a character", format!("{}é", "x".repeat(127)), "x".repeat(127)),
        ];
        for (name, given, kept) in rows {
            assert_eq!(
                Login::<DefaultRealm>::new(Identity::new("ada")).device(given).what.device,
                Some(kept),
                "{name}"
            );
        }
    }
}
