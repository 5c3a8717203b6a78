//! Computes the derived values of a recorded connection from `docs/protocol/session.md` without the
//! state machines, so that the files also compare the state machines with the page.

use countersign_crypto::agreement::{AgreementKey, AgreementPublic};
use countersign_crypto::hash::sha256;
use countersign_crypto::kdf::derive;
use countersign_crypto::kem::KemKey;
use countersign_crypto::record::RecordCipher;
use countersign_crypto::secret::Secret;
use countersign_proto::session::EncryptionOption;

use super::form::{Connection, Inputs, Named, Part, Party, WireCommand};
use super::names::named_command;
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

/// Fills in the parts of the connection's flights and the derived values. `resumption` is the
/// secret of the session that is resumed. Returns the resumption secret of the session at the end.
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
            let whole = match named_command(&wire).command.as_str() {
                "WRAPPED" => wire,
                "DATA-LENGTH" => {
                    let rest = [commands.next().unwrap(), commands.next().unwrap()];
                    [wire, rest.concat()].concat()
                }
                _ => {
                    flight.parts.push(Part::Clear(named_command(&wire)));
                    reading.read_command(flight.from, &wire);
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

/// The result of a login.
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

/// The shared secrets of a key exchange, computed with the random values of the offering end.
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

/// The value of the command with this name.
fn value<'a>(commands: &'a [WireCommand], name: &str) -> &'a [u8] {
    let found = commands
        .iter()
        .find(|named_command| named_command.command == name);
    &found.unwrap_or_else(|| panic!("{name} is missing")).value.0
}

/// The commands in a string of RISP.
fn commands(wire: &[u8]) -> Vec<WireCommand> {
    let wires = crate::wire::commands(wire);
    wires.iter().map(|wire| named_command(wire)).collect()
}

/// The other party.
fn other(party: Party) -> Party {
    match party {
        Party::Client => Party::Server,
        Party::Server => Party::Client,
    }
}

/// `D` of an exchange of new keys.
fn exchange_digest(option: u16, offer: &[u8], answer: &[u8]) -> [u8; 32] {
    sha256(&[&option.to_be_bytes()[..], offer, answer].concat())
}
