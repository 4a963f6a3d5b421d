//! Texts with a form of their own that policies use: money, shares, points in time, time zones,
//! patterns. Each is parsed once, here; no value of this module passes through a float.

use std::str::FromStr;

use regex::RegexBuilder;

use super::value::ValueError;
use crate::base::glob::Glob;
use crate::base::money::{Multiplier, NanoUsd};
use crate::cache::Threshold;

/// A whole number of hundredths, from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u8);

/// A point in time in whole seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

/// What one compiled pattern may occupy. A pattern is matched while a request waits.
const MAX_PATTERN: usize = 1 << 20;

type Parsed<T> = Result<T, ValueError>;

/// A share like `10%`.
pub(super) fn percent(text: &str) -> Parsed<Percent> {
    let digits = text.strip_suffix('%').filter(|digits| (1..=3).contains(&digits.len()));
    let number = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|digits| digits.parse().ok()).filter(|number| *number <= 100);
    number.map(Percent).ok_or(ValueError::Percent)
}

/// An amount of USD above zero, as a decimal without sign or exponent.
pub(super) fn usd(text: &str) -> Parsed<NanoUsd> {
    let amount =
        super::value::decimal(text).and_then(|text| NanoUsd::from_str(text).map_err(|_| ValueError::Decimal))?;
    if amount > NanoUsd::ZERO { Ok(amount) } else { Err(ValueError::NoMoney) }
}

/// How alike two questions must be: from 0.8 to 1.
pub(super) fn threshold(text: &str) -> Parsed<Threshold> {
    super::value::multiplier(text).map_err(|_| ValueError::Threshold)?;
    text.parse().map_err(|_| ValueError::Threshold)
}

/// A sampling temperature, from 0 to 2.
pub(super) fn temperature(text: &str) -> Parsed<Multiplier> {
    at_most(text, "2", ValueError::Temperature)
}

fn at_most(text: &str, most: &str, error: ValueError) -> Parsed<Multiplier> {
    let within = |found: &Multiplier| Multiplier::from_str(most).is_ok_and(|most| *found <= most);
    super::value::multiplier(text).ok().filter(within).ok_or(error)
}

/// RFC 3339 in UTC and whole seconds, like `2027-01-01T00:00:00Z`.
pub(super) fn moment(text: &str) -> Parsed<Moment> {
    let shape = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(byte, wanted): (u8, &u8)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == *wanted };
    if text.len() != shape.len() || !text.bytes().zip(shape).all(fits) {
        return Err(ValueError::Moment);
    }
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap_or(-1);
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    if !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return Err(ValueError::Moment);
    }
    // Years begin in March here, so that the day that is not always there is the last of one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468;
    Ok(Moment(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

/// The form of a name of the IANA time zone database. Whether there is such a zone is not known here.
pub(super) fn time_zone(text: &str) -> Parsed<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+');
    let part = |part: &str| {
        (1..=32).contains(&part.len())
            && part.starts_with(|first: char| first.is_ascii_uppercase())
            && part.bytes().all(plain)
    };
    let parts = text.split('/').count();
    let has_area = parts > 1 || matches!(text, "UTC" | "GMT");
    if has_area && parts <= 3 && text.split('/').all(part) { Ok(text.to_owned()) } else { Err(ValueError::TimeZone) }
}

/// A regular expression of the `regex` crate: linear in the text, bounded in memory.
pub(super) fn pattern(text: &str) -> Parsed<String> {
    let built = RegexBuilder::new(text).size_limit(MAX_PATTERN).build();
    match built {
        Ok(regex) if regex.is_match("") => Err(ValueError::EmptyPattern),
        Ok(_) => Ok(text.to_owned()),
        Err(regex::Error::CompiledTooBig(_)) => Err(ValueError::LargePattern),
        Err(_) => Err(ValueError::Pattern),
    }
}

/// A path in the file system, from its root.
pub(super) fn file_path(text: &str) -> Parsed<String> {
    if text.starts_with('/') && !text.contains('\0') { Ok(text.to_owned()) } else { Err(ValueError::FilePath) }
}

/// A key of a Kubernetes label: a name, and before it a domain and a slash if there is one.
pub(super) fn label_key(text: &str) -> Parsed<String> {
    let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    let domain_fits = domain.is_none_or(|domain| super::value::subdomain(domain).is_ok());
    if domain_fits && !name.is_empty() && is_label_text(name) { Ok(text.to_owned()) } else { Err(ValueError::LabelKey) }
}

/// The value of a Kubernetes label.
pub(super) fn label_value(text: &str) -> Parsed<String> {
    if is_label_text(text) { Ok(text.to_owned()) } else { Err(ValueError::LabelValue) }
}

fn is_label_text(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= 63 && text.bytes().all(plain) && (text.is_empty() || text.starts_with(ends) && text.ends_with(ends))
}

/// A URI that names a workload, like `spiffe://DOMAIN/PATH`.
pub(super) fn spiffe_id(text: &str) -> Parsed<String> {
    let fits = |rest: &str| {
        let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@');
        !domain.is_empty() && !domain.contains(':') && path.bytes().all(plain) && domain.bytes().all(plain)
    };
    match text.strip_prefix("spiffe://") {
        Some(rest) if fits(rest) && text.len() <= 2048 => Ok(text.to_owned()),
        _ => Err(ValueError::SpiffeId),
    }
}

/// SPIFFE ids: one, or a pattern over them.
pub(super) fn spiffe_glob(text: &str) -> Parsed<Glob> {
    spiffe_id(text).map(|text| Glob::new(&text))
}

/// The name of a document or a namespace, or a pattern over such names.
pub(super) fn name_glob(text: &str) -> Parsed<Glob> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'*');
    let fits = text.len() <= 253 && text.bytes().all(plain);
    if fits { Ok(Glob::new(text)) } else { Err(ValueError::NamePattern) }
}

