//! [`run`]: tasks that share browsers and do to their sessions whatever comes into their heads, for a bounded time.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::browsers::{BROWSERS, Browsers, Temper, temper, token};
use crate::history::{Call, Event, Outcome, Report, SLOTS, Token, now};

/// How one process takes part.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) browsers: Browsers,
    pub(crate) seed: u64,
    /// A number of this process's own, so that its values are nobody else's.
    pub(crate) process: u64,
    pub(crate) tasks: u64,
    /// When it stops, by [`now`].
    pub(crate) until: u64,
}

/// Runs the tasks, spread over the apps, each of which has a connection of its own. Gives what happened.
pub(crate) async fn run(apps: &[Router], part: &Part) -> Vec<Event> {
    let mut tasks = JoinSet::new();
    for (number, app) in (0..part.tasks).zip(apps.iter().cycle()) {
        tasks.spawn(task(app.clone(), part.clone(), number));
    }
    let history = tasks.join_all().await.concat();
    // What goes on behind the responses.
    tokio::time::sleep(Duration::from_millis(100)).await;
    history
}

async fn task(app: Router, part: Part, number: u64) -> Vec<Event> {
    let mut random =
        Random(part.seed ^ ((part.process << 32) + number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let (mut history, mut values) = (Vec::new(), (part.process << 56) + (number << 40));
    while now() < part.until {
        values += 1;
        let browser = browser(&mut random);
        let presented = part.browsers.cookie(browser);
        let call = call(&mut random, temper(browser), presented.is_some(), values);
        let event = request(&app, presented.as_ref(), call).await;
        match &event.outcome {
            Outcome::Done(Report { issued: Some(issued), .. }) => {
                part.browsers.set_cookie(browser, Some(issued), number);
            }
            Outcome::Done(Report { now: None, .. }) | Outcome::Refused { .. } => {
                part.browsers.set_cookie(browser, None, number);
            }
            Outcome::Done(_) | Outcome::Unknown => {}
        }
        history.push(event);
        if random.below(4) == 0 {
            tokio::time::sleep(Duration::from_millis(random.below(8))).await;
        }
    }
    history
}

fn browser(random: &mut Random) -> u64 {
    loop {
        let browser = random.below(BROWSERS);
        if temper(browser) != Temper::Quiet || random.below(100) == 0 {
            return browser;
        }
    }
}

fn call(random: &mut Random, temper: Temper, has_cookie: bool, value: u64) -> Call {
    let slot = usize::try_from(random.below(SLOTS as u64)).unwrap();
    let remember = random.below(3) == 0;
    let visits = match temper {
        Temper::Busy | Temper::Quiet => random.below(4) == 0,
        Temper::Steady => false,
        Temper::SteadyVisitor => true,
    };
    if !has_cookie {
        return if visits { Call::Start { value } } else { Call::Login { remember } };
    }
    let steady = matches!(temper, Temper::Steady | Temper::SteadyVisitor);
    match random.below(if steady { 880 } else { 1000 }) {
        0..260 => Call::Increment,
        260..380 => Call::Update,
        380..540 => Call::Set { slot, value },
        540..690 => Call::Take { slot },
        690..730 => Call::Remove { slot },
        730..880 => Call::Read,
        880..900 => Call::Rotate,
        900..970 => Call::Login { remember },
        970..988 => Call::Logout,
        988..992 => Call::RevokeOthers,
        992..994 => Call::RevokeAll,
        994..996 => Call::RevokeUser,
        _ => Call::Bump,
    }
}

/// Sends one request, and notes what was answered.
pub(crate) async fn request(app: &Router, presented: Option<&Token>, call: Call) -> Event {
    let mut request = Request::post("https://app.example/").header(CONTENT_TYPE, "application/json");
    if let Some(Token { session, secret }) = presented {
        request = request.header(COOKIE, format!("__Host-id={session}.{secret}"));
    }
    let request = request.body(Body::from(serde_json::to_vec(&call).unwrap())).unwrap();
    let start = now();
    let response = app.clone().oneshot(request).await.unwrap();
    let outcome = outcome(response).await;
    Event { start, end: now(), presented: presented.cloned(), call, outcome }
}

async fn outcome(response: Response<Body>) -> Outcome {
    let issued = response.headers().get(SET_COOKIE).and_then(|field| {
        let value = field.to_str().unwrap().strip_prefix("__Host-id=")?;
        token(value.split(';').next()?).filter(|token| !token.session.is_empty())
    });
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    match status {
        StatusCode::OK => Outcome::Done(Report { issued, ..serde_json::from_slice(&body).unwrap() }),
        StatusCode::GONE => Outcome::Refused { seen: serde_json::from_slice(&body).unwrap() },
        _ => Outcome::Unknown,
    }
}

/// Enough chance for a test, and the same again with the same seed (splitmix64, Steele and others 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
