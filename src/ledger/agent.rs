//! What kind of program asks, by what it calls itself.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};

/// The kind of program. A class never keeps an access out of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AgentClass {
    /// Looks for harm in what a message links to.
    Scanner,
    /// Makes the little picture of a link in a chat.
    Preview,
    Crawler,
    /// A library, a command or a browser without a screen.
    Script,
    Human,
    Unknown,
}

use AgentClass::{Crawler, Preview, Scanner, Script};

impl AgentClass {
    /// What counts as a person's program as long as nothing tells another.
    pub const PEOPLE: [AgentClass; 2] = [AgentClass::Human, AgentClass::Unknown];
    /// What asks by itself.
    pub const PROGRAMS: [AgentClass; 4] = [Scanner, Preview, Crawler, Script];
    pub const ALL: [AgentClass; 6] = [Scanner, Preview, Crawler, Script, AgentClass::Human, AgentClass::Unknown];

    /// How to write [`Self::from_list`].
    pub const LIST: &str = "write `all`, or some of human, unknown, preview, scanner, crawler and script, with commas";

    /// Whether it asks by itself, and not for a person.
    pub fn is_program(self) -> bool {
        Self::PROGRAMS.contains(&self)
    }

    /// What stands in a record as `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }

    /// The classes in a list such as `human,unknown`, or `all`.
    pub fn from_list(text: &str) -> Option<Vec<Self>> {
        match text {
            "all" => Some(Self::ALL.into()),
            _ => text.split(',').map(|word| Self::from_word(word.trim())).collect(),
        }
    }

    /// The word in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Scanner => "scanner",
            Preview => "preview",
            Crawler => "crawler",
            Script => "script",
            AgentClass::Human => "human",
            AgentClass::Unknown => "unknown",
        }
    }
}

/// What a `User-Agent` says, no finer than a product and its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    pub class: AgentClass,
    /// `chrome/mobile`, or the product's name. `None` if it is not known.
    pub name: Option<Box<str>>,
}

impl Agent {
    /// Reads `User-Agent`. Of several products, the most telling class counts, in the order of [`AgentClass`].
    pub fn of(user_agent: &[u8]) -> Agent {
        if let Some((name, class)) = program(user_agent) {
            return Agent { class, name: Some(name.into()) };
        }
        match browser(user_agent) {
            Some(name) => Agent { class: AgentClass::Human, name: Some(name.into()) },
            None => Agent { class: AgentClass::Unknown, name: None },
        }
    }
}

