//! What is wrong with a configuration is found when the source is made.

use std::time::Duration;

use portcullis::bearer::KeySource;
use portcullis_jwks::{ConfigErrorKind, RemoteJwks, RemoteJwksBuilder};

#[test]
fn a_configuration_that_cannot_work_is_not_built() {
    use ConfigErrorKind::*;
    let url = || RemoteJwks::builder("https://idp.example/jwks");
    let pem = rcgen::generate_simple_self_signed(["idp.example".to_owned()]).unwrap().cert.pem();
    let rows: Vec<(&str, RemoteJwksBuilder, Option<ConfigErrorKind>)> = vec![
        ("an address", url().add_roots(&pem), None),
        ("an issuer", RemoteJwks::discovery("https://idp.example/tenant").add_roots(&pem), None),
        ("plain http", RemoteJwks::builder("http://127.0.0.1/jwks"), Some(Url)),
        ("plain http, allowed", RemoteJwks::builder("http://127.0.0.1/jwks").insecure_http(), None),
        ("plain http elsewhere", RemoteJwks::builder("http://10.0.0.1/jwks").insecure_http(), Some(Url)),
        ("no URL", RemoteJwks::builder("idp.example"), Some(Url)),
        ("a password", RemoteJwks::builder("https://u:hush@idp.example/"), Some(Url)),
        ("an issuer with a query", RemoteJwks::discovery("https://idp.example/?a=b"), Some(Issuer)),
        ("an issuer by plain http", RemoteJwks::discovery("http://idp.example"), Some(Issuer)),
        ("no certificate", url().add_roots("-----BEGIN NOTHING-----"), Some(Certificate)),
        ("half a certificate", url().add_roots(&pem.as_bytes()[..pem.len() / 2]), Some(Certificate)),
        ("nobody to trust", url().without_system_roots(), Some(NoRoots)),
        ("one's own to trust", url().without_system_roots().add_roots(&pem), None),
        ("a proxy", url().add_roots(&pem).proxy("http://proxy.example:3128"), None),
        ("a proxy that is none", url().add_roots(&pem).proxy("https://proxy.example:3128"), Some(Proxy)),
        ("too short", url().add_roots(&pem).max_stale(Duration::from_secs(3599)), Some(MaxStale)),
    ];
    for (name, builder, expected) in rows {
        let built = builder.build();
        assert_eq!(built.as_ref().err().map(|error| error.kind()), expected, "{name}");
        if let Ok(source) = built {
            assert!(source.snapshot().is_empty());
        }
    }
}

#[test]
fn neither_errors_nor_debug_show_a_password_or_a_query() {
    let error = RemoteJwks::new("https://u:hush@idp.example/").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hush"));
    let source = RemoteJwks::builder("http://127.0.0.1:9/jwks?code=hush").insecure_http().build().unwrap();
    let builder = RemoteJwks::builder("https://idp.example").proxy("http://ada:hush@proxy.example:3128");
    assert!(!format!("{builder:?}").contains("hush"));
    let shown = format!("{source:?}");
    assert!(shown.contains("127.0.0.1:9/jwks") && !shown.contains("hush"), "{shown}");
}
