//! [`measure`]: whole servers, asked over HTTP by `wrk`: what share of the bare application's requests is left.
//!
//! A server is a process of its own, this program with `--serve`, on one thread; so are wrk and Redis.

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
    /// Whether somebody is signed in.
    signed_in: bool,
    /// The share of the bare application that is aimed at.
    aim: Option<f64>,
}

/// What one contender gets done.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    per_second: [f64; 3],
    /// Of what the bare application gets done in the same round.
    share: [f64; 3],
    aim: Option<f64>,
}

/// A server that runs. It ends with its standard input, and so with this process at the latest.
struct Server {
    process: Child,
    port: u16,
    cookies: Option<String>,
}

const BARE: &str = "HTTP: bare";

const CONTENDERS: [Contender; 6] = [
    Contender { name: BARE, signed_in: false, aim: None },
    Contender { name: "HTTP: SessionLayer, anonymous", signed_in: false, aim: Some(0.88) },
    Contender { name: "HTTP: SessionLayer, Redis read", signed_in: true, aim: Some(0.50) },
    Contender { name: "HTTP: SessionLayer, cached read", signed_in: true, aim: Some(0.85) },
    Contender { name: "HTTP: tower-sessions, anonymous", signed_in: false, aim: None },
    Contender { name: "HTTP: tower-sessions, Redis read", signed_in: true, aim: None },
];

/// Takes those whose name is `wanted`; the bare application is always among them, if there are any.
pub(crate) fn measure(wanted: impl Fn(&str) -> bool, effort: Effort) -> Result<Vec<Row>, Failure> {
    if !CONTENDERS.iter().any(|contender| wanted(contender.name)) {
        return Ok(Vec::new());
    }
    let redis = RedisServer::builder().tcp().start();
    let contenders: Vec<_> = CONTENDERS.into_iter().filter(|it| it.name == BARE || wanted(it.name)).collect();
    let servers: Vec<Server> = contenders
        .iter()
        .map(|contender| Server::start(contender, &redis.url()))
        .collect::<Result<_, _>>()?;
    let rounds = if effort == Effort::Full { 11 } else { 3 };
    let mut taken = vec![Vec::with_capacity(rounds); servers.len()];
    for _ in 0..rounds {
        let mut turns: Vec<_> = servers.iter().zip(&mut taken).collect();
        shuffle(&mut turns);
        for (server, taken) in turns {
            taken.push(wrk::per_second(server.port, server.cookies.as_deref())?);
        }
    }
    let bare = taken.first().cloned().unwrap_or_default();
    let row = |(contender, taken): (&Contender, Vec<f64>)| Row {
        name: contender.name,
        share: quartiles(taken.iter().zip(&bare).map(|(taken, bare)| taken / bare).collect()),
        per_second: quartiles(taken),
        aim: contender.aim,
    };
    Ok(contenders.iter().zip(taken).map(row).collect())
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
        let mut server = Self { process, port: line.trim().parse()?, cookies: None };
        if contender.signed_in {
            server.cookies = Some(server.sign_in()?);
        }
        Ok(server)
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
