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
    /// Lists the encryption options, enabled ones first.
    List,
    /// Enables an option and ranks it last.
    Enable {
        /// Option name.
        name: EncryptionOption,
    },
    /// Disables an option; sessions that use it continue unless --cut is given.
    Disable {
        /// Option name.
        name: EncryptionOption,
        /// Ends all sessions whose option is then disabled, also if it was disabled before.
        #[arg(long)]
        cut: bool,
    },
    /// Ranks the enabled options: the given ones first, best first.
    Order {
        /// Option names.
        #[arg(required = true)]
        names: Vec<EncryptionOption>,
    },
    /// Sets the weakest strength that may be offered, and disables weaker options.
    Floor {
        /// `hybrid`, `classical` or `delivered`.
        strength: Strength,
        /// Ends all sessions whose option is then disabled.
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
            let consequence = locked_out(&[name.name()]);
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

/// The parts of the result of `option list` that the question before a change needs.
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
    /// The consequence of setting the floor that the user must agree to; `None` if it weakens nothing and
    /// locks out no client.
    fn consequence(&self, floor: Strength) -> Option<String> {
        // A strength that this program does not know counts as the weakest.
        let of = |strength: &str| strength.parse().unwrap_or(Strength::Delivered);
        if floor < of(&self.floor) {
            return Some(format!(
                "the floor is {} now; a lower one allows {floor} options to be enabled",
                self.floor
            ));
        }
        let enabled = self.options.iter().filter(|option| option.enabled);
        let disabled: Vec<&str> = enabled
            .filter(|option| of(&option.strength) < floor)
            .map(|option| option.name.as_str())
            .collect();
        (!disabled.is_empty()).then(|| locked_out(&disabled))
    }
}

fn locked_out(options: &[&str]) -> String {
    format!(
        "clients that accept only {} will not be able to log in",
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
    fn a_floor_that_weakens_or_locks_out_clients_needs_a_confirmation() {
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
