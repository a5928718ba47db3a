//! What create, load, save and destroy promise of a single record.

use std::iter::repeat_with;
use std::time::Duration;

use portcullis_store::{
    Created, Destroyed, Key, Realm, Record, Saved, SecretHash, SessionBackend, Timestamp, Touched,
};

use super::Harness;
use super::stage::{Outcome, Stage, ensure, locator, next, tag};

/// More keys than a store that answers by pages, or takes so many at a time, has on one.
const MORE_THAN_A_PAGE: usize = 300;

pub(super) async fn records_survive<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let full = stage.record();
    let mut bare = stage.record();
    bare.header.flags = 0;
    bare.header.previous = None;
    bare.header.authenticated = None;
    let mut odd = stage.record();
    odd.header.flags = u8::MAX;
    odd.header.tags = [tag(), tag(), tag(), tag()];
    odd.header.secret = SecretHash([0; 32]);
    odd.header.created = Timestamp::from_millis(1);
    odd.header.secret_since = Timestamp::MAX;
    odd.header.idle = Duration::from_millis(1);
    for (name, record) in [("all fields", full), ("no optional fields", bare), ("extreme fields", odd)] {
        let key = stage.key();
        stage.create(key, &record).await?;
        stage.expect(key, Some(&record), name).await?;
    }
    Ok(())
}

pub(super) async fn payloads_survive<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let large: Vec<u8> = every_byte.iter().rev().copied().cycle().take(32 * 1024).collect();
    let payloads: [(&str, &[u8]); 5] = [
        ("empty", b""),
        ("nul", b"\0"),
        ("line ends", b"\r\n\0\r\n"),
        ("every byte", &every_byte),
        ("32 KiB", &large),
    ];
    for (name, payload) in payloads {
        let key = stage.key();
        let created = Record::new(stage.record().header, payload);
        stage.create(key, &created).await?;
        stage.expect(key, Some(&created), name).await?;
        let between = next(&created, b"between");
        stage.save(key, &created, &between).await?;
        let saved = next(&between, payload);
        stage.save(key, &between, &saved).await?;
        stage.expect(key, Some(&saved), name).await?;
    }
    Ok(())
}

pub(super) async fn absent_is_absent<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    stage.expect(key, None, "never stored").await?;
    let record = stage.record();
    let saved = stage.store.save(key, record.header.tag(), &next(&record, b"")).await?;
    ensure!(saved == Saved::Gone, "a save of nothing was {saved:?}");
    let touched = stage.store.touch(key).await?;
    ensure!(touched == Touched::Gone, "a touch of nothing was {touched:?}");
    stage.expect(key, None, "after a save and a touch of nothing").await
}

pub(super) async fn many_in_order<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (first, absent, second) = (stage.key(), stage.key(), stage.key());
    let (one, two) = (stage.record(), next(&stage.record(), b"second"));
    stage.create(first, &one).await?;
    stage.create(second, &two).await?;
    let found = stage.store.load_many(&[second, absent, first, second]).await?;
    let expected = [Some(two.clone()), None, Some(one), Some(two)];
    ensure!(found == expected, "found {found:?} instead of {expected:?}");
    let none = stage.store.load_many(&[]).await?;
    ensure!(none.is_empty(), "no keys found {none:?}");
    let keys: Vec<Key<'_>> = repeat_with(|| stage.key()).take(MORE_THAN_A_PAGE).chain([first]).collect();
    let found = stage.store.load_many(&keys).await?;
    let (len, is_last) = (found.len(), found.last().is_some_and(Option::is_some));
    ensure!(len == keys.len() && is_last, "of {} keys, the last one there, {len} were answered", keys.len());
    Ok(())
}

pub(super) async fn create_takes_nothing<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let (first, second) = (stage.record(), stage.record());
    stage.create(key, &first).await?;
    let created = stage.store.create(key, &second).await?;
    ensure!(created == Created::Taken, "another record under the key was {created:?}");
    stage.expect(key, Some(&first), "after a create that was Taken").await
}

pub(super) async fn create_may_be_resent<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let record = stage.record();
    stage.create(key, &record).await?;
    let again = stage.store.create(key, &record).await?;
    ensure!(again == Created::Done, "the same create again was {again:?}");
    stage.expect(key, Some(&record), "after a create sent again").await?;
    let newer = next(&record, b"newer");
    stage.save(key, &record, &newer).await?;
    let again = stage.store.create(key, &record).await?;
    ensure!(again == Created::Done, "the same create after a save was {again:?}");
    stage.expect(key, Some(&newer), "after a create sent again after a save").await
}

