//! Sessions: the catalogue's rows, each on memory and on a real redis-server.

mod admin;
mod behind;
mod cache;
mod carriers;
mod codec;
mod concurrency;
mod conformance;
mod cookies;
mod detach;
mod devices;
mod encryption;
mod events;
mod handle;
mod handover;
mod keys;
mod life;
mod limits;
mod login;
mod outage;
mod privacy;
mod realms;
mod remember;
mod renewal;
mod streams;
mod validity;
mod watch;
