//! A user's sessions on all devices: listed and revoked.

use super::stage::{devices, on_each, subject};

#[tokio::test]
async fn every_session_of_a_user_is_listed_and_this_one_is_marked() {
    on_each(async |stage| {
        let (first, second) = (stage.signed_in("ada").await, stage.signed_in("ada").await);
        stage.signed_in("grace").await;
        let ((mut of_first, own), (mut of_second, other)) = (devices(&first).await, devices(&second).await);
        assert_ne!(of_first[own.unwrap()], of_second[other.unwrap()]);
        of_first.sort();
        of_second.sort();
        assert_eq!(of_first, of_second);
        assert_eq!(of_first.len(), 2, "grace's is not among them");
    })
    .await;
}

#[tokio::test]
async fn a_revoked_session_is_anonymous_with_its_next_request_and_the_others_stay() {
    on_each(async |stage| {
        let (mine, lost, third) =
            (stage.signed_in("ada").await, stage.signed_in("ada").await, stage.signed_in("ada").await);
        let (refs, own) = devices(&lost).await;
        let response = mine.post_form(&format!("/devices/{}/revoke", refs[own.unwrap()]), &[]).await;
        assert_eq!(response.assert_status(303).header("location"), Some("/devices"));

        assert_eq!(subject(&lost).await, None);
        lost.get("/account").await.assert_status(303);
        assert_eq!(subject(&mine).await.as_deref(), Some("ada"));
        assert_eq!(subject(&third).await.as_deref(), Some("ada"));
        assert_eq!(devices(&mine).await.0.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn revoking_the_others_leaves_this_one_alone_and_nobody_elses() {
    on_each(async |stage| {
        let grace = stage.signed_in("grace").await;
        let (mine, second, third) =
            (stage.signed_in("ada").await, stage.signed_in("ada").await, stage.signed_in("ada").await);
        mine.post_form("/devices/revoke-others", &[]).await.assert_status(303);
        assert_eq!(subject(&second).await, None);
        assert_eq!(subject(&third).await, None);
        assert_eq!(devices(&mine).await.1, Some(0));
        assert_eq!(devices(&mine).await.0.len(), 1);
        assert_eq!(subject(&grace).await.as_deref(), Some("grace"));
    })
    .await;
}

#[tokio::test]
async fn revoking_the_own_session_signs_out() {
    on_each(async |stage| {
        let browser = stage.signed_in("ada").await;
        let (refs, own) = devices(&browser).await;
        browser.post_form(&format!("/devices/{}/revoke", refs[own.unwrap()]), &[]).await.assert_status(303);
        let response = browser.get("/devices").await.assert_status(303);
        assert_eq!(response.header("location"), Some("/login?next=/devices"));
    })
    .await;
}

#[tokio::test]
async fn nobody_revokes_a_session_of_another_user() {
    on_each(async |stage| {
        let (ada, grace) = (stage.signed_in("ada").await, stage.signed_in("grace").await);
        let (of_ada, _) = devices(&ada).await;
        let revoke = format!("/devices/{}/revoke", of_ada[0]);
        let response = grace.post_form(&revoke, &[]).await.assert_status(404);
        assert_eq!(response.text(), "you have no such session\n");
        stage.browser().post_form(&revoke, &[]).await.assert_status(401);
        assert_eq!(subject(&ada).await.as_deref(), Some("ada"));
    })
    .await;
}

#[tokio::test]
async fn a_token_is_no_way_to_the_pages_of_a_session() {
    on_each(async |stage| {
        let token = stage.token("ada").await;
        let browser = stage.browser();
        for request in
            [browser.get("/account"), browser.get("/devices"), browser.post("/devices/revoke-others")]
        {
            let name = format!("{request:?}");
            let response = request.bearer(&token).await;
            assert_eq!(response.status, 403, "{name}: {}", response.text());
        }
    })
    .await;
}
