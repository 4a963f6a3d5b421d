//! What is rendered: exact names, no estimate where only statements belong, a bounded size.

use std::collections::HashSet;

use super::*;
use crate::llm::{Units, Usage};
use crate::telemetry::sample;

/// Every sample name, without labels, of a rendered text.
fn names(text: &str) -> HashSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split([' ', '{']).next()).collect()
}

/// The value of the only sample that begins with `start`.
fn value(text: &str, start: &str) -> f64 {
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with(start)).collect();
    assert_eq!(lines.len(), 1, "{start}: {lines:?} in\n{text}");
    lines[0].rsplit(' ').next().unwrap().parse().unwrap()
}

fn series(text: &str, family: &str) -> usize {
    let count = format!("{family}_count");
    text.lines().filter(|line| line.starts_with(&count)).count()
}

#[test]
fn every_family_has_its_exact_name() {
    let metrics = Metrics::new();
    metrics.observe(&sample());
    metrics.shed("exchanges");
    metrics.fail_open("default/limits", "timeout");
    metrics.loads.succeeded("00ff", 1_700_000_000);
    metrics.loads.succeeded("ff00", 1_700_000_001);
    let text = metrics.render();
    assert!(text.contains("weir_config_in_force{hash=\"ff00\"} 1\n") && !text.contains("00ff"), "one at a time");
    let names = names(&text);
    let histograms = [
        "gen_ai_client_token_usage",
        "gen_ai_client_operation_duration_seconds",
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "weir_phase_duration_seconds",
    ];
    let others = [
        "weir_exchanges_in_flight",
        "weir_buffered_bytes",
        "weir_decisions_total",
        "weir_usage_total",
        "weir_estimated_tokens_total",
        "weir_cost_usd_total",
        "weir_units_total",
        "weir_audio_in_seconds_total",
        "weir_streams_truncated_total",
        "weir_shed_total",
        "weir_ledger_dropped_total",
        "weir_notes_dropped_total",
        "weir_originals_given_up_total",
        "weir_unknown_usage_fields_total",
        "weir_fail_open_total",
        "weir_build_info",
        "weir_config_reloads_total",
        "weir_config_last_success_timestamp_seconds",
        "weir_config_in_force",
        "weir_secret_reloads_total",
        "weir_secrets_kept",
        "weir_tls_accepted_total",
        "weir_tls_refused_total",
        "weir_tls_reloads_total",
        "weir_tls_kept",
        "weir_limit_store_waiting",
        "weir_limit_store_dropped_total",
        "weir_cache_saved_usd_total",
        "weir_shared_cooldowns_total",
        "weir_shared_cooldown_failures_total",
        "weir_limit_uncounted_settlements_total",
        "weir_journal_unkept_total",
        "weir_journal_cut_bytes_total",
        "weir_journal_compactions_total",
        "weir_journal_bytes",
        "weir_journal_failing",
    ];
    let mut expected: HashSet<String> = others.iter().map(ToString::to_string).collect();
    expected.extend(histograms.iter().flat_map(|name| ["bucket", "sum", "count"].map(|part| format!("{name}_{part}"))));
    assert_eq!(names, expected.iter().map(String::as_str).collect());
    assert!(text.contains(&format!("weir_build_info{{version=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"))));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_a_limit_let_pass_unchecked_is_counted_by_the_limit() {
    let metrics = Metrics::new();
    let decision = |step, detail: &str| Decision {
        step,
        outcome: "allowed",
        reason: "fail_open",
        detail: detail.to_owned().into(),
    };
    let decisions = vec![decision("admit", "fair-use/rpm"), decision("reserve", "fair-use/tpm"), decision("guard", "")];
    metrics.observe(&Record { decisions, ..sample() });
    let text = metrics.render();
    for (policy, cause) in [
        ("fair-use/rpm", "limit_store_unavailable"),
        ("fair-use/tpm", "limit_store_unavailable"),
        ("guard", "unanswered"),
    ] {
        let series = format!("weir_fail_open_total{{policy=\"{policy}\",cause=\"{cause}\"}}");
        assert_eq!(value(&text, &series), 1.0);
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("weir_fail_open_total")).count(), 3);
}