pub(super) async fn save_replaces<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let before = stage.record();
    stage.create(key, &before).await?;
    let mut after = next(&before, b"and now for something longer");
    after.header.flags = 0b0101_1010;
    after.header.secret = SecretHash([0x77; 32]);
    after.header.previous = None;
    after.header.secret_since = after.header.secret_since.saturating_add(Duration::from_millis(5));
    after.header.authenticated = None;
    after.header.created = after.header.created.saturating_add(Duration::from_millis(1));
    after.header.idle += Duration::from_millis(1);
    after.header.absolute_deadline = after.header.absolute_deadline.saturating_add(Duration::from_millis(1));
    stage.save(key, &before, &after).await?;
    stage.expect(key, Some(&after), "after a save").await?;
    let last = next(&after, b"");
    stage.save(key, &after, &last).await?;
    stage.expect(key, Some(&last), "after a second save").await
}

pub(super) async fn save_compares_tags<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let first = stage.record();
    stage.create(key, &first).await?;
    let second = next(&first, b"second");
    stage.save(key, &first, &second).await?;
    for (name, expected) in [("former", first.header.tag()), ("unknown", tag()), ("zero", Default::default())]
    {
        let late = next(&first, b"late");
        let saved = stage.store.save(key, expected, &late).await?;
        ensure!(
            matches!(&saved, Saved::Conflict { current, .. } if *current == second),
            "a save that expects the {name} tag was {saved:?} instead of a Conflict with {second:?}"
        );
        stage.expect(key, Some(&second), "after a Conflict").await?;
    }
    Ok(())
}

pub(super) async fn save_may_be_resent<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let created = stage.record();
    stage.create(key, &created).await?;
    let write = next(&created, b"the write");
    stage.save(key, &created, &write).await?;
    let mut stands = write.clone();
    for others in 0..=3 {
        let again = stage.store.save(key, created.header.tag(), &write).await?;
        ensure!(again == Saved::Done, "a save sent again after {others} other writes was {again:?}");
        stage.expect(key, Some(&stands), "after a save sent again").await?;
        let other = next(&stands, format!("other {others}").as_bytes());
        stage.save(key, &stands, &other).await?;
        stands = other;
    }
    Ok(())
}

pub(super) async fn ancient_resend_conflicts<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let created = stage.record();
    stage.create(key, &created).await?;
    let write = next(&created, b"the write");
    stage.save(key, &created, &write).await?;
    let mut stands = write.clone();
    for _ in 0..4 {
        let other = next(&stands, b"other");
        stage.save(key, &stands, &other).await?;
        stands = other;
    }
    let again = stage.store.save(key, created.header.tag(), &write).await?;
    ensure!(
        matches!(&again, Saved::Conflict { current, .. } if *current == stands),
        "a save sent again after four other writes was {again:?} instead of a Conflict with {stands:?}"
    );
    stage.expect(key, Some(&stands), "after an ancient save sent again").await
}

pub(super) async fn destroy_is_for_ever<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let created = stage.record();
    stage.create(key, &created).await?;
    let applied = next(&created, b"applied");
    stage.save(key, &created, &applied).await?;
    stage.store.destroy(&[key]).await?;
    stage.expect(key, None, "destroyed").await?;
    let early = stage.store.load_now(key, created.header.created).transpose()?.flatten();
    ensure!(early.is_none(), "load_now as of before the destroy found {early:?}");
    let late = next(&applied, b"late");
    let saves = [("a save in flight", &applied, &late), ("a save sent again", &created, &applied)];
    for (name, before, record) in saves {
        let saved = stage.store.save(key, before.header.tag(), record).await?;
        ensure!(saved == Saved::Gone, "{name} after a destroy was {saved:?}");
        stage.expect(key, None, name).await?;
    }
    let touched = stage.store.touch(key).await?;
    ensure!(touched == Touched::Gone, "a touch after a destroy was {touched:?}");
    stage.expect(key, None, "a touch after a destroy").await
}

pub(super) async fn destroy_names_its_victims<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let keys: Vec<Key<'_>> = repeat_with(|| stage.key()).take(20).collect();
    let record = stage.record();
    for &key in &keys {
        stage.create(key, &record).await?;
    }
    let (victims, others) = keys.split_at(15);
    stage.store.destroy(victims).await?;
    for &key in victims {
        stage.expect(key, None, "named in a destroy").await?;
    }
    for &key in others {
        stage.expect(key, Some(&record), "not named in a destroy").await?;
    }
    let last = stage.key();
    stage.create(last, &record).await?;
    let many: Vec<Key<'_>> = repeat_with(|| stage.key()).take(MORE_THAN_A_PAGE).chain([last]).collect();
    stage.store.destroy(&many).await?;
    stage.expect(last, None, "the last of many in a destroy").await
}

