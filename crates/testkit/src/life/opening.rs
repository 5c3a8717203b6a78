//! A session over a new connection.

use super::EXPIRES;
use crate::entropy::SeededEntropy;
use crate::site::{ROBOT, Site};
use countersign_proto::session::client::{LoggedIn, Login, Step};
use countersign_proto::session::server;
use countersign_proto::session::{EncryptionOption, SessionId, Welcome};

/// A session over a new connection: a service's login, or a return.
pub(super) fn open(
    site: &Site,
    option: EncryptionOption,
    back: Option<&LoggedIn>,
    entropy: &mut SeededEntropy,
) -> (LoggedIn, server::Session) {
    let mut settings = site.client();
    settings.accepted = vec![option];
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let mut client = match back {
        Some(before) => {
            let resumption = before.resumption.clone();
            Login::resume(settings, resumption, entropy, &mut up).unwrap()
        }
        None => Login::service(settings, site.robot.clone(), entropy, &mut up).unwrap(),
    };
    let mut login = Some(server::Login::new(site.settings.clone()));
    let mut session = None;
    let welcome = Welcome {
        session: SessionId([1; 16]),
        account: "robot@example.org".to_owned(),
        expires: EXPIRES,
        idle_limit: 0,
    };
    loop {
        while let Some(state) = login.take() {
            let (step, used) = state.receive(&mut up, &mut down).unwrap();
            up.drain(..used);
            match step {
                server::Step::NeedMore(state) => {
                    login = Some(state);
                    break;
                }
                server::Step::FindService(find) => {
                    let known = site.service(find.thumbprint());
                    login = Some(find.answer(known.as_ref(), entropy, &mut down).unwrap());
                }
                server::Step::FindSession(find) => {
                    let (_, secret) = site.returnable().unwrap();
                    let returning = find.verify(Some(&secret)).unwrap();
                    assert!(site.claim(returning.attempt()));
                    let proved = returning.answer(ROBOT, entropy, &mut down).unwrap();
                    session = Some(proved.welcome(&welcome, &mut down).unwrap());
                }
                server::Step::Proved(proved) => {
                    site.opened(ROBOT, proved.resumption().clone());
                    session = Some(proved.welcome(&welcome, &mut down).unwrap());
                }
                server::Step::FindDelivered(find) => {
                    login = Some(site.deliver(*find, entropy, &mut down).unwrap());
                }
                server::Step::FindPerson(_) | server::Step::Refused => panic!("a service"),
            }
        }
        let (step, used) = client.receive(&mut down, entropy, &mut up).unwrap();
        down.drain(..used);
        client = match step {
            Step::NeedMore(client) => client,
            Step::LoggedIn(done) => return (done, session.unwrap()),
            Step::Stretch(_) => panic!("a service"),
        };
    }
}
