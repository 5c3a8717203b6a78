//! The time of a refusal does not tell which keys exist.

use std::time::Duration;

use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::identity::Identity;
use countersign_server::clock;
use countersign_server::limits::Limits;
use countersign_testkit::harness::{ServedSite, TestSite};

use super::client::raw;

/// The time until a signature by a key with this thumbprint, which is not valid, is refused.
async fn refused_after(served: &ServedSite, key: Thumbprint) -> Duration {
    let now = clock::now().millis() / 1_000;
    let (site, expires) = (served.site.id(), now + 60);
    let signature = data_encoding::BASE64.encode(&[7; 64]);
    let request = format!(
        "GET /api/v1/self HTTP/1.1\r\nhost: site.example\r\nconnection: close\r\n\
         signature-input: own=(\"@method\" \"@authority\" \"@target-uri\");created={now};\
         expires={expires};nonce=\"a\";keyid=\"{key}\";tag=\"{site}\"\r\n\
         signature: own=:{signature}:\r\n\r\n"
    );
    let began = clock::monotonic();
    assert_eq!(raw(served, request.as_bytes()).await.status, 401);
    clock::monotonic() - began
}

/// An unknown key was read from the store for each request, and a key in use was cached: the time of
/// the refusal told which keys are in use.
#[tokio::test]
async fn a_signed_request_is_refused_no_sooner_than_after_the_refusal_time() {
    let refusal_time = Duration::from_millis(200);
    let limits = Limits {
        refusal_time,
        ..Limits::default()
    };
    let served = TestSite::builder().limits(limits).serve().await;
    let unknown = Identity::generate(&mut SystemEntropy);
    let known = served.robot.certificate().thumbprint();
    for key in [known, known, unknown.certificate().thumbprint()] {
        assert!(refused_after(&served, key).await >= refusal_time);
    }
}
