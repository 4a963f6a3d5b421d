//! The scalar words, the cutting of streams, and that no text makes the reader panic.

use std::time::Duration;

use proptest::prelude::*;

use super::super::form::*;
use super::super::value::*;
use super::super::yaml::{Chunk, chunks};
use super::*;

#[test]
fn durations_are_those_of_the_gateway_api() {
    for (text, millis) in [("1h30m", 5_400_000), ("10s", 10_000), ("500ms", 500), ("1h1m1s1ms", 3_661_001), ("0s", 0)] {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "1", "s", "1d", "1.5s", "-1s", "100000s", "1h1h1h1h1h", "1s ", "1S", "1m s"] {
        assert_eq!(duration(text), Err(ValueError::Duration), "{text}");
    }
}

#[test]
fn amounts_and_sizes_are_whole() {
    for (text, value) in [("600", 600), ("100k", 100_000), ("2M", 2_000_000), ("32Mi", 32 << 20), ("64Ki", 65_536)] {
        assert_eq!(quantity(text), Ok(value), "{text}");
    }
    for text in ["", "k", "1.5M", "1e3", "32mi", "-1", "+1", "1K", "99999999999999999999", "18446744073709551615k"] {
        assert_eq!(quantity(text), Err(ValueError::Quantity), "{text}");
    }
}

#[test]
fn a_price_is_a_decimal_without_sign_or_exponent() {
    assert_eq!(rate("0.15").map(|rate| rate.to_string()), Ok("0.00000015".to_owned()));
    assert_eq!(rate("999999999.999999999").map(|rate| rate.to_string()), Ok("999.999999999999999".to_owned()));
    for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "0x1", "1234567890", "0.1234567890", "NaN"] {
        assert_eq!(rate(text), Err(ValueError::Decimal), "{text}");
    }
    assert!(multiplier("1000000").is_ok());
    assert_eq!(multiplier("1000000.1"), Err(ValueError::Multiplier));
}

#[test]
fn an_endpoint_is_taken_apart() {
    let cases = [
        ("https://api.openai.com/v1", "api.openai.com", 443, "api.openai.com", "/v1"),
        ("HTTP://LocalHost:9700", "localhost", 9700, "localhost:9700", ""),
        ("http://h:80/a/b//", "h", 80, "h", "/a/b"),
        ("https://h:80/", "h", 80, "h:80", ""),
        ("http://[::1]:8080/v1", "::1", 8080, "[::1]:8080", "/v1"),
        ("https://[2001:DB8::1]", "2001:db8::1", 443, "[2001:db8::1]", ""),
        ("http://10.0.0.1", "10.0.0.1", 80, "10.0.0.1", ""),
    ];
    for (text, host, port, authority, prefix) in cases {
        let found = endpoint(text).unwrap();
        assert_eq!((found.host.as_str(), found.port, found.prefix.as_str()), (host, port, prefix), "{text}");
        assert_eq!(found.authority(), authority, "{text}");
        assert_eq!(found.https, text.starts_with("https"), "{text}");
    }
    let bad = [
        "",
        "h",
        "//h",
        "http://",
        "http:///v1",
        "http://h:",
        "http://h:99999",
        "http://h:0",
        "http://h:+1",
        "http://-h",
        "http://h..i",
        "http://h i",
        "http://::1",
        "http://[::1",
        "http://[h]",
        "http://1.2.3",
        "http://h/\u{e9}",
        "http://\u{e9}",
        "http://h/a b",
        "http://h/../x",
        "http://h/.",
        "http://h//x",
        "unix:/x",
        "http://h\r\nx: y",
    ];
    for text in bad {
        assert_eq!(endpoint(text), Err(ValueError::Url), "{text}");
    }
    assert_eq!(endpoint("http://u@h"), Err(ValueError::UserInfo));
    assert_eq!(endpoint("http://u:p@h:1/v1"), Err(ValueError::UserInfo));
    assert_eq!(endpoint("http://h/v1#x"), Err(ValueError::Query));
    assert_eq!(endpoint("http://h?x"), Err(ValueError::Query));
}

