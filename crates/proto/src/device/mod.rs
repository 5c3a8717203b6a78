//! The device connection (`docs/protocol/device.md`, Device connection): the lines that stand
//! before the first operation. TLS has authenticated both ends by their keys before.
//!
//! ```text
//! device                                site
//!   | --> Hello: the person's id          |     which must own the device's key
//!   |     DeviceWelcome: limits       <-- |
//!   | <== operations, results, events ==> |     as in `lines`
//! ```

mod hello;
mod name;
mod upgrade;
mod welcome;

pub use hello::{BadHello, Hello, MAX_HELLO};
pub use name::{BadDeviceName, DeviceName};
pub use upgrade::{BadUpgrade, DEVICE_SUBPROTOCOL, MAX_UPGRADE, UPGRADE_START, UpgradeRequest};
pub use welcome::{BadWelcome, DeviceWelcome, MAX_WELCOME};
