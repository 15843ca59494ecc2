//! What is not for visitors who have agreed to an older version of the policy only.

use bytes::Bytes;
use pingora::Result;
use pingora::proxy::Session;

use super::context::Context;
use super::message::{discard_body, own_response, respond, target};
use crate::enforce::block_answer;
use crate::policy::{Mode, OnRefusal};

/// Why a request is not served.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It is for a part of the site that a later version added.
    Added,
    /// The site goes on only with those who agree to its present policy.
    Stopped,
}

impl Refusal {
    fn text(self) -> &'static str {
        match self {
            Refusal::Added => {
                "This part of the site came with a new version of its privacy policy, to which you have not agreed. Everything else works as before."
            }
            Refusal::Stopped => "The site's privacy policy has changed. To go on, please choose again.",
        }
    }
}

/// Answers the request if the visitor's consent is older than what it is for. Returns whether it did.
pub(super) async fn answer(session: &mut Session, context: &mut Context) -> Result<bool> {
    let Some(refusal) = refusal(session, context) else { return Ok(false) };
    context.answered = Some("older_policy");
    discard_body(session).await?;
    let header = session.req_header();
    let kind = block_answer(header.method.as_str(), b"", &header.headers).content_type;
    let text = refusal.text();
    let is_page = kind.is_some_and(|kind| kind.starts_with("text/html"));
    let body = if is_page {
        let prefix = &context.snapshot.consent.prefix;
        format!(
            "<!doctype html><html lang=\"en\"><meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>Privacy policy</title><p>{text}</p><p><a href=\"{prefix}/\">Privacy choices</a></p></html>"
        )
    } else {
        serde_json::json!({ "error": text }).to_string()
    };
    let kind = if is_page { "text/html; charset=utf-8" } else { "application/json" };
    respond(session, own_response(403, Some(kind))?, Bytes::from(body)).await?;
    Ok(true)
}

fn refusal(session: &Session, context: &Context) -> Option<Refusal> {
    let (site, decision) = (context.site()?, context.decision.as_ref()?);
    let versions = &site.options.versions;
    let position = decision.consent.policy_version.filter(|_| decision.consent.outdated)?;
    if site.options.mode != Mode::Enforce {
        return None;
    }
    let (path, _) = target(session.req_header());
    if versions.is_always_served(path) {
        return None;
    }
    if versions.on_refusal == OnRefusal::Stop {
        return Some(Refusal::Stopped);
    }
    versions.is_path_since(position, context.now, path).then_some(Refusal::Added)
}