#[test]
fn addresses_sockets_and_modes() {
    assert_eq!(address("0.0.0.0:9090").unwrap().to_string(), "0.0.0.0:9090");
    assert_eq!(address("[::]:0").unwrap().to_string(), "[::]:0");
    for text in ["", ":1", "h", "h:", "::1:80", "h:65536", "h:x"] {
        assert_eq!(address(text), Err(ValueError::Address), "{text}");
    }
    assert_eq!(socket("unix:/run/a").as_deref(), Ok("/run/a"));
    for text in ["/run/a", "unix:run/a", "unix:", &format!("unix:/{}", "a".repeat(107))] {
        assert_eq!(socket(text), Err(ValueError::Socket), "{text}");
    }
    assert_eq!(mode("0666"), Ok(0o666));
    assert_eq!(mode("600"), Ok(0o600));
    for text in ["", "66", "0999", "01777", "7777", "+666"] {
        assert_eq!(mode(text), Err(ValueError::Mode), "{text}");
    }
}

#[test]
fn a_stream_is_cut_at_its_markers() {
    let cut = |text| chunks(text).iter().map(|&Chunk { index, line, text }| (index, line, text.to_owned())).collect();
    let expect = |text: &'static str, expected: &[(usize, usize, &str)]| {
        let found: Vec<(usize, usize, String)> = cut(text);
        let expected: Vec<(usize, usize, String)> =
            expected.iter().map(|row| (row.0, row.1, row.2.to_owned())).collect();
        assert_eq!(found, expected, "{text:?}");
    };
    expect("", &[]);
    expect("# only a comment\n", &[]);
    expect("a: 1", &[(1, 0, "a: 1")]);
    expect("\u{feff}# c\n---\na: 1\n", &[(1, 1, "---\na: 1\n")]);
    expect("a: 1\n---\n---\nb: 2\n", &[(1, 0, "a: 1\n"), (2, 1, "---\n"), (3, 2, "---\nb: 2\n")]);
    expect("a: 1\r\n--- {b: 2}\r\n", &[(1, 0, "a: 1\r\n"), (2, 1, "--- {b: 2}\r\n")]);
    expect("a: 1\n...\n# end\n", &[(1, 0, "a: 1\n...\n")]);
    expect("a: ---\n ---\n---b: 1\n", &[(1, 0, "a: ---\n ---\n---b: 1\n")]);
    expect("%YAML 1.2\n---\na: 1\n", &[(1, 1, "---\na: 1\n")]);
}

#[test]
fn the_line_of_a_syntax_error_is_that_of_the_file() {
    let found = printed(load_text("a: 1\n---\n\nb: [\n", &Fakes::default()));
    assert!(found.contains("weir.yaml:2: not YAML: ") && found.contains("at line 4, column "), "{found}");
}

#[test]
fn only_a_word_that_is_close_is_suggested() {
    let fields = ["endpoint", "provider", "tls"];
    let close = |word| read::did_you_mean(word, fields.into_iter());
    assert_eq!(close("endpont"), Some("endpoint"));
    assert_eq!(close("Provider"), Some("provider"));
    assert_eq!(close("tsl"), None);
    assert_eq!(close(&"endpoint".repeat(100_000)), None);
}

