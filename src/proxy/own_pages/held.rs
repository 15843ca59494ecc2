//! What stands in the place of a frame that is held: who would be in it, what for, and the choice to let it in.
//!
//! It needs no script. "Once" is a link within the frame; "always" is a form that stores the choice for the whole page.

use http::header::LOCATION;
use pingora::Result;
use pingora::proxy::Session;

use super::{escape, page_response, problem, return_path};
use crate::enforce::Judge;
use crate::policy::{CspMode, Host, PurposeSet, ResourceKind, Rule, Url, decode_form, query_pairs};
use crate::proxy::context::{Context, judge};
use crate::proxy::message::{own_response, respond, target};

const PAGE: &str = include_str!("held.html");

/// What is said, in one language.
struct Words {
    /// Language tags that begin so get these words.
    tags: &'static [&'static str],
    lang: &'static str,
    title: &'static str,
    text: &'static str,
    /// In the place of `text`, where the vendor was refused.
    refused: &'static str,
    once: &'static str,
    always: &'static str,
    /// Preferences, analytics, marketing.
    purposes: [&'static str; 3],
}

/// The first is for everybody else. Traditional Chinese stands before simplified, which is what `zh` alone means.
const LANGUAGES: [Words; 5] = [
    Words {
        tags: &["en"],
        lang: "en",
        title: "{vendor} is not loaded",
        text: "This part of the page comes from {vendor} ({host}) and needs your consent for: {purpose}.",
        refused: "This part of the page comes from {vendor} ({host}). This provider was refused in the site’s privacy settings.",
        once: "Load once",
        always: "Always allow {purpose}",
        purposes: ["preferences", "analytics", "marketing"],
    },
    Words {
        tags: &["zh-hant", "zh-tw", "zh-hk", "zh-mo"],
        lang: "zh-Hant",
        title: "尚未載入 {vendor}",
        text: "頁面的這一部分來自 {vendor}（{host}），需要您同意用於：{purpose}。",
        refused: "頁面的這一部分來自 {vendor}（{host}）。在本網站的隱私設定中，此供應商已被拒絕。",
        once: "僅載入一次",
        always: "一律允許{purpose}",
        purposes: ["偏好設定", "統計分析", "行銷"],
    },
    Words {
        tags: &["zh"],
        lang: "zh-Hans",
        title: "尚未加载 {vendor}",
        text: "页面的这一部分来自 {vendor}（{host}），需要您同意用于：{purpose}。",
        refused: "页面的这一部分来自 {vendor}（{host}）。在本网站的隐私设置中，该服务商已被拒绝。",
        once: "仅加载一次",
        always: "始终允许{purpose}",
        purposes: ["偏好设置", "统计分析", "营销"],
    },
    Words {
        tags: &["de"],
        lang: "de",
        title: "{vendor} ist nicht geladen",
        text: "Dieser Teil der Seite kommt von {vendor} ({host}) und braucht Ihre Einwilligung für: {purpose}.",
        refused: "Dieser Teil der Seite kommt von {vendor} ({host}). Dieser Anbieter wurde in den Datenschutzeinstellungen der Website abgelehnt.",
        once: "Einmal laden",
        always: "{purpose} immer erlauben",
        purposes: ["Präferenzen", "Statistik", "Marketing"],
    },
    Words {
        tags: &["fr"],
        lang: "fr",
        title: "{vendor} n’est pas chargé",
        text: "Cette partie de la page vient de {vendor} ({host}) et demande votre accord pour : {purpose}.",
        refused: "Cette partie de la page vient de {vendor} ({host}). Ce fournisseur a été refusé dans les paramètres de confidentialité du site.",
        once: "Charger une fois",
        always: "Toujours autoriser : {purpose}",
        purposes: ["préférences", "mesure d’audience", "marketing"],
    },
];

fn words(language: &str) -> &'static Words {
    let language = language.to_ascii_lowercase();
    let speaks = |words: &&Words| words.tags.iter().any(|tag| language.starts_with(tag));
    let [english, ..] = &LANGUAGES;
    LANGUAGES.iter().find(speaks).unwrap_or(english)
}

/// What the frame was to show.
struct Asked {
    address: String,
    language: String,
    once: bool,
}

fn asked(session: &Session) -> Option<Asked> {
    let (_, query) = target(session.req_header());
    let value = |name: &[u8]| query_pairs(query).find(|(key, _)| *key == name).map(|(_, value)| decode_form(value));
    let address = value(b"u").filter(|address| address.starts_with("https://") || address.starts_with("http://"))?;
    Some(Asked { address, language: value(b"l").unwrap_or_default(), once: value(b"once").is_some() })
}

