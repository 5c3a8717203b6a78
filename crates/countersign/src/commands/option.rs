//! `countersign option`.

use clap::Subcommand;
use countersign_proto::session::{EncryptionOption, Strength};
use serde::Deserialize;
use serde_json::json;

use super::confirm::agree;
use super::{admin_call, confirmed_call};
use crate::admin::Admin;
use crate::failure::{Exit, Failure};
use crate::global::Common;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists the encryption options, those on offer first.
    List,
    /// Puts an option on offer, after the others.
    Enable {
        /// Its name.
        name: EncryptionOption,
    },
    /// Takes an option off; sessions that use it go on, unless they are cut.
    Disable {
        /// Its name.
        name: EncryptionOption,
        /// Cuts all sessions whose option is not on offer then; also when it was taken off before.
        #[arg(long)]
        cut: bool,
    },
    /// Ranks the options on offer: the named ones first, best first.
    Order {
        /// Their names.
        #[arg(required = true)]
        names: Vec<EncryptionOption>,
    },
    /// Sets the weakest strength that may be offered, and takes weaker options off.
    Floor {
        /// hybrid, classical or delivered.
        strength: Strength,
        /// Cuts all sessions whose option is not on offer then.
        #[arg(long)]
        cut: bool,
    },
}

pub(crate) fn run(common: &Common, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List => admin_call(common, "option", "list", &json!({})),
        Verb::Enable { name } => {
            admin_call(common, "option", "enable", &json!({ "name": name.name() }))
        }
        Verb::Disable { name, cut } => {
            let consequence = shut_out(&[name.name()]);
            agree(common, &format!("option disable {name}: {consequence}"))?;
            let params = json!({ "name": name.name(), "cut": cut });
            confirmed_call(common, "option", "disable", &params)
        }
        Verb::Order { names } => {
            let names: Vec<&str> = names.iter().map(|name| name.name()).collect();
            admin_call(common, "option", "order", &json!({ "names": names }))
        }
        Verb::Floor { strength, cut } => {
            if let Some(consequence) = listed(common)?.consequence(strength) {
                agree(common, &format!("option floor {strength}: {consequence}"))?;
            }
            confirmed_call(
                common,
                "option",
                "floor",
                &json!({ "floor": strength.name(), "cut": cut }),
            )
        }
    }
}

/// What `option.list` says, as far as it matters to what is asked.
#[derive(Deserialize)]
struct Listed {
    options: Vec<ListedOption>,
    floor: String,
}

#[derive(Deserialize)]
struct ListedOption {
    name: String,
    enabled: bool,
    strength: String,
}

fn listed(common: &Common) -> Result<Listed, Failure> {
    let listed = Admin::connect(&common.data)?.data("option", "list", &json!({}))?;
    serde_json::from_value(listed).map_err(|error| Failure::new(Exit::Failure, "protocol", error))
}

impl Listed {
    /// What somebody should agree to before the floor is set; `None` when nothing is weakened and
    /// nobody is shut out.
    fn consequence(&self, floor: Strength) -> Option<String> {
        // A strength that is not known here is taken for a weak one.
        let of = |strength: &str| strength.parse().unwrap_or(Strength::Delivered);
        if floor < of(&self.floor) {
            return Some(format!(
                "the floor is {}, and under a lower one options that are {floor} can be enabled",
                self.floor
            ));
        }
        let enabled = self.options.iter().filter(|option| option.enabled);
        let taken_off: Vec<&str> = enabled
            .filter(|option| of(&option.strength) < floor)
            .map(|option| option.name.as_str())
            .collect();
        (!taken_off.is_empty()).then(|| shut_out(&taken_off))
    }
}

fn shut_out(options: &[&str]) -> String {
    format!(
        "clients that accept nothing but {} cannot log in any more",
        options.join(" and ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(enabled: &[EncryptionOption], floor: Strength) -> Listed {
        let options = EncryptionOption::ALL.map(|option| ListedOption {
            name: option.name().to_owned(),
            enabled: enabled.contains(&option),
            strength: option.strength().name().to_owned(),
        });
        Listed {
            options: options.into(),
            floor: floor.name().to_owned(),
        }
    }

    #[test]
    fn a_floor_is_asked_about_when_it_weakens_or_shuts_somebody_out() {
        use EncryptionOption::{HybridAes256Gcm, X25519Aes256Gcm};
        let hybrid = listed(&[HybridAes256Gcm], Strength::Classical);
        assert_eq!(hybrid.consequence(Strength::Hybrid), None);
        assert_eq!(hybrid.consequence(Strength::Classical), None);
        let lowered = hybrid.consequence(Strength::Delivered).unwrap();
        assert!(lowered.contains("delivered"), "{lowered}");
        let mixed = listed(&[HybridAes256Gcm, X25519Aes256Gcm], Strength::Classical);
        let raised = mixed.consequence(Strength::Hybrid).unwrap();
        assert!(raised.contains("x25519-aes256gcm"), "{raised}");
        assert!(!raised.contains("hybrid-aes256gcm"), "{raised}");
    }
}
