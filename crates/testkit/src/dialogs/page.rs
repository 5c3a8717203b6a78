//! Works out what follows from a recorded connection as the page says it (`docs/protocol/session.md`), word by
//! word and with nothing from the machines, so that a file also holds them to the page.

use countersign_crypto::agreement::{AgreementKey, AgreementPublic};
use countersign_crypto::hash::sha256;
use countersign_crypto::kdf::derive;
use countersign_crypto::kem::KemKey;
use countersign_crypto::record::RecordCipher;
use countersign_crypto::secret::Secret;
use countersign_proto::session::EncryptionOption;

use super::form::{Connection, Inputs, Named, Part, Party, Spoken};
use super::names::spoken;
use login::Reading;
use packets::Packets;

mod login;
mod packets;

/// The cipher of an option's packets.
fn cipher(option: EncryptionOption) -> RecordCipher {
    match option.name().rsplit('-').next() {
        Some("aes128gcm") => RecordCipher::Aes128Gcm,
        Some("chacha20poly1305") => RecordCipher::ChaCha20Poly1305,
        _ => RecordCipher::Aes256Gcm,
    }
}

/// Fills in the parts of the connection's flights and the derived values. `resumption` is the secret of the session
/// that is resumed; gives that of the session that is open at the end.
pub(crate) fn explain(
    inputs: &Inputs,
    connection: &mut Connection,
    resumption: Option<[u8; 32]>,
) -> [u8; 32] {
    let recorded = connection.clone();
    let mut reading = Reading::new(inputs, &recorded, resumption);
    let mut packets: Option<Packets> = None;
    for flight in &mut connection.flights {
        flight.parts = Vec::new();
        let mut commands = crate::wire::commands(&flight.bytes.0).into_iter();
        while let Some(wire) = commands.next() {
            let whole = match spoken(&wire).command.as_str() {
                "WRAPPED" => wire,
                "DATA-LENGTH" => {
                    let rest = [commands.next().unwrap(), commands.next().unwrap()];
                    [wire, rest.concat()].concat()
                }
                _ => {
                    flight.parts.push(Part::Clear(spoken(&wire)));
                    reading.hears(flight.from, &wire);
                    continue;
                }
            };
            let packets = packets.get_or_insert_with(|| Packets::new(&reading.established()));
            let part = packets.open(&recorded, flight.from, &whole);
            flight.parts.push(part);
        }
    }
    let packets = packets.unwrap();
    let established = reading.established();
    connection.derived = [reading.derived, established.derived(), packets.derived].concat();
    established.resumption
}

/// What a login gives.
#[derive(Clone)]
struct Established {
    option: EncryptionOption,
    secret: Vec<u8>,
    transcript: [u8; 32],
    resumption: [u8; 32],
    resumed: bool,
}

impl Established {
    fn key(&self, label: &str) -> [u8; 32] {
        *derive::<32>(&self.secret, label, &self.transcript).expose()
    }

    fn derived(&self) -> Vec<Named> {
        let mut derived = vec![
            Named::new("K", &self.secret),
            Named::new("T(packets)", self.transcript),
        ];
        for label in ["packets from client", "packets from server", "chain"] {
            derived.push(Named::new(label, self.key(label)));
        }
        if !self.resumed {
            derived.push(Named::new("resumption secret R", self.resumption));
        }
        derived
    }
}

/// The shared secrets of an exchange, from what the side that offers drew.
fn exchanged(offerer: &[Named], offer: &[u8], answer: &[u8]) -> Vec<u8> {
    let (ours, kem) = offer.split_at(32);
    let (theirs, ciphertext) = answer.split_at(32);
    let keys = offerer.iter().filter(|drawn| drawn.bytes.0.len() == 32);
    let own = keys
        .map(|drawn| AgreementKey::from_secret(Secret::from_bytes(drawn.bytes.array())))
        .find(|key| key.public().0 == ours)
        .unwrap();
    let theirs = AgreementPublic(theirs.try_into().unwrap());
    let mut secrets = own.agree(&theirs).unwrap().expose().to_vec();
    if !kem.is_empty() {
        secrets.extend(decapsulated(offerer, kem, ciphertext));
    }
    secrets
}

/// The secret of an ML-KEM ciphertext, from what the owner of the key drew.
fn decapsulated(owner: &[Named], public: &[u8], ciphertext: &[u8]) -> [u8; 32] {
    let seeds = owner.iter().filter(|drawn| drawn.bytes.0.len() == 64);
    let (key, _) = seeds
        .map(|drawn| KemKey::from_seed(&Secret::from_bytes(drawn.bytes.array())))
        .find(|(_, own)| own[..] == *public)
        .unwrap();
    *key.decapsulate(ciphertext).unwrap().expose()
}

/// The value of the command of this name.
fn value<'a>(commands: &'a [Spoken], name: &str) -> &'a [u8] {
    let found = commands.iter().find(|spoken| spoken.command == name);
    &found.unwrap_or_else(|| panic!("{name} is missing")).value.0
}

/// The commands of a stretch of RISP.
fn commands(wire: &[u8]) -> Vec<Spoken> {
    let wires = crate::wire::commands(wire);
    wires.iter().map(|wire| spoken(wire)).collect()
}

/// What was drawn by the other.
fn other(party: Party) -> Party {
    match party {
        Party::Client => Party::Server,
        Party::Server => Party::Client,
    }
}

/// `D` of new keys.
fn exchange_digest(option: u16, offer: &[u8], answer: &[u8]) -> [u8; 32] {
    sha256(&[&option.to_be_bytes()[..], offer, answer].concat())
}
