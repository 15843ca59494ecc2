//! What kind of client opened a link.

/// The class of a client, from its user agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AgentClass {
    Human,
    Preview,
    Scanner,
    Crawler,
    Script,
    Unknown,
}

impl AgentClass {
    /// As it stands in a record.
    pub fn as_str(self) -> &'static str {
        match self {
            AgentClass::Human => "human",
            AgentClass::Preview => "preview",
            AgentClass::Scanner => "scanner",
            AgentClass::Crawler => "crawler",
            AgentClass::Script => "script",
            AgentClass::Unknown => "unknown",
        }
    }
}
