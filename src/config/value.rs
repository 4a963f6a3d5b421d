//! The scalar words of the configuration: durations, sizes, decimals, names, addresses, URLs. Each
//! is parsed once, here; no value of this module passes through a float.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::base::glob::Glob;
use crate::base::money::{Multiplier, Rate};
use crate::identity::key::Digest;

/// `HOST:PORT`. Port 0 lets the system choose one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
}

/// Where a backend is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub https: bool,
    /// A DNS name in lower case or an IP address, without brackets.
    pub host: String,
    pub port: u16,
    /// Empty, or a path that begins with a slash and does not end with one.
    pub prefix: String,
}

/// Why a text is not the word that is wanted. No variant repeats the text: it may be a secret in the
/// wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ValueError {
    #[error("not a duration: write it like 1h30m, 10s or 500ms (there are no days)")]
    Duration,
    #[error("not a size: write a whole number of bytes like 65536, 64Ki or 32Mi")]
    Size,
    #[error("not an amount: write a whole number like 600, 100k or 2M")]
    Quantity,
    #[error("not a decimal: write digits like \"0.85\", at most nine before and nine after the point")]
    Decimal,
    #[error("a multiplier is at most 1000000")]
    Multiplier,
    #[error(
        "not a name: use at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit"
    )]
    Label,
    #[error(
        "not a name: use at most 253 lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
    )]
    Subdomain,
    #[error("not an address: write HOST:PORT")]
    Address,
    #[error("not a listener: write unix:/PATH or tcp:HOST:PORT")]
    Listener,
    #[error("not a socket: write unix:/PATH")]
    Socket,
    #[error("not a file mode: write it in octal and in quotes, like \"0666\"")]
    Mode,
    #[error("not a URL: write http://HOST[:PORT][/PREFIX] or https://HOST[:PORT][/PREFIX]")]
    Url,
    #[error("a URL here has no user and no password: they have fields of their own, or no place here")]
    UserInfo,
    #[error("a URL here has no query and no fragment")]
    Query,
    #[error("not a host name")]
    Host,
    #[error("not the name of an environment variable; a secret itself goes into `value`")]
    EnvName,
    #[error("not the key of a secret: use letters, digits, '-', '_' and '.'")]
    SecretKey,
    #[error("not a SHA-256: write the 64 hexadecimal digits that `weir key new` prints, never the key itself")]
    Sha256,
    #[error("not a time: write it in RFC 3339, like 2027-01-01T00:00:00Z")]
    Time,
    #[error("is longer than 256 bytes, or has a control character in it")]
    Name,
    #[error("not a path pattern: it begins with '/', and '*' is the only wildcard")]
    PathPattern,
    #[error("not the name of a header: use letters, digits and any of !#$%&'*+-.^_`|~")]
    FieldName,
    #[error(
        "not the value of a header: use at most 8192 visible ASCII characters, with spaces and tabs only between them"
    )]
    FieldValue,
    #[error("not a share: write a whole number from 0% to 100%, like 10%")]
    Percent,
    #[error("not a point in time: write it in UTC and whole seconds, like 2027-01-01T00:00:00Z")]
    Moment,
    #[error("not a time zone: write a name of the IANA database, like Europe/Berlin or UTC")]
    TimeZone,
    #[error("an amount of money is above 0")]
    NoMoney,
    #[error("not a decimal from 0.8 to 1: write it like \"0.95\"")]
    Threshold,
    #[error("not a temperature: write a decimal from 0 to 2, like \"0.7\"")]
    Temperature,
    #[error("not a regular expression (of the Rust crate regex: no look-around and no back-references)")]
    Pattern,
    #[error("the regular expression is too large: compiled, it is above 1 MiB")]
    LargePattern,
    #[error("the regular expression matches the empty text, and so every text")]
    EmptyPattern,
    #[error("not a path: it begins with '/'")]
    FilePath,
    #[error("not the key of a label: use at most 63 letters, digits, '-', '_' and '.', after DOMAIN/ if there is one")]
    LabelKey,
    #[error("not the value of a label: use at most 63 letters, digits, '-', '_' and '.'")]
    LabelValue,
    #[error("not a SPIFFE id: write spiffe://DOMAIN/PATH")]
    SpiffeId,
    #[error("a peer is pinned by its whole SPIFFE id, and this has a `*` in it: write each one in full")]
    PeerPattern,
    #[error(
        "not a URL of Redis: write redis://HOST:PORT/DATABASE, or rediss:// for TLS; of a Sentinel \
         redis+sentinel://HOST:PORT/MASTER/DATABASE"
    )]
    RedisUrl,
    #[error("not a name or a pattern over names: use lower-case letters, digits, '-', '.' and '*'")]
    NamePattern,
    #[error("not a service account: write NAMESPACE/NAME, or NAME for any namespace; '*' is a wildcard")]
    AccountPattern,
    #[error("not a version: write it like 1.40")]
    Version,
    #[error("not an identifier: use letters, digits, '-', '_', '.' and ':'")]
    Identifier,
}

