//! What holds of key sets.

use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{KeySetBackend, LONGEST_KEY_SET, SharedKeySet, StoreErrorKind};
use tokio::task::JoinSet;

use super::Harness;
use super::stage::{LONG, Stage, set};
use crate::conformance::outcome::{Outcome, Stop, ensure, locator};

/// How many there are at a time.
const MANY: u64 = 16;

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn nothing_is_there_at_first<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let issuer = locator();
    stage.expect_none(issuer, "at first").await?;
    stage.expect_lease(issuer, locator(), true, "at first").await?;
    stage.expect_none(issuer, "with a lease").await
}

pub(super) async fn sets_are_kept_whole<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let longest = all.iter().copied().cycle().take(LONGEST_KEY_SET).collect();
    for (name, document) in [("empty", Vec::new()), ("of all bytes", all), ("the longest", longest)] {
        let (issuer, set) = (locator(), SharedKeySet { document, ..set(SECOND) });
        stage.save(issuer, &set).await?;
        // Half a megabyte is nothing to print.
        let found = stage.load(issuer, name).await?;
        let is_same = (found.tag, found.ttl) == (set.tag, set.ttl) && found.document == set.document;
        ensure!(is_same, "{name}: what is loaded is not what was saved");
    }
    let (issuer, set) = (locator(), SharedKeySet { ttl: Duration::ZERO, ..set(SECOND) });
    stage.save(issuer, &set).await?;
    stage.expect(issuer, &set, "one that holds no longer").await
}

pub(super) async fn nothing_is_cut<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let issuer = locator();
    let long = SharedKeySet { document: vec![b' '; LONGEST_KEY_SET + 1], ..set(SECOND) };
    match stage.store.save(issuer, long, LONG).await {
        Ok(()) => {
            let len = stage.load(issuer, "too long, and accepted").await?.document.len();
            ensure!(len == LONGEST_KEY_SET + 1, "of {} bytes there are {len}", LONGEST_KEY_SET + 1);
        }
        Err(error) => {
            ensure!(error.kind() == StoreErrorKind::TooLarge, "too long is {:?}", error.kind());
            stage.expect_none(issuer, "too long, and refused").await?;
        }
    }
    Ok(())
}

pub(super) async fn sets_age<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let issuer = locator();
    let (before, age) = (stage.now(), SECOND * 100);
    stage.save(issuer, &set(age)).await?;
    let after = stage.now();
    for _ in 0..3 {
        let asked = stage.now();
        let found = stage.load(issuer, "while it ages").await?.age;
        // Clocks of whole milliseconds may round each way.
        let (least, most) = (age + asked.since(after), age + stage.now().since(before));
        let millisecond = Duration::from_millis(1);
        ensure!(
            (least.saturating_sub(millisecond)..=most + millisecond).contains(&found),
            "its age is {found:?}, not from {least:?} to {most:?}"
        );
        stage.pass(stage.now().saturating_add(stage.unit)).await;
    }
    Ok(())
}

pub(super) async fn issuers_are_apart<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (one, two) = (locator(), locator());
    let (first, second) = (set(SECOND * 2), set(SECOND));
    stage.save(one, &first).await?;
    stage.expect_none(two, "another issuer").await?;
    stage.save(two, &second).await?;
    stage.expect(one, &first, "one issuer").await?;
    stage.expect(two, &second, "another issuer").await?;
    stage.expect_lease(one, locator(), true, "one issuer").await?;
    stage.expect_lease(two, locator(), true, "another issuer").await
}

pub(super) async fn the_youngest_stays<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let issuer = locator();
    let [older, young, younger] = [200, 100, 50].map(|seconds| set(SECOND * seconds));
    stage.save(issuer, &young).await?;
    stage.save(issuer, &older).await?;
    stage.expect(issuer, &young, "an older one came later").await?;
    stage.save(issuer, &younger).await?;
    stage.expect(issuer, &younger, "a younger one came later").await?;

    // Ages are told from when each is saved.
    let issuer = locator();
    let (first, since) = (set(Duration::ZERO), stage.now());
    stage.save(issuer, &first).await?;
    stage.pass(stage.now().saturating_add(stage.unit * 4)).await;
    let before_it = set(stage.now().since(since) + SECOND);
    stage.save(issuer, &before_it).await?;
    stage.expect(issuer, &first, "one that was older already").await?;
    let after_it = set(stage.unit * 2);
    stage.save(issuer, &after_it).await?;
    stage.expect(issuer, &after_it, "one of an age at which the other is younger").await
}

pub(super) async fn sets_may_be_resent<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (issuer, set) = (locator(), set(SECOND));
    for time in ["once", "twice", "three times"] {
        stage.save(issuer, &set).await?;
        stage.expect(issuer, &set, &format!("saved {time}")).await?;
    }
    Ok(())
}

pub(super) async fn the_youngest_of_many_stays<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for _ in 0..4 {
        let (issuer, youngest, mut tasks) = (locator(), set(SECOND), JoinSet::new());
        let older = (1..MANY).map(|at| set(SECOND + SECOND * 10 * u32::try_from(at).unwrap_or(1)));
        let all: Vec<_> = older.chain([youngest.clone()]).collect();
        // The youngest in the middle of the others.
        for set in all.iter().skip(8).chain(all.iter().take(8)).cloned() {
            let store = Arc::clone(&stage.store);
            tasks.spawn(async move { store.save(issuer, set, LONG).await });
        }
        while let Some(saved) = tasks.join_next().await {
            saved.map_err(|error| Stop::Broken(format!("a call panicked: {error}")))??;
        }
        stage.expect(issuer, &youngest, "saved at the same time").await?;
    }
    Ok(())
}

pub(super) async fn sets_end<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (issuer, keep) = (locator(), stage.unit * 2);
    let end = stage.now().saturating_add(keep);
    stage.store.save(issuer, set(SECOND), keep).await?;
    // The store may have begun to count as late as now.
    let latest = stage.now().saturating_add(keep);
    stage.pass(end.saturating_sub(stage.unit)).await;
    let is_there = stage.store.load(issuer).await?.is_some();
    stage.before(end, is_there, "a set")?;
    stage.pass(latest).await;
    stage.expect_none(issuer, "after the end").await?;
    let older = set(LONG);
    stage.save(issuer, &older).await?;
    stage.expect(issuer, &older, "in the place of one that has ended").await
}

pub(super) async fn late_sets_change_nothing<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    for (name, keep) in [("longer", LONG), ("shorter", stage.unit)] {
        let (issuer, stays) = (locator(), set(SECOND));
        let end = stage.now().saturating_add(stage.unit * 4);
        stage.store.save(issuer, stays.clone(), stage.unit * 4).await?;
        let latest = stage.now().saturating_add(stage.unit * 4);
        stage.store.save(issuer, set(LONG), keep).await?;
        stage.pass(stage.now().saturating_add(stage.unit)).await;
        let is_there = stage.store.load(issuer).await?.is_some_and(|found| found.tag == stays.tag);
        stage.before(end, is_there, &format!("a set after a late one that is kept {name}"))?;
        stage.pass(latest).await;
        stage.expect_none(issuer, &format!("after the end, and a late one that is kept {name}")).await?;
    }
    Ok(())
}
