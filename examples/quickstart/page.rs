//! The template that all pages share, and their style sheet. They work without JavaScript.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use maud::{DOCTYPE, Markup, html};
use portcullis::Identity;

/// A page for `me`. `html!` escapes every value that is put into it.
pub(crate) fn page(title: &str, me: Option<&Identity>, content: &Markup) -> impl IntoResponse + use<> {
    let who = html! {
        @match me {
            Some(me) => {
                span { "Signed in as " strong { (me.subject()) } }
                form method="post" action="/logout" { button { "Sign out" } }
            }
            None => a href="/login" { "Sign in" },
        }
    };
    document(title, &who, content)
}

/// A page that is made where it is not known who is signed in.
pub(crate) fn plain_page(title: &str, content: &Markup) -> impl IntoResponse + use<> {
    document(title, &html! {}, content)
}

fn document(title: &str, who: &Markup, content: &Markup) -> impl IntoResponse + use<> {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – Portcullis quick start" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                header {
                    nav aria-label="Main" {
                        a href="/" { "Home" }
                        a href="/account" { "Account" }
                        a href="/devices" { "Devices" }
                    }
                    div.who { (who) }
                }
                main {
                    h1 { (title) }
                    (content)
                }
            }
        }
    };
    // What a page says depends on who is signed in: the back button must not show it after signing out.
    ([(CACHE_CONTROL, "no-store")], document)
}

pub(crate) async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=3600")], STYLE)
}

const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8886; --accent: light-dark(#0b57d0, #8ab4f8); }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 44rem; padding: 0 1rem 3rem; font: 1rem/1.6 system-ui, sans-serif; }
body > header { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; justify-content: space-between;
  align-items: center; padding: .75rem 0; border-bottom: 1px solid var(--line); }
nav, .who { display: flex; gap: 1rem; align-items: center; }
a { color: var(--accent); }
h1 { line-height: 1.2; }
form.stacked { display: grid; gap: .75rem; max-width: 24rem; }
label { display: grid; gap: .25rem; }
input, textarea, button { font: inherit; padding: .4rem .6rem; border: 1px solid var(--line); border-radius: .4rem; }
button { cursor: pointer; justify-self: start; }
button:focus-visible, input:focus-visible, textarea:focus-visible { outline: 2px solid var(--accent); }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: start; padding: .4rem .5rem .4rem 0; border-bottom: 1px solid var(--line); }
blockquote { margin: 1rem 0; padding-inline-start: 1rem; border-inline-start: 3px solid var(--line);
  white-space: pre-wrap; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
[role=alert] { padding: .5rem .75rem; border: 1px solid light-dark(#b3261e, #f2b8b5); border-radius: .4rem; }
";