#[test]
fn the_forms_that_policies_use() {
    assert_eq!((percent("0%"), percent("10%"), percent("100%")), (Ok(Percent(0)), Ok(Percent(10)), Ok(Percent(100))));
    for text in ["", "%", "10", "101%", "1000%", "-1%", "1.5%", "+1%", "10 %"] {
        assert_eq!(percent(text), Err(ValueError::Percent), "{text}");
    }
    assert_eq!(usd("500").map(|amount| amount.nanos()), Ok(500_000_000_000));
    assert_eq!(usd("0.000000001").map(|amount| amount.nanos()), Ok(1));
    assert_eq!((usd("0"), usd("0.0000000001")), (Err(ValueError::NoMoney), Err(ValueError::Decimal)));
    assert!(
        threshold("1").is_ok() && threshold("0.80").is_ok() && threshold("0.79").is_err() && temperature("2.0").is_ok()
    );
    assert_eq!((threshold("1.1"), temperature("2.01")), (Err(ValueError::Threshold), Err(ValueError::Temperature)));
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:00:00Z", 951_825_600),
        ("2027-01-01T00:00:00Z", 1_798_761_600),
        ("1969-12-31T23:59:59Z", -1),
    ] {
        assert_eq!(moment(text), Ok(Moment(seconds)), "{text}");
    }
    for text in ["2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-01-00T00:00:00Z", "2027-01-01T24:00:00Z", "2027"]
    {
        assert_eq!(moment(text), Err(ValueError::Moment), "{text}");
    }
    for text in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "America/Port-au-Prince"] {
        assert!(time_zone(text).is_ok(), "{text}");
    }
    for text in ["", "berlin", "Berlin", "Europe/", "/Berlin", "Europe/Ber lin", "A/B/C/D", "../etc"] {
        assert_eq!(time_zone(text), Err(ValueError::TimeZone), "{text}");
    }
    for text in ["spiffe://d", "spiffe://d/ns/a-*/sa/*"] {
        assert!(spiffe_id(text).is_ok(), "{text}");
    }
    for text in
        ["redis://h", "redis://h:1/0", "rediss://[::1]:6379", "redis+sentinel://h/m", "rediss+sentinel://h:1/m.a/2"]
    {
        assert!(redis_url(text).is_ok(), "{text}");
    }
    for text in ["redis://h/m", "redis+sentinel://h", "redis+sentinel://h/", "redis+sentinel://h/m/x", "redis+x://h/m"]
    {
        assert_eq!(redis_url(text), Err(ValueError::RedisUrl), "{text}");
    }
    assert!(
        label_key("a.b/c").is_ok() && label_value("").is_ok() && label_key("a/").is_err() && label_key("").is_err()
    );
    assert!(version("1.40").is_ok() && version("1").is_err() && version("1.x").is_err());
}

proptest! {
    #[test]
    fn no_text_makes_loading_panic(text in "[ \\-:\\[\\]{}&*!|>'\"a-c0-9.,#%@`\n\t\u{e9}]{0,200}") {
        let _ = load_text(&text, &Fakes::default());
    }

    #[test]
    fn no_scalar_makes_a_word_panic(text in ".{0,40}") {
        let _ = (duration(&text), quantity(&text), rate(&text), multiplier(&text), label(&text), subdomain(&text));
        let _ = (address(&text), socket(&text), mode(&text), host(&text), env_name(&text), secret_key(&text));
        let _ = (percent(&text), usd(&text), moment(&text), time_zone(&text), pattern(&text), spiffe_id(&text));
        let _ = (redis_url(&format!("redis://{text}")), label_key(&text), label_value(&text), version(&text));
        let _ = (endpoint(&text), endpoint(&format!("http://{text}")), path_pattern(&text));
    }

    /// A sample with one line lost or doubled is refused, or every index in it is one of a backend.
    #[test]
    fn a_damaged_sample_is_never_half_read(at in 0..200usize, twice: bool) {
        let lines: Vec<&str> = SUPPORTED.lines().collect();
        let at = at % lines.len();
        let mut damaged = lines.clone();
        damaged.splice(at..=at, vec![lines[at]; if twice { 2 } else { 0 }]);
        match load_text(&damaged.join("\n"), &Fakes::default()) {
            Err(errors) => prop_assert!(!errors.is_empty()),
            Ok(Compiled { policy, .. }) => {
                let count = policy.targets.backends.len();
                let counts = [policy.credentials.len(), policy.upstreams.len(), policy.overlays.len()];
                prop_assert_eq!(counts, [count; 3]);
                for rule in policy.targets.rules() {
                    prop_assert!(!rule.choices.is_empty() && rule.choices.iter().all(|choice| choice.backend < count));
                }
                for (backend, upstream) in policy.targets.backends.iter().zip(&policy.upstreams) {
                    prop_assert_eq!(&backend.name, &upstream.name);
                }
            }
        }
    }
}
