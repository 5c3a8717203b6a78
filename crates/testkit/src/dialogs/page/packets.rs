//! Packets, and their keys from one key exchange to the next.

use countersign_crypto::hash::sha256;
use countersign_crypto::kdf::derive;
use countersign_crypto::record::Opener;
use countersign_crypto::secret::Secret;
use countersign_proto::session::EncryptionOption;

use super::{Established, cipher, commands, exchange_digest, exchanged, other};
use crate::dialogs::form::{Connection, Hex, Named, Part, Party, WireCommand};

/// Both directions of a session.
pub(super) struct Packets {
    directions: [Direction; 2],
    chain: [u8; 32],
    exchanges: usize,
    share: Share,
    offered: Option<(Party, Share)>,
    next: [Option<Direction>; 2],
    pub(super) derived: Vec<Named>,
}

struct Direction {
    key: String,
    opener: Opener,
    number: u64,
}

/// REKEY or REKEY-ANSWER with the pieces of its KEY-SHARE that have arrived.
#[derive(Default, Clone)]
struct Share {
    command: String,
    option: u16,
    bytes: Vec<u8>,
}

impl Direction {
    fn new(name: String, option: EncryptionOption, key: [u8; 32]) -> Self {
        Self {
            key: name,
            opener: Opener::new(cipher(option), &Secret::from_bytes(key)),
            number: 0,
        }
    }
}

impl Packets {
    pub(super) fn new(established: &Established) -> Self {
        let direction = |label: &str| {
            Direction::new(label.to_owned(), established.option, established.key(label))
        };
        Self {
            directions: [
                direction("packets from client"),
                direction("packets from server"),
            ],
            chain: established.key("chain"),
            exchanges: 0,
            share: Share::default(),
            offered: None,
            next: [None, None],
            derived: Vec::new(),
        }
    }

    /// Opens a packet, and applies the changes of keys in it.
    pub(super) fn open(&mut self, connection: &Connection, from: Party, whole: &[u8]) -> Part {
        let direction = &mut self.directions[from as usize];
        let number = direction.number;
        let delivered = whole[0] == 0x20;
        let (associated, rest) = whole.split_at(if delivered { 12 } else { 10 });
        let length = u32::from_be_bytes(
            whole[if delivered { 2..6 } else { 6..10 }]
                .try_into()
                .unwrap(),
        );
        let (data, rest) = rest.split_at(length as usize + 16);
        let mut data = data.to_vec();
        let plaintext = direction.opener.open_in_place(associated, &mut data);
        let plaintext = plaintext.unwrap().to_vec();
        direction.number += 1;
        if delivered {
            let (header, digest) = rest.split_at(3);
            let mut digest = digest.to_vec();
            let opened_digest = direction.opener.open_in_place(header, &mut digest);
            assert_eq!(opened_digest.unwrap(), sha256(&plaintext));
            direction.number += 1;
        }
        let mut nonce = vec![0; 4];
        nonce.extend(number.to_be_bytes());
        let part = Part::Packet {
            key: direction.key.clone(),
            number,
            nonce: Hex(nonce),
            associated_data: Hex::from(associated),
            plaintext: Hex::from(&plaintext),
            commands: commands(&plaintext),
        };
        for command in commands(&plaintext) {
            self.follow(connection, from, &command);
        }
        part
    }

    fn follow(&mut self, connection: &Connection, from: Party, command: &WireCommand) {
        match command.command.as_str() {
            "MESSAGE-ID" if command.value.0 == [0xff; 8] => {}
            "REKEY" | "REKEY-ANSWER" => {
                self.share = Share {
                    command: command.command.clone(),
                    option: u16::from_be_bytes(command.value.array()),
                    bytes: Vec::new(),
                };
            }
            "KEY-SHARE" => self.share.bytes.extend_from_slice(&command.value.0),
            "END" => match std::mem::take(&mut self.share) {
                share if share.command == "REKEY" => self.offered = Some((from, share)),
                share if share.command == "REKEY-ANSWER" => {
                    self.exchange(connection, from, &share);
                    self.directions[from as usize] = self.next[from as usize].take().unwrap();
                }
                _ => {}
            },
            "REKEYED" => {
                self.directions[from as usize] = self.next[from as usize].take().unwrap();
            }
            _ => {}
        }
    }

    fn exchange(&mut self, connection: &Connection, answerer: Party, answer: &Share) {
        let (offerer, offer) = self.offered.take().unwrap();
        assert_eq!((other(answerer), answer.option), (offerer, offer.option));
        let secrets = exchanged(connection.entropy(offerer), &offer.bytes, &answer.bytes);
        let digest = exchange_digest(offer.option, &offer.bytes, &answer.bytes);
        let known = [&self.chain[..], &secrets].concat();
        let fresh = derive::<32>(&known, "new keys", &digest);
        let key = |label: &str| *derive::<32>(fresh.expose(), label, &digest).expose();
        self.exchanges += 1;
        let round = self.exchanges + 1;
        let mut options = EncryptionOption::ALL.into_iter();
        let option = options.find(|option| option.id() == offer.option).unwrap();
        let mut named = |name: &str, bytes: &[u8]| {
            self.derived
                .push(Named::new(&format!("{name} {round}"), bytes));
        };
        named("shared secrets", &secrets);
        named("D", &digest);
        named("fresh", fresh.expose());
        for (at, label) in ["packets from client", "packets from server"]
            .into_iter()
            .enumerate()
        {
            named(label, &key(label));
            let name = format!("{label} {round}");
            self.next[at] = Some(Direction::new(name, option, key(label)));
        }
        self.chain = key("chain");
        named("chain", &self.chain.clone());
    }
}
