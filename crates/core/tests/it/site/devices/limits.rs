//! Limits on the connections of devices.

use countersign_core::engine::{Decision, NewDeviceSession};
use countersign_core::sessions::{CloseReason, SessionInfo};
use countersign_testkit::harness::{DEVICE_SOURCE, NOW};

use super::Scene;
use crate::site::enrolment::ADA;

/// One device from four addresses took all sessions of its person, who could not log in.
#[tokio::test]
async fn the_connections_of_an_account_are_limited() {
    let scene = Scene::new("member").await;
    let _first = scene.connected().await;
    let site = &scene.test.site;
    let second = opening(&scene, 1, 16);
    let second = site.open_device_session(second, NOW).await.unwrap();
    assert!(matches!(second, Decision::TooMany));
    let second = opening(&scene, 2, 16);
    let second = site.open_device_session(second, NOW).await.unwrap();
    assert!(matches!(second, Decision::Opened(_)));
}

fn opening(scene: &Scene, max_sessions: usize, max_connections: usize) -> NewDeviceSession {
    NewDeviceSession {
        name: ADA.parse().unwrap(),
        thumbprint: scene.phone.thumbprint(),
        peer: "192.0.2.7:1".to_owned(),
        source: DEVICE_SOURCE,
        cut: Box::new(|_| {}),
        max_sessions,
        max_connections,
    }
}

/// A phone that changed its network 16 times in five minutes was refused, because the site still had
/// its lost connections, and was told that it was revoked. Of several that connect at the same time,
/// no more than the limit stay.
#[tokio::test]
async fn the_seventeenth_connection_of_a_device_replaces_its_oldest() {
    let scene = Scene::new("member").await;
    let first = scene.connected().await;
    let site = &scene.test.site;
    let open = async |seconds: u32| {
        let now = NOW.plus_seconds(seconds);
        let new = opening(&scene, 1_000, 16);
        match site.open_device_session(new, now).await.unwrap() {
            Decision::Opened(info) => info,
            _ => panic!("the device is enrolled"),
        }
    };
    let second = open(1).await;
    for seconds in 2..16 {
        open(seconds).await;
    }
    assert_eq!(first.was_cut(), None);
    let last = futures_util::future::join(open(16), open(16)).await;
    assert_eq!(first.was_cut(), Some(CloseReason::ConnectionLost));
    assert!(site.sessions().find(second.id).is_none());
    let is_open = |info: &SessionInfo| site.sessions().find(info.id).is_some();
    assert!(is_open(&last.0) && is_open(&last.1));
}
