//! What the index of a user's sessions promises.

use portcullis_store::{Enrolled, Enrolment, Key, Realm, SessionBackend, Touched, UserKey};

use super::Harness;
use super::stage::{Outcome, Stage, Stop, ensure, locator, next};

pub(super) async fn index_is_a_set<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let user = stage.user();
    let (one, two, three) = (locator(), locator(), locator());
    let deadline = stage.soon(1000);
    for entry in [one, two, one, three, two] {
        stage.enrol(user, entry, deadline).await?;
    }
    stage.expect_members(user, &[one, two, three], "enrolled, two of them twice").await?;
    stage.store.withdraw(user, &[one, three]).await?;
    stage.store.withdraw(user, &[three, one, one]).await?;
    stage.expect_members(user, &[two], "withdrawn twice").await?;
    stage.enrol(user, one, deadline).await?;
    stage.expect_members(user, &[one, two], "enrolled after a withdrawal").await?;
    stage.store.withdraw(user, &[]).await?;
    stage.expect_members(user, &[one, two], "after a withdrawal of nothing").await
}

pub(super) async fn nobody_has_no_members<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let user = stage.user();
    stage.expect_members(user, &[], "nobody").await?;
    stage.store.withdraw(user, &[locator()]).await?;
    let only = locator();
    stage.enrol(user, only, stage.soon(1000)).await?;
    stage.store.withdraw(user, &[only]).await?;
    stage.expect_members(user, &[], "whose last session was withdrawn").await
}

pub(super) async fn entries_end<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    // An index that takes its lifetime from the latest call instead of the latest deadline loses entries.
    let (rising, falling) = (stage.user(), stage.user());
    let (short, long, late) = (locator(), locator(), locator());
    let soon = stage.soon(1);
    stage.enrol(rising, short, soon).await?;
    stage.enrol(rising, long, stage.soon(1000)).await?;
    stage.enrol(falling, long, stage.soon(1000)).await?;
    stage.enrol(falling, short, soon).await?;
    let members = stage.store.members(falling).await?;
    if stage.now() >= soon {
        return Err(Stop::Late);
    }
    ensure!(members.contains(&short), "an entry is missing before its deadline");
    stage.pass(soon).await;
    for user in [rising, falling] {
        stage.expect_members(user, &[long], "past one deadline").await?;
        stage.enrol(user, late, stage.soon(1000)).await?;
        stage.expect_members(user, &[long, late], "past one deadline, one more enrolled").await?;
    }
    Ok(())
}

pub(super) async fn entries_are_prolonged<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let user = stage.user();
    let (longer, shorter) = (locator(), locator());
    let (soon, late) = (stage.soon(1), stage.soon(1000));
    for (entry, first, then) in [(longer, soon, late), (shorter, late, soon)] {
        stage.enrol(user, entry, first).await?;
        stage.enrol(user, entry, then).await?;
    }
    stage.pass(soon).await;
    stage.expect_members(user, &[longer, shorter], "past the sooner of two deadlines").await
}

pub(super) async fn indexes_are_apart<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other_realm: Realm = "staff".parse().unwrap_or_default();
    let (ada, bob) = (stage.user(), stage.user());
    let ada_of_staff = UserKey { realm: &other_realm, ..ada };
    let (one, two, three) = (locator(), locator(), locator());
    let deadline = stage.soon(1000);
    stage.enrol(ada, one, deadline).await?;
    stage.enrol(bob, two, deadline).await?;
    stage.enrol(ada_of_staff, three, deadline).await?;
    stage.store.withdraw(bob, &[one]).await?;
    for (name, user, expected) in
        [("one user", ada, one), ("another user", bob, two), ("another realm", ada_of_staff, three)]
    {
        stage.expect_members(user, &[expected], name).await?;
    }
    let session = Key { realm: &stage.realm, locator: ada.user };
    stage.expect(session, None, "a session named like a user").await?;
    let record = stage.record();
    stage.create(session, &record).await?;
    stage.store.destroy(&[session]).await?;
    stage.expect_members(ada, &[one], "after a session named like the user was destroyed").await
}

pub(super) async fn create_enrolled_enters<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (key, user) = (stage.key(), stage.user());
    let idle_deadline = stage.soon(2);
    let record = stage.record_until(idle_deadline, stage.soon(1000), stage.unit * 1000);
    let enrolment = Enrolment::new(user, record.header.absolute_deadline);
    for sent in ["", " again"] {
        let created = stage.store.create_enrolled(key, &record, enrolment).await?;
        ensure!(created == Enrolled::Done, "create_enrolled{sent} was {created:?}");
    }
    let read = stage.alive_until(key, idle_deadline).await?;
    ensure!(read == record, "created {record:?}, read {read:?}");
    stage.expect_members(user, &[key.locator], "created enrolled").await?;
    let Touched::Alive(_) = stage.store.touch(key).await? else { return Err(Stop::Late) };
    stage.pass(idle_deadline).await;
    stage.expect_members(user, &[key.locator], "past its first idle deadline, and touched").await
}

pub(super) async fn create_enrolled_takes_nothing<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (key, owner, other) = (stage.key(), stage.user(), stage.user());
    let record = stage.record();
    let deadline = record.header.absolute_deadline;
    let created = stage.store.create_enrolled(key, &record, Enrolment::new(owner, deadline)).await?;
    ensure!(created == Enrolled::Done, "create_enrolled was {created:?}");
    let theirs = next(&stage.record(), b"theirs");
    let created = stage.store.create_enrolled(key, &theirs, Enrolment::new(other, deadline)).await?;
    ensure!(created == Enrolled::Taken, "create_enrolled of a taken key was {created:?}");
    stage.expect(key, Some(&record), "after a create that was Taken").await?;
    stage.expect_members(other, &[], "who did not get the session").await?;
    stage.expect_members(owner, &[key.locator], "who has the session").await
}
