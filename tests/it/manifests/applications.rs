//! What `mesh/applications.md` tells applications to put into their environment is what the SDKs read.

use super::resolved::root;
use crate::support::python;

/// Makes a client of each SDK, told nothing but by the environment.
const CLIENTS: &str = r#"
import boto3, openai, anthropic, cohere
from google import genai
print("OpenAI (all languages)", openai.OpenAI().base_url)
print("Anthropic", anthropic.Anthropic().base_url)
print("Google Gen AI (Gemini API)", genai.Client()._api_client._http_options.base_url)
print("Cohere", cohere.ClientV2()._client_wrapper.get_base_url())
print("AWS SDKs (Bedrock runtime)", boto3.client("bedrock-runtime").meta.endpoint_url)
"#;

/// Names of SDKs, and the variables of their rows.
fn rows(page: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let table = page.lines().skip_while(|line| !line.starts_with("| SDK |")).skip(2);
    table
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let variables = cells[1].split('`').skip(1).step_by(2);
            (cells[0], variables.map(|said| said.split_once('=').expect("NAME=value")).collect())
        })
        .collect()
}

#[test]
fn every_row_of_the_table_leads_the_sdk_to_the_host() {
    let page = std::fs::read_to_string(root().join("mesh/applications.md")).expect("a page");
    let page = page.replace("http://HOST", "http://llm.internal:8080");
    let rows = rows(&page);
    assert_eq!(rows.len(), 5, "{rows:?}");
    let environment: Vec<(&str, &str)> = rows.iter().flat_map(|(_, variables)| variables.iter().copied()).collect();
    let output = python::run_script(CLIENTS, &[], &environment);
    assert!(output.status.success(), "{output:?}");
    for (sdk, variables) in &rows {
        let wanted = variables[0].1.trim_end_matches('/');
        let said = output.stdout.lines().find_map(|line| line.strip_prefix(sdk)?.strip_prefix(' '));
        let said = said.unwrap_or_else(|| panic!("{sdk}: {output:?}")).trim_end_matches('/');
        assert_eq!(said, wanted, "{sdk}");
    }
}
