//! A map made for these tests: every kind of member, and everything that may be wrong with one.

use super::*;
use crate::catalog::price_file::{self, PriceFile};

const MAP: &str = r#"{
  "sample_spec": {"litellm_provider": "one of …", "mode": "one of …", "file_search_cost_per_1k_calls": 0.0},
  "m-1": {"litellm_provider": "text-completion-openai", "mode": "chat", "max_input_tokens": 128000.0, "max_output_tokens": 4096,
    "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07, "cache_read_input_token_cost": 7.5e-08,
    "input_cost_per_token_cache_hit": 1e-08, "input_cost_per_token_batches": 7.5e-08, "output_cost_per_token_priority": "1e-06",
    "cache_creation_input_token_cost_above_1hr": 2.0000000000000002e-07, "input_cost_per_token_above_200k_tokens": 3e-07,
    "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.02, "search_context_size_high": 0.03},
    "web_search_billing_unit": "per_query", "search_free_requests": {"count": 1500, "period": "day", "shared_group": "g"},
    "provider_specific_entry": {"us": 1.1, "fast": 2, "bedrock_invocation_schema": "t"},
    "regional_processing_uplift_multiplier_eu": 1.1, "regional_endpoint_uplift_multiplier": 1.05,
    "deprecation_date": "2031-01-01", "source": "https://example.com", "supports_vision": true, "metadata": null},
  "openai/m-2": {"litellm_provider": "openai", "input_cost_per_token": 1e-06,
    "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.01, "search_context_size_high": 0.01}},
  "m-2": {"litellm_provider": "openai", "input_cost_per_token": 2e-06},
  "free": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 0.0},
  "omni": {"litellm_provider": "openai", "mode": "moderation", "input_cost_per_token": 0.0},
  "low/1024-x-1024/pic": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_image": 0.011, "output_cost_per_pixel": 0.0},
  "high/1024-x-1024/pic": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_pixel": 1.5e-07},
  "pic": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image_token": 4e-05},
  "xai/g": {"litellm_provider": "xai", "input_cost_per_token": 1e-06, "input_cost_per_token_above_128k_tokens": 2e-06},
  "dashscope/q": {"litellm_provider": "dashscope", "output_cost_per_token": 9e-06, "tiered_pricing": [
    {"range": [0, 32000.0], "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
    {"range": [32000.0, 128000.0], "input_cost_per_token": 3e-06, "output_cost_per_token": 4e-06}]},
  "exa/search": {"litellm_provider": "exa", "mode": "search", "tiered_pricing": [
    {"max_results_range": [0, 25], "input_cost_per_query": 0.005}, {"max_results_range": [26, 100], "input_cost_per_query": 0.025}]},
  "deepseek/d": {"litellm_provider": "deepseek", "input_cost_per_token": 1e-06, "off_peak_pricing": {"input_cost_per_token": 5e-07,
    "weekday_timezone": "Asia/Shanghai", "windows": [{"hours_utc": ["00:00-01:00", "10:00-00:00"], "weekdays": [1, 2]}, {"hours_utc": "00:00-00:00"}]}},
  "bedrock/guardrails": {"litellm_provider": "bedrock", "mode": "guardrail", "guardrail_cost_per_unit": {"topicPolicyUnits": 0.00015}},
  "odd": {"litellm_provider": "p", "mode": "telepathy", "input_cost_per_token": 1e-06, "cost_per_furlong": 1,
    "off_peak_pricing": {"windows": [], "discount": 1}, "provider_specific_entry": {"loyalty": 2}}
}"#;