/// In small letters. The apps' own browsers (`MicroMessenger`, `Lark/`, `DingTalk/`) are people's, so the rows name only
/// what their servers fetch with.
const PROGRAMS: &[(&str, AgentClass)] = &[
    ("proofpoint", Scanner),
    ("mimecast", Scanner),
    ("safelinks", Scanner),
    ("barracuda", Scanner),
    ("virustotal", Scanner),
    ("google-safety", Scanner),
    ("zgrab", Scanner),
    ("nmap scripting engine", Scanner),
    ("qualys", Scanner),
    ("sucuri", Scanner),
    ("detectify", Scanner),
    ("censysinspect", Scanner),
    ("urlscan", Scanner),
    ("cloudflareradarurlscanner", Scanner),
    ("twinwavescanner", Scanner),
    ("cisco umbrella", Scanner),
    ("trendmicro", Scanner),
    ("fortiguard", Scanner),
    ("cypex.ai/scanning", Scanner),
    ("slackbot", Preview),
    ("slack-imgproxy", Preview),
    ("facebookexternalhit", Preview),
    ("facebot", Preview),
    ("meta-externalhit", Preview),
    ("twitterbot", Preview),
    ("telegrambot", Preview),
    ("linkedinbot", Preview),
    ("whatsapp/", Preview),
    ("discordbot", Preview),
    ("skypeuripreview", Preview),
    ("viber/", Preview),
    ("bingpreview", Preview),
    ("embedly", Preview),
    ("iframely", Preview),
    ("snapurlpreview", Preview),
    ("snap url preview", Preview),
    ("google web preview", Preview),
    ("yahoo link preview", Preview),
    ("redditbot", Preview),
    ("pinterestbot", Preview),
    ("vkshare", Preview),
    ("mattermost-bot", Preview),
    ("evernoterichlinkbot", Preview),
    ("bluesky/", Preview),
    ("blueskypreviewbot", Preview),
    ("chatwork linkpreview", Preview),
    ("mastodon/", Preview),
    ("github-camo", Preview),
    ("dingtalkbot", Preview),
    ("larkurl", Preview),
    ("feishu-preview", Preview),
    ("lark-preview", Preview),
    ("wechatshareextension", Preview),
    ("mpcrawler", Preview),
    ("msteams", Preview),
    ("teamsbot", Preview),
    ("googleimageproxy", Preview),
    ("yahoomailproxy", Preview),
    ("flipboardproxy", Preview),
    ("line-poker", Preview),
    ("baiduspider", Crawler),
    ("sogou web spider", Crawler),
    ("sogou inst spider", Crawler),
    ("360spider", Crawler),
    ("bytespider", Crawler),
    ("toutiaospider", Crawler),
    ("yisouspider", Crawler),
    ("sosospider", Crawler),
    ("petalbot", Crawler),
    ("googlebot", Crawler),
    ("googleother", Crawler),
    ("google-inspectiontool", Crawler),
    ("mediapartners-google", Crawler),
    ("adsbot-google", Crawler),
    ("bingbot", Crawler),
    ("applebot", Crawler),
    ("yandex.com/bots", Crawler),
    ("duckduckbot", Crawler),
    ("gptbot", Crawler),
    ("chatgpt-user", Crawler),
    ("ccbot", Crawler),
    ("amazonbot", Crawler),
    ("ahrefsbot", Crawler),
    ("semrushbot", Crawler),
    ("mj12bot", Crawler),
    ("ia_archiver", Crawler),
    ("archive.org_bot", Crawler),
    ("heritrix", Crawler),
    ("slurp", Crawler),
    ("feedly", Crawler),
    ("feedfetcher", Crawler),
    ("nutch", Crawler),
    ("scrapy", Crawler),
    ("httrack", Crawler),
    ("curl/", Script),
    ("wget", Script),
    ("python-requests", Script),
    ("python-urllib", Script),
    ("aiohttp", Script),
    ("python-httpx", Script),
    ("libwww-perl", Script),
    ("lwp-trivial", Script),
    ("go-http-client", Script),
    ("okhttp", Script),
    ("apache-httpclient", Script),
    ("axios", Script),
    ("node-fetch", Script),
    ("undici", Script),
    ("guzzlehttp", Script),
    ("php-curl-class", Script),
    ("httpie", Script),
    ("postmanruntime", Script),
    ("insomnia/", Script),
    ("reqwest", Script),
    ("powershell", Script),
    ("java/", Script),
    ("ruby", Script),
    ("headlesschrome", Script),
    ("phantomjs", Script),
    ("chrome-lighthouse", Script),
    ("libcurl", Script),
];

/// Words that tell a crawler when a name ends with them.
const ENDINGS: [&str; 4] = ["bot", "crawler", "spider", "robot"];

static TABLE: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = PROGRAMS.iter().map(|(word, _)| *word).chain(ENDINGS);
    AhoCorasickBuilder::new().ascii_case_insensitive(true).build(words).ok()
});

fn program(user_agent: &[u8]) -> Option<(&'static str, AgentClass)> {
    let table = TABLE.as_ref()?;
    let known = |found: aho_corasick::Match| match PROGRAMS.get(found.pattern().as_usize()) {
        Some((word, class)) => Some((word.trim_end_matches('/'), *class)),
        None => ends_name(user_agent, found.start(), found.end()).then_some(("crawler", Crawler)),
    };
    // Of one class, the row comes before the ending.
    table.find_overlapping_iter(user_agent).filter_map(known).min_by_key(|(name, class)| (*class, *name == "crawler"))
}

/// Whether a name ends here. Cubot makes telephones.
fn ends_name(user_agent: &[u8], start: usize, end: usize) -> bool {
    let before = user_agent.get(..start).unwrap_or_default();
    let telephone = before.len() >= 2 && before.to_ascii_lowercase().ends_with(b"cu");
    !telephone && !user_agent.get(end).is_some_and(u8::is_ascii_alphabetic)
}

/// What tells browsers, the ones that call themselves by others' names, too, first.
const BROWSERS: [(&str, &str); 16] = [
    ("micromessenger/", "wechat"),
    ("dingtalk", "dingtalk"),
    ("lark/", "lark"),
    ("feishu", "lark"),
    ("edg", "edge"),
    ("opr/", "opera"),
    ("samsungbrowser/", "samsung"),
    ("ucbrowser/", "uc"),
    ("mqqbrowser/", "qq"),
    ("qqbrowser/", "qq"),
    ("huaweibrowser/", "huawei"),
    ("firefox/", "firefox"),
    ("fxios/", "firefox"),
    ("crios/", "chrome"),
    ("chrome/", "chrome"),
    ("safari/", "safari"),
];

