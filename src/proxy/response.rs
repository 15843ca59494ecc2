//! The response's header section, of every status: what the visitor's browser gets to see of it.

use std::sync::Mutex;

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::context::{Context, judge};
use super::message::target;
use super::page::{Page, PageModule};
use crate::enforce::csp::{OwnResources, guard_admission};
use crate::enforce::html::{PageFacts, PagePlan, PageStream, Treatment, page_plan, preferred_language, variant};
use crate::enforce::{HeaderChange, Judge, ResponseFacts, edit_response, edit_trailers};
use crate::policy::{CspMode, Mode, Unrewritable};

pub(super) fn filter(session: &mut Session, response: &mut ResponseHeader, context: &mut Context) -> Result<()> {
    context.is_tunnel = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let plan = plan_page(session, response, context)?;
    edit(session, response, context, plan.is_page)?;
    if plan.treatment.is_some() {
        begin_page(session, response, context, &plan)?;
    }
    Ok(())
}

/// How the body is to be taken; the header section says so afterwards.
fn plan_page(session: &Session, response: &mut ResponseHeader, context: &mut Context) -> Result<PagePlan> {
    let Some(decision) = &context.decision else { return Ok(PagePlan::pass(false)) };
    let Some(judge) = judge(&context.snapshot, decision) else { return Ok(PagePlan::pass(false)) };
    let request = session.req_header();
    let facts = PageFacts {
        status: response.status.as_u16(),
        headers: &response.headers,
        request: &request.headers,
        version: request.version,
        variant: &|| variant(&context.snapshot.ruleset.hash, &judge.granted),
    };
    let mut plan = page_plan(&judge, &facts);
    if plan.skipped.is_some() && judge.enforces() && judge.site.options.on_unrewritable == Unrewritable::Refuse {
        context.page_skipped = plan.skipped;
        return Error::e_explain(ErrorType::HTTPStatus(502), "the page cannot be rewritten");
    }
    context.page_skipped = plan.skipped;
    apply(response, std::mem::take(&mut plan.changes))?;
    Ok(plan)
}

fn edit(session: &Session, response: &mut ResponseHeader, context: &mut Context, is_page: bool) -> Result<()> {
    let judge = context.decision.as_ref().and_then(|decision| judge(&context.snapshot, decision));
    let Some(judge) = judge else { return Ok(()) };
    let request = session.req_header();
    let facts = ResponseFacts {
        status: response.status.as_u16(),
        headers: &response.headers,
        request: &request.headers,
        path: target(request).0,
        secure: context.secure,
        now: context.now,
        blocked_path: &context.snapshot.consent.blocked_path,
        consent_header: context.snapshot.consent.header.as_str(),
        by_consent: context.by_consent,
        is_page,
    };
    let changes = edit_response(&judge, &facts, &mut context.tally);
    apply(response, changes)
}

pub(super) fn apply(response: &mut ResponseHeader, changes: Vec<HeaderChange>) -> Result<()> {
    for HeaderChange { name, values } in changes {
        // To insert replaces, in one step; several values have to be appended to none.
        if let [value] = values.as_slice() {
            response.insert_header(name, value.clone())?;
            continue;
        }
        response.remove_header(&name);
        for value in values {
            response.append_header(name.clone(), value)?;
        }
    }
    Ok(())
}

/// Prepares everything that a page needs, and switches its module on.
fn begin_page(session: &mut Session, response: &mut ResponseHeader, context: &Context, plan: &PagePlan) -> Result<()> {
    let (Some(decision), Some(judge)) = (&context.decision, context.judge()) else { return Ok(()) };
    let authority = authority(session, &judge);
    let tags = match plan.treatment {
        Some(Treatment::Rewrite) => own_tags(response, context, &judge, &authority)?,
        _ => String::new(),
    };
    let request = session.req_header();
    if request.method == Method::HEAD {
        return Ok(());
    }
    let refuse = judge.site.options.on_unrewritable == Unrewritable::Refuse && !judge.grants_everything();
    let content_type = response.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let Some(stream) = PageStream::new(plan, content_type, refuse) else {
        return Error::e_explain(ErrorType::InternalError, "no memory for a page");
    };
    let page = Page {
        snapshot: context.snapshot.clone(),
        decision: decision.clone(),
        secure: context.secure,
        authority,
        path: String::from_utf8_lossy(target(request).0).into_owned(),
        guard: tags,
        language: preferred_language(&request.headers),
        stream: Mutex::new(stream),
        ended: false,
    };
    if let Some(module) = session.downstream_modules_ctx.get_mut::<PageModule>() {
        module.begin(page);
    }
    Ok(())
}

/// What the browser calls this server.
fn authority(session: &Session, judge: &Judge<'_>) -> String {
    let request = session.req_header();
    let field = request.headers.get(HOST).and_then(|value| value.to_str().ok());
    let named = field.or_else(|| request.uri.authority().map(|authority| authority.as_str()));
    named.unwrap_or(judge.host.as_str()).to_owned()
}

/// The tags that load the guard and the bridge, as far as the page needs them; the policies of the response are made to
/// admit them.
fn own_tags(response: &mut ResponseHeader, context: &Context, judge: &Judge<'_>, authority: &str) -> Result<String> {
    let (Some(decision), Some(runtime)) = (&context.decision, context.runtime()) else { return Ok(String::new()) };
    let files = &runtime.guard;
    let (guarded, bridged) = (!judge.grants_everything(), judge.site.options.bridge);
    let scripts = [(guarded, &files.rules), (guarded, &*files.guard), (bridged, &*files.bridge)];
    let scripts: Vec<_> = scripts.iter().filter(|(needed, _)| *needed).map(|(_, file)| file.script()).collect();
    let own = OwnResources {
        secure: context.secure,
        authority,
        scripts: &scripts,
        frame: guarded.then_some(&files.frame),
        choice: &files.choice,
    };
    let mut admission = guard_admission(&response.headers, &own);
    apply(response, std::mem::take(&mut admission.changes))?;
    let consent = (&judge.granted, decision.capped(judge.site));
    let held_apart = judge.site.options.csp.mode == CspMode::Enforce;
    let guard = || files.tags(&admission, &context.snapshot.ruleset.purposes, consent, held_apart);
    let bridge = || files.bridge_tag(&admission);
    Ok(guarded.then(guard).into_iter().chain(bridged.then(bridge)).collect())
}

pub(super) fn filter_trailers(trailers: &mut HeaderMap, context: &Context) {
    if context.site().is_some_and(|site| site.options.mode == Mode::Enforce) {
        edit_trailers(trailers);
    }
}