#[test]
fn units_are_counted_where_they_are_known_and_were_used_now() {
    let metrics = Metrics::new();
    let units =
        Units { images_in: 1, images_out: 2, audio_in_ms: 1_500, characters: 3, queries: 4, pages: 5, searches: 6 };
    let mut record = sample();
    record.usage.units = units;
    metrics.observe(&record);
    metrics.observe(&Record { outcome: Outcome::Replayed, ..record.clone() });
    metrics.observe(&Record { usage_source: UsageSource::Unknown, ..record.clone() });
    metrics.observe(&record);
    let text = metrics.render();
    for (unit, count) in [
        ("images_in", 2.0),
        ("images_out", 4.0),
        ("characters", 6.0),
        ("queries", 8.0),
        ("pages", 10.0),
        ("searches", 12.0),
    ] {
        assert_eq!(value(&text, &format!("weir_units_total{{unit=\"{unit}\"}}")), count, "{unit}");
    }
    assert_eq!(value(&text, "weir_audio_in_seconds_total"), 3.0);
    assert!(!text.contains("audio_in_ms"), "{text}");
}

#[test]
fn one_record_is_counted_as_it_is() {
    let metrics = Metrics::new();
    metrics.in_flight.set(3);
    metrics.observe(&sample());
    let text = metrics.render();
    let call = "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",\
        gen_ai_request_model=\"gpt-4o\",gen_ai_response_model=\"gpt-4o-2024-08-06\"";
    let sum = |kind| value(&text, &format!("gen_ai_client_token_usage_sum{{{call},gen_ai_token_type=\"{kind}\"}}"));
    assert_eq!((sum("input"), sum("output")), (19.0, 7.0));
    assert_eq!(value(&text, &format!("gen_ai_client_operation_duration_seconds_sum{{{call},error_type=\"\"}}")), 1.5);
    assert_eq!(value(&text, "gen_ai_client_operation_time_to_first_chunk_seconds_sum"), 0.25);
    assert_eq!(value(&text, "weir_phase_duration_seconds_sum{phase=\"wait\"}"), 0.2);
    assert_eq!(value(&text, "weir_decisions_total{step=\"target\",outcome=\"allow\",reason=\"match\"}"), 1.0);
    assert_eq!(value(&text, "weir_usage_total{source=\"provider\"}"), 1.0);
    assert_eq!(value(&text, "weir_usage_total{source=\"unknown\"}"), 0.0);
    assert_eq!(value(&text, "weir_cost_usd_total"), 0.000_012_5);
    assert_eq!(value(&text, "weir_exchanges_in_flight"), 3.0);
    assert_eq!(value(&text, "weir_unknown_usage_fields_total"), 2.0);
}

#[test]
fn the_buckets_are_the_conventions() {
    let metrics = Metrics::new();
    metrics.observe(&sample());
    let text = metrics.render();
    for bound in ["1.0", "4.0", "67108864.0", "+Inf"] {
        let inputs = text.lines().filter(|line| line.contains("token_usage_bucket") && line.contains("\"input\""));
        assert_eq!(inputs.filter(|line| line.contains(&format!("le=\"{bound}\""))).count(), 1, "{bound}");
    }
    for bound in ["0.01", "81.92", "600.0"] {
        let line = format!("le=\"{bound}\"");
        let found = text.lines().filter(|l| l.contains("operation_duration_seconds_bucket") && l.contains(&line));
        assert_eq!(found.count(), 1, "{bound}");
    }
}

#[test]
fn an_estimate_stays_out_of_the_stated_tokens() {
    let metrics = Metrics::new();
    let mut record = sample();
    record.usage_source = UsageSource::Estimated;
    record.usage = Usage { input: 100, output: 50, ..Usage::default() };
    metrics.observe(&record);
    let text = metrics.render();
    assert_eq!(series(&text, "gen_ai_client_token_usage"), 0);
    assert_eq!(value(&text, "weir_estimated_tokens_total{type=\"input\"}"), 100.0);
    assert_eq!(value(&text, "weir_estimated_tokens_total{type=\"output\"}"), 50.0);
    assert_eq!(value(&text, "weir_usage_total{source=\"estimated\"}"), 1.0);
}

