//! What a site keeps of the keys of its accounts: nothing that is of use to whoever has all of its files.

use std::path::Path;

use countersign_crypto::identity::Identity;

use crate::operations::site;

/// Whether any file of the folder holds these bytes, 16 of them that stand together.
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

/// [SES-12] and [SES-15]: after both have registered and logged in.
#[tokio::test]
async fn a_sites_files_hold_no_private_key_of_any_account() {
    let served = site().maria().serve().await;
    let (maria, robot) = (served.maria().await, served.robot().await);
    let identity = maria.identity().unwrap();
    let folder = served.folder();
    let public = |identity: &Identity| identity.certificate().agreement().0;
    assert!(
        holds(folder, &public(&served.robot)),
        "a service's certificate is there to be found"
    );
    for identity in [identity, &*served.robot] {
        assert!(!holds(folder, identity.seed().0.expose()));
    }
    assert!(
        !holds(folder, &public(identity)),
        "a person's certificate is sealed with the key"
    );
    drop((maria, robot));
}