fn converted() -> Converted {
    convert(MAP).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn line(model: &str) -> String {
    let converted = converted();
    let row = converted.rows.iter().find(|row| &*row.price.name == model).unwrap_or_else(|| panic!("no {model}"));
    price_file::line(row)
}

/// Rows of [`MAP`].
const ROWS: &[(&str, &str)] = &[
    (
        "openai/m-1",
        concat!(
            r#"{"provider":"openai","model":"m-1","mode":"chat","rates":[{"unit":"input","rate":"1.5e-07"},"#,
            r#"{"unit":"output","rate":"6e-07"},{"unit":"cache_read","rate":"7.5e-08"},"#,
            r#"{"unit":"cache_write","rate":"2e-07","ttl":"1h"},{"unit":"per_search","rate":"0.03","variant":"high"},"#,
            r#"{"unit":"per_search","rate":"0.01","variant":"low"},{"unit":"per_search","rate":"0.02","variant":"medium"},"#,
            r#"{"unit":"input","rate":"3e-07","above":200000},{"unit":"input","rate":"7.5e-08","tier":"batches"},"#,
            r#"{"unit":"output","rate":"1e-06","tier":"priority"}],"multipliers":[{"on":"inference_geo","value":"us","by":"1.1"},"#,
            r#"{"on":"speed","value":"fast","by":"2"},{"on":"regional_processing","value":"eu","by":"1.1"},"#,
            r#"{"on":"regional_endpoint","by":"1.05"}],"search":{"billing":"per_query","free":{"count":1500,"period":"day","group":"g"}},"#,
            r#""limits":{"max_input":128000,"max_output":4096},"deprecated":"2031-01-01","source":"https://example.com","#,
            r#""extra":{"bedrock_invocation_schema":"t"}}"#,
        ),
    ),
    (
        "openai/m-2",
        r#"{"provider":"openai","model":"m-2","rates":[{"unit":"input","rate":"1e-06"},{"unit":"per_search","rate":"0.01"}]}"#,
    ),
    (
        "openai/pic",
        concat!(
            r#"{"provider":"openai","model":"pic","mode":"image_generation","rates":[{"unit":"image_out","rate":"4e-05"},"#,
            r#"{"unit":"per_image_out","rate":"0.011","variant":"1024x1024","quality":"low"},"#,
            r#"{"unit":"per_pixel_out","rate":"1.5e-07","variant":"1024x1024","quality":"high"}]}"#,
        ),
    ),
    (
        "xai/g",
        r#"{"provider":"xai","model":"g","rates":[{"unit":"input","rate":"1e-06"},{"unit":"input","rate":"2e-06","above":127999}]}"#,
    ),
    (
        "dashscope/q",
        concat!(
            r#"{"provider":"dashscope","model":"q","rates":[{"unit":"input","rate":"1e-06"},{"unit":"output","rate":"2e-06"},"#,
            r#"{"unit":"input","rate":"3e-06","above":32000},{"unit":"output","rate":"4e-06","above":32000}]}"#,
        ),
    ),
    (
        "exa/search",
        concat!(
            r#"{"provider":"exa","model":"search","mode":"search","rates":[{"unit":"per_query","rate":"0.005"},"#,
            r#"{"unit":"per_query","rate":"0.025","above":25}]}"#,
        ),
    ),
    (
        "deepseek/d",
        concat!(
            r#"{"provider":"deepseek","model":"d","rates":[{"unit":"input","rate":"1e-06"}],"off_peak":{"#,
            r#""rates":[{"unit":"input","rate":"5e-07"}],"windows":[{"hours_utc":["00:00-01:00","10:00-00:00"],"weekdays":[1,2]},"#,
            r#"{"hours_utc":["00:00-00:00"]}],"weekday_timezone":"Asia/Shanghai"}}"#,
        ),
    ),
    (
        "bedrock/guardrails",
        concat!(
            r#"{"provider":"bedrock","model":"guardrails","mode":"guardrail","rates":["#,
            r#"{"unit":"per_guardrail_unit","rate":"0.00015","variant":"topicPolicyUnits"}]}"#,
        ),
    ),
];

#[test]
fn every_kind_of_member_becomes_its_row() {
    for (model, wanted) in ROWS {
        assert_eq!(line(model), *wanted);
    }
}

#[test]
fn what_is_not_understood_is_said() {
    let said: Vec<String> = converted().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "odd: cost_per_furlong is not known and left out",
            "odd: mode \"telepathy\" is not known and left out",
            "odd: off_peak_pricing.discount is not known and left out",
            "odd: provider_specific_entry.loyalty is not known and left out",
            "free: has no price and is left out",
            "m-1: cache_creation_input_token_cost_above_1hr: 2.0000000000000002e-07 is rounded to the nearest 1e-18 USD",
            "m-2: has other rates than openai/m-2, which is kept",
        ]
    );
    assert!(converted().rows.iter().any(|row| &*row.model == "omni"), "moderation is free");
}

#[test]
fn a_map_with_errors_is_refused_with_all_of_them() {
    let found: Vec<String> = convert(
        r#"{
          "a": {"litellm_provider": "p", "input_cost_per_token": -1, "output_cost_per_token": true, "max_input_tokens": "many"},
          "b": {"input_cost_per_token": 1e-06},
          "c": [],
          "d": {"litellm_provider": "p", "tiered_pricing": [{"input_cost_per_token": 1}], "off_peak_pricing": {"windows": [{"hours_utc": "1-2"}]}},
          "e": {"litellm_provider": "p", "input_cost_per_token": 1, "input_cost_per_token": 2},
          "e": {"litellm_provider": "p", "provider_specific_entry": {"us": "x"}, "search_free_requests": {"count": 1}}
        }"#,
    )
    .unwrap_err()
    .iter()
    .map(ToString::to_string)
    .collect();
    let wanted = [
        "a: input_cost_per_token: -1: a price or factor cannot be negative",
        "a: output_cost_per_token: true: not a decimal number",
        "a: max_input_tokens: \"many\" is not a whole number",
        "b: `litellm_provider` is missing",
        "c: invalid type: sequence, expected an object",
        "d: tiered_pricing: [{\"input_cost_per_token\": 1}] is not a list with a range each",
        "d: off_peak_pricing.windows: [{\"hours_utc\": \"1-2\"}] is not hours_utc",
        "e: input_cost_per_token: there is another rate under the same conditions",
        "e: provider_specific_entry: \"x\" is not a factor",
        "e: search_free_requests: {\"count\": 1} is not a count and a period",
        "e: there is another member of this name",
    ];
    for wanted in wanted {
        assert!(found.iter().any(|found| found.starts_with(wanted)), "{wanted} is not in {found:#?}");
    }
    for text in ["", "[]", "{", "{\"a\": }", "\u{feff}{}"] {
        assert!(convert(text).is_err_and(|errors| errors.len() == 1), "{text:?}");
    }
}

#[test]
fn what_is_written_is_read_as_the_same_and_written_as_the_same() {
    let rows = converted().rows;
    let source = serde_json::json!({"facts": "a test"});
    let text = price_file::write(&PriceFile { version: "1".to_owned(), rows }, &source);
    let read = price_file::parse(&text).unwrap();
    assert_eq!(price_file::write(&read, &source), text);
    let prices = |rows: &[Row]| rows.iter().map(|row| row.price.clone()).collect::<Vec<_>>();
    assert_eq!(prices(&read.rows), prices(&converted().rows));
    assert_eq!(text.lines().count(), read.rows.len() + 7, "one model a line");
}
