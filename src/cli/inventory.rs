//! `consentry inventory`: what pages were seen to contact, and what to write into the configuration about it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use serde_json::Value;

use super::{ask, print};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where the admin listener is.
    #[arg(long, default_value = "127.0.0.1:9900")]
    admin: SocketAddr,
}

pub(super) fn inventory(arguments: &Arguments) -> ExitCode {
    let answer = match ask(arguments.admin, "/inventory") {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("{} does not answer: {error}", arguments.admin);
            return ExitCode::FAILURE;
        }
    };
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    match serde_json::from_str(body) {
        Ok(listing) if answer.starts_with("HTTP/1.1 200") => {
            print(&page(&listing));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{} has no inventory", arguments.admin);
            ExitCode::FAILURE
        }
    }
}

/// The listing for a person to read, each site with the proposal in TOML.
fn page(listing: &Value) -> String {
    let mut page = String::new();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for site in items(listing.get("sites")) {
        // Writing to a string does not fail.
        _ = writeln!(page, "site {}", text(&site["name"]));
        for host in items(site.get("hosts")) {
            let directives = host["directives"].as_object().into_iter().flat_map(|map| map.keys());
            let directives: Vec<_> = directives.map(String::as_str).collect();
            let known = match &host["vendor"] {
                Value::String(vendor) => format!("{vendor}, {}", text(&host["purpose"])),
                _ => text(&host["purpose"]),
            };
            _ = writeln!(page, "{:>9}  {:<40} {known} ({})", host["count"], text(&host["host"]), directives.join(" "));
        }
        _ = writeln!(
            page,
            "\n# For [[site]]: keep what the site needs, leave out the rest.\n{}",
            text(&site["proposal"])
        );
    }
    page
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}
