//! The contract of a store, as test functions over any store. A new kind of store implements
//! [`StoreUnderTest`] and passes it to [`keeps_the_contract`](crate::keeps_the_contract).
//!
//! ```ignore
//! struct Memory(MemoryStore);
//!
//! countersign_testkit::keeps_the_contract!(Memory(MemoryStore::new()));
//! ```

#![allow(missing_docs, reason = "the name of each function is its description")]

mod access_tokens;
mod alarm_limits;
mod alarms;
mod applications;
mod audit_signatures;
mod concurrency;
mod conditions;
mod devices;
mod durability;
mod peer_heads;
mod peer_voids;
mod peers;
mod person_data;
mod sample;
mod search;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;
use countersign_core::store::Store;

pub use access_tokens::*;
pub use alarm_limits::*;
pub use alarms::*;
pub use applications::*;
pub use audit_signatures::*;
pub use concurrency::*;
pub use conditions::*;
pub use devices::*;
pub use durability::*;
pub use peer_heads::*;
pub use peer_voids::*;
pub use peers::*;
pub use person_data::*;
pub use sample::{commit_nothing, key, person, service, set, verify};
pub use search::*;
pub use writes::*;

/// Access to a store under test.
#[async_trait]
pub trait StoreUnderTest: Send + Sync {
    /// Opens the store. It may have been opened before.
    async fn open(&self) -> Arc<dyn Store>;

    /// Alters the target of a stored audit entry, as an attacker with access to the disk can.
    async fn alter_audit(&self, seq: u64);

    /// Removes a stored audit entry, as an attacker with access to the disk can.
    async fn remove_audit(&self, seq: u64);
}

/// Makes a test of each function of the contract. The expression makes the
/// [`StoreUnderTest`](crate::contract::StoreUnderTest).
#[macro_export]
macro_rules! keeps_the_contract {
    ($under_test:expr) => {
        $crate::keeps_the_contract! { $under_test;
            what_was_committed_is_read_back
            a_name_is_taken_once
            a_key_serves_one_account
            an_id_is_used_once
            a_stale_revision_is_refused
            a_change_to_a_missing_item_is_refused
            a_change_set_is_atomic
            deleting_an_account_deletes_its_credentials
            a_passphrase_replaces_the_one_before
            a_delivered_key_replaces_the_one_before_and_can_be_deleted
            an_application_is_changed_at_its_current_revision_only
            a_change_for_a_deleted_application_does_not_reach_the_next_one_of_its_id
            a_setting_is_changed_at_its_current_revision_only
            the_progress_of_a_script_is_recorded
            lists_are_ordered_by_name_and_paged
            a_search_finds_accounts_by_the_beginning_of_a_text
            a_search_follows_changes_and_deletions
            changes_are_written_in_the_order_of_the_set
            an_alarm_is_read_back_with_recipients_and_deliveries
            an_alarm_is_changed_at_its_current_revision_only
            deleting_an_account_deletes_its_alarms
            deliveries_are_leased_in_their_order
            cancelling_includes_leased_deliveries
            due_escalations_and_active_admins_are_found
            preferences_are_changed_at_the_current_revision_only
            the_limits_on_alarms_are_enforced
            sixty_four_writers_lose_nothing
            a_refused_set_does_not_affect_concurrent_ones
            one_of_many_concurrent_updates_succeeds
            nothing_is_written_for_an_account_that_changed
            nothing_is_written_after_a_setting_that_changed
            a_condition_holds_among_concurrent_sets
            a_ticket_is_found_by_its_token_and_listed_with_its_account
            a_ticket_is_bound_once_and_revoked_once
            a_ticket_is_deleted_by_its_account_alone
            one_of_many_keys_gets_a_ticket
            tickets_that_expired_are_forgotten
            a_device_is_found_by_its_key_and_listed_with_its_account
            a_key_serves_one_device_and_a_removed_one_none
            a_device_is_renamed_on_what_was_read
            a_deleted_account_takes_its_tickets_and_devices_along
            an_access_token_is_found_by_its_hash_with_its_account
            an_access_token_is_deleted_by_its_account_alone
            an_account_has_so_many_access_tokens
            a_completed_request_is_recorded_once_and_forgotten_in_time
            a_credential_with_many_completed_requests_pushes_out_its_own
            a_peer_is_found_by_its_site_id_and_its_zone
            a_zone_belongs_to_one_peer_until_it_is_removed
            a_peer_is_changed_at_its_current_revision_only
            a_message_is_numbered_once_and_leaves_the_outbox_when_it_is_delivered
            a_message_is_received_once_and_in_order
            the_first_message_of_each_pair_waits_before_the_second_of_any
            accounts_take_turns_at_sending_and_what_is_withheld_is_passed_over
            a_recipient_is_new_until_a_message_was_accepted
            a_deleted_account_and_a_forgotten_peer_take_their_messages_along
            the_newest_heads_of_each_side_of_a_peer_are_kept
            of_two_heads_of_a_peer_with_one_number_one_is_stored
            a_head_that_was_decided_with_a_replaced_key_is_not_stored
            void_tickets_wait_until_the_peer_was_told_or_they_have_ended
            the_data_of_a_person_is_read_back_with_the_account
            the_data_of_a_person_is_changed_at_the_current_revision_of_the_account_only
            a_deleted_account_takes_its_data_along
            a_binding_whose_device_fails_binds_nothing
            acknowledged_changes_survive_the_process
            the_audit_chain_continues_after_reopening
            an_altered_audit_entry_is_found
            a_removed_audit_entry_is_found
            a_signature_is_stored_with_the_entry_that_it_covers
        }
    };
    ($under_test:expr; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::contract::$promise(&$under_test).await;
            }
        )*
    };
}