#[test]
fn a_replay_and_a_refusal_are_no_usage() {
    let metrics = Metrics::new();
    let mut record = sample();
    record.outcome = Outcome::Replayed;
    record.cost = None;
    metrics.observe(&record);
    record.outcome = Outcome::Refused;
    record.usage_source = UsageSource::Unknown;
    record.refusal = Some("model_not_found");
    metrics.observe(&record);
    let text = metrics.render();
    assert_eq!(series(&text, "gen_ai_client_token_usage"), 0);
    for source in ["provider", "estimated", "unknown"] {
        assert_eq!(value(&text, &format!("weir_usage_total{{source=\"{source}\"}}")), 0.0);
    }
    assert_eq!(series(&text, "gen_ai_client_operation_duration_seconds"), 1);
    assert!(text.contains("error_type=\"model_not_found\""));
}

#[test]
fn streams_that_end_early_are_counted_by_side() {
    let metrics = Metrics::new();
    let rows = [
        (Outcome::Truncated, "upstream"),
        (Outcome::Abandoned, "either"),
        (Outcome::Cut, "weir"),
        (Outcome::Stopped, "weir"),
    ];
    for (outcome, side) in rows {
        let count = || value(&metrics.render(), &format!("weir_streams_truncated_total{{side=\"{side}\"}}"));
        let before = count();
        let mut record = sample();
        record.outcome = outcome;
        metrics.observe(&record);
        assert_eq!(count(), before + 1.0, "{outcome:?}");
        record.stream = false;
        metrics.observe(&record);
        assert_eq!(count(), before + 1.0, "{outcome:?}");
    }
}

#[test]
fn money_adds_up_exactly() {
    let metrics = Metrics::new();
    for nanos in [1, 2, 999_999_997, -5] {
        let mut record = sample();
        record.cost = Some(NanoUsd(nanos));
        metrics.observe(&record);
    }
    assert_eq!(value(&metrics.render(), "weir_cost_usd_total"), 1.0);
}

#[test]
fn made_up_model_names_do_not_make_series_without_bound() {
    let metrics = Metrics::new();
    let mut record = sample();
    record.price = None;
    for number in 0..100_000 {
        record.sent_model = format!("model-{number}").into();
        record.served_model = format!("served-{number}").into();
        record.outcome = if number % 2 == 0 { Outcome::Completed } else { Outcome::UpstreamError };
        record.status = u16::try_from(number % 1000).unwrap();
        record.provider = Some(Arc::from(format!("provider-{}", number % 300)));
        metrics.observe(&record);
    }
    let text = metrics.render();
    let most = series::TRUSTED + series::OVERFLOW + 1;
    assert_eq!(series(&text, "gen_ai_client_operation_duration_seconds"), most);
    assert_eq!(series(&text, "gen_ai_client_operation_time_to_first_chunk_seconds"), most);
    assert_eq!(series(&text, "gen_ai_client_token_usage"), 2 * most);
    assert!(text.contains("gen_ai_request_model=\"other\""));
    let total: f64 = text
        .lines()
        .filter(|line| line.starts_with("gen_ai_client_operation_duration_seconds_count"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert_eq!(total, 100_000.0);
}

#[test]
fn failing_calls_with_made_up_names_leave_room_for_real_ones() {
    let metrics = Metrics::new();
    let mut record = sample();
    (record.price, record.outcome, record.status) = (None, Outcome::UpstreamError, 404);
    for number in 0..1000 {
        record.sent_model = format!("model-{number}").into();
        metrics.observe(&record);
    }
    metrics.observe(&sample());
    let text = metrics.render();
    assert!(text.contains("error_type=\"404\""));
    assert!(text.contains("gen_ai_request_model=\"gpt-4o\""));
    assert_eq!(series(&text, "gen_ai_client_operation_duration_seconds"), series::UNTRUSTED + 2);
}

#[test]
fn policies_are_bounded_too() {
    let metrics = Metrics::new();
    for number in 0..2000 {
        metrics.fail_open(&format!("policy-{number}"), "timeout");
    }
    let text = metrics.render();
    assert_eq!(text.lines().filter(|line| line.starts_with("weir_fail_open_total")).count(), FAIL_OPEN + 1);
    assert_eq!(value(&text, "weir_fail_open_total{policy=\"other\",cause=\"timeout\"}"), 1488.0);
}

#[test]
fn a_model_name_cannot_break_the_text() {
    let metrics = Metrics::new();
    let mut record = sample();
    record.sent_model = "a\"} 1\nweir_evil 1\n\\".into();
    metrics.observe(&record);
    assert!(!names(&metrics.render()).contains("weir_evil"));
}
