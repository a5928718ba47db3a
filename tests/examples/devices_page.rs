//! A user sees where they are signed in, and ends what they choose.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::connect_info::MockConnectInfo;
use portcullis_testkit::client::Client;

#[path = "../../examples/devices_page.rs"]
#[expect(dead_code, reason = "the program's main")]
mod program;

const PASSWORD: &str = "correct horse battery staple";

/// Two browsers of Ada's and one of Grace's, on one service.
struct Stage {
    laptop: Client<Router>,
    phone: Client<Router>,
    grace: Client<Router>,
}

impl Stage {
    async fn new() -> Self {
        let laptop = Client::new(
            program::app(PASSWORD).layer(MockConnectInfo(SocketAddr::from(([203, 0, 113, 77], 443)))),
        );
        let (phone, grace) = (laptop.another(), laptop.another());
        let rows =
            [(&laptop, "ada", "a <laptop>"), (&phone, "ada", "a phone"), (&grace, "grace", "a tablet")];
        for (browser, user, agent) in rows {
            let form = [("username", user), ("password", PASSWORD)];
            browser.post_form("/login", &form).header("user-agent", agent).await.assert_status(303);
        }
        Self { laptop, phone, grace }
    }
}

/// The references of the sessions on the page, the own one first; none for whoever is not signed in.
async fn listed(browser: &Client<Router>) -> Vec<String> {
    let page = browser.get("/").await.assert_status(200).text();
    let mut rows: Vec<&str> = page.split("<code>").skip(1).collect();
    rows.sort_by_key(|row| !row.contains("(this one)"));
    rows.iter().map(|row| row.split("</code>").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_page_lists_ones_own_sessions_with_their_labels_as_text() {
    let Stage { laptop, phone, grace } = Stage::new().await;
    let page = laptop.get("/").await.assert_status(200).text();
    assert!(page.contains("<td>a &lt;laptop&gt;</td>") && page.contains("<td>a phone</td>"), "{page}");
    assert!(!page.contains("tablet"), "{page}");
    assert!(page.contains("<td>203.0.113.0/24</td>") && !page.contains(".77"), "{page}");
    let (mut of_laptop, mut of_phone) = (listed(&laptop).await, listed(&phone).await);
    assert_ne!(of_laptop[0], of_phone[0], "each marks its own");
    of_laptop.sort();
    of_phone.sort();
    assert_eq!(of_laptop, of_phone);
    assert_eq!(listed(&grace).await.len(), 1);
}

#[tokio::test]
async fn each_button_ends_what_it_says() {
    // What is left: to the laptop, to the phone.
    let rows = [
        ("one", "/revoke", Some(&["phone"][..]), 1, 0),
        ("the own one", "/revoke", Some(&["laptop"][..]), 0, 1),
        ("the others", "/revoke-others", None, 1, 0),
        ("all", "/revoke-all", None, 0, 0),
    ];
    for (name, path, which, on_laptop, on_phone) in rows {
        let Stage { laptop, phone, grace } = Stage::new().await;
        let whose = if which == Some(&["phone"]) { &phone } else { &laptop };
        let session_ref = listed(whose).await[0].clone();
        let form = which.map(|_| ("session_ref", session_ref.as_str()));
        laptop.post_form(path, form.as_slice()).await.assert_status(303);
        assert_eq!(listed(&laptop).await.len(), on_laptop, "{name}");
        assert_eq!(listed(&phone).await.len(), on_phone, "{name}");
        assert_eq!(listed(&grace).await.len(), 1, "{name}: nobody else's");
    }
}

#[tokio::test]
async fn nobody_ends_a_session_of_somebody_else() {
    let Stage { laptop, grace, .. } = Stage::new().await;
    let session_ref = listed(&laptop).await[0].clone();
    let form = [("session_ref", session_ref.as_str())];
    grace.post_form("/revoke", &form).await.assert_status(404);
    grace.another().post_form("/revoke", &form).await.assert_status(401);
    // A page of a sibling host is sent the cookie, of another site it is not.
    for origin in ["https://evil.example", "https://evil.app.example"] {
        laptop.post_form("/revoke", &form).from_origin(origin).await.assert_status(403);
    }
    assert_eq!(listed(&laptop).await.len(), 2);
}

#[tokio::test]
async fn no_other_site_can_frame_the_page() {
    let response = Stage::new().await.laptop.get("/").await;
    assert!(response.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
}
