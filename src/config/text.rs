//! The forms of texts, as patterns that a schema can carry. Each stands beside the function that reads
//! such a text; a test holds the two against each other. The patterns are of the common part of the
//! languages of regular expressions: ECMA 262, RE2, the crate `regex`.

use super::value::{self as v, ValueError};
use super::{form as f, spec};
use crate::credential::CALLER_HEADERS;

/// A pattern around that of a host: a name, an IPv4 address, or an IPv6 address in brackets.
macro_rules! around_host {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "([0-9A-Za-z_]([-0-9A-Za-z_]*[0-9A-Za-z_])?(\\.[0-9A-Za-z_]([-0-9A-Za-z_]*[0-9A-Za-z_])?)*",
            "|\\[[0-9A-Fa-f:.]+\\])",
            $after
        )
    };
}

/// The form of a text that is not empty.
pub(super) struct Form {
    /// All of them match.
    pub patterns: &'static [&'static str],
    /// Characters: what the reader allows, or what the API server stores where the reader has no bound.
    pub most: usize,
    /// Whether the reader has that bound.
    pub bounded: bool,
    /// Names that are not allowed, in any case, with the reason.
    pub reserved: &'static [(&'static [&'static str], &'static str)],
    /// Beginnings that are not allowed, in any case, with the reason.
    pub reserved_prefixes: &'static [(&'static str, &'static str)],
    pub example: &'static str,
    /// What the patterns cannot say, over `self`.
    pub cel: Option<(&'static str, &'static str)>,
    /// How it is read.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reader calls it by its own name; a test compares"))]
    pub reads: fn(&str) -> bool,
    /// Whether all that the patterns allow can be read; what can be read is always allowed.
    #[cfg_attr(not(test), expect(dead_code, reason = "says what the test may expect"))]
    pub exact: bool,
}

const fn form(patterns: &'static [&'static str], most: usize, example: &'static str, reads: fn(&str) -> bool) -> Form {
    let (reserved, reserved_prefixes) = (&[], &[]);
    Form { patterns, most, bounded: true, reserved, reserved_prefixes, example, cel: None, reads, exact: true }
}

const fn open(patterns: &'static [&'static str], most: usize, example: &'static str, reads: fn(&str) -> bool) -> Form {
    Form { bounded: false, ..form(patterns, most, example, reads) }
}

fn ok<T>(parsed: Result<T, ValueError>) -> bool {
    parsed.is_ok()
}

/// A time that is more than none.
const SOME_TIME: &str = "[1-9]";
const DURATION_FORM: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
const DECIMAL_FORM: &str = r"^[0-9]{1,9}(\.[0-9]{1,9})?$";
const HEADER_FORM: &str = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$";
const OWN: &[(&str, &str)] = &[("x-weir-", "these names are Weir's own")];

pub(super) const ANY: Form = open(&[], 1024, "gpt-4o-mini", |_| true);
pub(super) const PROSE: Form = open(&[], 65_536, "Answer briefly.", |_| true);
pub(super) const LABEL: Form = form(&["^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"], 63, "openai", |t| ok(v::label(t)));
pub(super) const SUBDOMAIN: Form =
    form(&[r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"], 253, "openai", |t| {
        ok(v::subdomain(t))
    });
pub(super) const DURATION: Form = open(&[DURATION_FORM], 32, "1h30m", |t| ok(v::duration(t)));
pub(super) const SOME_DURATION: Form =
    open(&[DURATION_FORM, SOME_TIME], 32, "30s", |t| v::duration(t).is_ok_and(|time| !time.is_zero()));
pub(super) const ROLLING: Form = Form {
    exact: false,
    cel: Some((
        "duration(self) >= duration('1s') && duration(self) <= duration('744h')",
        "a rolling period is from 1s to 744h; for a longer one say calendar",
    )),
    ..SOME_DURATION
};
pub(super) const COOLDOWN: Form = Form {
    exact: false,
    cel: Some(("duration(self) <= duration('1h')", "a backend is looked at again once an hour at least")),
    ..DURATION
};
pub(super) const MULTIPLIER: Form =
    form(&[r"^(0{0,3}[0-9]{1,6}(\.[0-9]{1,9})?|0{0,2}1000000(\.0{1,9})?)$"], 19, "0.85", |t| ok(v::multiplier(t)));
