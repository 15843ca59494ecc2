//! The address that a custodian asks about.

use std::net::IpAddr;

use super::from_stdin;
use crate::ledger::pseudonym::ClientAddress;

/// From the argument, or, if that is `-`, from standard input.
pub(super) fn read(argument: &str) -> Result<ClientAddress, String> {
    let given = if argument == "-" { Some(from_stdin("address")?) } else { None };
    let text = given.as_ref().map_or(argument.as_bytes(), |given| given.trim_ascii());
    let address = std::str::from_utf8(text).ok().and_then(|text| text.parse::<IpAddr>().ok());
    // What was given is not repeated: it ends up in a terminal's history, or a log.
    address.map(ClientAddress::new).ok_or_else(|| "this is no IP address".to_owned())
}