/// Namespace and name of a service account; a name alone is one in any namespace.
pub(super) fn account_glob(text: &str) -> Parsed<(Glob, Glob)> {
    let part = |part: &str| name_glob(part).ok().filter(|_| !part.is_empty());
    let (namespace, name) = text.split_once('/').unwrap_or(("*", text));
    part(namespace).zip(part(name)).ok_or(ValueError::AccountPattern)
}

/// `redis://HOST:PORT[/DATABASE]`, or `redis+sentinel://HOST:PORT/MASTER[/DATABASE]`; `rediss` for TLS. User and
/// password are fields of their own.
pub(super) fn redis_url(text: &str) -> Parsed<String> {
    let (scheme, rest) = text.split_once("://").ok_or(ValueError::RedisUrl)?;
    let is_sentinel = match scheme {
        "redis" | "rediss" => false,
        "redis+sentinel" | "rediss+sentinel" => true,
        _ => return Err(ValueError::RedisUrl),
    };
    if rest.contains('@') {
        return Err(ValueError::UserInfo);
    }
    let (address, behind) = rest.split_once('/').unwrap_or((rest, ""));
    let (master, database) = if is_sentinel { behind.split_once('/').unwrap_or((behind, "")) } else { ("", behind) };
    if is_sentinel && (master.is_empty() || identifier(master).is_err()) {
        return Err(ValueError::RedisUrl);
    }
    let numbered = database.len() <= 4 && database.bytes().all(|byte| byte.is_ascii_digit());
    let with_port = super::value::address(address).or_else(|_| super::value::address(&format!("{address}:6379")));
    if numbered && with_port.is_ok() { Ok(text.to_owned()) } else { Err(ValueError::RedisUrl) }
}

/// A version of the proxy, like `1.40` or `1.40.2`.
pub(super) fn version(text: &str) -> Parsed<String> {
    let number = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.split('.').count();
    if (2..=3).contains(&parts) && text.split('.').all(number) { Ok(text.to_owned()) } else { Err(ValueError::Version) }
}

/// A word for a provider: a region, a project, a deployment, a tenant.
pub(super) fn identifier(text: &str) -> Parsed<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    if text.len() <= 253 && text.bytes().all(plain) { Ok(text.to_owned()) } else { Err(ValueError::Identifier) }
}
