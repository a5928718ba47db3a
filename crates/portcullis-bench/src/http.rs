//! [`measure`]: whole servers, asked over HTTP by `wrk` and over gRPC by `h2load`: what share of the bare application's
//! requests is left.
//!
//! A server is a process of its own, this program with `--serve`, on one thread; so are wrk, h2load and Redis.

mod grpc;
mod h2load;
mod servers;
mod wrk;

use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use portcullis_testkit::redis::RedisServer;

pub(crate) use servers::serve;

use crate::Failure;
use crate::harness::{Effort, quartiles, shuffle};

/// One server: what it is called, and what it is to reach.
struct Contender {
    name: &'static str,
    visitor: Visitor,
    /// The application without a layer, which is sent the same.
    bare: &'static str,
    /// The share of the bare application that is aimed at.
    aim: Option<f64>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visitor {
    Nobody,
    /// With the cookies of a login.
    SignedIn,
    /// With the bearer token that the server gives out.
    Bearer,
    /// The same over gRPC.
    GrpcBearer,
}

/// A contender beside the application that it is compared with: one is asked right after the other, for machines have phases
/// that are shorter than a round.
struct Pair<'a> {
    contender: &'a Contender,
    server: &'a Server,
    bare: &'a Server,
    /// What they get done in a second, the contender and the bare application, in each round.
    taken: Vec<(f64, f64)>,
}

/// What one contender gets done.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    per_second: [f64; 3],
    /// Of what the bare application gets done right before or after.
    share: [f64; 3],
    aim: Option<f64>,
}

/// A server that runs. It ends with its standard input, and so with this process at the latest.
struct Server {
    process: Child,
    port: u16,
    visitor: Visitor,
    /// A header field that the visitor sends.
    credential: Option<String>,
}

const BARE: &str = "HTTP: bare";
const BARE_TOKEN: &str = "HTTP: bare, sent a token";
const BARE_GRPC: &str = "gRPC: bare, sent a token";

const CONTENDERS: [Contender; 13] = [
    Contender::new(BARE, Visitor::Nobody, BARE, None),
    Contender::new("HTTP: SessionLayer, anonymous", Visitor::Nobody, BARE, Some(0.88)),
    Contender::new("HTTP: SessionLayer, Redis read", Visitor::SignedIn, BARE, Some(0.50)),
    Contender::new("HTTP: SessionLayer, cached read", Visitor::SignedIn, BARE, Some(0.85)),
    Contender::new("HTTP: tower-sessions, anonymous", Visitor::Nobody, BARE, None),
    Contender::new("HTTP: tower-sessions, Redis read", Visitor::SignedIn, BARE, None),
    Contender::new(BARE_TOKEN, Visitor::Bearer, BARE_TOKEN, None),
    Contender::new("HTTP: BearerLayer, ES256, known", Visitor::Bearer, BARE_TOKEN, Some(0.92)),
    Contender::new("HTTP: BearerLayer, ES256, verified", Visitor::Bearer, BARE_TOKEN, None),
    Contender::new("HTTP: tower-oauth2-resource-server, ES256", Visitor::Bearer, BARE_TOKEN, None),
    Contender::new(BARE_GRPC, Visitor::GrpcBearer, BARE_GRPC, None),
    Contender::new("gRPC: BearerLayer, ES256, known", Visitor::GrpcBearer, BARE_GRPC, Some(0.92)),
    Contender::new("gRPC: BearerLayer, ES256, verified", Visitor::GrpcBearer, BARE_GRPC, None),
];

/// Takes those whose name is `wanted`, and the bare application that each is compared with.
pub(crate) fn measure(wanted: impl Fn(&str) -> bool, effort: Effort) -> Result<Vec<Row>, Failure> {
    let bares: Vec<_> = CONTENDERS.iter().filter(|it| wanted(it.name)).map(|it| it.bare).collect();
    if bares.is_empty() {
        return Ok(Vec::new());
    }
    let redis = RedisServer::builder().tcp().start();
    let contenders: Vec<_> =
        CONTENDERS.into_iter().filter(|it| wanted(it.name) || bares.contains(&it.name)).collect();
    let servers: Vec<Server> = contenders
        .iter()
        .map(|contender| Server::start(contender, &redis.url()))
        .collect::<Result<_, _>>()?;
    let mut pairs = contenders
        .iter()
        .zip(&servers)
        .map(|(contender, server)| {
            let bare =
                contenders.iter().position(|it| it.name == contender.bare).and_then(|at| servers.get(at));
            let bare = bare.ok_or("the bare application is missing")?;
            Ok(Pair { contender, server, bare, taken: Vec::new() })
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let rounds = if effort == Effort::Full { 15 } else { 3 };
    for round in 0..rounds {
        let mut turns: Vec<_> = pairs.iter_mut().collect();
        shuffle(&mut turns);
        turns.into_iter().try_for_each(|pair| pair.round(round % 2 == 0))?;
    }
    Ok(pairs.iter().map(Pair::row).collect())
}

impl Contender {
    const fn new(name: &'static str, visitor: Visitor, bare: &'static str, aim: Option<f64>) -> Self {
        Self { name, visitor, bare, aim }
    }
}

impl Pair<'_> {
    fn round(&mut self, bare_first: bool) -> Result<(), Failure> {
        let taken = if bare_first {
            let bare = self.bare.per_second()?;
            (self.server.per_second()?, bare)
        } else {
            (self.server.per_second()?, self.bare.per_second()?)
        };
        self.taken.push(taken);
        Ok(())
    }

    fn row(&self) -> Row {
        Row {
            name: self.contender.name,
            per_second: quartiles(self.taken.iter().map(|(own, _)| *own).collect()),
            share: quartiles(self.taken.iter().map(|(own, bare)| own / bare).collect()),
            aim: self.contender.aim,
        }
    }
}

impl Server {
    fn start(contender: &Contender, redis: &str) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--serve", contender.name, redis])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the server has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        // Its port, and a token if it gives one out.
        let (port, token) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let mut server = Self { process, port: port.parse()?, visitor: contender.visitor, credential: None };
        server.credential = match contender.visitor {
            Visitor::Nobody => None,
            Visitor::SignedIn => Some(format!("cookie: {}", server.sign_in()?)),
            Visitor::Bearer | Visitor::GrpcBearer => Some(format!("authorization: Bearer {token}")),
        };
        if contender.visitor == Visitor::GrpcBearer {
            grpc::check(server.port, token)?;
        }
        Ok(server)
    }

    fn per_second(&self) -> Result<f64, Failure> {
        let header = self.credential.as_deref();
        match self.visitor {
            Visitor::GrpcBearer => h2load::per_second(self.port, grpc::PATH, header),
            Visitor::Nobody | Visitor::SignedIn | Visitor::Bearer => wrk::per_second(self.port, header),
        }
    }

    /// The cookies that a login sets.
    fn sign_in(&self) -> Result<String, Failure> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(b"GET /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let lines = response.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
        let cookies: Vec<&str> = lines.filter_map(|line| line.split(';').next()).collect();
        if cookies.is_empty() {
            Err(format!("no cookie was set: {response}").into())
        } else {
            Ok(cookies.join("; "))
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, median, high] = self.per_second.map(|per_second| per_second / 1e3);
        write!(f, "| {} | {median:.1} ({low:.1}-{high:.1}) ", self.name)?;
        let [low, median, high] = self.share;
        write!(f, "| {median:.2} ({low:.2}-{high:.2}) ")?;
        match self.aim {
            Some(aim) => write!(f, "| {aim} {} |", if median >= aim { "met" } else { "not met" }),
            None => f.write_str("| |"),
        }
    }
}
