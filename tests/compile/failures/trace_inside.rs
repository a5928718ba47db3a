//! `TraceLayer` of tower-http inside of our layers: its body cannot be empty by itself. It stands outside.

use axum::{Router, routing::get};
use portcullis::session::{MemoryBackend, SessionLayer};
use tower::ServiceBuilder;
use tower_http::trace::TraceLayer;

fn main() {
    let layers = ServiceBuilder::new()
        .layer(SessionLayer::new(MemoryBackend::new()))
        .layer(TraceLayer::new_for_http());
    let _: Router = Router::new().route("/", get(async || "in")).layer(layers);
}
