//! `consentry explain`: one request, or a recorded session, each step of the decision.

mod har;
mod request;
mod seen;

use std::path::PathBuf;
use std::process::ExitCode;

use http::{HeaderMap, HeaderName, HeaderValue};

use self::request::Request;
use super::BAD_CONFIGURATION;
use crate::config::{self, Compiled, Loaded};
use crate::policy::{Country, Host, ResourceKind};
use crate::reload::unix_time;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The address that is asked for, with scheme and host.
    #[arg(long, value_name = "URL", required_unless_present = "har")]
    url: Option<String>,
    /// A recorded browser session (HTTP archive), explained request by request, instead of `--url`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["url", "headers", "method", "body", "set_cookies", "kind"])]
    har: Option<PathBuf>,
    /// A header field of the request, such as `Cookie: a=1`; may be repeated.
    #[arg(long = "header", short = 'H', value_name = "FIELD")]
    headers: Vec<String>,
    /// The method of the request.
    #[arg(long, default_value = "GET")]
    method: String,
    /// What an address at another host is fetched as.
    #[arg(long, value_name = "KIND", default_value = "script", value_parser = parse_kind)]
    kind: ResourceKind,
    /// The payload of the request.
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// The country from which the visitor comes, as two letters.
    #[arg(long, value_name = "CODE", value_parser = parse_country)]
    country: Option<Country>,
    /// A Set-Cookie value of the response; may be repeated.
    #[arg(long = "set-cookie", value_name = "VALUE")]
    set_cookies: Vec<String>,
}

fn parse_kind(word: &str) -> Result<ResourceKind, String> {
    let names = || ResourceKind::ALL.map(ResourceKind::as_str).join(", ");
    let kind = ResourceKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    kind.ok_or_else(|| format!("known are {}", names()))
}

fn parse_country(code: &str) -> Result<Country, String> {
    Country::parse(code.as_bytes()).ok_or_else(|| "write two letters (ISO 3166-1), such as DE".to_owned())
}

pub(super) fn explain(arguments: &Arguments) -> ExitCode {
    let Loaded { config, diagnostics, .. } = config::load(&arguments.config);
    diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
    let Some(config) = config else { return ExitCode::from(BAD_CONFIGURATION) };
    let compiled = config.compile();
    let explained = match &arguments.har {
        Some(path) => std::fs::read(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))
            .and_then(|text| har::session(&text, &compiled, arguments.country, unix_time())),
        None => one_request(arguments, &compiled),
    };
    match explained {
        Ok(text) => {
            super::print(&text);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn one_request(arguments: &Arguments, compiled: &Compiled) -> Result<String, String> {
    let headers = parse_headers(&arguments.headers)?;
    let request = Request {
        url: arguments.url.clone().unwrap_or_default(),
        method: arguments.method.clone(),
        body: arguments.body.clone(),
        kind: arguments.kind,
        set_cookies: arguments.set_cookies.clone(),
        country: arguments.country,
        host: headers.get(http::header::HOST).and_then(|host| Host::parse(host.as_bytes())),
        time: unix_time(),
        headers,
    };
    let explanation = request::explain(&request, compiled)?;
    let steps = explanation.steps.into_iter().map(|step| step.text);
    Ok(explanation.consent.into_iter().chain(steps).map(|line| line + "\n").collect())
}

fn parse_headers(fields: &[String]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for field in fields {
        let (name, value) =
            field.split_once(':').ok_or_else(|| format!("`{field}` is not a field such as `Cookie: a=1`"))?;
        let name =
            HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| format!("`{name}` cannot name a field"))?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes())
            .map_err(|_| format!("the value of `{name}` is not possible"))?;
        headers.append(name, value);
    }
    Ok(headers)
}
