//! [`measure`]: sessions in a real redis-server, ours and our peers', with many requests in flight.

pub(crate) mod axum_login;
pub(crate) mod axum_session;
mod ours;
pub(crate) mod tower_sessions;

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use http::header::SET_COOKIE;
use http::{Method, Request, Response};
use portcullis_testkit::redis::{RedisCluster, RedisServer};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tower::{Service, ServiceExt as _};

use crate::Failure;
use crate::candidates::browser;
use crate::counts::{Counts, Meter};
use crate::harness::{Effort, quartiles, shuffle};

/// Somebody's sessions in Redis: a service that does each [`Work`] at its path.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    serve: Rc<dyn Fn(Request<()>) -> Answer>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<()>, Failure>>>>;

/// What a request has done, in the order in which a session comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing at all, of the session; not in the report on Redis.
    Look,
    /// A visitor gets a session with one value; it is not in the report.
    Begin,
    /// The visitor signs in; the value goes along.
    Login,
    /// Who it is, and the value.
    Read,
    /// Another value.
    Write,
    Logout,
}

/// What one contender's work costs.
#[derive(Debug)]
pub(crate) struct Row {
    work: Work,
    name: &'static str,
    per_second: [f64; 3],
    /// Microseconds of this process's processor for a request, where the system tells them.
    cpu: Option<f64>,
    /// And of the server's.
    server_cpu: f64,
    allocations: f64,
    /// How many times as much ours gets done in the same round.
    ours: [f64; 3],
}

/// One contender's work in one round.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    seconds: f64,
    cpu_nanos: Option<u64>,
    server_seconds: f64,
}

/// Where it happens.
struct Place {
    server: RedisServer,
    /// Of three masters.
    cluster: Option<RedisCluster>,
    runtime: Runtime,
}

/// How many requests are under way at once.
const IN_FLIGHT: usize = 64;
/// How many sessions a round takes, each of which does each work once.
const SESSIONS: usize = 16 * IN_FLIGHT;

const WORKS: [Work; 4] = [Work::Read, Work::Write, Work::Login, Work::Logout];

impl Contender {
    fn new<S>(name: &'static str, service: S) -> Self
    where
        S: Service<Request<()>, Response = Response<()>, Error = Failure> + Clone + 'static,
    {
        Self { name, serve: Rc::new(move |request| Box::pin(service.clone().oneshot(request))) }
    }
}

impl Place {
    /// How long the servers have run on a processor.
    fn server_seconds(&self) -> f64 {
        let nodes = self.cluster.iter().flat_map(RedisCluster::nodes);
        nodes.chain([&self.server]).map(seconds_of).sum()
    }
}

fn seconds_of(server: &RedisServer) -> f64 {
    let info = server.command(&["INFO", "cpu"]);
    let used = ["used_cpu_sys:", "used_cpu_user:"];
    let lines = info.lines().filter_map(|line| used.iter().find_map(|name| line.strip_prefix(name)));
    lines.filter_map(|seconds| seconds.trim().parse::<f64>().ok()).sum()
}

/// The same program's address of a cluster.
fn cluster_url(cluster: &RedisCluster) -> String {
    let urls = cluster.urls();
    let nodes: Vec<_> = urls.iter().map(|url| url.replace("redis://", "node=")).collect();
    let first = urls.first().map_or("", |url| url.trim_start_matches("redis://"));
    format!("redis-cluster://{first}?{}", nodes.join("&"))
}

impl Work {
    fn method(self) -> Method {
        if matches!(self, Self::Look | Self::Read) { Method::GET } else { Method::POST }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Look => "/look",
            Self::Begin => "/begin",
            Self::Login => "/login",
            Self::Read => "/read",
            Self::Write => "/write",
            Self::Logout => "/logout",
        }
    }

    pub(crate) fn request(self, cookies: Option<&str>) -> Result<Request<()>, Failure> {
        let mut request = browser(self.method(), cookies)?;
        *request.uri_mut() = http::Uri::from_static(self.path());
        Ok(request)
    }

    fn of(request: &Request<()>) -> Result<Self, Failure> {
        let all = [Self::Look, Self::Begin, Self::Login, Self::Read, Self::Write, Self::Logout];
        let work = all.into_iter().find(|work| work.path() == request.uri().path());
        work.ok_or_else(|| "no such path".into())
    }

    /// The name of this work as this contender does it.
    fn name(self, contender: &Contender) -> String {
        format!("{}, {self:?}", contender.name)
    }

    /// How many times as much as tower-sessions ours is to get done.
    fn aim(self) -> f64 {
        if self == Self::Read { 1.4 } else { 1.5 }
    }
}

/// A number that was not there before: the same value again would not be saved.
fn next() -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A user who was not there before.
fn somebody() -> String {
    format!("user-{}", next())
}