pub(super) const RATE: Form = form(&[DECIMAL_FORM], 19, "0.15", |t| ok(v::rate(t)));
pub(super) const USD: Form = form(&[DECIMAL_FORM, SOME_TIME], 19, "500", |t| ok(f::usd(t)));
pub(super) const THRESHOLD: Form =
    form(&[r"^(0{1,9}\.[89][0-9]{0,8}|0{0,8}1(\.0{1,9})?)$"], 19, "0.95", |t| ok(f::threshold(t)));
pub(super) const TEMPERATURE: Form =
    form(&[r"^(0{0,8}[01](\.[0-9]{1,9})?|0{0,8}2(\.0{1,9})?)$"], 19, "0.7", |t| ok(f::temperature(t)));
pub(super) const PERCENT: Form = form(&["^([0-9]{1,2}|0[0-9]{2}|100)%$"], 4, "10%", |t| ok(f::percent(t)));
pub(super) const RESERVED_SHARE: Form = form(&["^(0{0,2}[1-9]|0?[1-9][0-9])%$"], 4, "25%", |t| {
    f::percent(t).is_ok_and(|share| (1..=99).contains(&share.0))
});
pub(super) const MOMENT: Form = Form {
    exact: false,
    ..form(
        &["^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"],
        20,
        "2027-01-01T00:00:00Z",
        |t| ok(f::moment(t)),
    )
};
pub(super) const TIME: Form = Form {
    exact: false,
    ..open(
        &["^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})$"],
        64,
        "2027-01-01T00:00:00Z",
        |t| ok(v::time(t)),
    )
};
pub(super) const TIME_ZONE: Form =
    form(&["^(UTC|GMT|[A-Z][-+A-Za-z0-9_]{0,31}(/[A-Z][-+A-Za-z0-9_]{0,31}){1,2})$"], 98, "Europe/Berlin", |t| {
        ok(f::time_zone(t))
    });
pub(super) const PATTERN: Form = Form { exact: false, ..open(&[], 4096, "(?i)project\\s+zeus", |t| ok(f::pattern(t))) };
pub(super) const FILE_PATH: Form = open(&[r"^/[^\x00]*$"], 4096, "/etc/ssl/private-ca.pem", |t| ok(f::file_path(t)));
pub(super) const ANY_PATH: Form = open(&[], 4096, "/etc/ssl/private-ca.pem", |_| true);
pub(super) const LABEL_KEY: Form = form(
    &[
        r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    ],
    317,
    "region",
    |t| ok(f::label_key(t)),
);
pub(super) const LABEL_VALUE: Form =
    form(&["^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"], 63, "eu", |t| ok(f::label_value(t)));
