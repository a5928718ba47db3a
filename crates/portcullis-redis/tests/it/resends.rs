//! Writes whose answer was lost: sent again, and done once.

use portcullis_store::{AtOnce, Created, CredentialVersion, Destroyed, Enrolled, Saved, SessionBackend};
use portcullis_testkit::redis::{Proxy, RedisServer};

use crate::support::{HOUR, Session, backend, commands, left, next, patient, record, recovery, tag};

#[tokio::test]
async fn a_save_whose_answer_was_lost_is_applied_once() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = patient(&proxy.url());
    let (session, first) = Session::stored(&backend).await;
    let mut stands = first;
    let losses: [fn(&Proxy); 2] = [Proxy::cut_next_reply, Proxy::swallow_next_reply];
    for (round, lose) in losses.into_iter().enumerate() {
        let new = next(&stands, format!("round {round}").as_bytes());
        lose(&proxy);
        assert_eq!(backend.save(session.key(), stands.header.tag(), &new).await.unwrap(), Saved::Done);
        assert_eq!(backend.load(session.key()).await.unwrap().as_ref(), Some(&new));
        stands = new;
    }
}

/// Sends a save whose answer is lost, and has others save on top of it before it is sent again.
async fn overtaken(by: usize) -> (Saved, Vec<portcullis_store::Record>, portcullis_store::Record) {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let (slow, quick) = (patient(&proxy.url()), patient(&server.url()));
    let (session, created) = Session::stored(&quick).await;
    recovery(&slow, &session).await;
    // The server knows the script from here on, so that the lost answer is the save's.
    let first = next(&created, b"first");
    assert_eq!(quick.save(session.key(), created.header.tag(), &first).await.unwrap(), Saved::Done);

    let mine = next(&first, b"mine");
    let mut written = vec![first.clone(), mine.clone()];
    let before = server.calls("evalsha");
    proxy.swallow_next_reply();
    let save = slow.save(session.key(), first.header.tag(), &mine);
    let others = async {
        while quick.load(session.key()).await.unwrap().as_ref() != Some(&mine) {
            tokio::task::yield_now().await;
        }
        for _ in 0..by {
            let before = written.last().unwrap().clone();
            let theirs = next(&before, b"theirs");
            let saved = quick.save(session.key(), before.header.tag(), &theirs).await.unwrap();
            assert_eq!(saved, Saved::Done);
            written.push(theirs);
        }
    };
    let (saved, ()) = tokio::join!(save, others);
    assert_eq!(server.calls("evalsha") - before, 1 + by as u64 + 2, "sent three times, twice in vain");
    let stands = quick.load(session.key()).await.unwrap().unwrap();
    (saved.unwrap(), written, stands)
}

#[tokio::test]
async fn a_save_that_others_overtook_is_not_applied_again() {
    for others in 1..=3 {
        let (saved, written, stands) = overtaken(others).await;
        assert_eq!(saved, Saved::Done, "{others} others");
        assert_eq!(&stands, written.last().unwrap(), "{others} others");
    }
}

#[tokio::test]
async fn a_save_that_too_many_overtook_is_in_doubt() {
    let (saved, written, stands) = overtaken(4).await;
    assert_eq!(&stands, written.last().unwrap());
    assert_eq!(saved, Saved::Conflict { current: stands, in_doubt: true });
}

#[tokio::test]
async fn a_conflict_that_was_answered_at_once_is_not_in_doubt() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (session, first) = Session::stored(&backend).await;
    let (mine, theirs) = (next(&first, b"mine"), next(&first, b"theirs"));
    assert_eq!(backend.save(session.key(), first.header.tag(), &theirs).await.unwrap(), Saved::Done);
    let saved = backend.save(session.key(), first.header.tag(), &mine).await.unwrap();
    assert_eq!(saved, Saved::Conflict { current: theirs, in_doubt: false });
}

