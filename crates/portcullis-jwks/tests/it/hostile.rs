//! Ids that are made to be put into an address, a header or a file name.

use serde_json::{Value, json};

use crate::stage::Stage;

#[tokio::test]
async fn nothing_that_a_token_says_changes_an_outbound_request() {
    let kids: [Value; 12] = [
        "../../../etc/passwd".into(),
        "/jwks/../admin?x=".into(),
        "http://10.0.0.1/keys".into(),
        "//10.0.0.1/keys".into(),
        "a\r\nHost: 10.0.0.1".into(),
        "a\r\n\r\nGET /admin HTTP/1.1".into(),
        "a\0b".into(),
        "' OR 1=1 --".into(),
        "k".repeat(1 << 20).into(),
        "".into(),
        "\u{202e}\u{1f512}".into(),
        json!({ "$ref": "http://10.0.0.1/" }),
    ];
    for kid in kids {
        let stage = Stage::warm().await;
        let issuer = stage.idp.issuer();
        let token = issuer.token(json!({})).header("kid", kid.clone());
        let elsewhere = "http://10.0.0.1/keys";
        let token = token
            .header("jku", elsewhere)
            .header("x5u", elsewhere)
            .header("jwk", json!({ "kty": "oct", "k": "AAAA" }))
            .to_string();
        let name: String = kid.to_string().chars().take(40).collect();
        assert!([401, 431].contains(&stage.status(&token).await), "{name}");
        let asked = stage.idp.asked();
        for one in &asked {
            assert_eq!(one.line, "GET /jwks HTTP/1.1", "{name}");
            let mut names: Vec<_> = one.headers.keys().map(|name| name.as_str()).collect();
            names.retain(|name| *name != "if-none-match");
            names.sort_unstable();
            assert_eq!(names, ["accept", "host", "user-agent"], "{name}");
            assert_eq!(one.headers["host"], stage.idp.address().to_string(), "{name}");
        }
        assert!(asked.len() <= 2, "{name}");
        stage.admits(&stage.token()).await;
    }
}
