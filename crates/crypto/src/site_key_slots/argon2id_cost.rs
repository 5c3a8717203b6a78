//! The cost of stretching a pass phrase with Argon2id (RFC 9106).

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::{Passphrase, Secret};

/// Maximum memory in a file: 1 GiB. A larger value is damage or an attempt at denial of service.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Maximum number of passes in a file.
const MAX_PASSES: u32 = 64;
/// Maximum number of lanes in a file.
const MAX_LANES: u32 = 16;
/// RFC 9106, section 3.1: at least 8 blocks of 1 KiB per lane.
const MIN_KIB_PER_LANE: u32 = 8;

/// A cost of Argon2id. Every value of this type is within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Numbers", into = "Numbers")]
pub struct Argon2idCost(Numbers);

/// The form of a cost in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Argon2idCost {
    /// Creates a cost from KiB of memory, number of passes, and number of lanes.
    ///
    /// # Errors
    /// [`CostOutOfRange`] if a value is outside its limits.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, CostOutOfRange> {
        if !(1..=MAX_LANES).contains(&lanes) {
            return Err(CostOutOfRange::Lanes { found: lanes });
        }
        if !(MIN_KIB_PER_LANE * lanes..=MAX_MEMORY_KIB).contains(&memory_kib) {
            return Err(CostOutOfRange::Memory { found: memory_kib });
        }
        if !(1..=MAX_PASSES).contains(&passes) {
            return Err(CostOutOfRange::Passes { found: passes });
        }
        Ok(Self(Numbers {
            memory_kib,
            passes,
            lanes,
        }))
    }

    /// Stretches a pass phrase to a key; `None` if the pass phrase is longer than 4 GiB.
    pub(super) fn stretch(self, passphrase: &Passphrase, salt: &[u8]) -> Option<Secret<32>> {
        let Numbers {
            memory_kib,
            passes,
            lanes,
        } = self.0;
        let params = Params::new(memory_kib, passes, lanes, Some(32)).ok()?;
        let mut blocks = Zeroizing::new(vec![Block::default(); params.block_count()]);
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                passphrase.as_bytes(),
                salt,
                key.as_mut_slice(),
                blocks.as_mut_slice(),
            )
            .ok()?;
        Some(Secret::from_bytes(*key))
    }

    /// The three numbers, for a slot's associated data.
    pub(super) fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let numbers = [self.0.memory_kib, self.0.passes, self.0.lanes];
        for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }
}

impl Default for Argon2idCost {
    /// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106, section 4.
    fn default() -> Self {
        Self(Numbers {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 4,
        })
    }
}

impl TryFrom<Numbers> for Argon2idCost {
    type Error = CostOutOfRange;

    fn try_from(numbers: Numbers) -> Result<Self, CostOutOfRange> {
        Self::new(numbers.memory_kib, numbers.passes, numbers.lanes)
    }
}

impl From<Argon2idCost> for Numbers {
    fn from(cost: Argon2idCost) -> Self {
        cost.0
    }
}

/// A cost outside the limits. In a file it is damage or an attempt at denial of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CostOutOfRange {
    /// Less than 8 KiB per lane, or more than 1 GiB.
    #[error("Argon2id with {found} KiB of memory: it must be 8 KiB per lane to 1048576 KiB")]
    Memory {
        /// KiB of memory.
        found: u32,
    },
    /// No passes, or more than 64.
    #[error("Argon2id with {found} passes: it must be 1 to 64")]
    Passes {
        /// The number of passes.
        found: u32,
    },
    /// No lanes, or more than 16.
    #[error("Argon2id with {found} lanes: it must be 1 to 16")]
    Lanes {
        /// The number of lanes.
        found: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_accepted_up_to_its_limits() {
        assert!(Argon2idCost::new(1024 * 1024, 64, 16).is_ok());
        assert!(Argon2idCost::new(8, 1, 1).is_ok());
        assert!(Argon2idCost::new(128, 1, 16).is_ok());
        for (memory_kib, passes, lanes, refused) in [
            (7, 1, 1, CostOutOfRange::Memory { found: 7 }),
            (127, 1, 16, CostOutOfRange::Memory { found: 127 }),
            (1_048_577, 1, 1, CostOutOfRange::Memory { found: 1_048_577 }),
            (64, 0, 1, CostOutOfRange::Passes { found: 0 }),
            (64, 65, 1, CostOutOfRange::Passes { found: 65 }),
            (64, 1, 0, CostOutOfRange::Lanes { found: 0 }),
            (256, 1, 17, CostOutOfRange::Lanes { found: 17 }),
            (64, 1, u32::MAX, CostOutOfRange::Lanes { found: u32::MAX }),
        ] {
            assert_eq!(Argon2idCost::new(memory_kib, passes, lanes), Err(refused));
        }
    }

    #[test]
    fn a_cost_out_of_range_is_rejected_when_a_file_is_read() {
        let read = |text: &str| serde_json::from_str::<Argon2idCost>(text);
        let cost = read(r#"{"memory_kib": 65536, "passes": 3, "lanes": 4}"#).unwrap();
        assert_eq!(cost, Argon2idCost::default());
        for (text, refused) in [
            (
                r#"{"memory_kib": 4294967295, "passes": 3, "lanes": 4}"#,
                "4294967295 KiB",
            ),
            (
                r#"{"memory_kib": 65536, "passes": 3, "lanes": 4, "salt": 1}"#,
                "unknown field",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(refused), "{error}");
        }
    }

    /// From `src/test.c` of the reference implementation, version 19.
    #[test]
    fn stretching_gives_the_published_argon2id_keys() {
        let stretched = |lanes| {
            let cost = Argon2idCost::new(256, 2, lanes).unwrap();
            let passphrase = Passphrase::from("password".to_owned());
            let key = cost.stretch(&passphrase, b"somesalt").unwrap();
            data_encoding::HEXLOWER.encode(key.expose())
        };
        assert_eq!(
            stretched(1),
            "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"
        );
        assert_eq!(
            stretched(2),
            "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"
        );
    }
}