pub(super) async fn destroy_is_idempotent<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (there, absent) = (stage.key(), stage.key());
    stage.create(there, &stage.record()).await?;
    stage.store.destroy(&[]).await?;
    stage.store.destroy(&[absent]).await?;
    stage.store.destroy(&[absent, there, there]).await?;
    stage.store.destroy(&[there]).await?;
    stage.expect(there, None, "destroyed twice").await
}

pub(super) async fn destroy_durably_destroys<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let none = stage.store.destroy_durably(&[], 1).await?;
    ensure!(none == 0, "of no keys {none} replicas have confirmed the end");
    // Whether there are replicas, and how many, is the store's affair.
    for replicas in [0, 1, u32::MAX] {
        let (one, two, absent, other) = (stage.key(), stage.key(), stage.key(), stage.key());
        let record = stage.record();
        for key in [one, two, other] {
            stage.create(key, &record).await?;
        }
        for name in ["destroyed durably", "destroyed durably again"] {
            stage.store.destroy_durably(&[one, absent, two], replicas).await?;
            for key in [one, two] {
                stage.expect(key, None, name).await?;
            }
        }
        stage.expect(other, Some(&record), "not named in a destroy_durably").await?;
        let saved = stage.store.save(one, record.header.tag(), &next(&record, b"late")).await?;
        ensure!(saved == Saved::Gone, "a save after a destroy_durably was {saved:?}");
        stage.expect(one, None, "after a late save").await?;
    }
    Ok(())
}

pub(super) async fn destroy_unchanged_compares_tags<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let key = stage.key();
    let created = stage.record();
    stage.create(key, &created).await?;
    let stands = next(&created, b"stands");
    stage.save(key, &created, &stands).await?;
    for (name, expected) in [("the tag before", created.header.tag()), ("a tag of nobody's", tag())] {
        let destroyed = stage.store.destroy_unchanged(key, expected, tag()).await?;
        ensure!(
            destroyed == Destroyed::Conflict { current: stands.clone() },
            "a destroy_unchanged that expects {name} was {destroyed:?}"
        );
        stage.expect(key, Some(&stands), "after a conflict").await?;
    }
    let destroyed = stage.store.destroy_unchanged(key, stands.header.tag(), tag()).await?;
    ensure!(destroyed == Destroyed::Done, "a destroy_unchanged with the current tag was {destroyed:?}");
    stage.expect(key, None, "destroyed unchanged").await?;
    let saved = stage.store.save(key, stands.header.tag(), &next(&stands, b"late")).await?;
    ensure!(saved == Saved::Gone, "a save after a destroy_unchanged was {saved:?}");
    stage.expect(key, None, "after a late save").await
}

pub(super) async fn destroy_unchanged_of_nothing_is_gone<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let (absent, ended) = (stage.key(), stage.key());
    let record = stage.record();
    stage.create(ended, &record).await?;
    stage.store.destroy(&[ended]).await?;
    for (name, key) in [("was never there", absent), ("somebody else has destroyed", ended)] {
        let destroyed = stage.store.destroy_unchanged(key, record.header.tag(), tag()).await?;
        ensure!(destroyed == Destroyed::Gone, "a destroy_unchanged of what {name} was {destroyed:?}");
    }
    Ok(())
}

pub(super) async fn realms_are_apart<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other_realm: Realm = "staff".parse().unwrap_or_default();
    let here = stage.key();
    let there = Key { realm: &other_realm, ..here };
    let (ours, theirs) = (stage.record(), next(&stage.record(), b"theirs"));
    stage.create(here, &ours).await?;
    stage.expect(there, None, "the same locator in another realm").await?;
    stage.create(there, &theirs).await?;
    let many = stage.store.load_many(&[there, here]).await?;
    ensure!(many == [Some(theirs.clone()), Some(ours)], "two realms at once gave {many:?}");
    stage.store.destroy(&[here]).await?;
    stage.expect(there, Some(&theirs), "after a destroy in the other realm").await?;
    let victims = [stage.key(), Key { realm: &other_realm, ..stage.key() }];
    for victim in victims {
        stage.create(victim, &stage.record()).await?;
    }
    stage.store.destroy(&victims).await?;
    for victim in victims {
        stage.expect(victim, None, "after a destroy in two realms at once").await?;
    }
    Ok(())
}

pub(super) async fn handles_agree<H: Harness>(stage: &Stage<'_, H>) -> Outcome {
    let other = Stage::new(stage.harness, stage.unit).await;
    let key = Key { realm: &stage.realm, locator: locator() };
    let record = stage.record();
    other.expect(key, None, "before").await?;
    stage.create(key, &record).await?;
    other.expect(key, Some(&record), "created through another handle").await?;
    let newer = next(&record, b"newer");
    other.save(key, &record, &newer).await?;
    stage.expect(key, Some(&newer), "saved through another handle").await?;
    stage.store.destroy(&[key]).await?;
    other.expect(key, None, "destroyed through another handle").await
}
