//! Every dialog as pure state machines: RISP, the session protocol, operation envelopes.
