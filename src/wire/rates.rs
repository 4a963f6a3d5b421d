//! The headers in which a provider says how much it allows, read from one API's and written in another's.
//!
//! Who speaks which: OpenAI, Azure, Groq, Cerebras and most of those who imitate OpenAI `x-ratelimit-*`, with
//! the time that is left; Anthropic `anthropic-ratelimit-*`, with the moment that is waited for. Gemini, Bedrock,
//! Cohere and Ollama say nothing in headers, and their SDKs look for nothing there.

use std::time::Duration;

use crate::base::rfc3339;
use crate::llm::{Allowance, Allowances};

/// One API's headers.
#[derive(Debug)]
pub struct RateHeaders {
    /// What the names of all such headers begin with, of those too that are not read.
    pub prefixes: &'static [&'static str],
    /// What is read and written.
    pub rows: &'static [(&'static str, Rate, Figure)],
    /// What is read where the rows say nothing: names of those who imitate the API.
    pub also: &'static [(&'static str, Rate, Figure)],
    pub until: Until,
}

/// A rate of [`Allowances`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
}

/// A member of [`Allowance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Limit,
    Remaining,
    Reset,
}

/// How the end of a window is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// What is left of it, as Go prints durations: `6m0s`.
    Duration,
    /// When it is, as RFC 3339 has it.
    Instant,
}

/// `x-ratelimit-*` (OpenAI, "Rate limits in headers", 2026-06; Groq, "Rate limits"; Azure has the same names
/// and writes seconds). OpenRouter leaves out of what, and counts requests.
pub static OPENAI: RateHeaders = RateHeaders {
    prefixes: &["x-ratelimit-"],
    rows: &[
        ("x-ratelimit-limit-requests", Rate::Requests, Figure::Limit),
        ("x-ratelimit-limit-tokens", Rate::Tokens, Figure::Limit),
        ("x-ratelimit-remaining-requests", Rate::Requests, Figure::Remaining),
        ("x-ratelimit-remaining-tokens", Rate::Tokens, Figure::Remaining),
        ("x-ratelimit-reset-requests", Rate::Requests, Figure::Reset),
        ("x-ratelimit-reset-tokens", Rate::Tokens, Figure::Reset),
    ],
    also: &[
        ("x-ratelimit-limit", Rate::Requests, Figure::Limit),
        ("x-ratelimit-remaining", Rate::Requests, Figure::Remaining),
        ("x-ratelimit-reset", Rate::Requests, Figure::Reset),
    ],
    until: Until::Duration,
};

/// `anthropic-ratelimit-*` (Claude docs, "Rate limits", "Response headers", 2026-11).
pub static ANTHROPIC: RateHeaders = RateHeaders {
    prefixes: &["anthropic-ratelimit-", "anthropic-priority-"],
    rows: &[
        ("anthropic-ratelimit-requests-limit", Rate::Requests, Figure::Limit),
        ("anthropic-ratelimit-requests-remaining", Rate::Requests, Figure::Remaining),
        ("anthropic-ratelimit-requests-reset", Rate::Requests, Figure::Reset),
        ("anthropic-ratelimit-tokens-limit", Rate::Tokens, Figure::Limit),
        ("anthropic-ratelimit-tokens-remaining", Rate::Tokens, Figure::Remaining),
        ("anthropic-ratelimit-tokens-reset", Rate::Tokens, Figure::Reset),
        ("anthropic-ratelimit-input-tokens-limit", Rate::InputTokens, Figure::Limit),
        ("anthropic-ratelimit-input-tokens-remaining", Rate::InputTokens, Figure::Remaining),
        ("anthropic-ratelimit-input-tokens-reset", Rate::InputTokens, Figure::Reset),
        ("anthropic-ratelimit-output-tokens-limit", Rate::OutputTokens, Figure::Limit),
        ("anthropic-ratelimit-output-tokens-remaining", Rate::OutputTokens, Figure::Remaining),
        ("anthropic-ratelimit-output-tokens-reset", Rate::OutputTokens, Figure::Reset),
    ],
    also: &[],
    until: Until::Instant,
};

/// Numbers from here on are no seconds that are left but a moment, in seconds since the Unix epoch.
const EPOCH: u64 = 1_000_000_000;
/// And from here on in milliseconds.
const EPOCH_MS: u64 = 100_000_000_000;

// === impl RateHeaders ===

