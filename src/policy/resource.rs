//! What a URL is fetched as.

/// The kind of a resource, as far as rules tell kinds apart: roughly a request's destination (Fetch, section 2.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// A page of its own: a navigation, a redirect of one, a prerendering.
    Document,
    /// A page inside another.
    Frame,
    Script,
    Stylesheet,
    Image,
    Font,
    /// Sound, film, and their captions.
    Media,
    /// What a plug-in shows: `object`, `embed`.
    Object,
    /// What a script asks for, or what is preloaded for that.
    Fetch,
    Websocket,
    /// A beacon, a hyperlink's `ping`, a report.
    Ping,
    /// Anything else, and where nothing says what it will be.
    Other,
}

impl ResourceKind {
    pub const ALL: [ResourceKind; 12] = [
        ResourceKind::Document,
        ResourceKind::Frame,
        ResourceKind::Script,
        ResourceKind::Stylesheet,
        ResourceKind::Image,
        ResourceKind::Font,
        ResourceKind::Media,
        ResourceKind::Object,
        ResourceKind::Fetch,
        ResourceKind::Websocket,
        ResourceKind::Ping,
        ResourceKind::Other,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ResourceKind::Document => "document",
            ResourceKind::Frame => "frame",
            ResourceKind::Script => "script",
            ResourceKind::Stylesheet => "stylesheet",
            ResourceKind::Image => "image",
            ResourceKind::Font => "font",
            ResourceKind::Media => "media",
            ResourceKind::Object => "object",
            ResourceKind::Fetch => "fetch",
            ResourceKind::Websocket => "websocket",
            ResourceKind::Ping => "ping",
            ResourceKind::Other => "other",
        }
    }
}
