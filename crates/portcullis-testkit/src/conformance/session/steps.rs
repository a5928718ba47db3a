//! What holds of several steps that a store does in one. Not checked where a store has them done one by one.

use std::time::Duration;

use portcullis_store::{AtOnce, Destroyed, Enrolment, Key, Record, Saved, SessionBackend, UserKey};

use super::Harness;
use super::stage::{Outcome, Stage, Stop, ensure, next, tag};

/// A session that is stored, and a login over it.
struct Login<'a> {
    before: Key<'a>,
    stands: Record,
    key: Key<'a>,
    record: Record,
    user: UserKey<'a>,
}

impl<'a> Login<'a> {
    async fn on<H: Harness>(stage: &'a Stage<'_, H>) -> Result<Self, Stop> {
        let (created, record) = (stage.record(), stage.record());
        let stands = next(&created, b"stands");
        let login = Self { before: stage.key(), stands, key: stage.key(), record, user: stage.user() };
        stage.create(login.before, &created).await?;
        stage.save(login.before, &created, &login.stands).await?;
        Ok(login)
    }

    fn enrolment(&self) -> Enrolment<'a> {
        Enrolment::new(self.user, self.record.header.absolute_deadline).replaces(self.before.locator)
    }

    async fn run<H: Harness>(&self, stage: &Stage<'_, H>, enrolment: Enrolment<'_>) -> Result<AtOnce, Stop> {
        let expected = self.stands.header.tag();
        Ok(stage.store.supersede(self.before, expected, self.key, &self.record, enrolment).await?)
    }

    async fn expect_done<H: Harness>(&self, stage: &Stage<'_, H>, when: &str) -> Outcome {
        stage.expect(self.before, None, when).await?;
        stage.expect(self.key, Some(&self.record), when).await?;
        stage.expect_members(self.user, &[self.key.locator], when).await
    }

    /// Nothing at all is done: `stands` is there, the new session is not, and the index is as it was.
    async fn expect_nothing<H: Harness>(
        &self,
        stage: &Stage<'_, H>,
        enrolment: Enrolment<'_>,
        stands: Option<&Record>,
        when: &str,
    ) -> Outcome {
        let members = stage.store.members(self.user).await?;
        let superseded = self.run(stage, enrolment).await?;
        ensure!(superseded == AtOnce::NotDone, "{when}: a supersede was {superseded:?}");
        stage.expect(self.before, stands, when).await?;
        stage.expect(self.key, None, when).await?;
        stage.expect_members(self.user, &members, when).await
    }
}

/// A store that does nothing in one step has nothing to be checked.
async fn supersedes<H: Harness>(stage: &Stage<'_, H>) -> Result<(), Stop> {
    let login = Login::on(stage).await?;
    match login.run(stage, login.enrolment()).await? {
        AtOnce::Done => Ok(()),
        AtOnce::NotDone => Err(Stop::NotChecked),
    }
}

pub(super) async fn supersede_does_all<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    supersedes(stage).await?;
    let login = Login::on(stage).await?;
    for when in ["superseded", "superseded, sent again"] {
        let superseded = login.run(stage, login.enrolment()).await?;
        ensure!(superseded == AtOnce::Done, "{when}: a supersede was {superseded:?}");
        login.expect_done(stage, when).await?;
    }
    let late =
        stage.store.save(login.before, login.stands.header.tag(), &next(&login.stands, b"late")).await?;
    ensure!(late == Saved::Gone, "a save to what was superseded was {late:?}");
    // Sent again when the new session has been written to, and when it has ended.
    stage.save(login.key, &login.record, &next(&login.record, b"written")).await?;
    let superseded = login.run(stage, login.enrolment()).await?;
    ensure!(superseded == AtOnce::Done, "sent again after a save, a supersede was {superseded:?}");
    stage.store.destroy(&[login.key]).await?;
    stage.store.withdraw(login.user, &[login.key.locator]).await?;
    login.expect_nothing(stage, login.enrolment(), None, "sent again when the new session has ended").await
}

