//! What holds of those who watch for the end of sessions. Not checked where a backend cannot tell.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_store::{
    AtOnce, Destroyed, Enrolment, Key, Locator, Notice, Realm, Saved, SessionBackend, Watcher, Watching,
};
use tokio::sync::Notify;

use super::Harness;
use super::stage::{Outcome, Stage, Stop, ensure, locator, next, tag};

/// Notes what it is told.
struct Listener {
    patience: Duration,
    told: Mutex<VecDeque<Told>>,
    rung: Notify,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Ended(Vec<Locator>),
    Hearing,
    Deaf,
}

pub(super) async fn watchers_are_told<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (listener, _watching) = listening(stage, &stage.realm).await?;
    let other = stage.harness.handle().await;
    for (name, handle) in [("this handle", &*stage.store), ("another handle", &other)] {
        let keys = [stage.key(), stage.key()];
        for key in keys {
            stage.create(key, &stage.record()).await?;
        }
        // At the same time, to see it told before it is so.
        let (destroyed, told) = tokio::join!(handle.destroy(&keys), told_of(stage, &listener, &keys, name));
        destroyed?;
        told?;
        let (one, record) = (stage.key(), stage.record());
        stage.create(one, &record).await?;
        let destroyed = handle.destroy_unchanged(one, record.header.tag(), tag());
        let keys = [one];
        let (destroyed, told) = tokio::join!(destroyed, told_of(stage, &listener, &keys, "unchanged"));
        ensure!(destroyed? == Destroyed::Done, "a destroy_unchanged with the current tag was not Done");
        told?;
        told_of_one_step(stage, &listener, handle).await?;
    }
    Ok(())
}

/// If the store does it in one step.
async fn told_of_one_step<H: Harness>(
    stage: &Stage<'_, H>,
    listener: &Listener,
    handle: &H::Backend,
) -> Outcome {
    let (user, record) = (stage.user(), stage.record());
    let (ended, superseded) = (stage.key(), stage.key());
    for key in [ended, superseded] {
        stage.create(key, &record).await?;
    }
    if handle.destroy_enrolled(ended, user).await? == AtOnce::Done {
        told_of(stage, listener, &[ended], "with its entry").await?;
    }
    let (new, enrolment) = (stage.record(), Enrolment::new(user, record.header.absolute_deadline));
    let expected = record.header.tag();
    if handle.supersede(superseded, expected, stage.key(), &new, enrolment).await? == AtOnce::Done {
        told_of(stage, listener, &[superseded], "superseded").await?;
    }
    Ok(())
}

/// Waits until the listener is told that these have ended, which must be so by then.
async fn told_of<H: Harness>(
    stage: &Stage<'_, H>,
    listener: &Listener,
    keys: &[Key<'_>],
    by: &str,
) -> Outcome {
    let mut missing: Vec<Locator> = keys.iter().map(|key| key.locator).collect();
    while !missing.is_empty() {
        let told = listener.ended(by).await?;
        for gone in told.iter().filter(|gone| missing.contains(gone)) {
            stage.expect(Key { realm: &stage.realm, locator: *gone }, None, "told that it has ended").await?;
        }
        missing.retain(|locator| !told.contains(locator));
    }
    Ok(())
}

pub(super) async fn watchers_are_told_nothing_else<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (listener, watching) = listening(stage, &stage.realm).await?;
    let (key, record) = (stage.key(), stage.record());
    stage.create(key, &record).await?;
    let saved = stage.store.save(key, record.header.tag(), &next(&record, b"saved")).await?;
    ensure!(saved == Saved::Done, "a save was {saved:?}");
    let _ = stage.store.touch(key).await?;
    let conflict = stage.store.destroy_unchanged(key, record.header.tag(), tag()).await?;
    ensure!(
        matches!(conflict, Destroyed::Conflict { .. }),
        "a destroy_unchanged with an old tag was {conflict:?}"
    );
    let Ok(elsewhere) = "elsewhere".parse::<Realm>() else { return Err(Stop::NotChecked) };
    stage.store.destroy(&[Key { realm: &elsewhere, locator: locator() }]).await?;
    let ended = stage.key();
    stage.store.destroy(&[ended]).await?;
    let told = listener.ended("the end of another session").await?;
    ensure!(told == [ended.locator], "only {} has ended, and told was {told:?}", ended.locator);

    // What the first is not told is known when the second has been told it.
    let (witness, _watching) = listening(stage, &stage.realm).await?;
    drop(watching);
    listener.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
    stage.store.destroy(&[stage.key()]).await?;
    witness.ended("what a second watcher is told").await?;
    let told = listener.told.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    ensure!(told.is_none(), "after its watch was dropped it was told {told:?}");
    Ok(())
}

/// One who hears the ends of this realm's sessions.
async fn listening<H: Harness>(
    stage: &Stage<'_, H>,
    realm: &Realm,
) -> Result<(Arc<Listener>, Watching), Stop> {
    // How long a notice may be under way.
    let patience = stage.unit * 20;
    let listener = Arc::new(Listener { patience, told: Mutex::default(), rung: Notify::new() });
    let Some(watching) = stage.store.watch(realm, Arc::clone(&listener) as _) else {
        return Err(Stop::NotChecked);
    };
    while listener.next("that it hears").await? != Told::Hearing {}
    Ok((listener, watching))
}

impl Listener {
    /// What it is told next that has ended.
    async fn ended(&self, what: &str) -> Result<Vec<Locator>, Stop> {
        loop {
            if let Told::Ended(locators) = self.next(what).await? {
                return Ok(locators);
            }
        }
    }

    async fn next(&self, what: &str) -> Result<Told, Stop> {
        let next = async {
            loop {
                let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                match told {
                    Some(told) => return told,
                    None => self.rung.notified().await,
                }
            }
        };
        let patience = self.patience;
        tokio::time::timeout(patience, next)
            .await
            .map_err(|_| Stop::Broken(format!("a watcher was not told in {patience:?}: {what}")))
    }
}

impl Watcher for Listener {
    fn notice(&self, notice: Notice<'_>) {
        let told = match notice {
            Notice::Ended(locators) => Told::Ended(locators.to_vec()),
            Notice::Hearing => Told::Hearing,
            Notice::Deaf => Told::Deaf,
        };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push_back(told);
        self.rung.notify_one();
    }
}
