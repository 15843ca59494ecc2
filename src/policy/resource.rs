//! What a browser would do with what it fetches.

/// The kind of a resource; rules may be about some kinds only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// A page that the visitor goes to.
    Document,
    Frame,
    Script,
    Stylesheet,
    Image,
    Font,
    Media,
    Object,
    Fetch,
    Websocket,
    Ping,
    Other,
}
