//! AWS Signature Version 4 in the `Authorization` header, for every service but S3 (AWS, "Create a signed AWS
//! API request"). A pure function of what leaves, the keys and the time.
//!
//! What is signed must be what arrives: whoever asks for a signature has changed the request for the last
//! time. A service takes a signature for five minutes before and after its own clock.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::base::secret::Secret;

/// An access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// It is sent as it is; it is not shown all the same.
    pub id: Secret,
    pub secret: Secret,
    /// Of a temporary key; it leaves as `x-amz-security-token`.
    pub token: Option<Secret>,
}

/// What a signature is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    pub region: &'a str,
    /// The name that the service signs under: `bedrock` for `bedrock-runtime.REGION.amazonaws.com`.
    pub service: &'a str,
}

/// What leaves.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// As `host` or `:authority` says it.
    pub host: &'a str,
    /// As it is sent, with its query.
    pub path: &'a str,
    /// What is signed besides `host`, `x-amz-date` and `x-amz-security-token`; names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

/// The headers that a request has to leave with; and `x-amz-security-token`, where the keys have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// `x-amz-date`.
    pub date: String,
    /// `authorization`: the signature is as good as a key for five minutes.
    pub authorization: Secret,
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The length of a block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// Signs a request at `unix_seconds`.
pub fn sign(request: &Request<'_>, keys: &Keys, scope: Scope<'_>, unix_seconds: u64) -> Signed {
    let date = stamp(unix_seconds);
    let (day, _) = date.split_once('T').unwrap_or((&date, ""));
    let (canonical, signed_headers) = canonical(request, keys, &date);
    let scope_text = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope_text}\n{}", hex(&Sha256::digest(canonical)));
    let first = ["AWS4", keys.secret.expose()].concat();
    let steps = [day, scope.region, scope.service, "aws4_request", &to_sign];
    let signature = steps.into_iter().fold(first.into_bytes(), |key, step| hmac(&key, step.as_bytes()).to_vec());
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope_text}, SignedHeaders={signed_headers}, Signature={}",
        keys.id.expose(),
        hex(&signature)
    );
    Signed { authorization: Secret::new(&authorization), date }
}

/// The canonical request, and the names of the headers in it.
fn canonical(request: &Request<'_>, keys: &Keys, date: &str) -> (String, String) {
    let Request { method, host, path, headers, body } = *request;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let token = keys.token.as_ref().map(|token| ("x-amz-security-token", token.expose()));
    let mut all: Vec<(&str, &str)> = [("host", host), ("x-amz-date", date)].into_iter().chain(token).collect();
    all.extend(headers);
    // Stable: the values of one name keep their order.
    all.sort_by_key(|(name, _)| *name);
    let mut names: Vec<&str> = Vec::with_capacity(all.len());
    let mut lines = String::with_capacity(512);
    for (name, value) in all {
        let words = value.split_ascii_whitespace();
        if names.last() == Some(&name) {
            lines.pop();
            lines.push(',');
        } else {
            lines.extend([name, ":"]);
            names.push(name);
        }
        words.enumerate().for_each(|(at, word)| lines.extend([if at > 0 { " " } else { "" }, word]));
        lines.push('\n');
    }
    let names = names.join(";");
    let (path, query, hash) = (canonical_path(path), canonical_query(query), hex(&Sha256::digest(body)));
    (format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{hash}"), names)
}

/// The path without dots and empty steps, escaped once more: what was escaped already is so twice.
fn canonical_path(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    let last = if path.ends_with('/') && !steps.is_empty() { "/" } else { "" };
    let mut out = String::with_capacity(path.len() + 16);
    for step in &steps {
        out.push('/');
        escape(step, &mut out);
    }
    if steps.is_empty() { "/".to_owned() } else { out + last }
}

/// The pairs in their order, escaped once: what is escaped already stays.
fn canonical_query(query: &str) -> String {
    if query.is_empty() {
        return String::new();
    }
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (escaped_once(key), escaped_once(value))
    };
    let mut pairs: Vec<(String, String)> = query.split('&').map(pair).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(key, value)| key + "=" + &value).collect();
    pairs.join("&")
}

fn escaped_once(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        escape(before, &mut out);
        match after.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit())) {
            Some(digits) => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push_str("%25");
                rest = after;
            }
        }
    }
    escape(rest, &mut out);
    out
}

/// Appends `text` with every byte escaped that is not unreserved (RFC 3986, section 2.3).
pub(super) fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            byte => drop(write!(out, "%{byte:02X}")),
        }
    }
}

/// RFC 2104, with SHA-256.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// `YYYYMMDDThhmmssZ`.
fn stamp(unix_seconds: u64) -> String {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Howard Hinnant's way of counting: years begin in March, so that a leap day is a year's last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let of_cycle = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_cycle + of_cycle / 4 - of_cycle / 100);
    let march_month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * march_month + 2) / 5 + 1, (march_month + 2) % 12 + 1);
    let year = era * 400 + of_cycle + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests;
