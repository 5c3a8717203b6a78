//! The only crate that names primitives: keys, certificates, key files, OPAQUE, Noise, records.
