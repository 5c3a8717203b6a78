//! Moves bytes: session listener, local admin socket, admission.