type Parsed<T> = Result<T, ValueError>;

/// Gateway API: one to four groups of at most five digits and `h`, `m`, `s` or `ms`.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    for group in 0.. {
        if rest.is_empty() && group > 0 {
            return Ok(total);
        }
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = match rest[..digits].parse() {
            Ok(number) if digits <= 5 && group < 4 => number,
            _ => return Err(ValueError::Duration),
        };
        rest = &rest[digits..];
        let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let Some((unit, millis)) = units.into_iter().find(|(unit, _)| rest.starts_with(unit)) else {
            return Err(ValueError::Duration);
        };
        rest = &rest[unit.len()..];
        total += Duration::from_millis(number * millis);
    }
    Err(ValueError::Duration)
}

/// A whole number with a suffix of Kubernetes quantities, binary or decimal.
pub(super) fn quantity(text: &str) -> Parsed<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor: u64 = match &text[digits..] {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return Err(ValueError::Quantity),
    };
    let number: u64 = text[..digits].parse().map_err(|_| ValueError::Quantity)?;
    number.checked_mul(factor).ok_or(ValueError::Quantity)
}

/// A number of bytes.
pub(super) fn size(text: &str) -> Parsed<u64> {
    quantity(text).map_err(|_| ValueError::Size)
}

/// A price in USD per million.
pub(super) fn rate(text: &str) -> Parsed<Rate> {
    decimal(text).and_then(|text| Rate::per_million(text).map_err(|_| ValueError::Decimal))
}

/// Digits, at most nine before and nine after the point: neither sign nor exponent.
pub(super) fn decimal(text: &str) -> Parsed<&str> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole) && digits(fraction) { Ok(text) } else { Err(ValueError::Decimal) }
}

/// A factor on a bill.
pub(super) fn multiplier(text: &str) -> Parsed<Multiplier> {
    decimal(text).and_then(|text| text.parse().map_err(|_| ValueError::Multiplier))
}

/// A DNS label: what can be a header value and a piece of a path.
pub(super) fn label(text: &str) -> Parsed<String> {
    if text.len() <= 63 && is_label(text) { Ok(text.to_owned()) } else { Err(ValueError::Label) }
}

/// A DNS subdomain: what Kubernetes allows as a name.
pub(super) fn subdomain(text: &str) -> Parsed<String> {
    if text.len() <= 253 && text.split('.').all(is_label) { Ok(text.to_owned()) } else { Err(ValueError::Subdomain) }
}

/// `HOST:PORT`, an IPv6 address in brackets.
pub(super) fn address(text: &str) -> Parsed<Address> {
    let (host, port) = text.rsplit_once(':').ok_or(ValueError::Address)?;
    let host = host_of(host).map_err(|_| ValueError::Address)?;
    Ok(Address { host, port: port_of(port).ok_or(ValueError::Address)? })
}

/// `unix:/PATH`, to the path.
pub(super) fn socket(text: &str) -> Parsed<String> {
    match text.strip_prefix("unix:") {
        // The kernel's limit of a socket's path is 108 bytes with the zero at its end.
        Some(path) if path.starts_with('/') && path.len() < 108 && !path.contains('\0') => Ok(path.to_owned()),
        _ => Err(ValueError::Socket),
    }
}

/// Permission bits in octal.
pub(super) fn mode(text: &str) -> Parsed<u32> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
    mode.ok_or(ValueError::Mode)
}

