//! Portcullis sessions, revocations of bearer tokens, families of refresh tokens, and proofs that were used, in Redis (6.2
//! and later) or Valkey.
//!
//! ```no_run
//! use portcullis_redis::{RedisBackend, RedisConfig};
//! use portcullis_store::{Key, Locator, Realm, SessionBackend};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = RedisConfig::standalone("redis://:password@10.0.0.5:6379")?.key_prefix("shop");
//! let backend = RedisBackend::connect(config)?; // contacts nobody
//!
//! let realm = Realm::default();
//! let locator = Locator::from_bytes([7; 16]);
//! assert_eq!(backend.load(Key { realm: &realm, locator }).await?, None);
//! # Ok(())
//! # }
//! ```
//!
//! # Where the servers are
//!
//! | | made by | a connection leads to |
//! | --- | --- | --- |
//! | one server | [`RedisConfig::standalone`] | its address, resolved anew each time |
//! | Sentinel | [`RedisConfig::sentinel`] | whom most Sentinels call the master, if it agrees |
//! | Cluster | [`RedisConfig::cluster`] | a node; there is one to each that has slots |
//! | the application's own | [`RedisConfig::from_connection`], [`RedisConfig::from_provider`] | one server, as the application says |
//!
//! [`RedisConfig::from_url`] takes any of the first three from one text. It is one [`RedisBackend`] in each case.
//!
//! TLS (feature `tls`, `rediss` URLs) is rustls on aws-lc-rs, chosen here and not process-wide; `TlsConfig` has private
//! authorities and client certificates. Without the feature a `rediss` URL is refused when the backend is made.
//!
//! # The rules
//!
//! * One connection to each server, shared by all clones, made by the first call that needs it. A service boots while its
//!   Redis is down.
//! * Every call ends within its [budget](RedisConfig::budget), 450 ms. Reading a session is one GET; every other
//!   operation is one round trip, too, save for a server that has to be told a script. On a cluster, where a user's index
//!   and a session may be on two nodes, a login is two and an end of sessions is two.
//! * A command without an answer after 200 ms is sent again, within the budget. Every command of this crate may be
//!   done twice with the effect of once, and [`Saved::Conflict`](portcullis_store::Saved::Conflict) says when that
//!   can no longer be proved.
//! * A connection that breaks, that leads to a replica, or on which two commands in a row went unanswered is replaced.
//! * While no connection can be made, calls fail at once; one attempt is made every 50 to 400 ms, with jitter. For about the
//!   first 100 ms after a connection has broken they wait for the next attempt instead: a server that is restarted, or that
//!   cuts the first connection it is offered, costs nobody an answer.
//! * Sentinel: another master that is announced (`+switch-master`), or found by asking, every second, is moved to at once.
//!   The old one may go on accepting writes, and will lose them.
//! * Cluster: `MOVED` and `ASK` are followed within the call. The map of the slots is read anew when a node has sent a
//!   command elsewhere, does not answer or is not ready, ten times a second at most. A node that is away costs the calls
//!   that need it, and no others.
//!
//! # Health
//!
//! [`RedisBackend::health`] says how the connections are without asking anybody, and [`RedisBackend::ping`] asks all
//! servers: together, a readiness probe.
//!
//! # Errors
//!
//! | [`StoreErrorKind`](portcullis_store::StoreErrorKind) | when |
//! | --- | --- |
//! | `Timeout` | no answer, or no connection, in time |
//! | `Unavailable` | nobody listens; the connection broke; `LOADING`, `READONLY`, `MASTERDOWN`, `CLUSTERDOWN`, `TRYAGAIN`, `BUSY` for the whole of the budget |
//! | `Full` | `OOM`: reading, touching, destroying and changing a credential version still work |
//! | `Config` | `WRONGPASS`, `NOAUTH`, `NOPERM`; TLS that was not agreed upon; a node of a cluster that is taken for one server; a server that lacks a command |
//! | `Corrupt` | the key holds something else, or a record of a newer format |
//! | `TooLarge` | over [`max_record_len`](RedisConfig::max_record_len); nothing was sent |
//!
//! # The server
//!
//! * `maxmemory-policy` must not be `allkeys-*`, which logs users out as memory runs short, and should be
//!   `noeviction`: a full server then refuses new sessions and keeps the old ones.
//! * Sessions expire by the server's clock; a new session's lifetime is sent as a duration, so the application's clock
//!   need not agree with it. From the first touch on, clocks that differ by a minute move deadlines by a minute.
//! * [`RedisBackend::check`] looks for all of this, and for missing permissions, when a service starts.
//!
//! # Permissions
//!
//! These suffice, for the default prefix, and nothing in them can be left out; `+select` comes to them for another
//! [database](RedisConfig::database) than 0. `+wait` is for
//! [`destroy_durably`](portcullis_store::SessionBackend::destroy_durably) alone, `+scan` for
//! [`watch_revocations`](portcullis_store::TokenBackend::watch_revocations).
//!
//! One server:
//!
//! ```text
//! ACL SETUSER app on >secret ~p:* resetchannels &p:* +get +mget +set +unlink +getrange +setrange +pttl +pexpireat +time +eval +evalsha +incr +pexpire +zadd +zrem +zrangebyscore +zremrangebyscore +zscore +publish +subscribe +unsubscribe +ping +wait +scan
//! ```
//!
//! Sentinel: on the master and every replica, since each may become the master; and on the Sentinels, if they ask for a
//! login, a user of their own, who stands in their URLs:
//!
//! ```text
//! ACL SETUSER app on >secret ~p:* resetchannels &p:* +get +mget +set +unlink +getrange +setrange +pttl +pexpireat +time +eval +evalsha +incr +pexpire +zadd +zrem +zrangebyscore +zremrangebyscore +zscore +publish +subscribe +unsubscribe +ping +wait +scan +role
//! ACL SETUSER watcher on >secret resetchannels &+switch-master +sentinel|master +subscribe
//! ```
//!
//! Cluster: on every node.
//!
//! ```text
//! ACL SETUSER app on >secret ~p:* resetchannels &p:* +get +mget +set +unlink +getrange +setrange +pttl +pexpireat +time +eval +evalsha +incr +pexpire +zadd +zrem +zrangebyscore +zremrangebyscore +zscore +publish +subscribe +unsubscribe +ping +wait +cluster|slots +asking
//! ```
//!
//! # Keys
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `p:<realm>:s:<locator>` | string | one session: the encoded [`Record`](portcullis_store::Record) |
//! | `p:<realm>:r:{<name of a session>}` | string | which write has deleted the session in favour of another, for a minute |
//! | `p:<realm>:u:{<user>}` | sorted set | one user's sessions: locators, by absolute deadline |
//! | `p:<realm>:c:{<user>}` | string | how often the user's credentials were changed, in decimal |
//! | `p::check:{<number>}` | string | a number, while [`RedisBackend::check`] looks |
//! | `p:<realm>:t:{<user>}:<token>` | string | that a bearer token is revoked: empty, while it could still be used |
//! | `p:<realm>:g:{<user>}:<family>` | string | one family of refresh tokens: hashes of its two latest tokens, and what it allows |
//! | `p:<realm>:f:{<user>}:<family>` | string | that the tokens of one login are revoked: empty |
//! | `p:<realm>:e:{<user>}` | string | when all of the user's tokens were last revoked, in milliseconds |
//! | `p:<realm>:j:<name>` | string | that a proof was used, while it could be used again: who has used it, a random tag |
//! | `p:<realm>:everyone` | string | when all tokens of the realm were last revoked, in milliseconds |
//! | `p::keys:{<issuer>}` | string | what an issuer was last heard to publish, and when, for as long as it may be used |
//! | `p::keys:{<issuer>}:lease` | string | who may ask the issuer, for seconds |
//!
//! # Revoked tokens
//!
//! Asking for a token's [status](portcullis_store::TokenBackend::status) is one MGET. On a cluster the epoch for everyone,
//! which is in a slot of its own, is not part of it: it is asked for at the same time, and then kept for five seconds. So
//! [`revoke_everyone`](portcullis_store::TokenBackend::revoke_everyone) is seen there by other processes within that time,
//! and by the next request otherwise. A full server revokes all the same.
//!
//! # Told revocations
//!
//! Whatever revokes tokens publishes it, in the same script, on the channel `p:<realm>:revoked`, with the number of the
//! [database](RedisConfig::database) behind it (`:5`) if that is not 0. A server that does not let us publish fails the
//! call, although what it was to revoke is: nobody would have been told.
//!
//! While somebody [watches](portcullis_store::TokenBackend::watch_revocations), on one server or behind Sentinels:
//!
//! * The connection that hears of ended sessions is subscribed to that channel, too. Then what stands is read, by SCAN, on a
//!   connection that is closed afterwards: 250 names at a time, with rests in between, so that it takes a quarter of the
//!   server at most. A million keys, of sessions too, are about a second of the server's time, spread over ten. It is done
//!   once for each watcher, and again after each break.
//! * Twice a second the process publishes a number to itself (`p::pulse:<process>`), where its commands go. When it hears
//!   that number, it has heard all that was published there before; so it is
//!   [current](portcullis_store::RevocationNotice::Current) until two seconds after it was sent. That holds whatever goes
//!   silent, and also if commands go to another server by now, because of a failover that the subscription has not noticed.
//!   A number that has not come back after a second breaks the connection.
//! * A message that cannot be read does so, too.
//!
//! On a cluster, and on connections of the application's own, nobody is told and
//! [`watch_revocations`](portcullis_store::TokenBackend::watch_revocations) gives `None`.
//!
//! # Refresh tokens
//!
//! A family of refresh tokens stands in its user's slot, beside what revokes it, so each of its
//! [operations](portcullis_store::FamilyBackend) is one script, and looking at it one MGET. It expires by the server's clock.
//! A full server rotates families all the same, and begins none.
//!
//! # Proofs
//!
//! [Claiming](portcullis_store::ReplayBackend::claim) a proof's name is one script. A claim that was sent again because its
//! answer was lost finds its own tag, and is still the first. A full server claims nothing: such requests are answered
//! with 503.
//!
//! # Ended sessions
//!
//! Whatever destroys sessions publishes their locators, in the same round trip, on the channel `p:<realm>:ended`.
//! While somebody [watches](portcullis_store::SessionBackend::watch), a second connection is subscribed to it. It is
//! made anew when it breaks, and asked every two seconds whether it is still there. A server that does not let us
//! publish, or subscribe, ends sessions all the same; who watches then has to look, now and then.
//!
//! [`destroy_durably`](portcullis_store::SessionBackend::destroy_durably) then waits for replicas (WAIT), for what is left
//! of the budget, on connections that are made for it and closed: one for each call and server, for 32 calls at a time.
//! If that cannot be done, or while the session's slot moves from one node to another, none have confirmed it: 0.
//!
//! # Events
//!
//! `tracing` events of the target `portcullis_redis`, none of which holds a secret: `cannot connect` (warn, with
//! `failures`, `kind` and `cause`), `connection dropped` (warn, with `reason`), `connected` (debug), `cannot listen`
//! (warn, with `kind` and `cause`, once per break), `cannot read what is revoked` (warn, with `kind` and `realm`), `cannot
//! publish to itself` (debug, with `kind`), `cannot publish` (warn), `listening` (debug), `cannot
//! have an ended session confirmed` (warn, with `kind` and `cause`), `check` (warn, with `warning`).
//!
//! Counted by the `metrics` facade: `portcullis_redis_connects_total` (`result`: `ok` or the kind of error),
//! `portcullis_redis_connections_dropped_total` (`reason`: `no_answers`, `broken`, `refused`, `another_master`),
//! `portcullis_redis_calls_failed_total` (`kind`), `portcullis_redis_resends_total`,
//! `portcullis_redis_redirects_total` (`kind`: `moved`, `ask`) and `portcullis_redis_confirmations_total` (`result`: `enough`,
//! `too_few`, `unknown`).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod announcement;
mod backend;
mod check;
mod client;
mod cluster;
mod command;
mod config;
mod connector;
mod counters;
mod durable;
mod health;
mod keys;
mod link;
mod provider;
mod reply;
mod route;
mod script;
mod sentinel;
mod server;
mod subscriber;
mod unique;
mod verdict;
mod wire;

pub use backend::RedisBackend;
pub use check::{Report, ServerReport};
pub use config::{ConfigError, ConfigErrorKind, RedisConfig};
pub use health::{Health, LinkHealth};
#[cfg(feature = "tls")]
pub use server::TlsConfig;
