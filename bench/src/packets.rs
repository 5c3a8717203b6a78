//! Sealing and opening packets of 64 KiB, in both directions. The baselines are the bare AEAD, in
//! place, and rustls, which splits the same bytes into records of 16 KiB.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use countersign_crypto::noise::RecordCipher;
use countersign_crypto::record::{Opener, Sealer, TAG_LENGTH};
use countersign_crypto::secret::Secret;
use countersign_proto::operation::{Code, Operation, Outcome};
use countersign_proto::risp::{self, Command, MaxLength, Reader, Value};
use countersign_proto::session::EncryptionOption;
use serde_json::value::RawValue;

use crate::ends::{Ends, Pair, UNEXPECTED_COURSE};
use crate::measure::{in_turns, per_second};
use crate::report::{Row, Target, Unit};
use crate::{Result, tls};

const ROUNDS: usize = 61;
const TURNS: u32 = 64;
const PACKET: usize = 64 * 1024;
/// The content that fits a packet of 64 KiB together with a message's other fields.
const BODY: usize = PACKET - 256;

pub(crate) fn run() -> Result<Vec<Row>> {
    let mut records = Records::new();
    let mut bare = Bare::new()?;
    let mut tls = tls::Ends::new(tls::AES_256)?
        .shake_hands()?
        .without_buffer_limit();
    let mut framed = Framed::new();
    let mut texts = Texts::new(BODY)?;
    let mut json = Messages::new(BODY)?;
    let mut cut = Messages::new(16 * PACKET)?;
    let (text, mut got) = (vec![b'x'; PACKET], vec![0; PACKET]);
    let gigabytes = |bytes: usize, rate: f64| 2.0 * rate * bytes as f64 / 1e9;
    let figures = in_turns(
        ROUNDS,
        [
            &mut || {
                Ok(gigabytes(
                    PACKET,
                    per_second(TURNS, || records.both_ways())?,
                ))
            },
            &mut || Ok(gigabytes(PACKET, per_second(TURNS, || bare.both_ways())?)),
            &mut || {
                let rate = per_second(TURNS, || tls.there_and_back(&text, &mut got))?;
                Ok(gigabytes(PACKET, rate))
            },
            &mut || Ok(gigabytes(BODY, per_second(TURNS, || framed.both_ways())?)),
            &mut || Ok(gigabytes(BODY, per_second(TURNS, || texts.twice())?)),
            &mut || {
                Ok(gigabytes(
                    BODY,
                    per_second(TURNS, || json.there_and_back())?,
                ))
            },
            &mut || {
                Ok(gigabytes(
                    16 * PACKET,
                    per_second(TURNS / 16, || cut.there_and_back())?,
                ))
            },
        ],
    )?;
    let row = |what: &str, ours, baseline, baseline_is, target| Row {
        what: what.to_owned(),
        ours: figures.median(ours),
        baseline: figures.median(baseline),
        unit: Unit::GigabytesPerSecond,
        baseline_is,
        ratio: figures.ratio(ours, baseline),
        target,
    };
    let bare_is = "bare AES-256-GCM of AWS-LC, in place";
    let rustls_is = "rustls, AES-256-GCM";
    let (of_bare, of_rustls) = (Some(Target::AtLeast(0.75)), Some(Target::AtLeast(1.5)));
    Ok(vec![
        row("packets sealed and opened in place", 0, 1, bare_is, of_bare),
        row("the same", 0, 2, rustls_is, of_rustls),
        row(
            "packets filled, framed, sealed, opened, read",
            3,
            1,
            bare_is,
            of_bare,
        ),
        row("the same", 3, 2, rustls_is, of_rustls),
        row(
            "results of one packet of text, whole sessions",
            4,
            1,
            bare_is,
            None,
        ),
        row("the same", 4, 2, rustls_is, None),
        row(
            "messages of one packet of JSON, checked",
            5,
            1,
            bare_is,
            None,
        ),
        row("the same", 5, 2, rustls_is, None),
        row(
            "messages of 1 MiB of JSON, checked, with digest",
            6,
            1,
            bare_is,
            None,
        ),
        row("the same", 6, 2, rustls_is, None),
    ])
}

/// A sealer and an opener for each direction.
struct Records {
    up: (Sealer, Opener),
    down: (Sealer, Opener),
    packet: Vec<u8>,
}

const HEADER: [u8; 10] = [0xa0, 3, 0, 1, 0, 20, 0, 1, 0, 0];

impl Records {
    fn new() -> Self {
        let pair = |byte| {
            let key = Secret::from_bytes([byte; 32]);
            let cipher = RecordCipher::Aes256Gcm;
            (Sealer::new(cipher, &key), Opener::new(cipher, &key))
        };
        Self {
            up: pair(1),
            down: pair(2),
            packet: vec![7; PACKET + TAG_LENGTH],
        }
    }

    fn both_ways(&mut self) -> Result<()> {
        for (sealer, opener) in [&mut self.up, &mut self.down] {
            let Some((text, tag)) = self.packet.split_last_chunk_mut::<TAG_LENGTH>() else {
                return Err(UNEXPECTED_COURSE.into());
            };
            *tag = sealer.seal_in_place(&HEADER, text)?;
            black_box(opener.open_in_place(&HEADER, &mut self.packet)?);
        }
        Ok(())
    }
}