/// An http or https URL with a path prefix and nothing else.
pub(super) fn endpoint(text: &str) -> Parsed<Endpoint> {
    let (scheme, rest) = text.split_once("://").ok_or(ValueError::Url)?;
    let https = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(ValueError::Url),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(ValueError::UserInfo);
    }
    if path.contains(['?', '#']) {
        return Err(ValueError::Query);
    }
    let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[after_bracket..].rfind(':') {
        Some(at) => {
            let (host, port) = authority.split_at(after_bracket + at);
            (host, port_of(&port[1..]).filter(|port| *port > 0).ok_or(ValueError::Url)?)
        }
        None => (authority, if https { 443 } else { 80 }),
    };
    let host = host_of(host).map_err(|_| ValueError::Url)?;
    let prefix = path.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/%!$&'()*+,;=:@".contains(&byte);
    let steps = |step: &str| matches!(step, "." | "..");
    if !prefix.bytes().all(plain) || prefix.contains("//") || prefix.split('/').any(steps) {
        return Err(ValueError::Url);
    }
    Ok(Endpoint { https, host, port, prefix: prefix.to_owned() })
}

/// A host as a server's name.
pub(super) fn host(text: &str) -> Parsed<String> {
    host_of(text)
}

/// The name of an environment variable.
pub(super) fn env_name(text: &str) -> Parsed<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.bytes().all(plain) && text.starts_with(|c: char| !c.is_ascii_digit()) && text.len() <= 128 {
        Ok(text.to_owned())
    } else {
        Err(ValueError::EnvName)
    }
}

/// The key of a Kubernetes Secret, which is a file name.
pub(super) fn secret_key(text: &str) -> Parsed<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_file = !matches!(text, "" | "." | "..") && text.len() <= 253;
    if is_file && text.bytes().all(plain) { Ok(text.to_owned()) } else { Err(ValueError::SecretKey) }
}

/// A pattern over paths.
pub(super) fn path_pattern(text: &str) -> Parsed<String> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    if text.starts_with('/') && text.bytes().all(plain) { Ok(text.to_owned()) } else { Err(ValueError::PathPattern) }
}

/// The name of a header (RFC 9110, `token`), in lower case.
pub(super) fn field_name(text: &str) -> Parsed<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name = text.len() <= 256 && text.bytes().all(plain);
    if is_name { Ok(text.to_ascii_lowercase()) } else { Err(ValueError::FieldName) }
}

/// The value of a header, as it arrives: a proxy takes the white space around it away.
pub(super) fn field_value(text: &str) -> Parsed<String> {
    let plain = |byte: u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t');
    let is_value = text.len() <= 8192 && text.bytes().all(plain) && text.trim() == text;
    if is_value { Ok(text.to_owned()) } else { Err(ValueError::FieldValue) }
}

/// A name of people's own choice: a team, a group, a claim.
pub(super) fn name(text: &str) -> Parsed<String> {
    let fits = text.len() <= 256 && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(ValueError::Name) }
}

/// The digest of a key.
pub(super) fn sha256(text: &str) -> Parsed<Digest> {
    Digest::parse(text).ok_or(ValueError::Sha256)
}

/// A point in time, in seconds since the Unix epoch; a fraction of a second is left off.
pub(super) fn time(text: &str) -> Parsed<u64> {
    crate::base::rfc3339::unix(text).ok_or(ValueError::Time)
}

/// Any name with wildcards.
pub(super) fn glob(text: &str) -> Parsed<Glob> {
    name(text).map(|text| Glob::new(&text))
}

fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

/// A DNS name, an IPv4 address, or an IPv6 address in brackets.
fn host_of(text: &str) -> Parsed<String> {
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = inside.parse().map_err(|_| ValueError::Host)?;
        return Ok(address.to_string());
    }
    let lower = text.to_ascii_lowercase();
    let piece = |piece: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&piece.len()) && piece.bytes().all(plain) && !piece.starts_with('-') && !piece.ends_with('-')
    };
    if lower.len() > 253 || !lower.split('.').all(piece) {
        return Err(ValueError::Host);
    }
    // A name whose last piece is a number is an address, and then it must be a whole one.
    let numeric = lower.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if numeric && lower.parse::<Ipv4Addr>().is_err() {
        return Err(ValueError::Host);
    }
    Ok(lower)
}

fn port_of(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

// === impl Address ===

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Host and port as `:authority` says them: without the port that the scheme implies.
    pub fn authority(&self) -> String {
        let host = bracketed(&self.host);
        match (self.https, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}
