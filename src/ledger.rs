//! The trail of share links: who opened them, provably, without keeping an address.

pub mod trail;
