//! The commands of the session protocol and their identifiers (`docs/protocol/session.md`,
//! Commands).
//!
//! Identifiers of the original header keep their numbers. The original VERIFICATION-SHA256 had the
//! range of a 32-bit integer; here it is a short string, since a digest has 32 bytes.

use crate::risp::Command;

/// Does nothing; a keep-alive.
pub const NOP: Command = Command(0x7000);
/// Requests the encryption options.
pub const OPTIONS_REQUEST: Command = Command(0x7001);
/// Ends a message inside a packet.
pub const END: Command = Command(0x7010);
/// The last command of a direction under its old key. Its next packet uses the new key.
pub const REKEYED: Command = Command(0x7011);

/// A refusal, one byte: [`super::refusal::WireError`].
pub const ERROR: Command = Command(0x0001);
/// The clean end of a session, one byte: [`super::live::Goodbye`].
pub const GOODBYE: Command = Command(0x0002);
/// The code of a result, 16 bits; 0 is success.
pub const CODE: Command = Command(0x1000);
/// An offer of new keys for a session, 16 bits: the option of the new keys.
pub const REKEY: Command = Command(0x1001);
/// The answer to an offer of new keys, 16 bits: the offer's option, or 0 to decline.
pub const REKEY_ANSWER: Command = Command(0x1002);
/// The sender's packet limit in bytes, 32 bits.
pub const MAX_PACKET: Command = Command(0x2000);
/// The number of bytes in DATA, 32 bits; in packets of the option `delivered-key`.
pub const DATA_LENGTH: Command = Command(0x2001);
/// The idle limit of the session in milliseconds, 32 bits.
pub const IDLE_LIMIT: Command = Command(0x2003);
/// The id of the message whose fields follow up to [`END`], 64 bits, chosen by the client.
pub const MESSAGE_ID: Command = Command(0x3000);
/// When the session expires, in milliseconds since 1970 UTC, 64 bits.
pub const EXPIRES: Command = Command(0x3001);

/// Requests the site's key events, 64 bits: the number of the first wanted event.
pub const KEY_EVENTS_REQUEST: Command = Command(0x3002);

/// The thumbprint of a certificate, 32 bytes.
pub const CERTIFICATE_ID: Command = Command(0x8000);
/// The SHA-256 of the body of a message that was cut into several packets, 32 bytes.
pub const VERIFICATION_SHA256: Command = Command(0x8001);
/// The ranked encryption options: the list's id (8 bytes), then 2 bytes an option.
pub const OPTIONS: Command = Command(0x8002);
/// The list's id (8 bytes) and the option chosen from it (2 bytes).
pub const OPTION_CHOICE: Command = Command(0x8003);
/// The site's signature over the transcript, 64 bytes.
pub const SITE_PROOF: Command = Command(0x8004);
/// The client's proof: of its pass phrase (OPAQUE KE3), 64 bytes, or of the session code, 32 bytes.
pub const SESSION_PROOF: Command = Command(0x8005);
/// Makes a client's flight unique with the option `delivered-key`, 32 random bytes.
pub const NONCE: Command = Command(0x8006);
/// The group of an operation or event.
pub const GROUP: Command = Command(0x8010);
/// The command of an operation.
pub const COMMAND: Command = Command(0x8011);
/// The name of an event.
pub const EVENT: Command = Command(0x8012);
/// Credit for more content of a message: the message's id and a number of bytes, 8 bytes each.
pub const CREDIT: Command = Command(0x8018);
/// Cancels the content of a message in both directions: the message's id, 8 bytes.
pub const CANCEL: Command = Command(0x8019);
/// The session's id, 16 bytes.
pub const SESSION_ID: Command = Command(0x8020);

/// The account's name: `name` or `name@zone`.
pub const USERNAME: Command = Command(0x9000);
/// The person's certificate and key, encrypted under a key that only the pass phrase gives.
pub const CERTIFICATE: Command = Command(0x9001);
/// The server's key exchange message: OPAQUE KE2, or the second message of the Noise handshake.
pub const SESSION_KEY: Command = Command(0x9002);
/// The first message of a person's login (OPAQUE KE1).
pub const LOGIN_START: Command = Command(0x9003);
/// The first message of a service's login (Noise).
pub const HANDSHAKE: Command = Command(0x9004);
/// An ML-KEM-768 encapsulation key, 1,184 bytes.
pub const KEM_KEY: Command = Command(0x9005);
/// An ML-KEM-768 ciphertext, 1,088 bytes.
pub const KEM_CIPHERTEXT: Command = Command(0x9006);
/// Resumes a session after a lost connection: session id, attempt, key share, proof.
pub const RESUME: Command = Command(0x9007);
/// A page of the site's key events: [`crate::site_identity::KeyEventLog::page`].
pub const KEY_EVENTS: Command = Command(0x9008);

/// The data of a result or event (JSON), or a piece of it.
pub const DATA: Command = Command(0xa002);
/// A packet: the plaintext's length (4 bytes), ciphertext, tag (16 bytes).
pub const WRAPPED: Command = Command(0xa003);
/// The parameters of an operation (JSON), or a piece of them.
pub const PARAMS: Command = Command(0xa010);
/// The output text of a result, or a piece of it.
pub const OUTPUT: Command = Command(0xa011);
/// A piece of content: any bytes, of any total length.
pub const CONTENT: Command = Command(0xa012);
/// A share of a key exchange inside a session, or a piece of it.
pub const KEY_SHARE: Command = Command(0xa013);
