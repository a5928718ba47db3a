//! Work on a user's behalf, done later by a worker: a list in Redis is the queue, and a ticket says who has asked.
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1:6379 cargo run --example background_job     # this is the default
//! ```
//!
//! It asks for three reports as ada: one is made, one is refused because ada signs out before it is its turn, and one because
//! its ticket was made up. A worker needs neither ada's password nor a browser, and may do what ada may, no more.
#![allow(clippy::print_stdout, reason = "a program says what it does")]
#![allow(clippy::disallowed_methods, reason = "a program reads its configuration from the environment")]

#[expect(dead_code, reason = "it does not listen")]
mod start;

use std::env;
use std::error::Error;

use portcullis::Identity;
use portcullis::bearer::{Algorithm, Revocations};
use portcullis::issue::{
    IssueError, JobRequest, JobTickets, KeyRing, SigningKey, TicketErrorKind, TokenIssuer,
};
use portcullis_redis::{RedisBackend, RedisConfig};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};

use self::start::Failure;

type BoxError = Box<dyn Error + Send + Sync>;

const ISSUER: &str = "https://background-job.example";

/// The list in Redis.
const QUEUE: &str = "reports";

/// What stands in the queue. It is no more than a request: who asks is in the ticket alone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) report: String,
    pub(crate) ticket: String,
}

/// What became of a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(String),
    /// It is not to be done, now or later.
    Refused,
    /// It stands in the queue again.
    Postponed,
}

/// What web servers and workers share: keys, and the store that knows what is revoked.
#[derive(Clone)]
pub(crate) struct Reports {
    pub(crate) jobs: JobTickets,
    pub(crate) revocations: Revocations,
}

impl Reports {
    /// A real service loads its key: every process has the same.
    pub(crate) fn new(backend: RedisBackend) -> Result<Self, BoxError> {
        let revocations = Revocations::new(backend);
        let ring = KeyRing::new(SigningKey::generate(Algorithm::EdDSA)?)?;
        let issuer =
            TokenIssuer::builder(ISSUER, ["reports-api"], &ring).revocations(&revocations).build()?;
        Ok(Self { jobs: JobTickets::builder(&issuer, "report-workers").build()?, revocations })
    }

    /// In a handler: `me` is who asks.
    pub(crate) async fn ask(&self, me: &Identity, report: &str) -> Result<Job, IssueError> {
        let request = JobRequest::of(me).actor("report-worker").scope("reports:read");
        let ticket = self.jobs.issue(&request).await?;
        Ok(Job { report: report.to_owned(), ticket: ticket.as_str().to_owned() })
    }

    /// In a worker.
    pub(crate) async fn work(&self, job: &Job) -> Outcome {
        match self.jobs.accept(&job.ticket).await {
            Ok(me) if me.has_scope("reports:read") => {
                Outcome::Done(format!("{} for {}", job.report, me.subject()))
            }
            Ok(_) => Outcome::Refused,
            Err(error) if matches!(error.kind(), TicketErrorKind::Store(_)) => Outcome::Postponed,
            Err(_) => Outcome::Refused,
        }
    }
}

pub(crate) async fn push(queue: &mut MultiplexedConnection, job: &Job) -> Result<(), BoxError> {
    let text = serde_json::to_string(job)?;
    Ok(redis::cmd("LPUSH").arg(QUEUE).arg(text).query_async(queue).await?)
}

/// Takes the next job, if there is one, and does it.
pub(crate) async fn turn(
    queue: &mut MultiplexedConnection,
    reports: &Reports,
) -> Result<Option<Outcome>, BoxError> {
    let text: Option<String> = redis::cmd("RPOP").arg(QUEUE).query_async(queue).await?;
    let Some(text) = text else { return Ok(None) };
    let job: Job = serde_json::from_str(&text)?;
    let outcome = reports.work(&job).await;
    if outcome == Outcome::Postponed {
        push(queue, &job).await?;
    }
    Ok(Some(outcome))
}

/// Who has signed in: what a handler gets from its layers.
pub(crate) fn ada() -> Identity {
    Identity::new("ada").issuer(ISSUER).scope("reports:read").scope("reports:delete").build()
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let reports = Reports::new(RedisBackend::connect(RedisConfig::from_url(&url)?)?)?;
    let queue = redis::Client::open(url)?.get_multiplexed_async_connection().await;
    let mut queue = queue.map_err(|error| format!("no Redis answers, and REDIS_URL names one: {error}"))?;

    push(&mut queue, &reports.ask(&ada(), "sales").await?).await?;
    println!("asked by ada: {}", told(turn(&mut queue, &reports).await?));
    push(&mut queue, &reports.ask(&ada(), "costs").await?).await?;
    reports.revocations.revoke_user(ISSUER, "ada").await?;
    println!("asked by ada, who has signed out since: {}", told(turn(&mut queue, &reports).await?));
    push(&mut queue, &Job { report: "salaries".into(), ticket: "made up".into() }).await?;
    println!("asked with a made-up ticket: {}", told(turn(&mut queue, &reports).await?));
    Ok(())
}

fn told(outcome: Option<Outcome>) -> String {
    match outcome {
        Some(Outcome::Done(report)) => format!("done, {report}"),
        Some(Outcome::Refused) => "refused".to_owned(),
        Some(Outcome::Postponed) => "postponed".to_owned(),
        None => "the queue is empty".to_owned(),
    }
}
