//! What the example `quickstart` promises, asked by a browser-like client, in memory and in a private redis-server.

mod api;
mod cluster;
mod cross_site;
mod devices;
mod input;
mod instances;
mod outage;
mod pages;
mod processes;
mod redis;
mod sign_in;
pub mod stage;
