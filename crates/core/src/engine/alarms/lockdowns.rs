//! Alarms about lockdowns that were imposed or lifted without them.

use serde_json::json;

use crate::alarms::{AlarmKey, SystemAlarm};
use crate::engine::{Refusal, Site};
use crate::lockdown::Lockdowns;
use crate::timestamp::Timestamp;

impl Site {
    /// Makes the alarms agree with the lockdowns in force, if a lockdown was imposed or lifted without its
    /// alarm. An admin may have ended the alarm of another lockdown by hand: that one comes again.
    pub(super) async fn check_lockdowns(&self, now: Timestamp) -> Result<(), Refusal> {
        let lockdowns = self.lockdowns();
        if !lockdowns.are_alarms_due() {
            return Ok(());
        }
        let in_force = alarms_of(&lockdowns);
        for alarm in &in_force {
            if self.system_alarm(alarm.key().as_str()).await?.is_none() {
                self.raise_system(alarm, now).await?;
            }
        }
        let lasts = |key: &str| in_force.iter().any(|alarm| alarm.key().as_str() == key);
        let is_over = |key: &str| key.starts_with(SystemAlarm::LOCKDOWN) && !lasts(key);
        self.end_where(|alarm| is_over(alarm.key.as_str()), now)
            .await?;
        let done = self.change_lockdowns(|now| {
            // One that was changed meanwhile is for the next check.
            let due = now != *lockdowns;
            Ok(now.with_alarms_due(due))
        })?;
        let key = AlarmKey::cut(SystemAlarm::LOCKDOWN.trim_end());
        let done = (vec![done], Vec::new());
        self.commit_alarm("alarm.check", done, &key, &json!({}), now)
            .await
    }
}

/// The alarms about the lockdowns in force.
fn alarms_of(lockdowns: &Lockdowns) -> Vec<SystemAlarm> {
    let site = lockdowns.site().map(|site| SystemAlarm::Lockdown {
        target: "site".to_owned(),
        level: Some(site.level),
        by: site.imposed.by.clone(),
    });
    let targets = lockdowns.targets().values();
    let targets = targets.map(|on| SystemAlarm::Lockdown {
        target: on.name.clone(),
        level: None,
        by: on.imposed.by.clone(),
    });
    site.into_iter().chain(targets).collect()
}
