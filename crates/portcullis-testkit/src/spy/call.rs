//! [`Call`]: what a spy notes.

use portcullis_store::{Key, Locator, Realm, UserKey};

/// One call, as far as a spy notes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// What was asked.
    pub operation: Operation,
    /// In which realm; `None` when the call named no key at all.
    pub realm: Option<Realm>,
    /// Which sessions it named, in the order of the call.
    pub locators: Vec<Locator>,
    /// Whose index it named.
    pub user: Option<Locator>,
}

/// The operations of [`SessionBackend`](portcullis_store::SessionBackend). A `load_now` that answers is a [`Load`](Self::Load).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Operation {
    Load,
    LoadMany,
    Create,
    CreateEnrolled,
    Save,
    Touch,
    Destroy,
    DestroyDurably,
    DestroyUnchanged,
    DestroyEnrolled,
    Supersede,
    Enrol,
    Withdraw,
    Members,
    CredentialVersion,
    BumpCredentialVersion,
}

impl Operation {
    /// Whether it is meant to change something in the store.
    #[must_use]
    pub const fn is_write(self) -> bool {
        !matches!(self, Self::Load | Self::LoadMany | Self::Members | Self::CredentialVersion)
    }
}

impl Call {
    pub(super) fn on_sessions(operation: Operation, keys: &[Key<'_>]) -> Self {
        let realm = keys.first().map(|key| key.realm.clone());
        Self { operation, realm, locators: keys.iter().map(|key| key.locator).collect(), user: None }
    }

    pub(super) fn on_index(operation: Operation, user: UserKey<'_>, locators: &[Locator]) -> Self {
        let realm = Some(user.realm.clone());
        Self { operation, realm, locators: locators.to_vec(), user: Some(user.user) }
    }
}
