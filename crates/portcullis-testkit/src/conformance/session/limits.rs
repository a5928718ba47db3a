//! What an enrolment promises that has conditions: a limit, or a credential version.

use std::time::Duration;

use portcullis_store::{CredentialVersion, Enrolled, Enrolment, SessionBackend, UserKey};

use super::Harness;
use super::stage::{Outcome, Stage, ensure, locator};

const KEEP: Duration = Duration::from_secs(3600);

pub(super) async fn limits_hold<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let user = stage.user();
    let (one, two, three) = (locator(), locator(), locator());
    let at_most_two = Enrolment::new(user, stage.soon(1000)).limit(2);
    for (when, entry) in [("the first of two", one), ("the second of two", two)] {
        stage.expect_enrolled(entry, at_most_two, &Enrolled::Done, when).await?;
    }
    let full = Enrolled::Full(vec![one, two]);
    for when in ["beyond the limit", "beyond the limit, sent again"] {
        stage.expect_enrolled(three, at_most_two, &full, when).await?;
        stage.expect_members(user, &[one, two], when).await?;
    }
    stage.expect_enrolled(two, at_most_two, &Enrolled::Done, "one that is entered, sent again").await?;
    stage
        .expect_enrolled(one, at_most_two.limit(1), &Enrolled::Done, "a lower limit, one that is entered")
        .await?;
    stage.expect_enrolled(three, at_most_two.limit(1), &full, "a limit that was lowered").await?;
    stage.enrol(user, three, stage.soon(1000)).await?;
    stage.expect_members(user, &[one, two, three], "without a limit").await?;
    entries_past_their_deadline_do_not_count(stage).await
}

async fn entries_past_their_deadline_do_not_count<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let user = stage.user();
    let soon = stage.soon(1);
    stage.enrol(user, locator(), soon).await?;
    stage.pass(soon).await;
    let next = locator();
    let only_one = Enrolment::new(user, stage.soon(1000)).limit(1);
    stage.expect_enrolled(next, only_one, &Enrolled::Done, "beside one past its deadline").await?;
    stage.expect_members(user, &[next], "beside one past its deadline").await
}

pub(super) async fn evicted_give_way<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let user = stage.user();
    let (one, two, new, newer) = (locator(), locator(), locator(), locator());
    let deadline = stage.soon(1000);
    let at_most_two = Enrolment::new(user, deadline).limit(2);
    for entry in [one, two] {
        stage.enrol(user, entry, deadline).await?;
    }
    for when in ["in the place of an evicted one", "in the place of an evicted one, sent again"] {
        stage.expect_enrolled(new, at_most_two.evicted(&[one]), &Enrolled::Done, when).await?;
        stage.expect_members(user, &[two, new], when).await?;
    }
    // Somebody else took the place that was made.
    let full = Enrolled::Full(vec![two, new]);
    stage.expect_enrolled(newer, at_most_two.evicted(&[one, locator()]), &full, "too late").await?;
    let one_left = Enrolled::Full(vec![two]);
    stage
        .expect_enrolled(newer, at_most_two.limit(1).evicted(&[new]), &one_left, "not enough evicted")
        .await?;
    stage.expect_members(user, &[two], "one evicted, and still Full").await?;

    stage.expect_enrolled(new, at_most_two.limit(1).replaces(two), &Enrolled::Done, "replacing").await?;
    stage.expect_members(user, &[two, new], "the one to be replaced is not gone yet").await?;
    let others = Enrolled::Full(vec![new]);
    stage.expect_enrolled(newer, at_most_two.limit(1).replaces(two), &others, "replacing twice").await
}

