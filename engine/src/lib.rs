//! Capture bytes into facts.
//!
//! Data flows one way, and a later stage may name an earlier one but never the reverse:
//!
//! ```text
//! capture ──► decode ──► tcp ──► http ──► ledger
//! bytes       Segment    Connection  Exchange  Summary
//! ```
//!
//! [`engine`] is the only wiring. There is no Python here, and no `unsafe` but in the files that `tests/test_house.py` lists; only
//! [`capture`] touches files and sockets, and [`rows`] a temporary file of its own.
#![deny(unsafe_code)]

pub mod capture;
pub mod decode;
pub mod engine;
pub mod http;
pub mod ladder;
pub mod ledger;
pub mod record;
pub mod rows;
pub mod settings;
pub mod tcp;
pub mod tunnels;