/// Takes everything of those whose name is `wanted`; ours is always among them, if there are any.
pub(crate) fn measure(
    wanted: impl Fn(&str) -> bool,
    counts: &Counts,
    effort: Effort,
) -> Result<Vec<Row>, Failure> {
    let Some((place, contenders)) = set_up(wanted)? else { return Ok(Vec::new()) };
    let samples = take_rounds(&place, &contenders, effort)?;
    rows(&contenders, counts, &samples)
}

/// Counts the allocations of those whose name is `wanted`.
pub(crate) fn count(wanted: impl Fn(&str) -> bool, meter: Meter) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    let Some((place, contenders)) = set_up(wanted)? else { return Ok(counts) };
    for contender in &contenders {
        for (work, allocations) in WORKS.into_iter().zip(allocations(&place, contender, meter)?) {
            counts.note(work.name(contender), allocations);
        }
    }
    Ok(counts)
}

fn set_up(wanted: impl Fn(&str) -> bool) -> Result<Option<(Place, Vec<Contender>)>, Failure> {
    let names = [ours::NAME, ours::ON_A_CLUSTER, tower_sessions::NAME, axum_login::NAME, axum_session::NAME];
    if !names.into_iter().any(&wanted) {
        return Ok(None);
    }
    let server = RedisServer::builder().tcp().start();
    let cluster = wanted(ours::ON_A_CLUSTER).then(|| RedisCluster::start(3));
    let place = Place { runtime: Builder::new_current_thread().enable_all().build()?, server, cluster };
    let url = place.server.url();
    let mut contenders = place.runtime.block_on(async {
        let mut contenders = vec![
            ours::contender(ours::NAME, &url)?,
            tower_sessions::contender(&url).await?,
            axum_login::contender(&url).await?,
            axum_session::contender(&url).await?,
        ];
        if let Some(cluster) = &place.cluster {
            contenders.push(ours::contender(ours::ON_A_CLUSTER, &cluster_url(cluster))?);
        }
        Ok::<_, Failure>(contenders)
    })?;
    contenders.retain(|contender| contender.name == ours::NAME || wanted(contender.name));
    Ok(Some((place, contenders)))
}

/// One round of each contender after the other, again and again; by round, contender and work.
fn take_rounds(
    place: &Place,
    contenders: &[Contender],
    effort: Effort,
) -> Result<Vec<Vec<[Sample; 4]>>, Failure> {
    let rounds = if effort == Effort::Full { 41 } else { 5 };
    let mut samples = vec![vec![[Sample::default(); 4]; contenders.len()]; rounds];
    for round in &mut samples {
        let mut turns: Vec<_> = contenders.iter().zip(round.iter_mut()).collect();
        shuffle(&mut turns);
        for (contender, sample) in turns {
            *sample = life(place, contender)?;
        }
    }
    Ok(samples)
}

/// From the first visit to the sign-out, for all sessions of a round.
fn life(place: &Place, contender: &Contender) -> Result<[Sample; 4], Failure> {
    let (_, cookies) = timed(place, contender, Work::Begin, vec![None; SESSIONS])?;
    let (login, cookies) = timed(place, contender, Work::Login, cookies)?;
    let (read, cookies) = timed(place, contender, Work::Read, cookies)?;
    let (write, cookies) = timed(place, contender, Work::Write, cookies)?;
    let (logout, _) = timed(place, contender, Work::Logout, cookies)?;
    Ok([read, write, login, logout])
}

type Cookies = Vec<Option<String>>;

/// Does one work for each cookie, and gives the cookies that there are then. Only the answering is timed.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
fn timed(
    place: &Place,
    contender: &Contender,
    work: Work,
    cookies: Cookies,
) -> Result<(Sample, Cookies), Failure> {
    let requests = requests(work, &cookies)?;
    let server_before = place.server_seconds();
    let (cpu, start) = (cpu_nanos(), Instant::now());
    let responses = answer(&place.runtime, contender, requests)
        .map_err(|error| format!("{}, {work:?}: {error}", contender.name))?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_nanos = cpu.zip(cpu_nanos()).map(|(before, after)| after.saturating_sub(before));
    let server_seconds = place.server_seconds() - server_before;
    Ok((Sample { seconds, cpu_nanos, server_seconds }, renewed(cookies, &responses)))
}

fn requests(work: Work, cookies: &Cookies) -> Result<Vec<Request<()>>, Failure> {
    cookies.iter().map(|cookie| work.request(cookie.as_deref())).collect()
}

