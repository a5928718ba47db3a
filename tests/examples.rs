//! The small examples do what their first lines say.

pub mod axum_full;
pub mod axum_htmx;
mod axum_oidc_api;
mod background_job;
mod behind_proxy;
mod custom_authenticator;
mod devices_page;
mod flash_message;
mod hyper_session;
mod multi_tenant;
mod redis_pools;
mod remember_me;
mod sqlite_backend;
mod start;
mod token_service;
mod tonic_bearer;
mod tonic_web;
mod two_realms;
mod websocket_logout;
