//! A site's files contain no private key of an account.

use std::path::Path;

use countersign_crypto::identity::Identity;

use crate::operations::site;

/// Whether a file of the folder contains 16 consecutive bytes of these.
fn holds(folder: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let is_file = path.metadata().unwrap().is_file();
        is_file && {
            let kept = std::fs::read(path).unwrap();
            let mut parts = wanted.chunks_exact(16);
            parts.any(|part| kept.windows(16).any(|window| window == part))
        }
    })
}

/// [SES-12] and [SES-15]: after a person and a service have registered and logged in.
#[tokio::test]
async fn a_sites_files_contain_no_private_key_of_an_account() {
    let served = site().maria().serve().await;
    let (maria, robot) = (served.maria().await, served.robot().await);
    let identity = maria.identity().unwrap();
    let folder = served.folder();
    let public = |identity: &Identity| identity.certificate().agreement().0;
    assert!(
        holds(folder, &public(&served.robot)),
        "the search finds a service's certificate"
    );
    for identity in [identity, &*served.robot] {
        assert!(!holds(folder, identity.seed().0.expose()));
    }
    assert!(
        !holds(folder, &public(identity)),
        "a person's certificate is encrypted with the key"
    );
    drop((maria, robot));
}
