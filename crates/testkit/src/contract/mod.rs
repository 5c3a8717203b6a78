//! The contract that every store keeps, as functions over any store. A new kind of store implements
//! [`Bench`] and names itself to [`keeps_the_contract`](crate::keeps_the_contract).
//!
//! ```ignore
//! struct Memory(MemoryStore);
//!
//! countersign_testkit::keeps_the_contract!(Memory(MemoryStore::new()));
//! ```

#![allow(missing_docs, reason = "the name of a promise says it")]

mod alarms;
mod concurrency;
mod durability;
mod sample;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::store::Store;

pub use alarms::*;
pub use concurrency::*;
pub use durability::*;
pub use sample::{commit_nothing, key, person, service, set, verify};
pub use writes::*;

/// Where a store under test lives.
#[async_trait]
pub trait Bench: Send + Sync {
    /// Opens the store, whether or not it was opened before.
    async fn open(&self) -> Arc<dyn Store>;

    /// Alters the target of an audit entry that is stored, as an attacker with access to the disk can.
    async fn alter_audit(&self, seq: u64);

    /// Removes an audit entry likewise.
    async fn remove_audit(&self, seq: u64);
}

/// Makes a test of each promise, for the bench that the expression makes.
#[macro_export]
macro_rules! keeps_the_contract {
    ($bench:expr) => {
        $crate::keeps_the_contract! { $bench;
            what_was_committed_is_read_back
            a_name_is_taken_once
            a_key_serves_one_account
            an_id_is_used_once
            a_stale_revision_is_refused
            what_is_gone_is_not_found
            a_set_happens_whole_or_not_at_all
            a_deleted_account_takes_its_credentials_along
            a_passphrase_replaces_the_one_before
            a_delivered_key_replaces_the_one_before_and_is_taken_away
            an_application_is_changed_on_what_was_read
            a_setting_is_changed_on_what_was_read
            a_script_is_recorded_as_far_as_it_came
            lists_go_by_name_and_in_stretches
            changes_out_of_the_usual_order_are_written_too
            an_alarm_is_read_back_with_its_recipients_and_deliveries
            an_alarm_is_changed_on_what_was_read
            a_deleted_account_takes_its_alarms_along
            deliveries_go_out_in_their_order_and_under_a_lease
            cancelling_reaches_what_a_worker_has
            escalations_and_admins_are_found
            preferences_are_changed_on_what_was_read
            alarms_have_so_much_room_and_no_more
            sixty_four_writers_lose_nothing
            an_overtaken_set_disturbs_no_other
            one_of_many_deciders_wins
            what_was_acknowledged_outlives_the_process
            the_audit_chain_goes_on_after_reopening
            an_altered_audit_entry_is_found
            a_removed_audit_entry_is_found
        }
    };
    ($bench:expr; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::contract::$promise(&$bench).await;
            }
        )*
    };
}
