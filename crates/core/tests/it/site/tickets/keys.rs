//! New keys of the broker, which overlap with the older ones.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::party::PartyPublic;
use countersign_proto::broker::v2::consumer::Consumer;
use countersign_proto::broker::v2::provider::Provider;
use countersign_proto::operation::Code;
use countersign_testkit::harness::{NOW, TestSite};
use serde_json::{Value, json};

use super::{START, answer, ask, millis};

struct Scene {
    test: TestSite,
    consumer: Consumer,
    provider: Provider,
}

impl Scene {
    async fn new() -> Self {
        let test = TestSite::new().await;
        test.site.start_issuing(START);
        let (consumer, provider) = test.billing_and_ledger().await;
        Self {
            test,
            consumer,
            provider,
        }
    }

    fn all(&self) -> Vec<PartyPublic> {
        self.test.site.unsealed_keys().unwrap().broker.parties()
    }

    async fn fingerprints(&self) -> Vec<Value> {
        let listed = self.test.admin("broker.key_list", json!({})).await;
        let keys = listed["keys"].as_array().unwrap();
        keys.iter().map(|key| key["fingerprint"].clone()).collect()
    }

    /// Whether the consumer gets a ticket that the provider accepts.
    async fn works(&self) -> bool {
        let (asked, request) = ask(&self.consumer, "ledger", NOW);
        let Ok(answered) = answer(&self.test, &request, NOW).await else {
            return false;
        };
        let body = serde_json::to_vec(&answered).unwrap();
        let Ok(granted) = self.consumer.read_response(asked, &body) else {
            return false;
        };
        let (_, presentation) = granted.present(millis(NOW), &mut SystemEntropy).unwrap();
        let accepted = self.provider.accept(presentation.as_bytes(), millis(NOW));
        accepted.is_ok()
    }
}

#[tokio::test]
async fn applications_change_to_a_new_key_of_the_broker_one_after_the_other() {
    let mut scene = Scene::new().await;
    assert!(scene.works().await);
    scene.test.admin("broker.key_new", json!({})).await;
    assert!(scene.works().await, "both know the old key alone");
    scene.consumer.site_keys = scene.all();
    assert!(scene.works().await, "the provider knows the old key alone");
    scene.provider.site_keys = scene.all();
    assert!(scene.works().await, "both know both keys");

    let keys = scene.fingerprints().await;
    let old = json!({ "fingerprint": keys[1] });
    scene.test.admin("broker.key_retire", old).await;
    assert!(scene.works().await, "both know the new key");
    assert_eq!(scene.fingerprints().await, keys[..1]);
    let stored = scene.test.unsealed().await.unsealed_keys().unwrap();
    assert_eq!(stored.broker.parties().len(), 1);
}

#[tokio::test]
async fn an_application_that_knows_only_a_retired_key_gets_no_ticket() {
    let scene = Scene::new().await;
    scene.test.admin("broker.key_new", json!({})).await;
    let old = json!({ "fingerprint": scene.fingerprints().await[1] });
    scene.test.admin("broker.key_retire", old).await;
    assert!(!scene.works().await);
}

#[tokio::test]
async fn the_newest_key_is_not_retired_and_a_site_has_four_at_most() {
    let scene = Scene::new().await;
    let test = &scene.test;
    let newest = json!({ "fingerprint": scene.fingerprints().await[0] });
    let (code, _) = test.refused("broker.key_retire", newest).await;
    assert_eq!(code, Code::CONFLICT);
    let unknown = json!({ "fingerprint": "00" });
    let (code, _) = test.refused("broker.key_retire", unknown).await;
    assert_eq!(code, Code::NOT_FOUND);
    for _ in 0..3 {
        test.admin("broker.key_new", json!({})).await;
    }
    let (code, _) = test.refused("broker.key_new", json!({})).await;
    assert_eq!(code, Code::CONFLICT);
    // Keys of edition v1 are retired in the same way.
    test.admin("broker.new_v1_key", json!({})).await;
    test.admin("broker.new_v1_key", json!({ "keep": 1 })).await;
    let v1 = scene.fingerprints().await.split_off(4);
    let retire = |key: &Value| json!({ "fingerprint": key });
    test.admin("broker.key_retire", retire(&v1[1])).await;
    let (code, _) = test.refused("broker.key_retire", retire(&v1[0])).await;
    assert_eq!(code, Code::CONFLICT);
}