/// What tells that it is held in a hand.
const MOBILE: [&str; 4] = ["mobile", "android", "iphone", "ipad"];

/// [`BROWSERS`], and after them [`MOBILE`], found in one pass.
static BROWSER_TABLE: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = BROWSERS.iter().map(|(word, _)| *word).chain(MOBILE);
    AhoCorasickBuilder::new().ascii_case_insensitive(true).build(words).ok()
});

fn browser(user_agent: &[u8]) -> Option<String> {
    const START: &[u8] = b"mozilla/5.0 (";
    if !user_agent.get(..START.len())?.eq_ignore_ascii_case(START) {
        return None;
    }
    let found = BROWSER_TABLE.as_ref()?.find_overlapping_iter(user_agent);
    let (first, mobile) = found
        .map(|hit| hit.pattern().as_usize())
        .fold((usize::MAX, false), |(first, mobile), word| (first.min(word), mobile || word >= BROWSERS.len()));
    let (_, name) = BROWSERS.get(first)?;
    Some(format!("{name}/{}", if mobile { "mobile" } else { "desktop" }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn programs_are_classed_by_their_names() {
        let chrome =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36";
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
        let on_iphone = |rest: &str| format!("{iphone} {rest}");
        for (text, class, name) in [
            (chrome.to_owned(), AgentClass::Human, Some("chrome/desktop")),
            (format!("{chrome} Edg/126.0"), AgentClass::Human, Some("edge/desktop")),
            (
                "Mozilla/5.0 (Windows NT 10.0; rv:127.0) Gecko/20100101 Firefox/127.0".into(),
                AgentClass::Human,
                Some("firefox/desktop"),
            ),
            (on_iphone("Version/17.5 Mobile/15E148 Safari/604.1"), AgentClass::Human, Some("safari/mobile")),
            (on_iphone("Mobile/15E148 MicroMessenger/8.0.49"), AgentClass::Human, Some("wechat/mobile")),
            (
                "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36".into(),
                AgentClass::Human,
                Some("chrome/mobile"),
            ),
            ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)".into(), Preview, Some("slackbot")),
            ("facebookexternalhit/1.1".into(), Preview, Some("facebookexternalhit")),
            ("WhatsApp/2.23.18.78 i".into(), Preview, Some("whatsapp")),
            (on_iphone("WeChatShareExtensionNew/8.0"), Preview, Some("wechatshareextension")),
            ("DingTalkBot-LinkService/1.0".into(), Preview, Some("dingtalkbot")),
            (format!("{chrome} LarkUrl2Meta/1.0"), Preview, Some("larkurl")),
            (format!("{chrome} Proofpoint"), Scanner, Some("proofpoint")),
            ("Mozilla/5.0 (compatible; Mimecast URL check bot)".into(), Scanner, Some("mimecast")),
            ("Barracuda Sentinel (EE)".into(), Scanner, Some("barracuda")),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)".into(),
                Crawler,
                Some("googlebot"),
            ),
            ("Mozilla/5.0 (compatible; SomeNewBot/0.1)".into(), Crawler, Some("crawler")),
            ("Sogou web spider/4.0".into(), Crawler, Some("sogou web spider")),
            ("curl/8.5.0".into(), Script, Some("curl")),
            (chrome.replace("Chrome/", "HeadlessChrome/"), Script, Some("headlesschrome")),
            ("".into(), AgentClass::Unknown, None),
            ("Mozilla/5.0".into(), AgentClass::Unknown, None),
            ("Botany Reader".into(), AgentClass::Unknown, None),
        ] {
            let agent = Agent::of(text.as_bytes());
            assert_eq!((agent.class, agent.name.as_deref()), (class, name), "{text}");
        }
    }

    proptest! {
        /// A name never carries what a visitor's browser alone would say.
        #[test]
        fn names_come_from_the_table(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let known = |name: &str| {
                let product = name.split('/').next().unwrap_or(name);
                PROGRAMS.iter().any(|(word, _)| word.trim_end_matches('/') == name)
                    || name == "crawler"
                    || BROWSERS.iter().any(|(_, browser)| *browser == product)
            };
            prop_assert!(Agent::of(&text).name.is_none_or(|name| known(&name)));
        }
    }
}