pub(super) async fn create_enrolled_keeps_the_limit<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (key, user, held) = (stage.key(), stage.user(), locator());
    let record = stage.record();
    let only_one = Enrolment::new(user, record.header.absolute_deadline).limit(1);
    stage.expect_enrolled(held, only_one, &Enrolled::Done, "the first").await?;
    for sent in ["", " again"] {
        let created = stage.store.create_enrolled(key, &record, only_one).await?;
        ensure!(created == Enrolled::Full(vec![held]), "create_enrolled{sent} at the limit was {created:?}");
        stage.expect_members(user, &[held], "after a create_enrolled at the limit").await?;
    }
    stage.expect_enrolled(key.locator, only_one.evicted(&[held]), &Enrolled::Done, "with room made").await?;
    stage.expect(key, Some(&record), "enrolled when there was room").await?;
    stage.expect_members(user, &[key.locator], "enrolled when there was room").await
}

pub(super) async fn stale_credentials_are_refused<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (user, held) = (stage.user(), locator());
    let deadline = stage.soon(1000);
    stage.enrol(user, held, deadline).await?;
    let checked = stage.store.credential_version(user).await?;
    stage.store.bump_credential_version(user, KEEP).await?;
    let stale = Enrolment::new(user, deadline).credential_version(checked);
    let refused = Enrolled::StaleCredential;
    stage.expect_enrolled(locator(), stale, &refused, "of a stale version").await?;
    let evicted = [held];
    let all = stale.limit(1).evicted(&evicted);
    stage.expect_enrolled(locator(), all, &refused, "of a stale version, and full").await?;
    // A version that the store has forgotten since is higher than the one that it knows.
    let forgotten = stale.credential_version(CredentialVersion(u64::from(u32::MAX)));
    stage.expect_enrolled(locator(), forgotten, &refused, "of a version that is not known").await?;
    let created = stage.store.create_enrolled(stage.key(), &stage.record(), stale).await?;
    ensure!(created == refused, "create_enrolled of a stale version was {created:?}");
    stage.expect_members(user, &[held], "after enrolments of a stale version").await?;

    let current = stage.store.credential_version(user).await?;
    let (new, any) = (locator(), locator());
    let good = stale.credential_version(current);
    stage.expect_enrolled(new, good, &Enrolled::Done, "of the current version").await?;
    stage.enrol(user, any, deadline).await?;
    stage.expect_members(user, &[held, new, any], "of the current version, and of any").await?;
    // One that was entered before the bump, sent again: whoever sent it must not think that it stands.
    stage.expect_enrolled(held, stale, &refused, "of a stale version, and entered before").await
}

pub(super) async fn versions_change<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (ada, bob) = (stage.user(), stage.user());
    let other_realm = "staff".parse().unwrap_or_default();
    let ada_of_staff = UserKey { realm: &other_realm, ..ada };
    let first = stage.store.credential_version(ada).await?;
    ensure!(first == CredentialVersion::default(), "a user without changes is at {first:?}");
    let mut seen = vec![first];
    for _ in 0..12 {
        let given = stage.store.bump_credential_version(ada, KEEP).await?;
        let read = stage.harness.handle().await.credential_version(ada).await?;
        ensure!(given == read, "a bump gave {given:?}, another handle reads {read:?}");
        ensure!(!seen.contains(&given), "{given:?} came twice");
        seen.push(given);
    }
    for (name, other) in [("another user", bob), ("another realm", ada_of_staff)] {
        let version = stage.store.credential_version(other).await?;
        ensure!(version == first, "{name} is at {version:?} after the bumps of one");
    }
    stage.expect_members(ada, &[], "a version is no session").await?;
    a_version_is_kept(stage).await
}

async fn a_version_is_kept<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    // The sooner one must not be what counts, whichever of the two comes first.
    for (first, then) in [(1, 1000), (1000, 1)] {
        let user = stage.user();
        stage.store.bump_credential_version(user, stage.unit * first).await?;
        let version = stage.store.bump_credential_version(user, stage.unit * then).await?;
        stage.pass(stage.soon(1)).await;
        let kept = stage.store.credential_version(user).await?;
        ensure!(kept == version, "{version:?} was to be kept, and is {kept:?}");
    }
    Ok(())
}
