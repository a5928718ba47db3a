//! [`Users`]: who may sign in, and whether a password is theirs.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use portcullis::Identity;
use portcullis::identity::IdentityBuilder;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{BoxError, random_text};

/// What somebody signs in with.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: String,
}

/// Somebody who may sign in.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) roles: &'static [&'static str],
    /// Argon2id, as a PHC string.
    hash: Arc<str>,
}

/// All of them. An application would ask its database.
pub(crate) struct Users {
    users: Vec<User>,
    /// Compared with when there is no such user.
    nobodys_hash: Arc<str>,
    /// A hash takes 19 MiB and a core: more at once would let a flood of logins starve everything else.
    turns: Semaphore,
}

const AT_ONCE: usize = 4;

impl Users {
    /// `ada`, and `grace`, who is an admin.
    pub(crate) fn demo(password: &str) -> Result<Self, BoxError> {
        Ok(Self {
            users: vec![
                User { name: "ada", roles: &[], hash: hash(password)? },
                User { name: "grace", roles: &["admin"], hash: hash(password)? },
            ],
            nobodys_hash: hash(&random_text(16)?)?,
            turns: Semaphore::new(AT_ONCE),
        })
    }

    /// The user whom these credentials are of. It takes as long for a name that nobody has: names cannot be probed.
    pub(crate) async fn verify(&self, credentials: Credentials) -> Result<Option<User>, BoxError> {
        let user = self.users.iter().find(|user| user.name == credentials.username);
        let hash = Arc::clone(user.map_or(&self.nobodys_hash, |user| &user.hash));
        let _turn = self.turns.acquire().await?;
        let is_right = spawn_blocking(move || is_right(&credentials.password, &hash)).await?;
        Ok(user.filter(|_| is_right).cloned())
    }
}

impl User {
    /// The identity for their session.
    pub(crate) fn identity(&self) -> IdentityBuilder {
        Identity::new(self.name).roles(self.roles.iter().copied())
    }
}

fn hash(password: &str) -> Result<Arc<str>, BoxError> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string().into())
}

fn is_right(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}
