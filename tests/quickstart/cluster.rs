//! The program on a cluster of three masters, where nothing but the address is another.

use std::collections::BTreeSet;

use portcullis_testkit::client::Client;
use portcullis_testkit::redis::RedisCluster;
use serde_json::Value;

use super::stage::{ORIGIN, devices, instance, note, sign_in, subject, thief};

/// As `REDIS_URL` has it.
fn url(cluster: &RedisCluster) -> String {
    let urls = cluster.urls();
    let [first, others @ ..] = urls.as_slice() else { panic!("a cluster has nodes") };
    let nodes: Vec<String> =
        others.iter().map(|url| url.replace("redis://", "node=").trim_end_matches('/').to_owned()).collect();
    format!("{}?{}", first.replace("redis://", "redis-cluster://"), nodes.join("&"))
}

#[tokio::test]
async fn the_program_does_on_a_cluster_what_it_does_on_one_server() {
    let cluster = RedisCluster::start(3);
    let url = url(&cluster);
    let here = Client::new(instance(Some(url.clone()))).base(ORIGIN);
    let there = Client::new(instance(Some(url))).base(ORIGIN).with_jar(here.jar().clone());

    // So many that every master has some.
    for _ in 0..12 {
        let device = here.another();
        sign_in(&device, "ada").await.assert_status(303);
        assert_eq!(subject(&device).await.as_deref(), Some("ada"));
    }
    sign_in(&here, "ada").await.assert_status(303);
    let (listed, this) = devices(&here).await;
    assert!(listed.len() == 13 && this.is_some(), "{listed:?}");

    here.post_form("/note", &[("note", "from here")]).await.assert_status(303);
    assert_eq!(note(&there).await.as_deref(), Some("from here"));
    let posts: Vec<_> = (0..20)
        .map(|n| tokio::spawn(if n % 2 == 0 { &here } else { &there }.post("/counter").into_future()))
        .collect();
    let mut answers = BTreeSet::new();
    for post in posts {
        answers.insert(post.await.unwrap().assert_status(200).json::<Value>()["count"].as_i64().unwrap());
    }
    assert_eq!(answers, (1..=20).collect());

    here.post_form("/devices/revoke-others", &[]).await.assert_status(303);
    assert_eq!(devices(&there).await.0.len(), 1);
    let thief = thief(&here);
    there.post_form("/logout", &[]).await.assert_status(303);
    assert_eq!(subject(&thief).await, None, "with the next request");
}
