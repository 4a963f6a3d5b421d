//! What a request says of the cache itself: `x-weir-cache`, `x-weir-cache-threshold`, and `cache-control` of
//! RFC 9111, 5.2.1. A caller may want less of the cache than its rule allows, never more.

use std::time::Duration;

use super::semantic::Threshold;
use crate::base::money::Multiplier;

/// The header by which a request asks for its answer not to come from memory, and an answer says whether it did.
pub const HEADER: &str = "x-weir-cache";

/// The header by which a request wants like questions to be more alike.
pub const THRESHOLD: &str = "x-weir-cache-threshold";

/// Directives of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// `x-weir-cache: bypass`: neither looked for nor kept. It needs permission.
    pub bypass: bool,
    /// `x-weir-cache: refresh`, `no-cache`: not looked for.
    pub refresh: bool,
    /// `no-store`: not kept.
    pub no_store: bool,
    /// `max-age`: no older answer will do.
    pub max_age: Option<Duration>,
    /// See [`Controls::threshold`].
    wanted: Option<Threshold>,
    /// It wanted a threshold that is none: nothing is alike enough.
    is_odd: bool,
}

// === impl Controls ===

impl Controls {
    /// Reads the headers of this name, each with all its values in order. What is no directive is not looked at.
    pub fn read<'h, I: Iterator<Item = &'h str>>(headers: impl Fn(&'static str) -> I) -> Controls {
        let mut controls = Controls::default();
        for word in headers(HEADER).flat_map(|value| value.split(',')).map(str::trim) {
            controls.bypass |= word.eq_ignore_ascii_case("bypass");
            controls.refresh |= word.eq_ignore_ascii_case("refresh");
        }
        for directive in headers("cache-control").flat_map(|value| value.split(',')) {
            controls.take(directive);
        }
        for value in headers(THRESHOLD) {
            match value.trim().parse::<Multiplier>() {
                Ok(wanted) if wanted > Multiplier::ONE => controls.is_odd = true,
                // What is lower than any threshold raises none.
                Ok(_) => controls.wanted = controls.wanted.max(value.trim().parse().ok()),
                Err(_) => controls.is_odd = true,
            }
        }
        controls
    }

    fn take(&mut self, directive: &str) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-cache" => self.refresh = true,
            "no-store" => self.no_store = true,
            "max-age" => {
                // A number that is none, or too large for one, bounds nothing that is kept (RFC 9111, 1.2.2).
                let seconds = value.trim().trim_matches('"').parse().unwrap_or(u64::MAX);
                let age = Duration::from_secs(seconds);
                self.max_age = Some(self.max_age.map_or(age, |known| known.min(age)));
            }
            _ => {}
        }
    }

    /// How alike questions must be by a rule's word and by the caller's: the higher one. None where the caller wants
    /// what cannot be.
    pub fn threshold(&self, rule: Threshold) -> Option<Threshold> {
        (!self.is_odd).then(|| rule.raised(self.wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &'static str)]) -> Controls {
        let headers: Vec<(String, &'static str)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Controls::read(|name| headers.clone().into_iter().filter(move |(key, _)| key == name).map(|(_, value)| value))
    }

    #[test]
    fn each_directive_is_read_wherever_it_stands() {
        assert_eq!(read(&[]), Controls::default());
        let bypass = Controls { bypass: true, ..Controls::default() };
        assert_eq!(read(&[(HEADER, "Bypass")]), bypass);
        let refresh = Controls { refresh: true, ..Controls::default() };
        for headers in [(HEADER, "refresh"), ("cache-control", "No-Cache"), ("cache-control", "no-transform, no-cache")]
        {
            assert_eq!(read(&[headers]), refresh, "{headers:?}");
        }
        let strict = read(&[("cache-control", "max-age=60, no-store"), ("cache-control", "max-age=\"9\"")]);
        assert_eq!((strict.no_store, strict.max_age), (true, Some(Duration::from_secs(9))));
        let endless = read(&[("cache-control", "max-age=99999999999999999999999")]);
        assert_eq!(endless.max_age, Some(Duration::from_secs(u64::MAX)));
        assert_eq!(read(&[(HEADER, "hit"), ("cache-control", "only-if-cached")]), Controls::default());
    }

    #[test]
    fn a_threshold_is_only_ever_raised() {
        let rule: Threshold = "0.95".parse().unwrap();
        let threshold = |values: &[&'static str]| {
            let headers: Vec<(&str, &'static str)> = values.iter().map(|value| (THRESHOLD, *value)).collect();
            read(&headers).threshold(rule)
        };
        assert_eq!(threshold(&[]), Some(rule));
        assert_eq!(threshold(&["0.5"]), Some(rule));
        assert_eq!(threshold(&["0.99"]), "0.99".parse().ok());
        assert_eq!(threshold(&["0.99", "0.1"]), "0.99".parse().ok());
        for odd in ["1.01", "-1", "high", "", "NaN"] {
            assert_eq!(threshold(&[odd]), None, "{odd}");
        }
    }
}