impl RateHeaders {
    /// True for a header of these, whether it is read or not.
    pub fn has(&self, name: &str) -> bool {
        self.prefixes.iter().any(|prefix| name.starts_with(prefix))
            || self.also.iter().any(|(known, ..)| *known == name)
    }

    /// What the headers say. A value that is none says nothing. `now` is in nanoseconds since the Unix epoch.
    pub fn read<'h>(&self, header: impl Fn(&str) -> Option<&'h str>, now: u64) -> Allowances {
        let mut found = Allowances::default();
        for &(name, rate, figure) in self.rows.iter().chain(self.also) {
            let Some(text) = header(name) else { continue };
            let rate = rate_mut(&mut found, rate);
            match figure {
                // Azure writes -1 where it does not know.
                Figure::Limit => rate.limit = rate.limit.or_else(|| text.trim().parse().ok()),
                Figure::Remaining => rate.remaining = rate.remaining.or_else(|| text.trim().parse().ok()),
                Figure::Reset => rate.reset = rate.reset.or_else(|| until(text.trim(), now)),
            }
        }
        found
    }

    /// The headers that say this, `now` as in [`RateHeaders::read`]; what is not known is left out.
    pub fn write(&self, found: &Allowances, now: u64, mut put: impl FnMut(&'static str, String)) {
        for &(name, rate, figure) in self.rows {
            let rate = match rate {
                Rate::Requests => found.requests,
                Rate::Tokens => found.all_tokens(),
                Rate::InputTokens => found.input_tokens,
                Rate::OutputTokens => found.output_tokens,
            };
            let text = match figure {
                Figure::Limit => rate.limit.map(|limit| limit.to_string()),
                Figure::Remaining => rate.remaining.map(|remaining| remaining.to_string()),
                Figure::Reset => rate.reset.map(|left| match self.until {
                    Until::Duration => duration(left),
                    Until::Instant => rfc3339::text(moment(left, now)),
                }),
            };
            if let Some(text) = text {
                put(name, text);
            }
        }
    }
}

fn rate_mut(of: &mut Allowances, rate: Rate) -> &mut Allowance {
    match rate {
        Rate::Requests => &mut of.requests,
        Rate::Tokens => &mut of.tokens,
        Rate::InputTokens => &mut of.input_tokens,
        Rate::OutputTokens => &mut of.output_tokens,
    }
}

