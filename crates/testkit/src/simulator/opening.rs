//! Establishes a session over a new connection.

use super::EXPIRES;
use crate::entropy::SeededEntropy;
use crate::site::{ROBOT, Site};
use countersign_proto::session::client::{ClientLoginAttempt, ClientStep, LoggedIn};
use countersign_proto::session::server;
use countersign_proto::session::{EncryptionOption, SessionId, Welcome};

/// Logs a service in, or resumes the session `previous`.
pub(super) fn open(
    site: &Site,
    option: EncryptionOption,
    previous: Option<&LoggedIn>,
    entropy: &mut SeededEntropy,
) -> (LoggedIn, server::ServerSession) {
    let mut settings = site.client();
    settings.accepted = vec![option];
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let mut client = match previous {
        Some(session) => {
            let resumption = session.resumption.clone();
            ClientLoginAttempt::resume(settings, resumption, entropy, &mut up).unwrap()
        }
        None => {
            ClientLoginAttempt::service(settings, site.robot.clone(), entropy, &mut up).unwrap()
        }
    };
    let mut login = Some(server::ServerLoginAttempt::new(site.settings.clone()));
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
                server::ServerStep::NeedMore(state) => {
                    login = Some(state);
                    break;
                }
                server::ServerStep::LookUp(server::LookUp::Service(find)) => {
                    let known = site.service(find.thumbprint());
                    login = Some(find.answer(known.as_ref(), entropy, &mut down).unwrap());
                }
                server::ServerStep::LookUp(server::LookUp::Session(find)) => {
                    let (_, secret) = site.resumable().unwrap();
                    let claim = |attempt| site.claim(attempt).then_some(ROBOT);
                    let authenticated = find.answer(Some(&secret), claim, entropy, &mut down);
                    let authenticated = authenticated.unwrap();
                    session = Some(authenticated.welcome(&welcome, &mut down).unwrap());
                }
                server::ServerStep::Authenticated(authenticated) => {
                    site.session_opened(ROBOT, authenticated.resumption().clone());
                    session = Some(authenticated.welcome(&welcome, &mut down).unwrap());
                }
                server::ServerStep::LookUp(server::LookUp::Delivered(find)) => {
                    login = Some(site.deliver(*find, entropy, &mut down).unwrap());
                }
                server::ServerStep::LookUp(server::LookUp::Person(_))
                | server::ServerStep::Refused => {
                    panic!("a service")
                }
            }
        }
        let (step, used) = client.receive(&mut down, entropy, &mut up).unwrap();
        down.drain(..used);
        client = match step {
            ClientStep::NeedMore(client) => client,
            ClientStep::LoggedIn(done) => return (done, session.unwrap()),
            ClientStep::Stretch(_) => panic!("a service"),
            ClientStep::Reconnect(step) => panic!("the site has one key: {step:?}"),
        };
    }
}
