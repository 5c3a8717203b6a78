//! The plaintext commands of a login, their transcript, and the secret K.

use countersign_crypto::hash::{Sha256, sha256};
use countersign_crypto::identity::{Identity, IdentitySeed};
use countersign_crypto::kdf::derive;
use countersign_crypto::noise::Responder;
use countersign_crypto::passphrase::{ClientLogin, Identifiers, LoginSuite};
use countersign_crypto::sealing;
use countersign_crypto::secret::{Passphrase, Secret};
use countersign_crypto::sign::Signature;
use countersign_crypto::site_key::{SiteKey, SiteSeed};
use countersign_proto::session::EncryptionOption;
use countersign_proto::site_identity::{KeyEventWalk, WalkStep};

use super::{Established, cipher, commands, decapsulated, exchanged, value};
use crate::dialogs::form::{Account, Connection, Inputs, Named, Party, WireCommand};
use crate::dialogs::names::named_command;
use crate::dialogs::tape::{self, Tape};

/// A login that is read command by command.
pub(super) struct Reading<'a> {
    inputs: &'a Inputs,
    connection: &'a Connection,
    resumption: Option<[u8; 32]>,
    client: Sha256,
    server: Sha256,
    commands: Vec<WireCommand>,
    responder: Option<(Responder, Vec<WireCommand>)>,
    login_context: Vec<u8>,
    sealing_info: Vec<u8>,
    secret: Vec<u8>,
    pub(super) derived: Vec<Named>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        inputs: &'a Inputs,
        connection: &'a Connection,
        resumption: Option<[u8; 32]>,
    ) -> Self {
        let key = site(inputs);
        let derived = [
            Named::new(
                "site signing key (Ed25519)",
                derive::<32>(&inputs.site_seed.0, "site signing", &[]).expose(),
            ),
            Named::new(
                "site agreement key (X25519)",
                derive::<32>(&inputs.site_seed.0, "site agreement", &[]).expose(),
            ),
        ];
        assert_eq!(key.public().to_bytes()[..], inputs.site_public_key.0);
        Self {
            inputs,
            connection,
            resumption,
            client: Sha256::new(),
            server: Sha256::new(),
            commands: Vec::new(),
            responder: None,
            login_context: Vec::new(),
            sealing_info: Vec::new(),
            secret: Vec::new(),
            derived: derived.to_vec(),
        }
    }

    fn option(&self) -> EncryptionOption {
        self.connection.option.parse().unwrap()
    }

    /// `T(label)`; adds it to the derived values.
    fn transcript(&mut self, label: &str) -> [u8; 32] {
        let digest = self.digest(label);
        self.derived
            .push(Named::new(&format!("T({label})"), digest));
        digest
    }

    fn digest(&self, label: &str) -> [u8; 32] {
        let (client, server) = (self.client.clone().finish(), self.server.clone().finish());
        sha256(&[b"countersign/1 ", label.as_bytes(), &[0], &client, &server].concat())
    }

    fn derive(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.derived.push(Named::new(name, bytes));
    }

    /// Reads a plaintext command.
    pub(super) fn read_command(&mut self, from: Party, wire: &[u8]) {
        let command = named_command(wire);
        let service = matches!(self.inputs.account, Account::Service { .. });
        let delivered = self.option() == EncryptionOption::DeliveredKey;
        let first_answer = from == Party::Server && self.sealing_info.is_empty();
        if delivered && first_answer {
            let transcript = self.transcript("delivered key");
            self.sealing_info = [&b"countersign/1 delivered-key\0"[..], &transcript].concat();
        }
        match command.command.as_str() {
            "LOGIN-START" => {
                let transcript = self.transcript("login context");
                self.login_context = [&b"countersign/1 login\0"[..], &transcript].concat();
            }
            "KEY-EVENTS-REQUEST" => assert_eq!(command.value.0, [0; 8], "all events are requested"),
            "KEY-EVENTS" => self.key_events(&command.value.0),
            "HANDSHAKE" => self.handshake(&command.value.0),
            "RESUME" => self.resume(&command.value.0),
            "SESSION-KEY" if service && !delivered && self.resumption.is_none() => {
                self.session_key(&command.value.0);
            }
            "SITE-PROOF" => {
                let transcript = self.transcript("site proof");
                let signature = Signature(command.value.array());
                let verified = site(self.inputs)
                    .public()
                    .signing
                    .verify(&transcript, &signature);
                assert_eq!(verified, Ok(()));
            }
            "SESSION-PROOF" if delivered => self.session_code(&command.value.0),
            _ => {}
        }
        match from {
            Party::Client => self.client.update(wire),
            Party::Server => self.server.update(wire),
        }
        self.commands.push(command);
    }

    /// Verifies that the page has all events of the site, and that the newest has its key.
    fn key_events(&mut self, page: &[u8]) {
        let events = self.inputs.key_events.iter();
        let events: Vec<u8> = events.flat_map(|event| event.0.clone()).collect();
        let (head, sent) = page.split_at(40);
        assert_eq!(sent, events);
        let pin = site(self.inputs).public().signing;
        let WalkStep::Done(known) = KeyEventWalk::first_contact(pin).receive(page).unwrap() else {
            panic!("more key events than a page has")
        };
        assert_eq!(known.id().0[..], self.inputs.site_id.0);
        assert_eq!(known.keys().to_bytes()[..], self.inputs.site_public_key.0);
        self.derive("digest of the newest key event", &head[8..]);
    }

    fn handshake(&mut self, message: &[u8]) {
        let prologue = self.transcript("machine prologue");
        let key = site(self.inputs);
        let (responder, payload, _) = Responder::read(
            key.agreement(),
            &prologue,
            cipher(self.option()),
            message,
            None,
        )
        .unwrap();
        self.derive("payload of HANDSHAKE", &payload);
        self.responder = Some((responder, commands(&payload)));
    }

    fn session_key(&mut self, message: &[u8]) {
        let (responder, payload) = self.responder.take().unwrap();
        let kem = self.option().hybrid().then(|| {
            let ciphertext = value(&self.commands, "KEM-CIPHERTEXT");
            let public = value(&payload, "KEM-KEY");
            decapsulated(&self.connection.client_entropy, public, ciphertext)
        });
        let kem = kem.map_or_else(Vec::new, |secret| secret.to_vec());
        self.derive("S", &kem);
        let transcript = self.transcript("machine psk");
        let psk = derive(&kem, "machine psk", &transcript);
        self.derive("psk", psk.expose());
        let answer = [&[0x20, 0][..], &self.inputs.max_packet.to_be_bytes()].concat();
        let mut drawn = self.connection.server_entropy.iter();
        let drawn = drawn.find(|drawn| drawn.name.ends_with(tape::NOISE[0]));
        let drawn = drawn.unwrap();
        let mut tape = Tape::replay(std::slice::from_ref(drawn));
        tape.purpose("answer", tape::NOISE);
        let (made, keys) = responder.finish(&psk, &answer, &mut tape).unwrap();
        assert_eq!(made, message);
        self.derive("payload of SESSION-KEY", answer);
        self.derive("Noise handshake hash", keys.transcript);
        let both = [
            keys.client_to_server.expose(),
            keys.server_to_client.expose(),
        ];
        self.secret = both.map(|key| &key[..]).concat();
    }

    fn resume(&mut self, value: &[u8]) {
        let transcript = self.transcript("resume");
        let (session, rest) = value.split_at(16);
        let (attempt, rest) = rest.split_at(8);
        let (proof, share) = rest.split_at(32);
        let covered = sha256(&[&transcript, session, attempt, share].concat());
        self.derive("digest that the proof of RESUME covers", covered);
        let secret = self.resumption.unwrap();
        assert_eq!(derive::<32>(&secret, "resume", &covered).expose(), proof);
    }

    /// Verifies SESSION-PROOF and sets K.
    fn session_code(&mut self, proof: &[u8]) {
        let seed = match &self.inputs.account {
            Account::DeliveredPerson { identity_seed, .. }
            | Account::Service { identity_seed, .. } => identity_seed.array(),
            Account::Person { .. } => panic!("this person has no delivered key"),
        };
        let identity = Identity::from_seed(IdentitySeed(Secret::from_bytes(seed)));
        let info = self.sealing_info.clone();
        self.derive("info of HPKE", &info);
        let sealed = value(&self.commands, "SESSION-KEY");
        let opened = sealing::open(identity.agreement(), &info, sealed).unwrap();
        let (key, code) = opened.expose().split_at(32);
        self.derive("session code", code);
        let transcript = self.transcript("session code");
        assert_eq!(
            derive::<32>(code, "session code", &transcript).expose(),
            proof
        );
        self.secret = key.to_vec();
    }

    /// Repeats the client's OPAQUE login with its recorded entropy.
    fn opaque(&mut self, pass_phrase: &str) {
        let context = [
            &self.login_context[..],
            &self.inputs.max_packet.to_be_bytes(),
        ]
        .concat();
        self.derive("OPAQUE context", &context);
        let phrase = Passphrase::from(pass_phrase.to_owned());
        let suite = match self.option().hybrid() {
            true => LoginSuite::Hybrid,
            false => LoginSuite::Classical,
        };
        let mut tape = Tape::replay(&self.connection.client_entropy);
        tape.purpose("first flight", tape::KE1);
        let (login, start) = ClientLogin::start(suite, &phrase, &mut tape).unwrap();
        assert_eq!(start, value(&self.commands, "LOGIN-START"));
        tape.purpose("proof", &[]);
        let identifiers = Identifiers {
            client: None,
            server: Some(&self.inputs.site_id.0),
        };
        let answer = value(&self.commands, "SESSION-KEY");
        let done = login.finish(&phrase, answer, &context, identifiers, &mut tape);
        let done = done.unwrap();
        assert_eq!(done.ke3, value(&self.commands, "SESSION-PROOF"));
        self.derive("OPAQUE export key", done.export_key.expose());
        self.secret = done.session_key.expose().to_vec();
    }

    /// The result of the login, after the last plaintext command.
    pub(super) fn established(&mut self) -> Established {
        if self.secret.is_empty() {
            match (&self.inputs.account, self.resumption) {
                (_, Some(secret)) => {
                    let offer = &value(&self.commands, "RESUME")[56..];
                    let answer = value(&self.commands, "SESSION-KEY");
                    let shared = exchanged(&self.connection.client_entropy, offer, answer);
                    self.derive("resumption secret R", secret);
                    self.derive("shared secrets", &shared);
                    self.secret = [&secret[..], &shared].concat();
                }
                (Account::Person { pass_phrase, .. }, None) => self.opaque(pass_phrase),
                _ => panic!("K is known from SESSION-KEY"),
            }
        }
        let transcript = self.digest("packets");
        let resumption = derive(&self.secret, "resumption", &transcript);
        Established {
            option: self.option(),
            secret: self.secret.clone(),
            transcript,
            resumption: self.resumption.unwrap_or(*resumption.expose()),
            resumed: self.resumption.is_some(),
        }
    }
}

fn site(inputs: &Inputs) -> SiteKey {
    SiteKey::from_seed(SiteSeed(Secret::from_bytes(inputs.site_seed.array())))
}