/// The second, counted from the epoch, in which a time is over.
fn moment(left: Duration, now: u64) -> u64 {
    let nanos = Duration::from_nanos(now).saturating_add(left).as_nanos().div_ceil(1_000_000_000);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// The time until a moment, which is written as a duration, as seconds, as RFC 3339 has it or by the epoch.
fn until(text: &str, now: u64) -> Option<Duration> {
    let now = Duration::from_nanos(now);
    let since = |moment: Duration| moment.saturating_sub(now);
    if let Ok(number) = text.parse::<u64>() {
        return Some(match number {
            EPOCH_MS.. => since(Duration::from_millis(number)),
            EPOCH.. => since(Duration::from_secs(number)),
            seconds => Duration::from_secs(seconds),
        });
    }
    go_duration(text).or_else(|| rfc3339::unix(text).map(|moment| since(Duration::from_secs(moment))))
}

/// `1h2m3.5s`, `120ms`; `1.5` is seconds.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        let seconds = match unit {
            "" if number.len() == text.len() => 1.0,
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

/// As Go prints it, to the millisecond: `6m0s`, `1.5s`, `120ms`.
fn duration(left: Duration) -> String {
    let (seconds, millis) = (left.as_secs(), left.subsec_millis());
    if seconds == 0 && millis > 0 {
        return format!("{millis}ms");
    }
    let mut text = String::new();
    if seconds >= 3600 {
        text.push_str(&format!("{}h", seconds / 3600));
    }
    if seconds >= 60 {
        text.push_str(&format!("{}m", seconds / 60 % 60));
    }
    text.push_str(&(seconds % 60).to_string());
    if millis > 0 {
        text.push_str(format!(".{millis:03}").trim_end_matches('0'));
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-01T00:00:00Z.
    const NOW: u64 = 1_767_225_600_000_000_000;

    fn written(to: &RateHeaders, found: &Allowances) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        to.write(found, NOW, |name, text| all.push((name, text)));
        all
    }

    fn read(of: &RateHeaders, all: &[(&str, &str)]) -> Allowances {
        of.read(|name| all.iter().find(|(known, _)| *known == name).map(|(_, text)| *text), NOW)
    }

    #[test]
    fn what_one_api_says_is_said_in_the_others_words() {
        let openai = [
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ];
        let anthropic = [
            ("anthropic-ratelimit-requests-limit", "60"),
            ("anthropic-ratelimit-requests-remaining", "59"),
            ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:01Z"),
            ("anthropic-ratelimit-tokens-limit", "150000"),
            ("anthropic-ratelimit-tokens-remaining", "149984"),
            ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:06:00Z"),
        ];
        let own = |all: &[(&'static str, &str)]| -> Vec<_> { all.iter().map(|(n, t)| (*n, (*t).to_owned())).collect() };
        assert_eq!(written(&ANTHROPIC, &read(&OPENAI, &openai)), own(&anthropic));
        assert_eq!(written(&OPENAI, &read(&ANTHROPIC, &anthropic)), own(&openai));
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let azure = [("x-ratelimit-limit-tokens", "-1"), ("x-ratelimit-remaining-tokens", "61353")];
        let said = written(&ANTHROPIC, &read(&OPENAI, &azure));
        assert_eq!(said, [("anthropic-ratelimit-tokens-remaining", "61353".to_owned())]);
        assert_eq!(written(&OPENAI, &Allowances::default()), []);
    }

    #[test]
    fn tokens_that_are_counted_by_kind_are_those_that_run_out_first() {
        let anthropic = [
            ("anthropic-ratelimit-input-tokens-remaining", "80000"),
            ("anthropic-ratelimit-output-tokens-limit", "16000"),
            ("anthropic-ratelimit-output-tokens-remaining", "7"),
        ];
        let said = written(&OPENAI, &read(&ANTHROPIC, &anthropic));
        let tokens = [("x-ratelimit-limit-tokens", "16000"), ("x-ratelimit-remaining-tokens", "7")];
        assert_eq!(said, tokens.map(|(name, text)| (name, text.to_owned())));
    }

    #[test]
    fn the_end_of_a_window_is_read_as_each_writes_it() {
        for (text, millis) in [
            ("1s", Some(1000)),
            ("6m0s", Some(360_000)),
            ("2m59.56s", Some(179_560)),
            ("120ms", Some(120)),
            ("1h2m3s", Some(3_723_000)),
            ("1d2h", Some(93_600_000)),
            ("55", Some(55_000)),
            ("0.5", Some(500)),
            // OpenRouter's.
            ("1767225607500", Some(7500)),
            ("1767225607", Some(7000)),
            ("2026-01-01T00:00:34Z", Some(34_000)),
            // It is over.
            ("2025-12-31T23:59:59Z", Some(0)),
            ("1767225500", Some(0)),
            ("", None),
            ("-1", None),
            ("soon", None),
            ("1s2", None),
            ("5 s", None),
            ("99999999999999999999999999999d", None),
        ] {
            let expected = millis.map(Duration::from_millis);
            assert_eq!(until(text, NOW), expected, "{text:?}");
        }
    }

    #[test]
    fn times_are_printed_as_go_prints_them() {
        for (millis, text) in [
            (0, "0s"),
            (120, "120ms"),
            (1000, "1s"),
            (8640, "8.64s"),
            (360_000, "6m0s"),
            (3_600_000, "1h0m0s"),
            (86_461_005, "24h1m1.005s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn headers_of_an_api_are_told_from_others() {
        for name in ["x-ratelimit-limit", "x-ratelimit-limit-tokens-minute", "x-ratelimit-reset-requests"] {
            assert!(OPENAI.has(name) && !ANTHROPIC.has(name), "{name}");
        }
        for name in ["anthropic-ratelimit-unified-5h-reset", "anthropic-priority-input-tokens-limit"] {
            assert!(ANTHROPIC.has(name) && !OPENAI.has(name), "{name}");
        }
        assert!(!OPENAI.has("retry-after") && !ANTHROPIC.has("anthropic-organization-id"));
    }

    proptest! {
        #[test]
        fn a_time_survives_both_ways(millis in 0..10_u64.pow(10)) {
            let left = Duration::from_millis(millis);
            prop_assert_eq!(until(&duration(left), NOW), Some(left));
            let whole = Duration::from_secs(millis.div_ceil(1000));
            prop_assert_eq!(until(&rfc3339::text(moment(left, NOW)), NOW), Some(whole));
        }

        #[test]
        fn no_text_panics(text in "[-+.:0-9TZdhmsn]{0,30}|\\PC{0,20}", now in any::<u64>()) {
            until(&text, now);
        }
    }
}
