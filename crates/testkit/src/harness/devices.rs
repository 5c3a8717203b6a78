//! Tickets and devices of a site without listeners.

use countersign_core::engine::{
    ClientAddress, Decision, Endpoints, Enrolled, NewDeviceSession, NotEnrolled, Site,
};
use countersign_core::id::TicketId;
use countersign_core::sessions::SessionInfo;
use countersign_core::throttle::Source;
use countersign_core::timestamp::Timestamp;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::device_key::DeviceIdentity;
use countersign_crypto::entropy::{Entropy, SystemEntropy};
use countersign_proto::enrolment::{EnrolmentRequest, EnrolmentTicket, Exporter, ProvenKey, Token};
use serde_json::{Value, json};

use super::TestSite;
use super::session::{Cut, TestSession};

/// Where the devices of tests connect from.
pub const DEVICE_SOURCE: Source = Source::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

const EXPORTER: Exporter = Exporter([7; 32]);

/// A ticket that was issued.
#[derive(Clone)]
pub struct TestTicket {
    /// Its id at the site.
    pub id: TicketId,
    /// The token in it.
    pub token: Token,
}

/// A device with a key of its own.
pub struct TestDevice {
    /// Its key.
    pub identity: DeviceIdentity,
}

impl Default for TestDevice {
    fn default() -> Self {
        Self::new()
    }
}

impl TestDevice {
    /// A device with a new key.
    #[must_use]
    pub fn new() -> Self {
        Self::generate(&mut SystemEntropy)
    }

    /// A device with a key from this entropy.
    #[must_use]
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self {
            identity: DeviceIdentity::generate(entropy),
        }
    }

    /// The thumbprint of its key.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        self.identity.public().thumbprint()
    }

    /// Its request to be enrolled with that token, with a proof that verifies.
    #[must_use]
    pub fn request(&self, token: &Token, person: &str) -> EnrolmentRequest {
        let (name, phone) = (person.parse().unwrap(), "phone".parse().unwrap());
        EnrolmentRequest::new(token.clone(), name, phone, &self.identity, &EXPORTER)
    }

    /// What comes of that request.
    ///
    /// # Errors
    /// As [`Site::enrol`].
    pub async fn enrol(
        &self,
        site: &Site,
        token: &Token,
        person: &str,
        now: Timestamp,
    ) -> Result<Enrolled, NotEnrolled> {
        let request = self.request(token, person);
        let proof = async { proven(&request) };
        site.enrol(&request, proof, DEVICE_SOURCE, now).await
    }
}

/// The key of a request whose proof verifies on the connections of tests.
#[must_use]
pub fn proven(request: &EnrolmentRequest) -> Option<ProvenKey> {
    request.verify(&EXPORTER).ok()
}

impl TestSite {
    /// From now on tickets name `devices.example.org:4748`, and peer tickets
    /// `peers.example.org:4750`.
    pub fn takes_enrolments(&self) {
        let address = Some(ClientAddress {
            host: "devices.example.org".to_owned(),
            port: 4748,
        });
        self.site.announce(Endpoints {
            enrolment: address.clone(),
            device: address,
            peer: Some(ClientAddress {
                host: "peers.example.org".to_owned(),
                port: 4750,
            }),
            ..Endpoints::default()
        });
    }

    /// Issues a ticket for a device of that person, as the local admin.
    pub async fn ticket(&self, person: &str) -> TestTicket {
        let params = json!({ "person": person });
        ticket(&self.admin("ticket.issue", params).await)
    }

    /// A session for the connection of a device, if it may have one.
    pub async fn device_session(
        &self,
        site: &Site,
        device: &TestDevice,
        person: &str,
        now: Timestamp,
    ) -> Option<TestSession> {
        let cut = Cut::default();
        let hook = cut.clone();
        let new = NewDeviceSession {
            name: person.parse().unwrap(),
            thumbprint: device.thumbprint(),
            peer: "192.0.2.7:1234".to_owned(),
            source: DEVICE_SOURCE,
            cut: Box::new(move |reason| *hook.lock().unwrap() = Some(reason)),
            max_sessions: 1_000,
            max_connections: 16,
        };
        match site.open_device_session(new, now).await.unwrap() {
            Decision::Opened(info) => Some(session(info, cut)),
            _ => None,
        }
    }
}

fn session(info: SessionInfo, cut: Cut) -> TestSession {
    TestSession {
        caller: info.caller(),
        info,
        cut,
    }
}

/// The ticket that `ticket.issue` answered with.
#[must_use]
pub fn ticket(issued: &Value) -> TestTicket {
    let ticket: EnrolmentTicket = issued["uri"].as_str().unwrap().parse().unwrap();
    TestTicket {
        id: issued["id"].as_str().unwrap().parse().unwrap(),
        token: ticket.token().clone(),
    }
}
