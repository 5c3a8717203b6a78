//! The encryption options that a site offers: which ones, in which order, and how weak they may be.

use countersign_proto::session::{EncryptionOption, OptionList, Strength};
use serde::{Deserialize, Serialize};

/// What the admin ranked, and the floor below which nothing is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The options on offer, best first.
    #[serde(with = "names")]
    ranked: Vec<EncryptionOption>,
    /// Nothing weaker is offered.
    #[serde(with = "name")]
    floor: Strength,
}

/// Why an offer cannot be changed like that. It is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The option is weaker than the floor allows.
    #[error("{option} is {} and the floor is {floor}", option.strength())]
    BelowFloor {
        /// The option.
        option: EncryptionOption,
        /// The floor.
        floor: Strength,
    },
    /// The configuration file does not allow a floor so low.
    #[error("the configuration file allows no floor below {least}")]
    BelowConfiguration {
        /// What it allows.
        least: Strength,
    },
    /// Nobody could log in any more.
    #[error("no option would be left, and nobody could log in any more")]
    NothingLeft,
    /// The option is on offer, or is not, already.
    #[error("{option} is {} already", if *.on_offer { "on offer" } else { "not on offer" })]
    Already {
        /// The option.
        option: EncryptionOption,
        /// How it is.
        on_offer: bool,
    },
}

impl Default for Offer {
    /// What a new site offers: the hybrid options, and nothing below classical ones until the floor is
    /// lowered.
    fn default() -> Self {
        Self {
            ranked: OptionList::default().ranked().to_vec(),
            floor: Strength::Classical,
        }
    }
}

impl Offer {
    /// These options, best first, and a floor that lets all of them through.
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

    /// The floor.
    #[must_use]
    pub fn floor(&self) -> Strength {
        self.floor
    }

    /// The options that the admin enabled, best first. The configuration's floor may keep some of them
    /// from being offered.
    #[must_use]
    pub fn enabled(&self) -> &[EncryptionOption] {
        &self.ranked
    }

    /// What sessions may use: nothing below the floor, nor below `least`, which the configuration says.
    #[must_use]
    pub fn options(&self, least: Strength) -> OptionList {
        let floor = self.floor.max(least);
        let strong = |option: &EncryptionOption| option.strength() >= floor;
        OptionList::new(self.ranked.iter().copied().filter(strong))
    }

    /// Puts an option on offer, after the others.
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

    /// Takes an option off.
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
        self.settle(after, least)
    }

    /// Ranks the options on offer: the named ones first, the others behind them in the order that they
    /// had.
    ///
    /// # Errors
    /// [`OfferError::Already`] when a named one is not on offer.
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

    /// Sets the floor, and takes off what lies below it.
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
        self.settle(after, least)
    }

    fn settle(&mut self, after: Self, least: Strength) -> Result<(), OfferError> {
        if after.options(least).ranked().is_empty() {
            return Err(OfferError::NothingLeft);
        }
        *self = after;
        Ok(())
    }
}

/// A strength by its name.
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

/// Options by their names.
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
    fn the_configuration_has_the_last_word() {
        let mut offer = Offer::default();
        offer.enable(C, Strength::Delivered).unwrap();
        let least = Strength::Hybrid;
        assert_eq!(ranked(&offer, least), [A, B], "whatever is stored");
        let error = Err(OfferError::BelowConfiguration { least });
        assert_eq!(offer.set_floor(Strength::Classical, least), error);
    }

    #[test]
    fn an_offer_is_kept_by_its_names() {
        let json = serde_json::to_string(&Offer::default()).unwrap();
        assert_eq!(
            json,
            r#"{"ranked":["hybrid-aes256gcm","hybrid-chacha20poly1305"],"floor":"classical"}"#
        );
        let read: Offer = serde_json::from_str(&json).unwrap();
        assert_eq!(read, Offer::default());
    }
}