/// Only the AEAD.
struct Bare {
    key: LessSafeKey,
    number: u64,
    packet: Vec<u8>,
}

impl Bare {
    fn new() -> Result<Self> {
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32])?),
            number: 0,
            packet: vec![7; PACKET + TAG_LENGTH],
        })
    }

    fn both_ways(&mut self) -> Result<()> {
        for _ in 0..2 {
            self.number += 1;
            let mut nonce = [0; 12];
            if let Some(number) = nonce.last_chunk_mut() {
                *number = self.number.to_be_bytes();
            }
            let nonce = || Nonce::assume_unique_for_key(nonce);
            let Some((text, tag)) = self.packet.split_last_chunk_mut::<TAG_LENGTH>() else {
                return Err(UNEXPECTED_COURSE.into());
            };
            let sealed = self
                .key
                .seal_in_place_separate_tag(nonce(), Aad::from(HEADER), text)?;
            tag.copy_from_slice(sealed.as_ref());
            black_box(
                self.key
                    .open_in_place(nonce(), Aad::from(HEADER), &mut self.packet)?,
            );
        }
        Ok(())
    }
}

/// A packet as a session writes and reads it. The sender copies a command into it, adds the header
/// and seals it. The receiver reads the header, opens the packet and reads the command.
struct Framed {
    records: Records,
    text: Vec<u8>,
    wire: Vec<u8>,
}

const PIECE: Command = Command(0xa001);

impl Framed {
    fn new() -> Self {
        Self {
            records: Records::new(),
            text: vec![b'x'; BODY],
            wire: Vec::new(),
        }
    }

    fn both_ways(&mut self) -> Result<()> {
        for (sealer, opener) in [&mut self.records.up, &mut self.records.down] {
            self.wire.clear();
            self.wire.extend_from_slice(&HEADER);
            risp::put(&mut self.wire, PIECE, Value::Bytes(&self.text))?;
            let packet = self
                .wire
                .split_first_chunk_mut::<10>()
                .ok_or(UNEXPECTED_COURSE)?;
            let tag = sealer.seal_in_place(packet.0, packet.1)?;
            self.wire.extend_from_slice(&tag);

            let packet = self
                .wire
                .split_first_chunk_mut::<10>()
                .ok_or(UNEXPECTED_COURSE)?;
            if *packet.0 != HEADER {
                return Err(UNEXPECTED_COURSE.into());
            }
            let plaintext = opener.open_in_place(packet.0, packet.1)?;
            for step in Reader::new(plaintext, &MaxLength(1 << 20)) {
                black_box(step?);
            }
        }
        Ok(())
    }
}

/// Results with text for people, which no end parses, through whole sessions: the cost of framing
/// and buffers.
struct Texts {
    pairs: [Pair; 2],
    outcome: Outcome,
    wire: Vec<u8>,
}

impl Texts {
    fn new(length: usize) -> Result<Self> {
        let ends = Ends::new(EncryptionOption::HybridAes256Gcm)?;
        Ok(Self {
            pairs: [ends.log_in()?, ends.log_in()?],
            outcome: Outcome {
                id: 1,
                code: Code::SUCCESS,
                data: RawValue::NULL.to_owned(),
                output: "x".repeat(length),
            },
            wire: Vec::new(),
        })
    }

    fn twice(&mut self) -> Result<()> {
        for pair in &mut self.pairs {
            self.wire.clear();
            pair.server.send_outcome(&self.outcome)?;
            let mut got = Vec::new();
            // A long message is sealed piece by piece.
            while got.is_empty() {
                self.wire.clear();
                pair.server.flush(&mut self.wire)?;
                pair.client.receive(&mut self.wire, &mut got)?;
            }
            if black_box(got).len() != 1 {
                return Err(UNEXPECTED_COURSE.into());
            }
        }
        Ok(())
    }
}

/// An operation and its result, through whole sessions.
struct Messages {
    pair: Pair,
    operation: Operation,
    outcome: Outcome,
    wire: Vec<u8>,
}

impl Messages {
    fn new(length: usize) -> Result<Self> {
        let body = RawValue::from_string(format!("\"{}\"", "x".repeat(length - 2)))?;
        Ok(Self {
            pair: Ends::new(EncryptionOption::HybridAes256Gcm)?.log_in()?,
            operation: Operation::new(1, "bench", "echo", body.clone()),
            outcome: Outcome {
                id: 1,
                code: Code::SUCCESS,
                data: body,
                output: String::new(),
            },
            wire: Vec::new(),
        })
    }

    fn there_and_back(&mut self) -> Result<()> {
        self.wire.clear();
        self.pair.client.send_operation(&self.operation)?;
        let mut got = Vec::new();
        while got.is_empty() {
            self.wire.clear();
            self.pair.client.flush(&mut self.wire)?;
            self.pair.server.receive(0, &mut self.wire, &mut got)?;
        }
        let answered = black_box(got).len();

        self.wire.clear();
        self.pair.server.send_outcome(&self.outcome)?;
        let mut got = Vec::new();
        while got.is_empty() {
            self.wire.clear();
            self.pair.server.flush(&mut self.wire)?;
            self.pair.client.receive(&mut self.wire, &mut got)?;
        }
        if answered + black_box(got).len() == 2 {
            Ok(())
        } else {
            Err(UNEXPECTED_COURSE.into())
        }
    }
}
