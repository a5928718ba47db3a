//! What holds when the store is away, or holds what this version cannot read.

use std::future::Future;
use std::time::Duration;

use portcullis_store::{AtOnce, Created, Enrolment, SessionBackend, StoreError, StoreErrorKind, offset};

use super::Harness;
use super::stage::{Outcome, Stage, Stop, ensure, locator, next, tag};
use crate::conformance::outcome::fails;

pub(super) async fn foreign_records_are_left_alone<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let record = stage.record();
    let mut newer = record.encode();
    newer.splice(..=offset::VERSION, [offset::FORMAT + 1]);
    let truncated: Vec<u8> = record.encode().into_iter().take(offset::PAYLOAD - 1).collect();
    let foreign =
        [("a newer format version", newer), ("a truncated record", truncated), ("text", b"hello".to_vec())];
    for (name, bytes) in foreign {
        let key = stage.key();
        if !stage.harness.plant(key, &bytes).await {
            return Err(Stop::NotChecked);
        }
        let write = next(&record, b"over it");
        let outcomes = [
            ("load", stage.store.load(key).await.map(|_| ())),
            ("load_many", stage.store.load_many(&[key]).await.map(|_| ())),
            ("touch", stage.store.touch(key).await.map(|_| ())),
            (
                "destroy_unchanged",
                stage.store.destroy_unchanged(key, record.header.tag(), tag()).await.map(|_| ()),
            ),
            ("save", stage.store.save(key, record.header.tag(), &write).await.map(|_| ())),
        ];
        for (operation, outcome) in outcomes {
            let kind = outcome.as_ref().err().map(StoreError::kind);
            ensure!(kind == Some(StoreErrorKind::Corrupt), "{operation} of {name} was {outcome:?}");
        }
        let created = stage.store.create(key, &record).await;
        ensure!(!matches!(created, Ok(Created::Done)), "create over {name} was {created:?}");
        let enrolment = Enrolment::new(stage.user(), record.header.absolute_deadline);
        let expected = record.header.tag();
        let superseded = stage.store.supersede(key, expected, stage.key(), &record, enrolment).await;
        ensure!(!matches!(superseded, Ok(AtOnce::Done)), "supersede of {name} was {superseded:?}");
        let left = stage.harness.peek(key).await;
        ensure!(left.as_deref() == Some(&bytes), "{name} was written to");
        // Whoever ends all sessions of somebody ends those of a newer build as well.
        let destroyed = stage.store.destroy(&[key]).await;
        let left = stage.harness.peek(key).await;
        ensure!(
            destroyed.is_ok() && left.is_none(),
            "destroy of {name} was {destroyed:?}, and left {left:?}"
        );
    }
    Ok(())
}

pub(super) async fn an_outage_is_an_error<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let Some(store) = stage.harness.unreachable().await else { return Err(Stop::NotChecked) };
    let (key, user, record) = (stage.key(), stage.user(), stage.record());
    let write = next(&record, b"");
    let enrolment = Enrolment::new(user, record.header.absolute_deadline);
    fails("load", store.load(key)).await?;
    if let Some(answer) = store.load_now(key, stage.now()) {
        fails("load_now", async { answer }).await?;
    }
    fails("load_many", store.load_many(&[key, stage.key()])).await?;
    fails("create", store.create(key, &record)).await?;
    fails("create_enrolled", store.create_enrolled(key, &record, enrolment)).await?;
    fails("save", store.save(key, record.header.tag(), &write)).await?;
    fails("touch", store.touch(key)).await?;
    fails("destroy", store.destroy(&[key])).await?;
    fails("destroy_durably", store.destroy_durably(&[key], 1)).await?;
    fails("destroy_unchanged", store.destroy_unchanged(key, record.header.tag(), tag())).await?;
    fails("destroy_enrolled", one_step(store.destroy_enrolled(key, user))).await?;
    let superseding = store.supersede(key, record.header.tag(), stage.key(), &write, enrolment);
    fails("supersede", one_step(superseding)).await?;
    fails("enrol", store.enrol(locator(), enrolment)).await?;
    fails("withdraw", store.withdraw(user, &[locator()])).await?;
    fails("members", store.members(user)).await?;
    fails("credential_version", store.credential_version(user)).await?;
    fails("bump_credential_version", store.bump_credential_version(user, Duration::from_secs(60))).await
}

/// A store that does it by steps has not failed, and fails at the first of them.
async fn one_step(call: impl Future<Output = Result<AtOnce, StoreError>>) -> Result<AtOnce, StoreError> {
    match call.await {
        Ok(AtOnce::NotDone) => Err(StoreErrorKind::Unavailable.into()),
        answer => answer,
    }
}
