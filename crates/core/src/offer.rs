//! The offer: the encryption options that a site offers, their order, and their minimum strength.

use countersign_proto::session::{EncryptionOption, OptionList, Strength};
use serde::{Deserialize, Serialize};

/// The options that an admin enabled and ranked, and the minimum strength.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The enabled options, best first.
    #[serde(with = "names")]
    ranked: Vec<EncryptionOption>,
    /// The minimum strength of an option on offer.
    #[serde(with = "name")]
    floor: Strength,
}

/// Why an offer cannot be changed in this way. It stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The option is weaker than the floor.
    #[error("{option} has strength {}, below the floor, which is {floor}", option.strength())]
    BelowFloor {
        /// The option.
        option: EncryptionOption,
        /// The floor.
        floor: Strength,
    },
    /// The configuration file does not allow a floor this low.
    #[error("the configuration file does not allow a floor below {least}")]
    BelowConfiguration {
        /// The minimum strength in the configuration file.
        least: Strength,
    },
    /// The change would leave no option on offer.
    #[error("no option would be on offer, so that no client could log in")]
    NothingLeft,
    /// The option already is, or is not, on offer.
    #[error("{option} is already {}", if *.on_offer { "on offer" } else { "not on offer" })]
    Already {
        /// The option.
        option: EncryptionOption,
        /// Whether it is on offer.
        on_offer: bool,
    },
}

impl Default for Offer {
    /// The offer of a new site: the hybrid options. The floor allows an admin to enable classical
    /// ones.
    fn default() -> Self {
        Self {
            ranked: OptionList::default().ranked().to_vec(),
            floor: Strength::Classical,
        }
    }
}

impl Offer {
    /// Makes an offer of these options, best first, with a floor that allows all of them.
    #[must_use]
    pub fn of(options: &OptionList) -> Self {
        let weakest = options.ranked().iter().map(|option| option.strength());
        Self {
            ranked: options.ranked().to_vec(),
            floor: weakest
                .min()
                .unwrap_or(Strength::Hybrid)
                .min(Strength::Classical),
        }
    }

    /// Returns the minimum strength.
    #[must_use]
    pub fn floor(&self) -> Strength {
        self.floor
    }

    /// Returns the options that an admin enabled, best first. Some may be below the floor in the
    /// configuration and therefore not on offer.
    #[must_use]
    pub fn enabled(&self) -> &[EncryptionOption] {
        &self.ranked
    }

    /// Returns the options on offer: those at or above the floor and `least`, the floor in the
    /// configuration.
    #[must_use]
    pub fn options(&self, least: Strength) -> OptionList {
        let floor = self.floor.max(least);
        let strong = |option: &EncryptionOption| option.strength() >= floor;
        OptionList::new(self.ranked.iter().copied().filter(strong))
    }

    /// Enables an option and ranks it last.
    ///
    /// # Errors
    /// [`OfferError::BelowFloor`] and [`OfferError::Already`].
    pub fn enable(&mut self, option: EncryptionOption, least: Strength) -> Result<(), OfferError> {
        if self.ranked.contains(&option) {
            let on_offer = true;
            return Err(OfferError::Already { option, on_offer });
        }
        let floor = self.floor.max(least);
        if option.strength() < floor {
            return Err(OfferError::BelowFloor { option, floor });
        }
        self.ranked.push(option);
        Ok(())
    }

    /// Disables an option.
    ///
    /// # Errors
    /// [`OfferError::NothingLeft`] and [`OfferError::Already`].
    pub fn disable(&mut self, option: EncryptionOption, least: Strength) -> Result<(), OfferError> {
        let mut after = self.clone();
        after.ranked.retain(|known| *known != option);
        if after == *self {
            let on_offer = false;
            return Err(OfferError::Already { option, on_offer });
        }
        self.replace_by(after, least)
    }

    /// Ranks the enabled options: the named ones first, then the others in their previous order.
    ///
    /// # Errors
    /// [`OfferError::Already`] if a named option is not enabled.
    pub fn order(&mut self, first: &[EncryptionOption]) -> Result<(), OfferError> {
        if let Some(option) = first.iter().find(|option| !self.ranked.contains(option)) {
            return Err(OfferError::Already {
                option: *option,
                on_offer: false,
            });
        }
        let others = self.ranked.iter().copied();
        let all = OptionList::new(first.iter().copied().chain(others));
        self.ranked = all.ranked().to_vec();
        Ok(())
    }

