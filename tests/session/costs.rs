//! What each operation costs in Redis: which commands, in how many round trips one after another, and how much memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis::session::{EncryptionKeys, KeyRing, Limit, SessionKey, SessionLayerBuilder, User};
use portcullis::{Identity, Session};
use portcullis_redis::RedisBackend;
use portcullis_store::{Key, Locator, Realm, SessionBackend, Touched};
use portcullis_testkit::redis::{Proxy, RedisServer};
use portcullis_testkit::spy::Operation;
use tokio::sync::Notify;

use super::handle::{around, around_with};
use crate::support::app::{Browser, World, now};
use crate::support::store::{AnyStore, connect};

const FORGED: &str =
    "__Host-id=AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA";

/// A server of its own, behind a network that counts.
struct Stage {
    server: RedisServer,
    proxy: Proxy,
    world: World,
}

impl Stage {
    async fn new() -> Self {
        let server = RedisServer::start();
        let proxy = Proxy::start(&server).await;
        let store = AnyStore::Redis(Self::backend(&proxy), "p".to_owned());
        let world = World::with(&store, &now(), |layer| layer.limit(Limit::evict_oldest(2)));
        let stage = Self { server, proxy, world };
        stage.acquaint().await;
        stage
    }

    fn backend(proxy: &Proxy) -> RedisBackend {
        connect(&proxy.url(), "p")
    }

    /// So that the server knows every script: a script that it does not know is sent twice, once.
    async fn acquaint(&self) {
        let browser = self.world.browser();
        for path in ["/login?user=x", "/login?user=x", "/count", "/devices"] {
            browser.get(path).await.assert_status(200);
        }
        for _ in 0..2 {
            self.world.browser().get("/login?user=x").await.assert_status(200);
        }
        visit(&self.world.browser(), &["/login?user=x", "/logout"]).await;
        let nobodys = Key { realm: &Realm::default(), locator: Locator::from_bytes([0; 16]) };
        assert_eq!(self.world.store.touch(nobodys).await.unwrap(), Touched::Gone);
    }

    /// What the server ran while `call` did, and in how many round trips.
    async fn cost(&self, call: impl IntoFuture) -> (u64, String) {
        self.server.command(&["CONFIG", "RESETSTAT"]);
        let before = self.proxy.round_trips();
        call.await;
        let took = self.proxy.round_trips() - before;
        (took, commands(&self.server.command(&["INFO", "commandstats"])))
    }
}

/// The commands that clients sent: those inside scripts are the scripts' business.
fn commands(statistics: &str) -> String {
    let count = |line: &str| {
        let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = rest.split(',').next()?.parse::<u64>().unwrap();
        Some((command.to_owned(), calls))
    };
    let all: BTreeMap<String, u64> = statistics.lines().filter_map(count).collect();
    let shown = all.iter().filter(|(command, _)| !command.starts_with("config"));
    shown.map(|(command, calls)| format!("{command} {calls}")).collect::<Vec<_>>().join(", ")
}

struct Row {
    name: &'static str,
    /// What the browser has done before, and another of the same user's.
    before: &'static [&'static str],
    elsewhere: &'static [&'static str],
    path: &'static str,
    /// Round trips, the load of the request's session among them.
    trips: u64,
    commands: &'static str,
}

const ANONYMOUS: &[&str] = &["/set/kept/x"];
const USER: &[&str] = &["/login?user=ada"];

const ROWS: &[Row] = &[
    Row { name: "no cookie", before: &[], elsewhere: &[], path: "/me", trips: 0, commands: "" },
    Row { name: "load", before: USER, elsewhere: &[], path: "/me", trips: 1, commands: "get 1" },
    Row {
        name: "commit",
        before: USER,
        elsewhere: &[],
        path: "/count",
        trips: 2,
        commands: "evalsha 1, get 1, getrange 1, set 1",
    },
    Row {
        name: "a write that changes nothing",
        before: ANONYMOUS,
        elsewhere: &[],
        path: "/set/kept/x",
        trips: 1,
        commands: "get 1",
    },
    Row {
        name: "an anonymous session begins",
        before: &[],
        elsewhere: &[],
        path: "/set/kept/x",
        trips: 1,
        commands: "set 1",
    },
    Row {
        name: "rotate",
        before: USER,
        elsewhere: &[],
        path: "/rotate",
        trips: 3,
        commands: "evalsha 2, get 1, getrange 2, set 2",
    },
    Row { name: "login", before: &[], elsewhere: &[], path: "/login?user=ada", trips: 1, commands: "" },
    Row {
        name: "login over an anonymous session",
        before: ANONYMOUS,
        elsewhere: &[],
        path: "/login?user=ada",
        trips: 2,
        commands: "",
    },
    Row {
        name: "login over a user's session",
        before: USER,
        elsewhere: &[],
        path: "/login?user=ada",
        trips: 3,
        commands: "",
    },
    Row {
        name: "login at the limit",
        before: &[],
        elsewhere: &["/login?user=ada", "/login?user=ada"],
        path: "/login?user=ada",
        trips: 4,
        commands: "",
    },
    Row {
        name: "logout of a visitor",
        before: ANONYMOUS,
        elsewhere: &[],
        path: "/logout",
        trips: 2,
        commands: "get 1, publish 1, unlink 1",
    },
    Row {
        name: "logout",
        before: USER,
        elsewhere: &[],
        path: "/logout",
        trips: 2,
        commands: "get 1, publish 1, unlink 1, zrem 1",
    },
    Row {
        name: "revoke one",
        before: USER,
        elsewhere: USER,
        path: "/revoke/",
        trips: 4,
        commands: "evalsha 1, get 1, publish 1, time 1, unlink 1, zrangebyscore 1, zrem 1",
    },
    Row {
        name: "revoke the others",
        before: USER,
        elsewhere: USER,
        path: "/revoke-others",
        trips: 4,
        commands: "evalsha 1, get 1, publish 1, time 1, unlink 1, zrangebyscore 1, zrem 1",
    },
    Row {
        name: "revoke all",
        before: USER,
        elsewhere: USER,
        path: "/revoke-all",
        trips: 4,
        commands: "evalsha 1, get 1, publish 1, time 1, unlink 1, zrangebyscore 1, zrem 1",
    },
    Row {
        name: "list",
        before: USER,
        elsewhere: USER,
        path: "/devices",
        trips: 3,
        commands: "evalsha 1, get 3, time 1, zrangebyscore 1",
    },
];

