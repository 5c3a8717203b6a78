//! Writes a backup.

use countersign_crypto::entropy::SystemEntropy;
use countersign_crypto::hash::Sha256;
use countersign_crypto::sealed_file::{CHUNK, FileSealer};
use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{Argon2idCost, NewSlot};

use super::{MAGIC, Manifest, PLAIN, SEALED};
use crate::content::Sink;
use crate::failure::{Exit, Failure};

/// A backup that is being written. Its files are written in the order of the manifest.
pub(crate) struct Writer {
    sink: Sink,
    sum: Sha256,
    /// With the bytes of the incomplete chunk.
    sealer: Option<(FileSealer, Vec<u8>)>,
}

impl Writer {
    /// Starts a backup; seals it if a pass phrase is given.
    pub(crate) fn start(
        mut sink: Sink,
        passphrase: Option<&Passphrase>,
        manifest: &Manifest,
    ) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failure, "backup", error);
        let kind = passphrase.map_or(PLAIN, |_| SEALED);
        sink.write(format!("{MAGIC}{kind}\n").as_bytes())?;
        let mut sealer = None;
        if let Some(passphrase) = passphrase {
            let slot = NewSlot::Passphrase(passphrase, Argon2idCost::default());
            let (begun, header) = FileSealer::create(slot, manifest.created, &mut SystemEntropy)
                .map_err(|error| failed(&error))?;
            sink.write(format!("{header}\n").as_bytes())?;
            sealer = Some((begun, Vec::new()));
        }
        let mut writer = Self {
            sink,
            sum: Sha256::new(),
            sealer,
        };
        let mut line = serde_json::to_vec(manifest).map_err(|error| failed(&error))?;
        line.push(b'\n');
        writer.write(&line)?;
        Ok(writer)
    }

    /// Writes the next bytes of the files.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.sum.update(bytes);
        self.put(bytes)
    }

    /// Writes the digest and completes the backup.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let sum = std::mem::replace(&mut self.sum, Sha256::new()).finish();
        self.put(&sum)?;
        if let Some((mut sealer, rest)) = self.sealer.take() {
            let chunk = sealer.seal(rest, true).map_err(|error| sealing(&error))?;
            self.sink.write(&chunk)?;
        }
        self.sink.finish()
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some((sealer, waiting)) = &mut self.sealer else {
            return self.sink.write(bytes);
        };
        waiting.extend_from_slice(bytes);
        // A full chunk is written when more bytes arrive: the last chunk is sealed differently.
        while waiting.len() > CHUNK {
            let rest = waiting.split_off(CHUNK);
            let chunk = std::mem::replace(waiting, rest);
            let chunk = sealer.seal(chunk, false).map_err(|error| sealing(&error))?;
            self.sink.write(&chunk)?;
        }
        Ok(())
    }
}

fn sealing(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failure, "backup", error)
}
