//! When sessions end: idle and absolute deadline, touch, and that a save leaves all that alone.

use portcullis_store::{Created, Key, Saved, SessionBackend, Timestamp, Touched};

use super::Harness;
use super::stage::{Outcome, Stage, Stop, ensure, next};

pub(super) async fn idle_ends<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    ends(stage, stage.soon(1), stage.soon(1000)).await
}

pub(super) async fn absolute_ends<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    ends(stage, stage.soon(1000), stage.soon(1)).await
}

/// A session with these deadlines ends at the sooner, for every operation.
async fn ends<H: Harness>(stage: &Stage<'_, H>, idle: Timestamp, absolute: Timestamp) -> Outcome {
    let key = stage.key();
    let record = stage.record_until(idle, absolute, stage.unit * 1000);
    let deadline = record.header.expires();
    stage.create(key, &record).await?;
    stage.alive_until(key, deadline).await?;
    stage.pass(deadline).await;
    stage.expect(key, None, "past its deadline").await?;
    // It claims later deadlines, so that it would be seen if it were stored.
    let mut late = next(&record, b"late");
    late.header.idle_deadline = stage.soon(1000);
    late.header.absolute_deadline = stage.soon(1000);
    let saved = stage.store.save(key, record.header.tag(), &late).await?;
    ensure!(saved == Saved::Gone, "a save past the deadline was {saved:?}");
    let touched = stage.store.touch(key).await?;
    ensure!(touched == Touched::Gone, "a touch past the deadline was {touched:?}");
    stage.expect(key, None, "past its deadline, after a save and a touch").await
}

pub(super) async fn expired_keys_are_free<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let old = stage.record_until(stage.soon(1), stage.soon(1), stage.unit);
    stage.create(key, &old).await?;
    stage.pass(old.header.expires()).await;
    let new = stage.record();
    let created = stage.store.create(key, &new).await?;
    ensure!(created == Created::Done, "a create under the key of an expired session was {created:?}");
    stage.expect(key, Some(&new), "created where another had expired").await
}

pub(super) async fn touch_prolongs<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let first_deadline = stage.soon(2);
    let record = stage.record_until(first_deadline, stage.soon(1000), stage.unit * 2);
    stage.create(key, &record).await?;
    stage.pass_before(stage.soon(1), first_deadline).await?;
    let deadline = touch(stage, key, first_deadline).await?;
    let read = stage.alive_until(key, deadline).await?;
    ensure!(
        read.header.idle_deadline == deadline,
        "touch said {deadline:?}, the record says {:?}",
        read.header.idle_deadline
    );
    stage.pass_before(first_deadline, deadline).await?;
    stage.alive_until(key, deadline).await?;
    stage.pass(deadline).await;
    stage.expect(key, None, "past the deadline that a touch had set").await
}

/// Touches a session that must be alive, and must now live for its idle time of two units.
async fn touch<H: Harness>(stage: &Stage<'_, H>, key: Key<'_>, before: Timestamp) -> Result<Timestamp, Stop> {
    let earliest = stage.soon(2);
    match stage.store.touch(key).await? {
        Touched::Alive(deadline) => {
            let latest = stage.soon(2);
            ensure!(
                (earliest..=latest).contains(&deadline),
                "touch set {deadline:?}, now plus the idle time is between {earliest:?} and {latest:?}"
            );
            Ok(deadline)
        }
        Touched::Gone if stage.now() >= before => Err(Stop::Late),
        Touched::Gone => Err(Stop::Broken("a touch before the deadline was Gone".to_owned())),
    }
}

pub(super) async fn touch_never_shortens<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let deadline = stage.soon(1000);
    let record = stage.record_until(deadline, stage.soon(2000), stage.unit);
    stage.create(key, &record).await?;
    let touched = stage.store.touch(key).await?;
    ensure!(touched == Touched::Alive(deadline), "touch said {touched:?} instead of {deadline:?}");
    stage.expect(key, Some(&record), "touched long before its deadline").await?;
    // Past now plus the idle time, where a shortened key would have ended.
    stage.pass(stage.soon(1)).await;
    stage.expect(key, Some(&record), "an idle time after it was touched").await?;

    let key = stage.key();
    let for_ever = stage.record_until(Timestamp::MAX, Timestamp::MAX, stage.unit);
    stage.create(key, &for_ever).await?;
    let touched = stage.store.touch(key).await?;
    ensure!(touched == Touched::Alive(Timestamp::MAX), "touch of one without an end said {touched:?}");
    stage.expect(key, Some(&for_ever), "without an end, touched").await
}