async fn visit(browser: &Browser, paths: &[&str]) {
    for path in paths {
        browser.get(path).await.assert_status(200);
    }
}

#[tokio::test]
async fn each_operation_costs_what_is_documented() {
    let stage = Stage::new().await;
    for row in ROWS {
        let browser = stage.world.browser();
        visit(&browser, row.before).await;
        let mut path = row.path.to_owned();
        for step in row.elsewhere {
            let other = stage.world.browser();
            visit(&other, &[step]).await;
            if path.ends_with("/revoke/") {
                path.push_str(&other.jar().get("__Host-id").unwrap()[..22]);
            }
        }
        let (trips, sent) = stage.cost(browser.get(&path)).await;
        assert_eq!(trips, row.trips, "{}: round trips of {sent}", row.name);
        // What the scripts of a login do is more than is worth repeating.
        assert!(row.commands.is_empty() && trips > 0 || sent == row.commands, "{}: {sent}", row.name);
        stage.world.sessions.revoke_all(&User::new("ada")).await.unwrap();
    }
}

#[tokio::test]
async fn a_forged_token_costs_nothing_with_a_ring_of_keys() {
    let stage = Stage::new().await;
    let signed = |layer: SessionLayerBuilder| layer.keys(KeyRing::new([1; 32]));
    let browser =
        around_with(&stage.world, signed, async |session: Session| session.session_ref().unwrap_or_default());
    let (trips, sent) = stage.cost(browser.get("/").header("cookie", FORGED)).await;
    assert_eq!((trips, &*sent), (0, ""));
}

#[tokio::test]
async fn a_touch_costs_nothing_on_the_way_and_two_round_trips_behind_the_response() {
    let stage = Stage::new().await;
    let browser = stage.world.browser();
    visit(&browser, USER).await;
    stage.world.clock.advance(Duration::from_secs(6 * 60));
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    stage.world.spy.on(Operation::Touch).times(1).before(move || {
        let opened = Arc::clone(&opened);
        async move { opened.notified().await }
    });
    let (trips, sent) = stage.cost(browser.get("/me")).await;
    assert_eq!((trips, &*sent), (1, "get 1"), "on the way");
    let enrolled = Arc::new(Notify::new());
    let done = Arc::clone(&enrolled);
    stage.world.spy.on(Operation::Enrol).times(1).after(move || {
        let done = Arc::clone(&done);
        async move { done.notify_one() }
    });
    let behind = async {
        gate.notify_one();
        enrolled.notified().await;
    };
    assert_eq!(stage.cost(behind).await.0, 2, "behind it");
}

const VALUES: [SessionKey<u32>; 10] = [
    SessionKey::new("value-0"),
    SessionKey::new("value-1"),
    SessionKey::new("value-2"),
    SessionKey::new("value-3"),
    SessionKey::new("value-4"),
    SessionKey::new("value-5"),
    SessionKey::new("value-6"),
    SessionKey::new("value-7"),
    SessionKey::new("value-8"),
    SessionKey::new("value-9"),
];

#[tokio::test]
async fn a_session_of_ten_small_values_takes_at_most_600_bytes_of_the_servers_memory() {
    let stage = Stage::new().await;
    let handler = async |session: Session| {
        session.login(Identity::new("ada@example.com").role("member")).await.unwrap();
        for (number, key) in (0u32..).zip(&VALUES) {
            session.set(key, &(number + 1_000_000)).unwrap();
        }
        session.commit().await.unwrap();
        session.session_ref().unwrap()
    };
    let plain = around(&stage.world, handler);
    let encrypted = around_with(&stage.world, |layer| layer.encrypt(EncryptionKeys::new(&[1; 32])), handler);
    // Encryption adds 42 bytes, and the server's allocator rounds up.
    for (name, browser, most) in [("plain", plain, 600), ("encrypted", encrypted, 640)] {
        let locator = browser.get("/").await.assert_status(200).text();
        let usage = stage.server.command(&["MEMORY", "USAGE", &format!("p:default:s:{locator}")]);
        assert!(usage.parse::<u32>().unwrap() <= most, "{name}: {usage} bytes");
    }
}
