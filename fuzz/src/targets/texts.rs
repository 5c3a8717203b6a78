//! The texts that stand for one value, from any text: ids, names, times, addresses, tags. One that is read is
//! written and read again as the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use countersign_core::alarms::{Raiser, Target, TimeOfDay, TimeZoneName};
use countersign_core::applications::ApplicationId;
use countersign_core::id::AccountId;
use countersign_core::lockdown::LockdownLevel;
use countersign_core::public_url::PublicUrl;
use countersign_core::throttle::Source;
use countersign_core::timestamp::Timestamp;
use countersign_core::web_origin::WebOrigin;
use countersign_crypto::base62;
use countersign_crypto::certificate::Thumbprint;
use countersign_crypto::site_key_slots::{RecoveryCode, SlotFile};
use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::device::DeviceName;
use countersign_proto::session::{EncryptionOption, Strength};
use countersign_proto::site_identity::SiteId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::text;

pub(super) fn run(input: &[u8]) {
    let text = text(input);
    again::<AccountId>(text);
    again::<ApplicationId>(text);
    again::<DeviceName>(text);
    again::<EncryptionOption>(text);
    again::<ForeignName>(text);
    again::<LockdownLevel>(text);
    again::<Raiser>(text);
    again::<SiteId>(text);
    again::<Source>(text);
    again::<Strength>(text);
    again::<Target>(text);
    again::<Thumbprint>(text);
    again::<TimeOfDay>(text);
    again::<Timestamp>(text);
    again::<WebOrigin>(text);
    json_again::<TimeZoneName>(text);
    if let Ok(url) = PublicUrl::try_from(text.to_owned()) {
        assert_eq!(PublicUrl::try_from(url.as_str().to_owned()), Ok(url));
    }
    if let Ok(code) = text.parse::<RecoveryCode>() {
        let written = code.to_text();
        let read: RecoveryCode = written.expose().parse().unwrap();
        assert_eq!(read.to_text().expose(), written.expose());
    }
    if let Ok(file) = SlotFile::from_text(text) {
        let written = file.to_text();
        let read = SlotFile::from_text(written.expose()).unwrap();
        assert_eq!(read.to_text().expose(), written.expose());
    }
    if let Some(secret) = base62::decode(text) {
        assert_eq!(base62::encode(&secret).expose(), text);
    }
}

fn again<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string().parse::<T>().ok(), Some(read));
    }
}

fn json_again<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    let json = serde_json::Value::from(text);
    if let Ok(read) = serde_json::from_value::<T>(json) {
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(serde_json::from_value::<T>(written).unwrap(), read);
    }
}
