//! Session layers that must not stand on one path, and handlers that ask for what no layer gives: said at the first
//! request, and never a wrong answer.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::{HeaderName, Request};
use portcullis::authenticate::{AuthenticateLayer, Authenticator, Opening};
use portcullis::realm::DefaultRealm;
use portcullis::rejection::{Misassembly, Rejection};
use portcullis::session::{SessionCarrier, SessionLayer, SessionLayerBuilder};
use portcullis::{Identity, Realm, RequireLayer, Session};
use portcullis_testkit::spy::Spy;

use crate::support::app::{Browser, now};
use crate::support::logs::captured;
use crate::support::realms::{STAFF_COOKIE, Staff, routes};
use crate::support::store::{AnyStore, PATIENCE};

/// Of the same name as [`Staff`].
enum Clerks {}

impl Realm for Clerks {
    const NAME: &'static str = "staff";
}

/// A layer whose types are forgotten, so that layers of several realms stand in one table.
type Around = Box<dyn Fn(Router) -> Router>;

fn around<M: Realm>(
    spy: &Spy<AnyStore>,
    configure: impl FnOnce(SessionLayerBuilder) -> SessionLayerBuilder<M>,
) -> Around {
    let layer = configure(SessionLayer::builder(spy.clone()).budget(PATIENCE)).build().unwrap();
    Box::new(move |app| app.layer(layer.clone()))
}

/// An authenticator that finds nobody, around what `inner` makes.
fn below(authenticator: Nobody, inner: Around) -> Around {
    let layer = AuthenticateLayer::new(authenticator);
    Box::new(move |app| inner(app).layer(layer.clone()))
}

struct Nobody;

impl Authenticator for Nobody {
    type Visit = ();

    fn open<B>(&self, _: &mut Request<B>) -> Opening<()> {
        Opening::anonymous(())
    }
}

const FIELD: SessionCarrier = SessionCarrier::Header(HeaderName::from_static("x-session"));

type Customers = SessionLayerBuilder;

#[tokio::test]
async fn two_session_layers_that_cannot_stand_on_one_path_are_a_500_that_says_why() {
    for store in AnyStore::each(&now()) {
        let spy = &Spy::new(store);
        let customers = || around(spy, |layer| layer);
        let staff = || around(spy, |layer| layer.realm::<Staff>());
        let twice = |realm| Misassembly::RealmTwice { realm };
        let shared = |outer, inner| Misassembly::CarrierTwice { realms: [outer, inner] };
        let rows: [(&str, Around, Around, Misassembly); 10] = [
            ("one realm, twice", customers(), customers(), twice("default")),
            (
                "one realm, two cookies",
                customers(),
                around(spy, |layer| layer.cookie_name("__Host-other")),
                twice("default"),
            ),
            (
                "one realm, cookie and field",
                customers(),
                around(spy, |layer| layer.carrier(FIELD)),
                twice("default"),
            ),
            (
                "one realm, read only outside",
                around(spy, Customers::read_only),
                customers(),
                twice("default"),
            ),
            ("one realm, read only inside", customers(), around(spy, Customers::read_only), twice("default")),
            ("one realm, another layer between", customers(), below(Nobody, customers()), twice("default")),
            ("staff, twice", staff(), staff(), twice("staff")),
            (
                "two realms of one name",
                staff(),
                around(spy, |layer| layer.realm::<Clerks>().cookie_name("__Host-clerks")),
                twice("staff"),
            ),
            (
                "two realms, one cookie",
                customers(),
                around(spy, |layer| layer.realm::<Staff>().cookie_name("__Host-id")),
                shared("default", "staff"),
            ),
            (
                "two realms, one field",
                around(spy, |layer| layer.realm::<Staff>().carrier(FIELD)),
                around(spy, |layer| layer.carrier(FIELD).read_only()),
                shared("staff", "default"),
            ),
        ];
        for (name, outer, inner, expected) in rows {
            let app = routes::<DefaultRealm>().nest("/staff", routes::<Staff>());
            let browser = Browser::new(outer(inner(app)));
            spy.forget();
            for path in ["/me", "/staff/me", "/login/ada"] {
                let (response, log) = captured(browser.get(path).send()).await;
                let response = response.assert_status(500);
                let rejection = response.extensions.get::<Rejection>();
                assert_eq!(rejection, Some(&Rejection::Misconfigured(expected)), "{name} {path}");
                assert!(response.set_cookies().is_empty(), "{name}");
                assert!(log.contains("ERROR") && log.contains(&expected.to_string()), "{name}: {log}");
            }
            let call = browser.post("/me").header("content-type", "application/grpc").await;
            assert_eq!(call.assert_status(200).header("grpc-status"), Some("13"), "{name}");
            assert_eq!(spy.calls(), [], "{name}: found before the store is asked");
        }
    }
}

