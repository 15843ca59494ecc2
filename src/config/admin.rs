//! The tokens with which questions may be asked on the admin listener.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ring::digest::{SHA256, digest};
use toml::Spanned;

use super::check::{Check, Text};
use super::{AdminToken, FileSet, raw};
use crate::ledger::trail::Role;

const ROLES: [(&str, Role); 3] = [("owner", Role::Owner), ("auditor", Role::Auditor), ("custodian", Role::Custodian)];

/// Characters of a token at least: 160 bits, if they are random letters and digits in hexadecimal and more.
const MIN_LENGTH: usize = 32;

/// The tokens, of which the files are read and must be private. `sites` are the names that there are.
pub(super) fn tokens(
    check: &mut Check<'_>,
    raw: Vec<Spanned<raw::AdminToken>>,
    admin: Option<SocketAddr>,
    sites: &[Box<str>],
    files: &mut FileSet<'_>,
) -> Vec<AdminToken> {
    let mut tokens: Vec<AdminToken> = Vec::new();
    let mut names = HashSet::new();
    for token in raw {
        let span = token.span();
        let raw::AdminToken { role, name, file, sites: only } = token.into_inner();
        let (Some(_), Some(name), Some(file)) = (&role, &name, &file) else {
            let help = "write `role = \"owner\"`, `name = \"…\"` and `file = \"tokens/…\"`";
            check.error(span, "a token needs a role, a name and a file", help);
            continue;
        };
        if name.get_ref().trim().is_empty() || !names.insert(name.get_ref().clone()) {
            check.error(name.span(), "this name tells no token from another", "it is what the audit says of who asked");
        }
        let role = check.choice(role.as_ref(), &ROLES);
        let only = only.map(|only| only.iter().filter_map(|site| known(check, site, sites)).collect::<Vec<_>>());
        let (Some(role), Some(digest)) = (role, secret(check, file, files)) else { continue };
        if tokens.iter().any(|known| known.digest == digest) {
            check.error(file.span(), "another token is the same", "make one of its own: `openssl rand -hex 32`");
        }
        tokens.push(AdminToken { role, name: name.get_ref().as_str().into(), digest, sites: only.map(Into::into) });
    }
    if let (false, Some(admin)) = (tokens.is_empty(), admin.filter(|admin| !admin.ip().is_loopback())) {
        let message = format!("tokens for the admin listener cross the network to {admin} unencrypted");
        check.warning(0..0, message, "let it listen on a loopback address, or put TLS in front of it");
    }
    tokens
}

fn known(check: &mut Check<'_>, site: &Text, sites: &[Box<str>]) -> Option<Box<str>> {
    let found = sites.iter().find(|known| ***known == **site.get_ref()).cloned();
    if found.is_none() {
        check.error(site.span(), format!("there is no site `{}`", site.get_ref()), "write the name of a `[[site]]`");
    }
    found
}

/// The SHA-256 of the token in `file`.
fn secret(check: &mut Check<'_>, file: &Text, files: &mut FileSet<'_>) -> Option<[u8; 32]> {
    let text = match files.read(file.get_ref()) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("the token cannot be read: {error}");
            check.error(file.span(), message, "paths are relative to this file");
            return None;
        }
    };
    let token = text.trim_ascii();
    let sendable = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    if token.len() < MIN_LENGTH || !token.iter().all(sendable) {
        let message = "this is no token: it needs 32 characters or more, letters, digits and `-._~+/=` only";
        check.error(file.span(), message, "make one with `openssl rand -hex 32`");
        return None;
    }
    if let Some(problem) = exposed(&files.base.join(file.get_ref())) {
        check.error(file.span(), problem, "let only its owner read it: `chmod 400`");
        return None;
    }
    digest(&SHA256, token).as_ref().try_into().ok()
}

/// Who else may read or change the file. What the system's own account hands to a process of another one, as a volume of
/// secrets does, may be readable. Where there is no such file on the disk, nobody may.
fn exposed(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let user = rustix::process::geteuid().as_raw();
    let handed = metadata.uid() == 0 && user != 0;
    let forbidden = if handed { 0o022 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Some(format!("others may read or change the token: its mode is {:o}", metadata.mode() & 0o7777));
    }
    (metadata.uid() != user && metadata.uid() != 0).then(|| "the token belongs to another user".to_owned())
}
