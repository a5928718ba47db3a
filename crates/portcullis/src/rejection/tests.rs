use super::*;

fn bearer() -> Challenge {
    Challenge::new("Bearer").param("realm", "api")
}

#[test]
fn every_rejection_has_its_row_of_the_table() {
    let rows: [(Rejection, u16, u16, &[&str]); 11] = [
        (
            Rejection::Unauthenticated(Unauthenticated { challenges: [bearer()].into_iter().collect() }),
            401,
            16,
            &[r#"Bearer realm="api""#],
        ),
        (
            Rejection::invalid_credential(bearer(), "the token has expired"),
            401,
            16,
            &[r#"Bearer realm="api", error="invalid_token", error_description="the token has expired""#],
        ),
        (
            Rejection::InvalidProof {
                challenge: bearer().in_scheme("DPoP").param("algs", "ES256"),
                description: "d",
                nonce: None,
            },
            401,
            16,
            &[r#"DPoP realm="api", algs="ES256", error="invalid_dpop_proof", error_description="d""#],
        ),
        (
            Rejection::InvalidProof {
                challenge: bearer().in_scheme("DPoP"),
                description: "d",
                nonce: Some(HeaderValue::from_static("n")),
            },
            401,
            16,
            &[r#"DPoP realm="api", error="use_dpop_nonce", error_description="d""#],
        ),
        (
            Rejection::BadRequest { challenge: Some(bearer()), description: "two tokens" },
            400,
            16,
            &[r#"Bearer realm="api", error="invalid_request", error_description="two tokens""#],
        ),
        (
            Rejection::Forbidden(Forbidden {
                lack: Lack::Scope(vec!["a".into(), "b".into()]),
                challenge: Some(bearer()),
            }),
            403,
            7,
            &[
                r#"Bearer realm="api", error="insufficient_scope", error_description="a scope is missing", scope="a b""#,
            ],
        ),
        (
            Rejection::StepUp {
                challenge: Some(bearer()),
                acr_values: vec!["gold".into()],
                max_age: Some(Duration::from_secs(60)),
            },
            401,
            16,
            &[
                r#"Bearer realm="api", error="insufficient_user_authentication", error_description="sign in again to do this", acr_values="gold", max_age="60""#,
            ],
        ),
        (Rejection::Csrf(CsrfReason::CrossSite), 403, 7, &[]),
        (Rejection::Conflict, 400, 16, &[]),
        (Rejection::InsecureTransport { redirect: None }, 403, 7, &[]),
        (Rejection::missing("SessionLayer", "default"), 500, 13, &[]),
    ];
    for (rejection, status, code, challenges) in rows {
        assert_eq!(rejection.status().as_u16(), status, "{rejection:?}");
        assert_eq!(rejection.grpc_code() as u16, code, "{rejection:?}");
        assert_eq!(rejection.www_authenticate(), challenges, "{rejection:?}");
    }
}

#[test]
fn retry_after_is_at_least_a_second_and_rounded_up() {
    for (name, millis, expected) in
        [("zero", 0, "1"), ("part", 1, "1"), ("over", 1001, "2"), ("whole", 3000, "3")]
    {
        let rejection = Rejection::Unavailable { retry_after: Duration::from_millis(millis) };
        assert_eq!(rejection.retry_after().unwrap(), expected, "{name}");
        assert_eq!((rejection.status().as_u16(), rejection.grpc_code() as u16), (503, 14), "{name}");
    }
}

#[test]
fn hostile_parameter_values_stay_inside_their_quotes() {
    let challenge = Challenge::new("Bearer").param("realm", "a\", error=\"x\\\r\nSet-Cookie: é");
    assert_eq!(challenge.header(), r#"Bearer realm="a\", error=\"x\\Set-Cookie: ""#);
}

#[test]
fn a_parameter_stands_once() {
    let challenge = bearer().param("realm", "other").param("error", "mine");
    let header = challenge.with_error("invalid_token", "d", None);
    assert_eq!(header, r#"Bearer realm="other", error="invalid_token", error_description="d""#);
}

#[test]
fn a_challenge_that_was_sent_and_then_changed_is_sent_as_it_is_now() {
    let sent = bearer();
    assert_eq!(sent.header(), r#"Bearer realm="api""#);
    let changed = sent.clone().param("realm", "other").param("scope", "a");
    assert_eq!(changed.header(), r#"Bearer realm="other", scope="a""#);
    assert_eq!(changed.header(), r#"Bearer realm="other", scope="a""#);
    assert_eq!(sent.header(), r#"Bearer realm="api""#);
    assert_eq!(sent, bearer());
    assert_ne!(sent, changed);
}

#[test]
fn each_of_many_errors_is_sent_as_it_is_however_often() {
    const DESCRIPTIONS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let (sent, errors) = (bearer(), ["invalid_token", "invalid_request"]);
    for _ in 0..2 {
        for (error, description) in errors.iter().flat_map(|error| DESCRIPTIONS.map(|it| (*error, it))) {
            let expected =
                format!(r#"Bearer realm="api", error="{error}", error_description="{description}""#);
            assert_eq!(sent.with_error(error, description, None), expected);
        }
    }
    let changed = sent.clone().param("realm", "other");
    let header = changed.with_error("invalid_token", "a", None);
    assert_eq!(header, r#"Bearer realm="other", error="invalid_token", error_description="a""#);
    assert_eq!(sent, bearer());
}

#[test]
fn other_schemes_do_not_speak_rfc_6750() {
    let rejection = Rejection::invalid_credential(Challenge::new("ApiKey"), "unknown key");
    assert_eq!(rejection.www_authenticate(), ["ApiKey"]);
}