#[tokio::test]
async fn session_layers_that_have_nothing_in_common_stand_on_one_path() {
    for store in AnyStore::each(&now()) {
        let spy = &Spy::new(store);
        let same_word = SessionCarrier::Header(HeaderName::from_static("id"));
        let rows: [(&str, Around, Around); 3] = [
            ("two cookies", around(spy, |layer| layer), around(spy, |layer| layer.realm::<Staff>())),
            (
                "a cookie and a field of one name",
                around(spy, |layer| layer.cookie_name("id")),
                around(spy, |layer| layer.realm::<Staff>().carrier(same_word)),
            ),
            ("read only", around(spy, Customers::read_only), around(spy, |layer| layer.realm::<Staff>())),
        ];
        for (name, outer, inner) in rows {
            let app = routes::<DefaultRealm>().nest("/staff", routes::<Staff>());
            for app in [outer(inner(app.clone())), inner(outer(app))] {
                let response = Browser::new(app).get("/staff/login/grace").await;
                assert_eq!(response.status, 200, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn copies_of_a_read_only_layer_load_the_session_once() {
    for store in AnyStore::each(&now()) {
        let spy = Spy::new(store);
        let writable = SessionLayer::builder(spy.clone()).budget(PATIENCE).build().unwrap();
        let browser = Browser::new(routes::<DefaultRealm>().layer(writable));
        browser.get("/login/ada").await.assert_status(200);
        let layer = SessionLayer::builder(spy.clone()).budget(PATIENCE).read_only().build().unwrap();
        let app = routes::<DefaultRealm>().layer(layer.clone()).layer(layer);
        spy.forget();
        let response = Browser::new(app).with_jar(browser.jar().copy()).get("/me").await;
        assert_eq!(response.assert_status(200).text(), "ada");
        assert_eq!(spy.calls().len(), 1);
    }
}

#[tokio::test]
async fn what_no_layer_of_the_realm_gives_is_a_500_that_names_layer_and_realm() {
    let memory = portcullis::session::MemoryBackend::new;
    let app = Router::new()
        .route("/session", get(async |_: Session<Staff>| "never"))
        .route("/identity", get(async |_: Identity<Staff>| "never"))
        .route("/option", get(async |_: Option<Identity<Staff>>| "never"))
        .route(
            "/authentication",
            get(async |_: portcullis::identity::Authentication<Staff>| "never".into_response()),
        )
        .route("/guarded", get(async || "never").layer(RequireLayer::authenticated().realm::<Staff>()))
        .route("/login/{user}", get(login));
    let customers = Browser::new(app.clone().layer(SessionLayer::new(memory())));
    customers.get("/login/ada").await.assert_status(200);
    for path in ["/session", "/identity", "/option", "/authentication", "/guarded"] {
        let (response, log) = captured(customers.get(path).send()).await;
        let response = response.assert_status(500);
        let Some(Rejection::Misconfigured(Misassembly::Missing { layer, realm })) =
            response.extensions.get::<Rejection>()
        else {
            panic!("{path}");
        };
        assert!(layer.contains("SessionLayer") && *realm == "staff", "{path}: {layer} {realm}");
        assert!(log.contains("ERROR") && log.contains("SessionLayer") && log.contains("staff"), "{log}");
    }
    let staff = SessionLayer::builder(memory()).realm::<Staff>().build().unwrap();
    let staff = Browser::new(app.layer(staff));
    staff.get("/login/ada").await.assert_status(500);
    let response = staff.get("/session").await.assert_status(200);
    assert!(response.set_cookies().is_empty());
    let refused = staff.get("/identity").await.assert_status(401);
    assert!(refused.header("www-authenticate").unwrap().contains(STAFF_COOKIE));
}

async fn login(
    session: Session,
    axum::extract::Path(user): axum::extract::Path<String>,
) -> Result<(), portcullis::session::SessionError> {
    session.login(Identity::new(user)).await
}