    /// Sets the floor and disables weaker options.
    ///
    /// # Errors
    /// [`OfferError::BelowConfiguration`] and [`OfferError::NothingLeft`].
    pub fn set_floor(&mut self, floor: Strength, least: Strength) -> Result<(), OfferError> {
        if floor < least {
            return Err(OfferError::BelowConfiguration { least });
        }
        let mut after = self.clone();
        after.floor = floor;
        after.ranked.retain(|option| option.strength() >= floor);
        self.replace_by(after, least)
    }

    fn replace_by(&mut self, after: Self, least: Strength) -> Result<(), OfferError> {
        if after.options(least).ranked().is_empty() {
            return Err(OfferError::NothingLeft);
        }
        *self = after;
        Ok(())
    }
}

/// Serialises a strength as its name.
mod name {
    use super::{Deserialize, Strength};

    pub(super) fn serialize<S: serde::Serializer>(
        strength: &Strength,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(strength.name())
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Strength, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// Serialises options as their names.
mod names {
    use super::{Deserialize, EncryptionOption};

    pub(super) fn serialize<S: serde::Serializer>(
        options: &[EncryptionOption],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(options.iter().map(|option| option.name()))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<EncryptionOption>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        let options = names.iter().map(|name| name.parse());
        options
            .collect::<Result<_, _>>()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use EncryptionOption::{
        HybridAes256Gcm as A, HybridChaCha20Poly1305 as B, X25519Aes256Gcm as C,
    };

    use super::*;

    fn ranked(offer: &Offer, least: Strength) -> Vec<EncryptionOption> {
        offer.options(least).ranked().to_vec()
    }

    #[test]
    fn options_are_enabled_ranked_and_disabled() {
        let (mut offer, least) = (Offer::default(), Strength::Delivered);
        offer.enable(C, least).unwrap();
        assert_eq!(ranked(&offer, least), [A, B, C]);
        offer.order(&[C, B]).unwrap();
        assert_eq!(ranked(&offer, least), [C, B, A]);
        offer.disable(B, least).unwrap();
        offer.disable(C, least).unwrap();
        assert_eq!(offer.disable(A, least), Err(OfferError::NothingLeft));
        assert!(offer.order(&[B]).is_err() && offer.enable(A, least).is_err());
        assert_eq!(ranked(&offer, least), [A]);
    }

    #[test]
    fn nothing_is_offered_below_the_floor() {
        let (mut offer, least) = (Offer::default(), Strength::Delivered);
        offer.enable(C, least).unwrap();
        offer.set_floor(Strength::Hybrid, least).unwrap();
        assert_eq!(ranked(&offer, least), [A, B]);
        let floor = Strength::Hybrid;
        let option = C;
        assert_eq!(
            offer.enable(C, least),
            Err(OfferError::BelowFloor { option, floor })
        );
        offer.set_floor(Strength::Classical, least).unwrap();
        offer.enable(C, least).unwrap();
    }

    #[test]
    fn the_floor_in_the_configuration_takes_precedence() {
        let mut offer = Offer::default();
        offer.enable(C, Strength::Delivered).unwrap();
        let least = Strength::Hybrid;
        assert_eq!(
            ranked(&offer, least),
            [A, B],
            "stored options below the configured floor are not on offer"
        );
        let error = Err(OfferError::BelowConfiguration { least });
        assert_eq!(offer.set_floor(Strength::Classical, least), error);
    }

    #[test]
    fn an_offer_is_serialised_with_names() {
        let json = serde_json::to_string(&Offer::default()).unwrap();
        assert_eq!(
            json,
            r#"{"ranked":["hybrid-aes256gcm","hybrid-chacha20poly1305"],"floor":"classical"}"#
        );
        let read: Offer = serde_json::from_str(&json).unwrap();
        assert_eq!(read, Offer::default());
    }
}