/// Answers with the page for the frame; only for what a rule knows, so that it cannot show anything else under the
/// site's name.
pub(super) async fn held(session: &mut Session, context: &Context) -> Result<()> {
    let judged = context.decision.as_ref().and_then(|decision| judge(&context.snapshot, decision));
    let found = judged.zip(asked(session)).and_then(|(judge, asked)| {
        let verdict = judge.url(asked.address.as_bytes(), ResourceKind::Frame)?;
        Some((judge, verdict.rule?, verdict, asked))
    });
    let Some((judge, rule, verdict, asked)) = found else {
        return problem(session, 404, "no rule knows what this frame would show").await;
    };
    if verdict.allowed {
        let mut response = own_response(303, None)?;
        response.insert_header(LOCATION, asked.address)?;
        return respond(session, response, bytes::Bytes::new()).await;
    }
    if asked.once {
        return frame_apart(session, &asked).await;
    }
    let page = page(session, context, &judge, (rule, verdict.refused), &asked);
    page_response(session, page, HELD_POLICY).await
}

/// Inline style, the form and the link: nothing else.
const HELD_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// The tracker in a frame of its own, where the page's policy would not let it into the page's.
async fn frame_apart(session: &mut Session, asked: &Asked) -> Result<()> {
    let address = escape(&asked.address);
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{address}</title>\
         <style>html,body,iframe{{margin:0;border:0;width:100%;height:100%;display:block}}</style>\
         <iframe src=\"{address}\" title=\"{address}\" allow=\"fullscreen; autoplay\" allowfullscreen></iframe></html>"
    );
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-src http: https:; base-uri 'none'; frame-ancestors 'self'";
    page_response(session, page, policy).await
}

/// The page in the frame's place, which is held because of a rule, or because the rule's vendor is refused.
fn page(
    session: &Session,
    context: &Context,
    judge: &Judge<'_>,
    (rule, refused): (&Rule, bool),
    asked: &Asked,
) -> String {
    let words = words(&asked.language);
    let purposes = &context.snapshot.ruleset.purposes;
    let name = purposes.name(rule.purpose);
    let purpose = words.purposes.get(rule.purpose.index().wrapping_sub(1)).copied().unwrap_or(name);
    let host = Url::parse(asked.address.as_bytes()).and_then(|url| url.host);
    let host = host.as_ref().map_or("", Host::as_str);
    let vendor = rule.vendor.as_ref().map_or(host, |vendor| &vendor.name);
    // A vendor that has no other name is not named twice.
    let shorten = |text: &str| match vendor == host {
        true => text.replace(" ({host})", "").replace("（{host}）", ""),
        false => text.to_owned(),
    };
    let fill = |text: &str| {
        escape(&shorten(text).replace("{vendor}", vendor).replace("{host}", host).replace("{purpose}", purpose))
    };
    let apart = judge.site.options.csp.mode == CspMode::Enforce;
    let (_, query) = target(session.req_header());
    let once = match apart {
        true => format!("?{}&once=", String::from_utf8_lossy(query)),
        false => asked.address.clone(),
    };
    let capped = context.decision.as_ref().map_or(PurposeSet::EMPTY, |decision| decision.capped(judge.site));
    // No purpose that could be granted here lets in whom the visitor refused.
    let always = match refused || capped.contains(rule.purpose) {
        true => String::new(),
        false => {
            let granted = judge.granted.purposes.with(rule.purpose).without(PurposeSet::NECESSARY);
            let inputs = purposes
                .names(granted)
                .map(|name| format!("<input type=\"hidden\" name=\"purposes\" value=\"{}\">", escape(name)));
            format!(
                "<form method=\"post\" action=\"{}/consent\" target=\"_top\">{}<input type=\"hidden\" name=\"return\" value=\"{}\"><button aria-describedby=\"what why\">{}</button></form>",
                context.snapshot.consent.prefix,
                inputs.collect::<String>(),
                escape(&return_path(session, context, None)),
                fill(words.always)
            )
        }
    };
    PAGE.replace("{{lang}}", words.lang)
        .replace("{{title}}", &fill(words.title))
        .replace("{{text}}", &fill(if refused { words.refused } else { words.text }))
        .replace("{{once}}", &escape(&once))
        .replace("{{once_label}}", &fill(words.once))
        .replace("{{always}}", &always)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_the_language_of_the_page() {
        for (tag, lang) in [
            ("de-AT", "de"),
            ("zh", "zh-Hans"),
            ("zh-CN", "zh-Hans"),
            ("zh-TW", "zh-Hant"),
            ("ZH-Hant-HK", "zh-Hant"),
            ("fr", "fr"),
            ("en-GB", "en"),
            ("nl", "en"),
            ("", "en"),
        ] {
            assert_eq!(words(tag).lang, lang, "{tag}");
        }
    }
}
