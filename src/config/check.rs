//! Reading single values of a file, and reporting what is wrong with them.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;

use super::diagnostic::{Diagnostic, LineIndex};
use crate::policy::{Host, Origin, Pattern, Purpose, PurposeSet, Purposes};

/// Text, with its place.
pub(super) type Text = Spanned<String>;

/// Checking one file: where it is, and where problems go.
pub(super) struct Check<'a> {
    pub file: &'a Arc<str>,
    pub text: &'a str,
    pub lines: LineIndex,
    pub diagnostics: &'a mut Vec<Diagnostic>,
    pub purposes: &'a mut Purposes,
    /// What the site offers that is being read; no visitor could grant anything else there.
    pub offered: Option<PurposeSet>,
}

impl Check<'_> {
    pub(super) fn error(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::at(self.file, self.text, span, message).help(help));
    }

    pub(super) fn warning(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::at(self.file, self.text, span, message).help(help).warning());
    }

    /// The purpose called `name`, if it may be used here.
    pub(super) fn purpose(&mut self, name: &str, span: Range<usize>) -> Option<Purpose> {
        let offered = self.offered.unwrap_or(self.purposes.all());
        let purpose = self.purposes.get(name).filter(|purpose| offered.contains(*purpose));
        if purpose.is_none() {
            let known: Vec<_> = self.purposes.names(offered).map(str::to_owned).collect();
            let help = format!("known here: {}; declare others with `[[site.purpose]]`", known.join(", "));
            self.error(span, format!("unknown purpose `{name}`"), help);
        }
        purpose
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, value: Option<&Text>, choices: &[(&str, T)]) -> Option<T> {
        let value = value?;
        let found = choices.iter().find(|(word, _)| word == value.get_ref());
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.error(
                value.span(),
                format!("`{}` is not possible here", value.get_ref()),
                format!("write one of: {}", words.join(", ")),
            );
        }
        found.map(|(_, choice)| *choice)
    }

    pub(super) fn number(
        &mut self,
        value: Option<Spanned<u64>>,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let Some(value) = value else { return default };
        if !range.contains(value.get_ref()) {
            let help = format!("write a number from {} to {}", range.start(), range.end());
            self.error(value.span(), format!("{} is out of range", value.get_ref()), help);
            return default;
        }
        value.into_inner()
    }

    pub(super) fn seconds(
        &mut self,
        value: Option<Spanned<u64>>,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_secs(self.number(value, default, range))
    }

    pub(super) fn pattern(&mut self, text: &Text) -> Option<Pattern> {
        let pattern = Pattern::new(text.get_ref());
        pattern
            .map_err(|error| {
                self.error(text.span(), error.to_string(), "write a name; `*` stands for any run of characters")
            })
            .ok()
    }

    pub(super) fn origin(&self, span: &Range<usize>) -> Origin {
        Origin { file: self.file.clone(), line: self.lines.line(span.start) }
    }

    /// A host name in its one spelling.
    pub(super) fn host(&mut self, host: &str, span: Range<usize>) -> Option<Box<str>> {
        let parsed = Host::parse(host.as_bytes()).filter(|parsed| parsed.as_str() == host);
        if parsed.is_none() {
            self.error(
                span,
                format!("`{host}` is not a host name"),
                "write it in lower case, without scheme, port or `*`",
            );
        }
        parsed.map(|host| host.as_str().into())
    }
}
