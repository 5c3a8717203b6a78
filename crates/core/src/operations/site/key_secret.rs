//! Secrets of key slots, as parameters of operations.

use countersign_crypto::secret::Passphrase;
use countersign_crypto::site_key_slots::{NewSlot, RecoveryCode, SlotFile, SlotKind, SlotSecret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{Refusal, SecretError};

/// The secret of a key slot; exactly one of the three fields.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretParam {
    /// The pass phrase of the key.
    passphrase: Option<String>,
    /// The recovery code.
    recovery_code: Option<String>,
    /// The content of a slot file.
    slot_file: Option<String>,
}

/// Which of the site's two keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WhichKey {
    /// The current key, which unseals the site.
    #[default]
    Current,
    /// The next key, which `site key_new` makes the current one.
    Next,
}

impl WhichKey {
    /// Its name in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Current => "site key",
            Self::Next => "next site key",
        }
    }
}

/// The secret of a key slot, read from its parameters.
pub(super) enum KeySecret {
    Passphrase(Passphrase),
    RecoveryCode(RecoveryCode),
    File(SlotFile),
}

impl SecretParam {
    pub(super) const fn of_passphrase(passphrase: String) -> Self {
        Self {
            passphrase: Some(passphrase),
            recovery_code: None,
            slot_file: None,
        }
    }

    /// Reads the secret. `field` is the path of the parameter; empty for the parameters themselves.
    pub(super) fn read(self, field: &str) -> Result<KeySecret, Refusal> {
        let path = |name: &str| match field {
            "" => name.to_owned(),
            field => format!("{field}.{name}"),
        };
        match (self.passphrase, self.recovery_code, self.slot_file) {
            (Some(passphrase), None, None) => Ok(KeySecret::Passphrase(passphrase.into())),
            (None, Some(code), None) => code
                .parse()
                .map(KeySecret::RecoveryCode)
                .map_err(|error| Refusal::invalid(path("recovery_code"), error)),
            (None, None, Some(file)) => SlotFile::from_text(&file)
                .map(KeySecret::File)
                .map_err(|error| Refusal::invalid(path("slot_file"), error)),
            _ => Err(Refusal::invalid(
                path("passphrase"),
                "give one of passphrase, recovery_code and slot_file",
            )),
        }
    }

    /// Reads the secret of a new slot. A pass phrase has to be long enough and typeable.
    pub(super) fn read_new(self, field: &str) -> Result<KeySecret, Refusal> {
        let secret = self.read(field)?;
        let KeySecret::Passphrase(passphrase) = &secret else {
            return Ok(secret);
        };
        let min = Passphrase::MIN_CHARACTERS;
        let path = match field {
            "" => "passphrase".to_owned(),
            field => format!("{field}.passphrase"),
        };
        if passphrase.characters() < min {
            let problem = format_args!("must have at least {min} characters");
            return Err(Refusal::invalid(path, problem));
        }
        let checked = passphrase.check_new();
        checked.map_err(|bad| Refusal::invalid(path, bad))?;
        Ok(secret)
    }
}

impl KeySecret {
    pub(super) fn kind(&self) -> SlotKind {
        self.to_open().kind()
    }

    pub(super) const fn to_open(&self) -> SlotSecret<'_> {
        match self {
            Self::Passphrase(passphrase) => SlotSecret::Passphrase(passphrase),
            Self::RecoveryCode(code) => SlotSecret::RecoveryCode(code),
            Self::File(file) => SlotSecret::File(file),
        }
    }

    pub(super) fn as_slot(&self) -> NewSlot<'_> {
        self.to_open().into()
    }
}

/// The refusal of a secret that opens no slot.
pub(super) fn refused(error: &SecretError) -> Refusal {
    match error {
        SecretError::Wrong { .. } => Refusal::not_permitted(
            error.to_string(),
            "try again, or give the secret of another slot",
        )
        .audited_as_failed(),
        SecretError::Wait { milliseconds } => Refusal::busy_for(error, *milliseconds),
    }
}
