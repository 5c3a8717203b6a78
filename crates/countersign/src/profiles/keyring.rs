//! The keyring of a desktop (freedesktop Secret Service), which has the pass phrase of a profile's key.
//!
//! The program `secret-tool` of libsecret talks to it. The secret passes over standard input and output, so
//! that no other user sees it, and this program needs no second library for D-Bus.

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio};

use countersign_crypto::entropy::{SystemEntropy, fresh};
use countersign_crypto::secret::{Passphrase, SecretBytes};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};

/// The program of libsecret.
const PROGRAM: &str = "secret-tool";
/// The longest secret that is read, in bytes. One of ours has 43.
const MAX_SECRET_BYTES: usize = 1024;
/// The longest message of the program that is read, in bytes.
const MAX_MESSAGE_BYTES: u64 = 1024;

/// An entry of the keyring. Its name is random, so that no two profiles share an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KeyringEntry(String);

impl KeyringEntry {
    /// The name of a new entry. Nothing is stored yet.
    pub(crate) fn new() -> Self {
        Self(HEXLOWER.encode(&fresh::<16>(&mut SystemEntropy)))
    }

    /// Stores a new random pass phrase in the entry, which replaces an earlier one, and returns it.
    /// `profile` is what the keyring's own program shows.
    pub(crate) fn create(&self, profile: &str) -> Result<Passphrase, Failure> {
        let random = SecretBytes::from(fresh::<32>(&mut SystemEntropy).to_vec());
        let secret = Passphrase::from(BASE64URL_NOPAD.encode(random.expose()));
        let label = format!("--label=Countersign key of the profile {profile}");
        self.run(&["store", &label], Some(&secret))?;
        // A keyring may accept a secret and lose it with the session.
        match self.read()?.as_bytes() == secret.as_bytes() {
            true => Ok(secret),
            false => Err(failed(
                "it returned another secret than the one that it was given",
            )),
        }
    }

    /// The pass phrase in the entry.
    pub(crate) fn read(&self) -> Result<Passphrase, Failure> {
        let secret = self.run(&["lookup"], None)?;
        let text = std::str::from_utf8(secret.expose());
        let text = text.map_err(|_| failed("its secret is not text"))?;
        Ok(Passphrase::from(text.to_owned()))
    }

    /// Removes the entry.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        self.run(&["clear"], None).map(|_| ())
    }

    /// Runs the program for this entry, and returns its output.
    fn run(&self, words: &[&str], input: Option<&Passphrase>) -> Result<SecretBytes, Failure> {
        let mut child = Command::new(PROGRAM)
            .args(words)
            .args(["application", "countersign", "id", &self.0])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => failed("the program `secret-tool` is not installed"),
                _ => failed(&error.to_string()),
            })?;
        let talked = talk(&mut child, input);
        let ended = child.wait().map_err(|error| failed(&error.to_string()))?;
        let (output, message) = talked.map_err(|error| failed(&error.to_string()))?;
        match ended.success() {
            true => Ok(output),
            false if message.is_empty() => Err(failed("it has no such secret")),
            false => Err(failed(&message)),
        }
    }
}

/// Writes the input, and reads the output and the first line of messages.
fn talk(child: &mut Child, input: Option<&Passphrase>) -> std::io::Result<(SecretBytes, String)> {
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes())?;
    }
    // With this capacity from the start, no copy of the secret is left behind.
    let mut output = Vec::with_capacity(MAX_SECRET_BYTES);
    if let Some(stdout) = child.stdout.take() {
        let limit = u64::try_from(MAX_SECRET_BYTES).unwrap_or(u64::MAX);
        stdout.take(limit).read_to_end(&mut output)?;
    }
    let output = SecretBytes::from(output);
    let mut message = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(MAX_MESSAGE_BYTES).read_to_end(&mut message)?;
    }
    let message = String::from_utf8_lossy(&message);
    let first = message.lines().next().unwrap_or_default();
    Ok((output, first.trim().to_owned()))
}

fn failed(problem: &str) -> Failure {
    let message = format!("the keyring cannot be used: {problem}");
    Failure::new(Exit::Failure, "keyring", message).hint(
        "install `secret-tool` (Debian: libsecret-tools) and unlock the keyring; or enrol without --keyring and \
         encrypt the key with --passphrase",
    )
}
