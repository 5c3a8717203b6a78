//! A client that sends one command at a time, under control of the test. It follows the
//! specification (`docs/protocol/session.md`, Flights) and does not use the state machines.

use countersign_crypto::hash::{Sha256, sha256};
use countersign_crypto::sign::Signature;
use countersign_proto::operation::{Code, Outcome};
use countersign_proto::risp::{self, Command, MaxLength, Reader, Value};
use countersign_proto::session::server::{ServerLoginAttempt, ServerSession};
use countersign_proto::session::{SessionRefusal, command as c};
use serde_json::value::to_raw_value;

use crate::pair::{Advanced, Site};

/// Sends one command at a time and records the transcript.
pub(crate) struct Loose<'a> {
    pub(crate) site: &'a Site,
    pub(crate) server: Option<ServerLoginAttempt>,
    client_sent: Sha256,
    /// The client's commands before the site's response.
    pub(crate) before_answer: Sha256,
    server_sent: Sha256,
    answer: Vec<u8>,
    pub(crate) session: Option<Box<ServerSession>>,
}

impl<'a> Loose<'a> {
    pub(crate) fn new(site: &'a Site) -> Self {
        Self {
            site,
            server: Some(ServerLoginAttempt::new(site.settings.clone())),
            client_sent: Sha256::default(),
            before_answer: Sha256::default(),
            server_sent: Sha256::default(),
            answer: Vec::new(),
            session: None,
        }
    }

    /// `T(label)` of the complete transcript.
    pub(crate) fn under(&self, label: &str) -> [u8; 32] {
        under(label, &self.client_sent, &self.server_sent)
    }

    /// Sends the command and returns the site's immediate response.
    pub(crate) fn say(
        &mut self,
        command: Command,
        value: Value<'_>,
    ) -> Result<Vec<u8>, SessionRefusal> {
        let mut wire = Vec::new();
        risp::put(&mut wire, command, value).unwrap();
        self.client_sent.update(&wire);
        self.give(wire)
    }

    pub(crate) fn give(&mut self, mut wire: Vec<u8>) -> Result<Vec<u8>, SessionRefusal> {
        let mut out = Vec::new();
        let login = self.server.take().unwrap();
        match self.site.advance(login, &mut wire, &mut out)? {
            Advanced::NeedMore(login) => self.server = Some(login),
            Advanced::Session(session) => self.session = Some(session),
            Advanced::Refused => panic!("refused"),
        }
        if self.answer.is_empty() && !out.is_empty() {
            self.before_answer = self.client_sent.clone();
            self.answer.clone_from(&out);
        }
        Ok(out)
    }

    /// Reads the answer in the clear and keeps it in the transcript; the packet that follows it, if
    /// one does. SITE-PROOF, if there is one, is verified.
    pub(crate) fn read_answer(&mut self) -> (Answer, Vec<u8>) {
        let mut read = Answer::default();
        let answer = std::mem::take(&mut self.answer);
        let mut at = 0;
        while let Some(Ok((command, value))) =
            Reader::new(&answer[at..], &MaxLength(u64::from(u32::MAX))).next()
        {
            if command == c::WRAPPED || command == c::DATA_LENGTH {
                break;
            }
            let mut wire = Vec::new();
            risp::put(&mut wire, command, value).unwrap();
            match (command, value) {
                (c::MAX_PACKET, Value::U32(bytes)) => read.max_packet = Some(bytes),
                (c::SESSION_KEY, Value::Bytes(key)) => {
                    read.psk_covers = under("machine psk", &self.before_answer, &self.server_sent);
                    read.session_key = key.to_vec();
                }
                (c::SITE_PROOF, Value::Bytes(signature)) => {
                    let said = under("site proof", &self.before_answer, &self.server_sent);
                    let signature = Signature(signature.try_into().unwrap());
                    let site = self.site.settings.key.public();
                    site.signing.verify(&said, &signature).unwrap();
                    read.proved = true;
                }
                _ => {}
            }
            self.server_sent.update(&wire);
            at += wire.len();
        }
        (read, answer[at..].to_vec())
    }

    /// The length in bytes of the value of the site's longest packet.
    pub(crate) fn max_packet(&mut self) -> usize {
        let session = self.session.as_mut().unwrap();
        let mut wire = Vec::new();
        let outcome = Outcome {
            id: 1,
            code: Code::SUCCESS,
            data: to_raw_value(&"x".repeat(20_000)).unwrap(),
            output: String::new(),
        };
        session.send_outcome(&outcome).unwrap();
        session.flush(&mut wire).unwrap();
        Reader::new(&wire, &MaxLength(u64::from(u32::MAX)))
            .map(Result::unwrap)
            .filter_map(|(command, value)| match value {
                Value::Bytes(bytes) if command == c::WRAPPED || command == c::DATA => {
                    Some(bytes.len())
                }
                _ => None,
            })
            .max()
            .unwrap()
    }
}

pub(crate) fn under(label: &str, client: &Sha256, server: &Sha256) -> [u8; 32] {
    let (client, server) = (client.clone().finish(), server.clone().finish());
    sha256(&[b"countersign/1 ", label.as_bytes(), &[0], &client, &server].concat())
}

/// The site's plaintext response.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) max_packet: Option<u32>,
    pub(crate) session_key: Vec<u8>,
    pub(crate) psk_covers: [u8; 32],
    pub(crate) proved: bool,
}
