//! What holds when several requests, through several handles, do something at once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use portcullis_store::{
    Created, Destroyed, Enrolled, Enrolment, Key, Locator, Realm, Record, Saved, SessionBackend, StoreError,
    Touched, UserKey,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Harness;
use super::stage::{Outcome, Stage, Stop, ensure, locator, next, tag};

const HANDLES: usize = 4;
const RACERS: usize = 12;
const KEEP: Duration = Duration::from_secs(3600);

/// Runs `count` copies of `job` at once, spread over several handles; they start together.
async fn at_once<H, T, F>(
    stage: &Stage<'_, H>,
    count: usize,
    job: impl Fn(usize, Arc<H::Backend>) -> F,
) -> Result<Vec<T>, Stop>
where
    H: Harness,
    T: Send + 'static,
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
{
    let mut handles = Vec::with_capacity(HANDLES);
    for _ in 0..HANDLES {
        handles.push(Arc::new(stage.harness.handle().await));
    }
    let start = Arc::new(Barrier::new(count));
    let mut tasks = JoinSet::new();
    for (number, handle) in handles.iter().cycle().take(count).enumerate() {
        let (start, job) = (start.clone(), job(number, handle.clone()));
        tasks.spawn(async move {
            start.wait().await;
            job.await
        });
    }
    let mut results = Vec::with_capacity(count);
    while let Some(ended) = tasks.join_next().await {
        let result = ended.map_err(|error| Stop::Broken(format!("the backend panicked: {error}")))?;
        results.push(result?);
    }
    Ok(results)
}

pub(super) async fn one_create_wins<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let locator = locator();
    let results = at_once(stage, 16, |number, store| {
        let (realm, record) = (stage.realm.clone(), numbered(stage.record(), number));
        async move { Ok((store.create(Key { realm: &realm, locator }, &record).await?, record)) }
    })
    .await?;
    let winners: Vec<&Record> =
        results.iter().filter(|(created, _)| *created == Created::Done).map(|(_, record)| record).collect();
    ensure!(winners.len() == 1, "{} of 16 creates were Done", winners.len());
    let key = Key { realm: &stage.realm, locator };
    stage.expect(key, winners.first().copied(), "after 16 creates").await
}

pub(super) async fn one_save_wins<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let before = stage.record();
    stage.create(key, &before).await?;
    let results = at_once(stage, 16, |number, store| {
        let (realm, locator) = (stage.realm.clone(), key.locator);
        let (expected, record) = (before.header.tag(), numbered(next(&before, b""), number));
        async move { Ok((store.save(Key { realm: &realm, locator }, expected, &record).await?, record)) }
    })
    .await?;
    let winners: Vec<&Record> =
        results.iter().filter(|(saved, _)| *saved == Saved::Done).map(|(_, record)| record).collect();
    ensure!(winners.len() == 1, "{} of 16 saves that expected one tag were Done", winners.len());
    for (saved, _) in &results {
        let shows_winner =
            matches!(saved, Saved::Conflict { current, .. } if winners.first() == Some(&current));
        ensure!(*saved == Saved::Done || shows_winner, "a loser was told {saved:?}");
    }
    stage.expect(key, winners.first().copied(), "after 16 saves").await
}

pub(super) async fn counters_are_exact<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    const WRITERS: usize = 64;
    let key = stage.key();
    // Its deadline is near and its idle time long, so that every touch has something to move.
    let mut record = stage.record();
    record.header.idle_deadline = stage.now().saturating_add(record.header.idle / 2);
    record.payload = 0u64.to_be_bytes().into();
    stage.create(key, &record).await?;
    let results = at_once(stage, WRITERS, |_, store| {
        let (realm, locator) = (stage.realm.clone(), key.locator);
        async move {
            let key = Key { realm: &realm, locator };
            let _alive = store.touch(key).await?;
            increment(&*store, key).await
        }
    })
    .await?;
    ensure!(results.iter().all(|&counted| counted), "a counted session was Gone");
    let sum = stage.read(key).await?.map_or(0, |record| count(&record));
    ensure!(sum == WRITERS as u64, "{WRITERS} increments make {sum}");
    Ok(())
}

/// Adds one by compare and set, again and again until it is done. `false` when the session is gone.
async fn increment(store: &impl SessionBackend, key: Key<'_>) -> Result<bool, StoreError> {
    let Some(mut before) = store.load(key).await? else { return Ok(false) };
    loop {
        // So that others run in between, also on one thread and with a store that never waits.
        tokio::task::yield_now().await;
        let after = next(&before, &(count(&before) + 1).to_be_bytes());
        match store.save(key, before.header.tag(), &after).await? {
            Saved::Done => return Ok(true),
            Saved::Gone => return Ok(false),
            Saved::Conflict { current, .. } => before = current,
        }
    }
}

fn count(record: &Record) -> u64 {
    record.payload.as_ref().try_into().map_or(u64::MAX / 2, u64::from_be_bytes)
}

