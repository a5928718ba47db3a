//! What each method of the contract reads, compares and writes. Every function here runs in one transaction.

use std::time::Duration;

use portcullis_store::{
    Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Header, Key, Locator, Record, Saved, Tag,
    Timestamp, Touched, UserKey,
};
use rusqlite::{OptionalExtension, Transaction, params};

use super::failure::Failure;

/// `expires` stands beside the record, so that it ends also for a version that cannot read it.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS session (
        realm TEXT NOT NULL, locator TEXT NOT NULL, record BLOB NOT NULL, expires INTEGER NOT NULL,
        PRIMARY KEY (realm, locator)
    ) STRICT;
    CREATE INDEX IF NOT EXISTS session_expires ON session (expires);

    CREATE TABLE IF NOT EXISTS member (
        realm TEXT NOT NULL, user TEXT NOT NULL, locator TEXT NOT NULL, deadline INTEGER NOT NULL,
        PRIMARY KEY (realm, user, locator)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS member_deadline ON member (deadline);

    CREATE TABLE IF NOT EXISTS credential (
        realm TEXT NOT NULL, user TEXT NOT NULL, version INTEGER NOT NULL, kept_until INTEGER NOT NULL,
        PRIMARY KEY (realm, user)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS credential_kept_until ON credential (kept_until);
";

type Outcome<T> = Result<T, Failure>;

pub(super) fn load(transaction: &Transaction<'_>, key: Key<'_>, now: Timestamp) -> Outcome<Option<Record>> {
    let mut select = transaction
        .prepare_cached("SELECT record FROM session WHERE realm = ?1 AND locator = ?2 AND expires > ?3")?;
    let values = params![key.realm.as_str(), key.locator.as_str(), millis(now)];
    let bytes: Option<Vec<u8>> = select.query_row(values, |row| row.get(0)).optional()?;
    Ok(bytes.map(|bytes| Record::decode(&bytes)).transpose()?)
}

pub(super) fn create(
    transaction: &Transaction<'_>,
    key: Key<'_>,
    record: &Record,
    now: Timestamp,
) -> Outcome<Created> {
    sweep(transaction, now)?;
    if let Some(held) = load(transaction, key, now)? {
        let is_resend = held.header.tags.contains(&record.header.tag());
        return Ok(if is_resend { Created::Done } else { Created::Taken });
    }
    // One that has expired may still lie there.
    transaction.prepare_cached("REPLACE INTO session VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        key.realm.as_str(),
        key.locator.as_str(),
        record.encode(),
        millis(record.header.expires()),
    ])?;
    Ok(Created::Done)
}

/// Compare and set. `expires` stays as it is, and so does the idle deadline, which only a touch moves.
pub(super) fn save(
    transaction: &Transaction<'_>,
    key: Key<'_>,
    expected: Tag,
    record: &Record,
    now: Timestamp,
) -> Outcome<Saved> {
    let Some(held) = load(transaction, key, now)? else { return Ok(Saved::Gone) };
    if held.header.tags.contains(&record.header.tag()) {
        return Ok(Saved::Done);
    }
    if held.header.tag() != expected {
        return Ok(Saved::Conflict { current: held, in_doubt: false });
    }
    let header = Header { idle_deadline: held.header.idle_deadline, ..record.header };
    let mut record = record.clone();
    record.header = header;
    transaction
        .prepare_cached("UPDATE session SET record = ?3 WHERE realm = ?1 AND locator = ?2")?
        .execute(params![key.realm.as_str(), key.locator.as_str(), record.encode()])?;
    Ok(Saved::Done)
}

/// Forward only, and never past the absolute deadline. The tag stays, so that no save in flight conflicts with it.
pub(super) fn touch(transaction: &Transaction<'_>, key: Key<'_>, now: Timestamp) -> Outcome<Touched> {
    let Some(mut record) = load(transaction, key, now)? else { return Ok(Touched::Gone) };
    let header = &mut record.header;
    let moved = now.saturating_add(header.idle).min(header.absolute_deadline);
    if moved > header.idle_deadline {
        header.idle_deadline = moved;
        transaction
            .prepare_cached("UPDATE session SET record = ?3, expires = ?4 WHERE realm = ?1 AND locator = ?2")?
            .execute(params![key.realm.as_str(), key.locator.as_str(), record.encode(), millis(moved)])?;
    }
    Ok(Touched::Alive(record.header.idle_deadline))
}

pub(super) fn destroy(transaction: &Transaction<'_>, key: Key<'_>) -> Outcome<()> {
    transaction
        .prepare_cached("DELETE FROM session WHERE realm = ?1 AND locator = ?2")?
        .execute(params![key.realm.as_str(), key.locator.as_str()])?;
    Ok(())
}

/// Compare and delete.
pub(super) fn destroy_unchanged(
    transaction: &Transaction<'_>,
    key: Key<'_>,
    expected: Tag,
    now: Timestamp,
) -> Outcome<Destroyed> {
    let Some(current) = load(transaction, key, now)? else { return Ok(Destroyed::Gone) };
    if current.header.tag() != expected {
        return Ok(Destroyed::Conflict { current });
    }
    destroy(transaction, key)?;
    Ok(Destroyed::Done)
}

/// The steps and their order are the contract's.
pub(super) fn enrol(
    transaction: &Transaction<'_>,
    locator: Locator,
    enrolment: &Enrolment<'_>,
    now: Timestamp,
) -> Outcome<Enrolled> {
    let user = enrolment.user;
    let current = credential_version(transaction, user, now)?;
    if enrolment.credential_version.is_some_and(|checked| checked != current) {
        return Ok(Enrolled::StaleCredential);
    }
    withdraw(transaction, user, enrolment.evicted)?;
    let mut others = members(transaction, user, now)?;
    let is_entered = others.contains(&locator);
    others.retain(|other| *other != locator && Some(*other) != enrolment.replaces);
    let is_full = |limit| others.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    if !is_entered && enrolment.limit.is_some_and(is_full) {
        return Ok(Enrolled::Full(others));
    }
    transaction
        .prepare_cached(
            "INSERT INTO member VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET deadline = max(deadline, excluded.deadline)",
        )?
        .execute(params![
            user.realm.as_str(),
            user.user.as_str(),
            locator.as_str(),
            millis(enrolment.deadline)
        ])?;
    Ok(Enrolled::Done)
}

pub(super) fn withdraw(
    transaction: &Transaction<'_>,
    user: UserKey<'_>,
    locators: &[Locator],
) -> Outcome<()> {
    let mut delete =
        transaction.prepare_cached("DELETE FROM member WHERE realm = ?1 AND user = ?2 AND locator = ?3")?;
    for locator in locators {
        delete.execute(params![user.realm.as_str(), user.user.as_str(), locator.as_str()])?;
    }
    Ok(())
}

pub(super) fn members(
    transaction: &Transaction<'_>,
    user: UserKey<'_>,
    now: Timestamp,
) -> Outcome<Vec<Locator>> {
    let mut select = transaction
        .prepare_cached("SELECT locator FROM member WHERE realm = ?1 AND user = ?2 AND deadline > ?3")?;
    let values = params![user.realm.as_str(), user.user.as_str(), millis(now)];
    let rows = select.query_map(values, |row| row.get::<_, String>(0))?;
    let locators: Vec<String> = rows.collect::<Result<_, _>>()?;
    Ok(locators.iter().filter_map(|text| Locator::parse(text)).collect())
}

pub(super) fn credential_version(
    transaction: &Transaction<'_>,
    user: UserKey<'_>,
    now: Timestamp,
) -> Outcome<CredentialVersion> {
    let mut select = transaction.prepare_cached(
        "SELECT version FROM credential WHERE realm = ?1 AND user = ?2 AND kept_until > ?3",
    )?;
    let values = params![user.realm.as_str(), user.user.as_str(), millis(now)];
    let version: Option<i64> = select.query_row(values, |row| row.get(0)).optional()?;
    Ok(CredentialVersion(version.and_then(|version| u64::try_from(version).ok()).unwrap_or_default()))
}

/// It takes no room but that of one row, and is as durable as a sign-out.
pub(super) fn bump(
    transaction: &Transaction<'_>,
    user: UserKey<'_>,
    keep: Duration,
    now: Timestamp,
) -> Outcome<CredentialVersion> {
    let next = credential_version(transaction, user, now)?.0.saturating_add(1);
    transaction
        .prepare_cached(
            "INSERT INTO credential VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
             SET version = excluded.version, kept_until = max(kept_until, excluded.kept_until)",
        )?
        .execute(params![
            user.realm.as_str(),
            user.user.as_str(),
            i64::try_from(next).unwrap_or(i64::MAX),
            millis(now.saturating_add(keep)),
        ])?;
    Ok(CredentialVersion(next))
}

/// Takes away a few rows that nobody can see any more: more than one create adds, and never so many that it is slow.
fn sweep(transaction: &Transaction<'_>, now: Timestamp) -> Outcome<()> {
    let statements = [
        "DELETE FROM session WHERE rowid IN (SELECT rowid FROM session WHERE expires <= ?1 LIMIT 8)",
        "DELETE FROM member WHERE (realm, user, locator) IN
             (SELECT realm, user, locator FROM member WHERE deadline <= ?1 LIMIT 8)",
        "DELETE FROM credential WHERE (realm, user) IN
             (SELECT realm, user FROM credential WHERE kept_until <= ?1 LIMIT 8)",
    ];
    for statement in statements {
        transaction.prepare_cached(statement)?.execute([millis(now)])?;
    }
    Ok(())
}

/// SQLite's numbers are signed. A moment beyond them is never.
fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).unwrap_or(i64::MAX)
}