pub(super) const SPIFFE: Form = form(
    &[r#"^spiffe://[!"$-.0-9;->A-Z\[-~]+(/[!"$->A-Z\[-~]*)?$"#],
    2048,
    "spiffe://cluster.local/ns/search/sa/api",
    |t| ok(f::spiffe_id(t)),
);
pub(super) const NAME_GLOB: Form = form(&["^[-a-z0-9.*]+$"], 253, "search-*", |t| ok(f::name_glob(t)));
pub(super) const ACCOUNT_GLOB: Form =
    form(&["^[-a-z0-9.*]{1,253}(/[-a-z0-9.*]{1,253})?$"], 507, "billing/invoicer", |t| ok(f::account_glob(t)));
pub(super) const NAME: Form = form(&[r"^[^\x00-\x1f\x7f-\x9f]+$"], 256, "search", |t| ok(v::name(t)));
pub(super) const GLOB: Form = Form { example: "gpt-*", reads: |t| ok(v::glob(t)), ..NAME };
/// A claim is compared whole.
pub(super) const CLAIM: Form =
    form(&[r"^[^\x00-\x1f\x7f-\x9f*]+$"], 256, "svc-search", |t| ok(v::name(t)) && !t.contains('*'));
pub(super) const TAG: Form =
    form(&[r"^[^\x00-\x20\x7f-\x9f,=]+$"], 256, "feature", |t| ok(v::name(t)) && !t.contains([',', '=', ' ']));
pub(super) const ENV: Form = form(&["^[A-Za-z_][A-Za-z0-9_]*$"], 128, "OPENAI_API_KEY", |t| ok(v::env_name(t)));
pub(super) const SECRET_KEY: Form =
    form(&[r"^([-A-Za-z0-9_]|\.[-A-Za-z0-9_]|\.\.[-A-Za-z0-9_.])[-A-Za-z0-9_.]*$"], 253, "token", |t| {
        ok(v::secret_key(t))
    });
/// A secret that is written down.
pub(super) const SECRET: Form = open(&["^[ -~]+$"], 8192, "", |t| t.bytes().all(|byte| matches!(byte, 0x20..=0x7e)));
pub(super) const PATH_PATTERN: Form = open(&[r#"^/[!"$->@-~]*$"#], 1024, "/v1/files*", |t| ok(v::path_pattern(t)));
pub(super) const EDITED_HEADER: Form = Form {
    reserved: spec::headers::RESERVED,
    reserved_prefixes: spec::headers::RESERVED_PREFIXES,
    reads: |t| ok(v::field_name(t)) && spec::headers::reserved(&t.to_ascii_lowercase()).is_none(),
    ..form(&[HEADER_FORM], 256, "openai-organization", |_| true)
};
pub(super) const MATCHED_HEADER: Form = Form {
    reserved: &[(&["host"], "the proxy takes it first")],
    reserved_prefixes: OWN,
    reads: |t| v::field_name(t).is_ok_and(|name| name != "host" && !name.starts_with("x-weir-")),
    ..form(&[HEADER_FORM], 256, "x-tier", |_| true)
};
pub(super) const SAID_HEADER: Form = Form {
    reserved: &[(CALLER_HEADERS, "it carries credentials")],
    reserved_prefixes: OWN,
    reads: |t| {
        v::field_name(t).is_ok_and(|name| !CALLER_HEADERS.contains(&name.as_str()) && !name.starts_with("x-weir-"))
    },
    ..form(&[HEADER_FORM], 256, "x-end-user-id", |_| true)
};
pub(super) const FIELD_VALUE: Form = form(&[r"^[!-~]([\t -~]*[!-~])?$"], 8192, "org-1", |t| ok(v::field_value(t)));
pub(super) const SHA256: Form =
    form(&["^[0-9A-Fa-f]{64}$"], 64, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", |t| {
        ok(v::sha256(t))
    });
pub(super) const HOST: Form =
    Form { exact: false, ..form(&[around_host!("^", "$")], 253, "api.example.com", |t| ok(v::host(t))) };
pub(super) const ADDRESS: Form =
    Form { exact: false, ..open(&[around_host!("^", ":[0-9]+$")], 300, "127.0.0.1:10000", |t| ok(v::address(t))) };
pub(super) const LISTENER: Form = Form {
    exact: false,
    ..open(&[around_host!(r"^(unix:/[^\x00]*|tcp:", ":[0-9]+)$")], 300, "unix:/run/weir/extproc.sock", |t| {
        ok(spec::listener::listener(t))
    })
};
pub(super) const SOCKET: Form = form(&[r"^unix:/[^\x00]*$"], 112, "unix:/run/weir/admin.sock", |t| ok(v::socket(t)));
pub(super) const MODE: Form = form(&["^0?[0-7]{3}$"], 4, "0666", |t| ok(v::mode(t)));
pub(super) const ENDPOINT: Form = Form {
    exact: false,
    ..open(
        &[around_host!("^[Hh][Tt][Tt][Pp][Ss]?://", "(:[0-9]+)?(/[-A-Za-z0-9._~/%!$&'()*+,;=:@]*)?$")],
        2048,
        "https://api.example.com/v1",
        |t| ok(v::endpoint(t)),
    )
};
pub(super) const REDIS_URL: Form = Form {
    exact: false,
    ..open(
        &[around_host!(r"^rediss?(\+sentinel)?://", r"(:[0-9]+)?(/[0-9]{0,4}|/[-A-Za-z0-9_.:]+(/[0-9]{0,4})?)?$")],
        512,
        "redis://127.0.0.1:6379/0",
        |t| ok(f::redis_url(t)),
    )
};
pub(super) const VERSION: Form = form(&[r"^[0-9]{1,4}(\.[0-9]{1,4}){1,2}$"], 14, "1.40", |t| ok(f::version(t)));
pub(super) const IDENTIFIER: Form = form(&["^[-A-Za-z0-9_.:]+$"], 253, "us-east-1", |t| ok(f::identifier(t)));
pub(super) const PARAMETER: Form = Form {
    reserved: spec::rewrite::NOT_PARAMETERS,
    reads: |t| !spec::rewrite::NOT_PARAMETERS.iter().any(|(names, _)| names.contains(&t.to_ascii_lowercase().as_str())),
    ..open(&[], 128, "logit_bias", |_| true)
};
