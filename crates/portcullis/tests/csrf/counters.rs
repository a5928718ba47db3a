//! What is counted: each failure once, by its reason and what became of the request.

use std::collections::BTreeMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use portcullis::Realm;
use portcullis::csrf::OnFailure;
use portcullis::session::{MemoryBackend, SessionLayer};
use portcullis_testkit::client::Client;
use tokio::runtime::Builder;

use crate::site::{Site, bare, layer, routes};

enum Staff {}

impl Realm for Staff {
    const NAME: &'static str = "staff";
}

/// `reason consequence` to how often.
fn counted(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let counters = snapshot.filter(|(key, ..)| key.key().name() == "portcullis_csrf_failures_total");
    let labelled = counters.map(|(key, _, _, value)| {
        let DebugValue::Counter(count) = value else { panic!("{value:?}") };
        let labels: Vec<_> = key.key().labels().map(|label| label.value().to_owned()).collect();
        (labels.join(" "), count)
    });
    labelled.collect()
}

#[test]
fn each_failure_is_counted_once_by_reason_and_consequence() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let site = |csrf| Site::with(MemoryBackend::new(), csrf);
            let rejecting = site(layer()).signed_in("ada").await;
            bare(rejecting.post("/run")).await.assert_status(403);
            bare(rejecting.post("/run")).header("x-csrf-token", "guess").await.assert_status(403);
            rejecting.post_form("/form", &[("to", "bob")]).await.assert_status(403);
            rejecting.post("/run").await.assert_status(200);
            let dropping = site(layer().on_failure(OnFailure::DropIdentity)).signed_in("ada").await;
            bare(dropping.post("/run")).await.assert_status(200);
            let reporting = site(layer().report_only()).signed_in("ada").await;
            bare(reporting.post("/run")).await.assert_status(200);
            // A layer further in finds whom the layer could not know of.
            let staffed = SessionLayer::builder(MemoryBackend::new()).realm::<Staff>().build().unwrap();
            let (router, _) = routes();
            let router = router.layer(SessionLayer::new(MemoryBackend::new())).layer(layer()).layer(staffed);
            let misplaced = Client::new(router);
            misplaced.post("/login/ada").await.assert_status(200);
            bare(misplaced.post("/run")).await.assert_status(403);
        });
    });
    let expected = [
        ("missing_metadata dropped", 1),
        ("missing_metadata refused", 2),
        ("missing_metadata reported", 1),
        ("missing_token refused", 1),
        ("token_mismatch refused", 1),
    ];
    let expected = expected.map(|(labels, count)| (labels.to_owned(), count));
    assert_eq!(counted(&snapshotter), BTreeMap::from(expected));
}
