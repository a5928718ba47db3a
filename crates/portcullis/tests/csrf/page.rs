//! What stands in pages.

use http::{Request, Response};
use portcullis::csrf::CsrfToken;
use portcullis::session::MemoryBackend;
use portcullis::{CsrfLayer, SessionLayer};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::site::layer;

/// The three helpers' texts, in a service of no framework.
async fn texts(csrf: CsrfLayer) -> [String; 3] {
    let page = service_fn(|request: Request<String>| async move {
        let token = CsrfToken::of(request.extensions()).unwrap();
        Ok::<_, std::io::Error>(Response::new([token.field(), token.meta(), token.header()]))
    });
    let layers = ServiceBuilder::new().layer(SessionLayer::new(MemoryBackend::new())).layer(csrf);
    layers.service(page).oneshot(Request::new(String::new())).await.unwrap().into_body()
}

#[tokio::test]
async fn helpers_write_a_field_a_meta_element_and_headers_each_with_a_mask_of_its_own() {
    let [field, meta, header] = texts(layer()).await;
    let value = |text: &str, before: &str, after: &str| {
        let value = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        let value = value.unwrap_or_else(|| panic!("{text}")).to_owned();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(value.len() == 86 && value.bytes().all(legal), "nothing to escape in {text}");
        value
    };
    let values = [
        value(&field, r#"<input type="hidden" name="csrf_token" value=""#, r#"">"#),
        value(&meta, r#"<meta name="csrf-token" content=""#, r#"">"#),
        value(&header, r#"{"X-CSRF-Token":""#, r#""}"#),
    ];
    assert!(values[0] != values[1] && values[1] != values[2] && values[0] != values[2]);
    assert!(serde_json::from_str::<serde_json::Value>(&header).is_ok());
}