pub(super) async fn touch_is_capped<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let absolute = stage.soon(2);
    let record = stage.record_until(stage.soon(1), absolute, stage.unit * 1000);
    stage.create(key, &record).await?;
    match stage.store.touch(key).await? {
        Touched::Alive(deadline) => {
            ensure!(deadline == absolute, "touch set {deadline:?}, the absolute deadline is {absolute:?}");
        }
        Touched::Gone if stage.now() >= record.header.expires() => return Err(Stop::Late),
        Touched::Gone => return Err(Stop::Broken("a touch before the deadline was Gone".to_owned())),
    }
    let read = stage.alive_until(key, absolute).await?;
    ensure!(read.header.idle_deadline == absolute, "the record says {:?}", read.header.idle_deadline);
    stage.pass(absolute).await;
    stage.expect(key, None, "past its absolute deadline, after a touch").await
}

pub(super) async fn touch_conflicts_with_nothing<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let record = stage.record_until(stage.soon(500), stage.soon(2000), stage.unit * 1000);
    stage.create(key, &record).await?;
    let Touched::Alive(deadline) = stage.store.touch(key).await? else {
        return Err(Stop::Broken("a touch before the deadline was Gone".to_owned()));
    };
    let mut touched = record.clone();
    touched.header.idle_deadline = deadline;
    stage.expect(key, Some(&touched), "only the idle deadline moved").await?;
    stage.save(key, &record, &next(&record, b"in flight")).await
}

pub(super) async fn save_keeps_idle_deadline<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let record = stage.record_until(stage.soon(1000), stage.soon(5000), stage.unit * 1000);
    stage.create(key, &record).await?;
    let mut stands = record.header.idle_deadline;
    let mut before = record;
    for (name, claimed) in [("later", stage.soon(4000)), ("sooner", stage.soon(0)), ("never", Timestamp::MAX)]
    {
        let mut after = next(&before, name.as_bytes());
        after.header.idle_deadline = claimed;
        stage.save(key, &before, &after).await?;
        after.header.idle_deadline = stands;
        stage.expect(key, Some(&after), name).await?;
        before = after;
    }
    // And what a touch has set since the record was loaded stays as well.
    if let Touched::Alive(deadline) = stage.store.touch(key).await? {
        stands = deadline;
    }
    let mut after = next(&before, b"loaded before the touch");
    stage.save(key, &before, &after).await?;
    after.header.idle_deadline = stands;
    stage.expect(key, Some(&after), "saved over a touch").await
}

pub(super) async fn save_keeps_expiry<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (short, long) = (stage.key(), stage.key());
    let until_soon = stage.record_until(stage.soon(1), stage.soon(1), stage.unit);
    let until_later = stage.record_until(stage.soon(500), stage.soon(1000), stage.unit);
    stage.create(short, &until_soon).await?;
    stage.create(long, &until_later).await?;

    let mut for_ever = next(&until_soon, b"for ever");
    for_ever.header.absolute_deadline = Timestamp::MAX;
    for_ever.header.idle_deadline = Timestamp::MAX;
    let over = next(&until_later, b"over");
    for _sent in 0..2 {
        let saved = stage.store.save(short, until_soon.header.tag(), &for_ever).await?;
        if stage.now() >= until_soon.header.expires() {
            return Err(Stop::Late);
        }
        ensure!(saved == Saved::Done, "a save before the deadline was {saved:?}");
        stage.save(long, &until_later, &over).await?;
    }
    stage.pass(until_soon.header.expires()).await;
    stage.expect(short, None, "past its deadline, saved with a later one").await?;
    stage.expect(long, Some(&over), "before its deadline, saved").await
}