pub(super) async fn concurrent_resends_apply_once<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let before = stage.record();
    stage.create(key, &before).await?;
    let write = next(&before, b"once");
    let results = at_once(stage, 8, |_, store| {
        let (realm, locator) = (stage.realm.clone(), key.locator);
        let (expected, record) = (before.header.tag(), write.clone());
        async move { store.save(Key { realm: &realm, locator }, expected, &record).await }
    })
    .await?;
    for saved in results {
        ensure!(saved == Saved::Done, "one of several sends of a save was {saved:?}");
    }
    stage.expect(key, Some(&write), "after a save sent eight times at once").await
}

pub(super) async fn destroy_wins_races<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for round in 0..RACERS {
        let key = stage.key();
        let before = stage.record();
        stage.create(key, &before).await?;
        at_once(stage, RACERS, |number, store| {
            let (realm, locator, before) = (stage.realm.clone(), key.locator, before.clone());
            async move {
                let key = Key { realm: &realm, locator };
                if number == round {
                    destroy_late(number, &*store, key).await
                } else {
                    race(number, &*store, key, before).await
                }
            }
        })
        .await?;
        stage.expect(key, None, "destroyed amid saves and touches").await?;
        ensure!(stage.store.touch(key).await? == Touched::Gone, "round {round}: alive after a destroy");
    }
    Ok(())
}

pub(super) async fn one_destroys_unchanged<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let record = stage.record();
    stage.create(key, &record).await?;
    let results = at_once(stage, RACERS, |_, store| {
        let (realm, locator, expected) = (stage.realm.clone(), key.locator, record.header.tag());
        async move { store.destroy_unchanged(Key { realm: &realm, locator }, expected, tag()).await }
    })
    .await?;
    let done = results.iter().filter(|destroyed| **destroyed == Destroyed::Done).count();
    ensure!(done == 1, "{done} of {RACERS} who destroyed one record unchanged were Done");
    ensure!(results.iter().all(|destroyed| !matches!(destroyed, Destroyed::Conflict { .. })), "{results:?}");
    Ok(())
}

pub(super) async fn handovers_are_exact<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for round in 0..RACERS {
        let (key, mut record) = (stage.key(), stage.record());
        record.payload = 0u64.to_be_bytes().into();
        stage.create(key, &record).await?;
        let results = at_once(stage, RACERS, |number, store| {
            let (realm, locator, first) = (stage.realm.clone(), key.locator, record.clone());
            async move {
                let key = Key { realm: &realm, locator };
                if number == round {
                    take_over(&*store, key, first).await
                } else {
                    count_up(&*store, key).await
                }
            }
        })
        .await?;
        let counted: u64 = results.iter().flatten().sum();
        let taken: Vec<u64> = results.iter().filter_map(|result| result.err()).collect();
        ensure!(taken == [counted], "{counted} increments were Done, and {taken:?} taken over");
        stage.expect(key, None, "taken over").await?;
    }
    Ok(())
}

/// Increments until the session is gone. Gives how often it was done.
async fn count_up(store: &impl SessionBackend, key: Key<'_>) -> Result<Result<u64, u64>, StoreError> {
    let mut counted = 0;
    while counted < 20 && increment(store, key).await? {
        counted += 1;
    }
    Ok(Ok(counted))
}

/// Destroys the session as it was last seen. Gives its count, as an error, to be told from the others'.
async fn take_over(
    store: &impl SessionBackend,
    key: Key<'_>,
    mut seen: Record,
) -> Result<Result<u64, u64>, StoreError> {
    loop {
        tokio::task::yield_now().await;
        match store.destroy_unchanged(key, seen.header.tag(), tag()).await? {
            Destroyed::Conflict { current } => seen = current,
            Destroyed::Done => return Ok(Err(count(&seen))),
            Destroyed::Gone => return Ok(Err(u64::MAX)),
        }
    }
}

/// Destroys once the others are under way.
async fn destroy_late(number: usize, store: &impl SessionBackend, key: Key<'_>) -> Result<(), StoreError> {
    for _ in 0..number % 4 {
        tokio::task::yield_now().await;
    }
    store.destroy(&[key]).await
}

