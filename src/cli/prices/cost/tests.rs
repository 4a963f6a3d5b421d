//! Bills against an arithmetic that is not this program's. `tests/golden/prices/costs.jsonl` holds calls of
//! invented models (`table.json`) with what they cost, worked out once with exact fractions by a script
//! that shares no code with this crate.

use super::*;

const TABLE: &str = include_str!("../../../../tests/golden/prices/table.json");
const COSTS: &str = include_str!("../../../../tests/golden/prices/costs.jsonl");

fn grove() -> Catalog {
    Catalog::builtin().with_prices(TABLE.to_owned()).unwrap()
}

fn answers(catalog: &Catalog, input: &str) -> (Vec<Value>, Counts) {
    let mut output = vec![];
    let counts = run(catalog, input.as_bytes(), &mut output).unwrap();
    let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (lines.map(|line| serde_json::from_slice(line).unwrap()).collect(), counts)
}

#[test]
fn every_case_costs_what_was_worked_out_for_it() {
    let wanted: Vec<Value> = COSTS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(wanted.len() >= 150, "{}", wanted.len());
    let mut asked = String::new();
    for case in &wanted {
        let mut case = case.as_object().unwrap().clone();
        for told in ["cost_nanousd", "prompt_nanousd", "completion_nanousd"] {
            assert!(case.remove(told).is_some());
        }
        asked += &format!("{}\n", Value::Object(case));
    }
    let (answered, counts) = answers(&grove(), &asked);
    assert_eq!(counts, Counts { lines: wanted.len() as u64, errors: 0 });
    for (answered, wanted) in answered.iter().zip(&wanted) {
        assert_eq!(answered, wanted);
    }
    // A second run over its own output says the same.
    let (again, _) = answers(&grove(), COSTS);
    assert_eq!(again, wanted);
}

#[test]
fn a_bad_line_has_an_error_and_the_rest_goes_on() {
    let input = concat!(
        "{\"model\":\"oak-1\",\"provider\":\"grove\",\"usage\":{\"p\":1000,\"c\":10},\"id\":1e-07,\"note\":[1,{\"a\":null}]}\r\n",
        "\n",
        "not json\n",
        "[1]\n",
        "{\"model\":\"oak-1\"}\n",
        "{\"model\":\"no-such\",\"provider\":\"grove\",\"usage\":{\"p\":1},\"id\":7}\n",
        "{\"model\":\"oak-1\",\"provider\":\"grove\",\"usage\":{\"p\":5,\"read\":6}}\n",
        "{\"model\":\"oak-1\",\"provider\":\"grove\",\"usage\":{\"p\":18446744073709551615,\"read\":18446744073709551615,\"write\":1}}\n",
        "{\"model\":\"oak-1\",\"provider\":\"grove\",\"usage\":{\"c\":5,\"aout\":6}}\n",
        "{\"model\":\"oak-1\",\"provider\":\"grove\",\"usage\":{\"c\":5,\"reason\":6}}\n",
        "{\"model\":\"oak-1\",\"provider\":\"grove\",\"usage\":{\"p\":5,\"tokens\":6}}\n",
        "{\"model\":\"oak-1\",\"provider\":\"grove\",\"usage\":{\"p\":-5}}\n",
        "{\"model\":\"oak-1\",\"usage\":{\"p\":1000},\"error\":\"of an earlier run\"}",
    );
    let (answered, counts) = answers(&grove(), input);
    assert_eq!(counts, Counts { lines: 12, errors: 10 });
    let error = |at: usize| answered[at]["error"].as_str().unwrap_or_default();
    assert_eq!((&answered[0]["id"], &answered[0]["note"]), (&json!(1e-7), &json!([1, {"a": null}])));
    assert!(answered[0]["cost_nanousd"].is_u64() && answered[0].get("error").is_none());
    assert!(error(1).starts_with("not a call") && answered[1]["line"] == 2, "{}", answered[1]);
    assert!(error(2).starts_with("not a call"));
    assert!(error(3).contains("usage"));
    assert_eq!((error(4), &answered[4]["id"]), ("no price is known for this model", &json!(7)));
    assert_eq!(error(5), "usage.read + write + ain is more than usage.p, which it is a part of");
    assert_eq!(error(6), error(5));
    assert_eq!(error(7), "usage.aout is more than usage.c, which it is a part of");
    assert_eq!(error(8), "usage.reason is more than usage.c, which it is a part of");
    assert!(error(9).contains("unknown field `tokens`") && error(10).starts_with("not a call"));
    // No provider: the only one that prices it. What an earlier run said is gone.
    assert!(answered[11]["cost_nanousd"].is_u64() && answered[11].get("error").is_none());
}

#[test]
fn without_a_provider_only_one_may_know_the_model() {
    let (answered, _) = answers(&Catalog::builtin(), "{\"model\":\"gpt-4o\",\"usage\":{\"p\":1}}\n");
    let error = answered[0]["error"].as_str().unwrap();
    assert!(error.starts_with("several providers have a price for this model: say which (openai, "), "{error}");
}

#[test]
fn providers_may_be_named_as_the_community_map_names_them() {
    let line = |provider, model| {
        let usage = json!({"p": 1_000_000});
        json!({"model": model, "provider": provider, "usage": usage}).to_string() + "\n"
    };
    let input = line("bedrock_converse", "amazon.nova-lite-v1:0")
        + &line("bedrock", "bedrock/amazon.nova-lite-v1:0")
        + &line("vertex_ai-language-models", "vertex_ai/gemini-3.5-flash")
        + &line("vertex_ai", "gemini-3.5-flash");
    let (answered, counts) = answers(&Catalog::builtin(), &input);
    assert_eq!(counts.errors, 0, "{answered:?}");
    assert_eq!(answered[0]["cost_nanousd"], answered[1]["cost_nanousd"]);
    assert_eq!(answered[2]["cost_nanousd"], answered[3]["cost_nanousd"]);
}

#[test]
fn a_line_may_be_any_length_and_memory_is_not() {
    let long = format!("{{\"model\":\"{}\"}}\n", "x".repeat(3 * LONGEST));
    let input = format!("{long}{{\"model\":\"oak-1\",\"usage\":{{\"p\":1}}}}\n{long}");
    let (answered, counts) = answers(&grove(), &input);
    assert_eq!(counts, Counts { lines: 3, errors: 2 });
    assert!(answered[0]["error"].as_str().unwrap().starts_with("longer than"));
    assert!(answered[1]["cost_nanousd"].is_u64());
    let mut line = vec![];
    let mut input = long.as_bytes();
    assert_eq!(next(&mut input, &mut line).unwrap(), Some(false));
    assert!(line.capacity() <= 2 * LONGEST, "{}", line.capacity());
}
