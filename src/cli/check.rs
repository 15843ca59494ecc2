//! `consentry check`: is a configuration valid?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::BAD_CONFIGURATION;
use crate::config::{self, Config, Loaded, Severity};
use crate::net::Upstreams;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How to write the result.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn check(arguments: &Arguments) -> ExitCode {
    let Loaded { config, mut diagnostics, .. } = config::load(&arguments.file);
    if let Some(config) = &config {
        diagnostics.extend(unusable_certificates(config, &arguments.file.to_string_lossy()));
    }
    let valid = config.is_some() && diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error);
    match arguments.format {
        Format::Json => {
            let hash = config.as_ref().map(|config| &config.hash);
            super::print(&format!("{:#}\n", json!({ "valid": valid, "hash": hash, "diagnostics": diagnostics })));
        }
        Format::Text => {
            diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
            match config.filter(|_| valid) {
                Some(config) => print_summary(&config),
                None => eprintln!("{} cannot be used", arguments.file.display()),
            }
        }
    }
    if valid { ExitCode::SUCCESS } else { ExitCode::from(BAD_CONFIGURATION) }
}

fn unusable_certificates(config: &Config, file: &str) -> Vec<config::Diagnostic> {
    let make = |site: &config::SiteConfig| {
        Upstreams::new(site.upstreams.clone(), &site.upstream_tls, config.limits.clone(), &site.options.name).err()
    };
    config.sites.iter().filter_map(make).map(|error| config::Diagnostic::of_file(file, error.to_string())).collect()
}

fn print_summary(config: &Config) {
    let count = config.sites.len();
    let mut text = format!("valid: {count} site{}, hash {}\n", if count == 1 { "" } else { "s" }, config.hash);
    for site in &config.sites {
        let hosts: Vec<_> = site.options.hosts.iter().map(ToString::to_string).collect();
        text += &format!("  {} ({}): {}\n", site.options.name, site.options.mode.as_str(), hosts.join(", "));
    }
    text += "applied by a reload: [consent], [catalog], [[filter_list]], [log], [[site]], [tls], [[certificate]]; by a restart only: [listen], [server], [limits], [ledger]\n";
    super::print(&text);
}
