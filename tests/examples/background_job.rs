//! A worker does what a user has asked for, and nothing for whom the user is no longer.

use portcullis_testkit::redis::RedisServer;

use crate::support::store::connect;

#[path = "../../examples/background_job.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

use self::program::{Job, Outcome, Reports, ada, push, turn};

#[tokio::test]
async fn a_job_is_done_on_behalf_of_who_has_asked_until_the_user_is_revoked() {
    let server = RedisServer::start();
    let reports = Reports::new(connect(&server.url(), "p")).unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut queue = client.get_multiplexed_async_connection().await.unwrap();
    assert_eq!(turn(&mut queue, &reports).await.unwrap(), None, "an empty queue");
    for _ in 0..2 {
        push(&mut queue, &reports.ask(&ada(), "sales").await.unwrap()).await.unwrap();
    }
    let done = Some(Outcome::Done("sales for ada".to_owned()));
    assert_eq!(turn(&mut queue, &reports).await.unwrap(), done);
    reports.revocations.revoke_user("https://background-job.example", "ada").await.unwrap();
    assert_eq!(turn(&mut queue, &reports).await.unwrap(), Some(Outcome::Refused));
    push(&mut queue, &Job { report: "salaries".into(), ticket: "made up".into() }).await.unwrap();
    assert_eq!(turn(&mut queue, &reports).await.unwrap(), Some(Outcome::Refused));
}

#[tokio::test]
async fn a_job_waits_while_nobody_can_tell() {
    let (server, store) = (RedisServer::start(), RedisServer::start());
    let reports = Reports::new(connect(&store.url(), "p")).unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut queue = client.get_multiplexed_async_connection().await.unwrap();
    push(&mut queue, &reports.ask(&ada(), "sales").await.unwrap()).await.unwrap();
    store.kill();
    assert_eq!(turn(&mut queue, &reports).await.unwrap(), Some(Outcome::Postponed));
    assert_eq!(server.command(&["LLEN", "reports"]), "1");
}