/// Sends as many at once as there may be in flight, and each next one when one is answered. In order of the requests.
fn answer(
    runtime: &Runtime,
    contender: &Contender,
    requests: Vec<Request<()>>,
) -> Result<Vec<Response<()>>, Failure> {
    let share = requests.len().div_ceil(IN_FLIGHT);
    let mut requests = requests.into_iter();
    let local = LocalSet::new();
    let lanes: Vec<_> = std::iter::repeat_with(|| requests.by_ref().take(share).collect::<Vec<_>>())
        .take_while(|lane| !lane.is_empty())
        .map(|lane| local.spawn_local(one_by_one(Rc::clone(&contender.serve), lane)))
        .collect();
    runtime.block_on(local.run_until(async {
        let mut responses = Vec::with_capacity(SESSIONS);
        for lane in lanes {
            responses.extend(lane.await??);
        }
        Ok(responses)
    }))
}

async fn one_by_one(
    serve: Rc<dyn Fn(Request<()>) -> Answer>,
    requests: Vec<Request<()>>,
) -> Result<Vec<Response<()>>, Failure> {
    let mut responses = Vec::with_capacity(requests.len());
    for request in requests {
        let response = serve(request).await?;
        if !response.status().is_success() {
            return Err(format!("a request was refused: {}", response.status()).into());
        }
        responses.push(response);
    }
    Ok(responses)
}

fn renewed(cookies: Cookies, responses: &[Response<()>]) -> Cookies {
    let pairs = cookies.into_iter().zip(responses);
    pairs.map(|(held, response)| cookies_of(response).or(held)).collect()
}

/// What a browser would send back: all that were set. axum_session sets two.
pub(crate) fn cookies_of(response: &Response<()>) -> Option<String> {
    let lines = response.headers().get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs: Vec<&str> = lines.filter_map(|line| line.split(';').next()).collect();
    (!pairs.is_empty()).then(|| pairs.join("; "))
}

/// How often one request allocates, by work, once all is warm; background work included.
fn allocations(place: &Place, contender: &Contender, meter: Meter) -> Result<[f64; 4], Failure> {
    life(place, contender)?;
    let mut cookies = vec![None; SESSIONS];
    let mut count = |work: Work| {
        let requests = requests(work, &cookies)?;
        let mut answered = Ok(Vec::new());
        let mut requests = Some(requests);
        let count = meter(&mut || {
            answered = answer(&place.runtime, contender, requests.take().unwrap_or_default());
        });
        cookies = renewed(std::mem::take(&mut cookies), &answered?);
        Ok::<f64, Failure>(count as f64 / SESSIONS as f64)
    };
    count(Work::Begin)?;
    let (login, read, write) = (count(Work::Login)?, count(Work::Read)?, count(Work::Write)?);
    Ok([read, write, login, count(Work::Logout)?])
}

/// For how long this thread has run; everything here runs on it.
fn cpu_nanos() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

fn rows(
    contenders: &[Contender],
    counts: &Counts,
    samples: &[Vec<[Sample; 4]>],
) -> Result<Vec<Row>, Failure> {
    let of = |contender: usize, work: usize| -> Vec<Sample> {
        samples.iter().filter_map(|round| round.get(contender)?.get(work).copied()).collect()
    };
    let mut rows = Vec::new();
    for (at, work) in WORKS.into_iter().enumerate() {
        let ours = of(0, at);
        for (index, contender) in contenders.iter().enumerate() {
            let theirs = of(index, at);
            let ratios = theirs.iter().zip(&ours).map(|(theirs, ours)| theirs.seconds / ours.seconds);
            let cpu: Option<u64> = theirs.iter().map(|sample| sample.cpu_nanos).sum();
            rows.push(Row {
                work,
                name: contender.name,
                per_second: quartiles(theirs.iter().map(|it| SESSIONS as f64 / it.seconds).collect()),
                cpu: cpu.map(|nanos| nanos as f64 / 1e3 / (SESSIONS * theirs.len()) as f64),
                server_cpu: theirs.iter().map(|it| it.server_seconds).sum::<f64>() * 1e6
                    / (SESSIONS * theirs.len()) as f64,
                allocations: counts.of(&work.name(contender))?,
                ours: quartiles(ratios.collect()),
            });
        }
    }
    Ok(rows)
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, median, high] = self.per_second.map(|per_second| per_second / 1e3);
        write!(f, "| {} | {:?} | {median:.1} ({low:.1}-{high:.1}) ", self.name, self.work)?;
        match self.cpu {
            Some(cpu) => write!(f, "| {cpu:.1} ")?,
            None => f.write_str("| ")?,
        }
        write!(f, "| {:.1} | {:.1} ", self.server_cpu, self.allocations)?;
        let [low, median, high] = self.ours;
        match self.name {
            ours::NAME => f.write_str("| | |"),
            tower_sessions::NAME => {
                let met = if median >= self.work.aim() { "met" } else { "not met" };
                write!(f, "| {median:.2} x ({low:.2}-{high:.2}) | {} {met} |", self.work.aim())
            }
            _ => write!(f, "| {median:.2} x ({low:.2}-{high:.2}) | |"),
        }
    }
}