/// Saves and perhaps touches until it is told that the session is gone.
async fn race(
    number: usize,
    store: &impl SessionBackend,
    key: Key<'_>,
    mut before: Record,
) -> Result<(), StoreError> {
    for _ in 0..20 {
        if number.is_multiple_of(2) && store.touch(key).await? == Touched::Gone {
            break;
        }
        let after = next(&before, b"raced");
        match store.save(key, before.header.tag(), &after).await? {
            Saved::Done => before = after,
            Saved::Gone => break,
            Saved::Conflict { current, .. } => before = current,
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

pub(super) async fn enrolments_are_all_kept<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (user, gone) = (stage.user(), locator());
    let deadline = stage.soon(100_000);
    stage.enrol(user, gone, deadline).await?;
    let enrolled = at_once(stage, 32, |number, store| {
        let (realm, user): (Realm, _) = (stage.realm.clone(), user.user);
        // Together they are more than a page of a store that answers by pages. A store may forget entries without a session.
        let (entries, record) = ([(); 5].map(|()| locator()), stage.record());
        async move {
            let user = UserKey { realm: &realm, user };
            if number == 0 {
                store.withdraw(user, &[gone]).await?;
            }
            for entry in entries {
                let _ = store.create(Key { realm: &realm, locator: entry }, &record).await?;
                let _ = store.enrol(entry, Enrolment::new(user, deadline)).await?;
            }
            Ok(entries)
        }
    })
    .await?
    .concat();
    stage.expect_members(user, &enrolled, "enrolled at once").await
}

pub(super) async fn one_takes_the_last_place<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for round in 0..8 {
        let (user, held) = (stage.user(), locator());
        let deadline = stage.soon(100_000);
        stage.enrol(user, held, deadline).await?;
        let answers = at_once(stage, 8, |_, store| {
            let (realm, user, entry): (Realm, _, _) = (stage.realm.clone(), user.user, locator());
            async move {
                let user = UserKey { realm: &realm, user };
                Ok((entry, store.enrol(entry, Enrolment::new(user, deadline).limit(2)).await?))
            }
        })
        .await?;
        let done: Vec<Locator> =
            answers.iter().filter(|(_, answer)| *answer == Enrolled::Done).map(|(entry, _)| *entry).collect();
        let [winner] = *done.as_slice() else {
            return Err(Stop::Broken(format!("{} of 8 enrolments for one place were Done", done.len())));
        };
        for (_, answer) in &answers {
            let shown = matches!(answer, Enrolled::Full(all) if all.len() == 2 && all.contains(&winner));
            ensure!(*answer == Enrolled::Done || shown, "a loser was told {answer:?}");
        }
        stage.expect_members(user, &[held, winner], &format!("after race {round}")).await?;
    }
    Ok(())
}

pub(super) async fn bumps_differ<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let user = stage.user();
    let mut given = at_once(stage, RACERS, |_, store| {
        let (realm, user): (Realm, _) = (stage.realm.clone(), user.user);
        async move { store.bump_credential_version(UserKey { realm: &realm, user }, KEEP).await }
    })
    .await?;
    given.sort();
    ensure!(given.is_sorted_by(|one, next| one < next), "two bumps at once gave one version: {given:?}");
    let read = stage.store.credential_version(user).await?;
    ensure!(given.last() == Some(&read), "the bumps gave {given:?}, and the version is {read:?}");
    Ok(())
}

pub(super) async fn bumps_exclude_enrolments<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let deadline = stage.soon(100_000);
    for _ in 0..8 {
        let user = stage.user();
        let checked = stage.store.credential_version(user).await?;
        let results = at_once(stage, RACERS, |number, store| {
            let (realm, user, entry): (Realm, _, _) = (stage.realm.clone(), user.user, locator());
            async move {
                let user = UserKey { realm: &realm, user };
                if number == RACERS / 2 {
                    store.bump_credential_version(user, KEEP).await?;
                    return Ok((None, store.members(user).await?));
                }
                let enrolment = Enrolment::new(user, deadline).credential_version(checked);
                let enrolled = store.enrol(entry, enrolment).await?;
                Ok((Some((entry, enrolled)), Vec::new()))
            }
        })
        .await?;
        let seen: Vec<Locator> =
            results.iter().filter(|(entry, _)| entry.is_none()).flat_map(|(_, seen)| seen.clone()).collect();
        for (entry, enrolled) in results.into_iter().filter_map(|(entry, _)| entry) {
            let expected = if seen.contains(&entry) { Enrolled::Done } else { Enrolled::StaleCredential };
            ensure!(enrolled == expected, "one was {enrolled:?}; the index after the bump says {expected:?}");
        }
    }
    Ok(())
}

pub(super) async fn dropped_writes_are_whole<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let mut before = stage.record();
    stage.create(key, &before).await?;
    for round in 0u8..16 {
        let after = next(&before, &vec![round; 32 * 1024]);
        poll_at_most(usize::from(round % 4) + 1, stage.store.save(key, before.header.tag(), &after)).await;
        // It may still be on its way, so the stored record is either, but one of them; and the next read may find the other.
        let read = stage.store.load(key).await?;
        let whole = read.as_ref() == Some(&before) || read.as_ref() == Some(&after);
        ensure!(whole, "after a dropped save: {read:?}");
        // Sent again it is Done, whether it had arrived or not.
        stage.save(key, &before, &after).await?;
        before = after;
    }
    stage.expect(key, Some(&before), "after dropped saves, sent again").await
}

/// Polls a future a few times, then drops it wherever it stands.
async fn poll_at_most<F: Future>(times: usize, future: F) {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending if left <= 1 => Poll::Ready(()),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await;
}

fn numbered(mut record: Record, number: usize) -> Record {
    record.payload = number.to_be_bytes().into();
    record
}