pub(super) async fn supersede_does_nothing<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    supersedes(stage).await?;
    let mut login = Login::on(stage).await?;
    let newer = next(&login.stands, b"newer");
    stage.save(login.before, &login.stands, &newer).await?;
    let plain = login.enrolment();
    login.expect_nothing(stage, plain, Some(&newer), "the session before was written to").await?;
    login.stands = newer;

    let stands = Some(&login.stands);
    stage.enrol(login.user, stage.key().locator, stage.soon(1000)).await?;
    let full = login.enrolment().limit(1);
    login.expect_nothing(stage, full, stands, "beyond the limit").await?;
    let version = stage.store.credential_version(login.user).await?;
    stage.store.bump_credential_version(login.user, Duration::from_secs(3600)).await?;
    let stale = login.enrolment().credential_version(version);
    login.expect_nothing(stage, stale, stands, "with a stale credential version").await?;

    stage.store.destroy(&[login.before]).await?;
    login.expect_nothing(stage, plain, None, "the session before has ended").await?;

    let login = Login::on(stage).await?;
    let taken = stage.record();
    stage.create(login.key, &taken).await?;
    let superseded = login.run(stage, login.enrolment()).await?;
    ensure!(superseded == AtOnce::NotDone, "a supersede under a taken key was {superseded:?}");
    stage.expect(login.before, Some(&login.stands), "the key is taken").await?;
    stage.expect(login.key, Some(&taken), "the key is taken").await?;
    stage.expect_members(login.user, &[], "the key is taken").await?;
    stage.store.destroy(&[login.before]).await?;
    let superseded = login.run(stage, login.enrolment()).await?;
    ensure!(superseded == AtOnce::NotDone, "a supersede of nothing under a taken key was {superseded:?}");

    // Created by steps, and not sent before: the session before stands yet.
    let login = Login::on(stage).await?;
    stage.create(login.key, &login.record).await?;
    let superseded = login.run(stage, login.enrolment()).await?;
    let left = stage.store.load(login.before).await?;
    let told = (superseded == AtOnce::Done) == left.is_none();
    ensure!(told, "the new session was there, a supersede was {superseded:?}, and left {left:?}");
    Ok(())
}

pub(super) async fn supersede_takes_over_all<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    supersedes(stage).await?;
    for _ in 0..32 {
        let login = Login::on(stage).await?;
        let write = next(&login.stands, b"write");
        let saving = stage.store.save(login.before, login.stands.header.tag(), &write);
        let (superseded, saved) = tokio::join!(login.run(stage, login.enrolment()), saving);
        let (superseded, saved) = (superseded?, saved?);
        let lost = superseded == AtOnce::Done && saved == Saved::Done;
        ensure!(!lost, "a save was Done, and so was a supersede that did not expect it");
        let ended = stage.store.destroy_unchanged(login.before, write.header.tag(), tag()).await?;
        let expected = if superseded == AtOnce::Done { Destroyed::Gone } else { Destroyed::Done };
        ensure!(ended == expected, "a supersede was {superseded:?}, and then a destroy_unchanged {ended:?}");
    }
    Ok(())
}

pub(super) async fn destroy_enrolled_does_both<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let user = stage.user();
    let (key, other, record) = (stage.key(), stage.key(), stage.record());
    for key in [key, other] {
        stage.create(key, &record).await?;
        stage.enrol(user, key.locator, stage.soon(1000)).await?;
    }
    for when in ["destroyed, and taken out", "destroyed, and taken out again"] {
        if stage.store.destroy_enrolled(key, user).await? == AtOnce::NotDone {
            return Err(Stop::NotChecked);
        }
        stage.expect(key, None, when).await?;
        stage.expect_members(user, &[other.locator], when).await?;
        stage.expect(other, Some(&record), when).await?;
    }
    let saved = stage.store.save(key, record.header.tag(), &next(&record, b"late")).await?;
    ensure!(saved == Saved::Gone, "a save after a destroy_enrolled was {saved:?}");
    Ok(())
}