#[tokio::test]
async fn a_lost_answer_is_remembered_when_the_script_has_to_be_sent() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = patient(&proxy.url());
    let (session, first) = Session::stored(&backend).await;
    let (mine, theirs) = (next(&first, b"mine"), next(&first, b"theirs"));
    assert_eq!(backend.save(session.key(), first.header.tag(), &theirs).await.unwrap(), Saved::Done);
    // EVALSHA: the answer, NOSCRIPT, is lost; sent again; then EVAL.
    server.command(&["SCRIPT", "FLUSH"]);
    proxy.cut_next_reply();
    let (saved, sent) = commands(&server, backend.save(session.key(), first.header.tag(), &mine)).await;
    assert_eq!(saved.unwrap(), Saved::Conflict { current: theirs, in_doubt: true });
    assert_eq!((sent["evalsha"], sent["eval"]), (2, 1));
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_done() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = patient(&proxy.url());
    recovery(&backend, &Session::new()).await;

    let (alone, record) = (Session::new(), record(b"mine"));
    proxy.cut_next_reply();
    assert_eq!(backend.create(alone.key(), &record).await.unwrap(), Created::Done);
    assert_eq!(backend.load(alone.key()).await.unwrap().as_ref(), Some(&record));

    let enrolled = Session::new();
    proxy.cut_next_reply();
    let enrolment = enrolled.enrolment(&record).limit(1);
    let created = backend.create_enrolled(enrolled.key(), &record, enrolment).await.unwrap();
    assert_eq!(created, Enrolled::Done, "it does not stand in its own way");
    assert_eq!(backend.members(enrolled.user()).await.unwrap(), [enrolled.key().locator]);
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_is_told_from_another_writers() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = patient(&proxy.url());
    let (acquainted, record) = Session::stored(&backend).await;
    assert_eq!(
        backend.destroy_unchanged(acquainted.key(), record.header.tag(), tag()).await.unwrap(),
        Destroyed::Done
    );
    let losses: [fn(&Proxy); 2] = [Proxy::cut_next_reply, Proxy::swallow_next_reply];
    for lose in losses {
        let (session, record) = Session::stored(&backend).await;
        lose(&proxy);
        let mine = backend.destroy_unchanged(session.key(), record.header.tag(), tag()).await.unwrap();
        assert_eq!(mine, Destroyed::Done);
        let theirs = backend.destroy_unchanged(session.key(), record.header.tag(), tag()).await.unwrap();
        assert_eq!(theirs, Destroyed::Gone);
        let lives = left(&server, &format!("p:default:r:{{{}}}", session.name()));
        assert!((1..=60_000).contains(&lives), "{lives} ms");
    }
}

#[tokio::test]
async fn a_login_in_one_step_whose_answer_was_lost_is_done() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = patient(&proxy.url());
    recovery(&backend, &Session::new()).await;
    let losses: [fn(&Proxy); 2] = [Proxy::cut_next_reply, Proxy::swallow_next_reply];
    for lose in losses {
        let ((before, stands), new, record) =
            (Session::stored(&backend).await, Session::new(), record(b"new"));
        lose(&proxy);
        let (expected, only_one) = (stands.header.tag(), new.enrolment(&record).limit(1));
        let superseded =
            backend.supersede(before.key(), expected, new.key(), &record, only_one).await.unwrap();
        assert_eq!(superseded, AtOnce::Done);
        assert_eq!(backend.load(before.key()).await.unwrap(), None);
        assert_eq!(backend.load(new.key()).await.unwrap().as_ref(), Some(&record));
        assert_eq!(backend.members(new.user()).await.unwrap(), [new.key().locator]);
        lose(&proxy);
        assert_eq!(backend.destroy_enrolled(new.key(), new.user()).await.unwrap(), AtOnce::Done);
        assert_eq!(backend.members(new.user()).await.unwrap(), []);
        // However late it is sent again.
        let late = backend.supersede(before.key(), expected, new.key(), &record, only_one).await.unwrap();
        assert_eq!((late, backend.load(new.key()).await.unwrap()), (AtOnce::NotDone, None));
    }
}

#[tokio::test]
async fn an_enrolment_whose_answer_was_lost_is_done() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = patient(&proxy.url());
    let ([held, new], record) = ([Session::new(), Session::new()], record(b""));
    recovery(&backend, &held).await;
    let (held_ref, new_ref) = (held.key().locator, new.key().locator);
    let only_one = held.enrolment(&record).limit(1);
    assert_eq!(backend.enrol(held_ref, only_one).await.unwrap(), Enrolled::Done);

    proxy.cut_next_reply();
    assert_eq!(backend.enrol(new_ref, only_one).await.unwrap(), Enrolled::Full(vec![held_ref]));
    proxy.cut_next_reply();
    let evicted = [held_ref];
    assert_eq!(backend.enrol(new_ref, only_one.evicted(&evicted)).await.unwrap(), Enrolled::Done);
    assert_eq!(backend.members(held.user()).await.unwrap(), [new_ref]);
}

#[tokio::test]
async fn a_bump_whose_answer_was_lost_makes_no_stale_version_good() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = patient(&proxy.url());
    let (session, record) = (Session::new(), record(b""));
    recovery(&backend, &session).await;
    let first = backend.bump_credential_version(session.user(), HOUR).await.unwrap();
    proxy.cut_next_reply();
    let second = backend.bump_credential_version(session.user(), HOUR).await.unwrap();
    assert_eq!((first, second), (CredentialVersion(1), CredentialVersion(3)));
    for stale in 0..3 {
        let enrolment = session.enrolment(&record).credential_version(CredentialVersion(stale));
        let enrolled = backend.enrol(session.key().locator, enrolment).await.unwrap();
        assert_eq!(enrolled, Enrolled::StaleCredential, "{stale}");
    }
}
