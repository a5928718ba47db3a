//! Sessions: the catalogue's rows, each on memory and on a real redis-server.

mod behind;
mod concurrency;
mod conformance;
mod cookies;
mod devices;
mod handle;
mod life;
mod login;
mod outage;
mod privacy;
mod validity;
