//! A plan as YAML for an Envoy that somebody else runs: one document, three files, or the pieces to add
//! to a bootstrap that is there. The content is that of `envoy`, so what `up` runs is what is written
//! here. Pure; equal plans give equal bytes.

use serde_json::{Value, json};

use super::envoy::{self, CLUSTERS_FILE, Plan, ROUTES_FILE};
use super::tls::{self, FromCallers};
use super::yaml::{File, YamlError, yaml};

/// Something to add to a bootstrap.
struct Piece {
    what: &'static str,
    /// Keys and indices from the root of the bootstrap, `/` before each (a JSON pointer).
    at: String,
    how: &'static str,
    value: Value,
}

/// The file of the bootstrap among [`files`]; it names the other two.
pub const BOOTSTRAP_YAML: &str = "envoy.yaml";
const CLUSTERS_YAML: &str = "clusters.yaml";
const ROUTES_YAML: &str = "routes.yaml";

/// Where the connection manager is in a bootstrap of [`envoy::bootstrap`].
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// Fields of the connection manager that are whoever's Envoy it is, or that have a piece of their own.
const NOT_SET: &[&str] = &[
    "@type",
    "access_log",
    "codec_type",
    "early_header_mutation_extensions",
    "http_filters",
    "local_reply_config",
    "rds",
    "stat_prefix",
    "upgrade_configs",
];

/// Where the connections of clients are in that bootstrap.
const CHAIN: &str = "/static_resources/listeners/0/filter_chains/0";

const APPEND: &str = "append to this list; make it where there is none";
const BEFORE_ROUTER: &str = "insert into this list, directly before envoy.filters.http.router";
const SET: &str = "set these fields";

/// One document that needs no other file: for `envoy --config-path`. With `callers` its clients come by mutual TLS.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn whole(plan: &Plan, callers: Option<FromCallers>) -> Result<String, YamlError> {
    let mut document = bootstrap(plan, callers);
    if let Some(fields) = document.as_object_mut() {
        fields.shift_remove("dynamic_resources");
    }
    if let Some(Value::Array(clusters)) = document.pointer_mut("/static_resources/clusters") {
        clusters.extend(resources(envoy::clusters(plan)));
    }
    if let Some(Value::Object(manager)) = document.pointer_mut(MANAGER) {
        manager.shift_remove("rds");
        manager.insert("route_config".to_owned(), table(plan));
    }
    let head = format!(
        "# The whole configuration of an Envoy that sends LLM calls through Weir, written for Envoy {}.\n\
         # Start it with `envoy --config-path FILE`, beside `weir run` with the documents this was made from.\n",
        plan.envoy_version
    );
    Ok(head + &yaml(&document)?)
}

/// The bootstrap, with TLS towards callers where there is some.
fn bootstrap(plan: &Plan, callers: Option<FromCallers>) -> Value {
    let mut bootstrap = envoy::bootstrap(plan);
    if let (Some(callers), Some(Value::Object(chain))) = (callers, bootstrap.pointer_mut(CHAIN)) {
        chain.insert("transport_socket".to_owned(), tls::from_callers(callers));
    }
    bootstrap
}

/// The bootstrap, and the clusters and routes in files that Envoy watches: `plan.files` is the directory
/// where Envoy finds them.
///
/// # Errors
/// When one cannot be written as YAML.
pub fn files(plan: &Plan, callers: Option<FromCallers>) -> Result<Vec<File>, YamlError> {
    let mut bootstrap = bootstrap(plan, callers);
    for (pointer, from, to) in [
        ("/dynamic_resources/cds_config/path_config_source/path".to_owned(), CLUSTERS_FILE, CLUSTERS_YAML),
        (format!("{MANAGER}/rds/config_source/path_config_source/path"), ROUTES_FILE, ROUTES_YAML),
    ] {
        if let Some(path) = bootstrap.pointer_mut(&pointer) {
            debug_assert!(path.as_str().is_some_and(|path| path.ends_with(from)));
            *path = json!(plan.files.join(to));
        }
    }
    let file = |name: &'static str, head: &str, value: &Value| -> Result<File, YamlError> {
        Ok(File { name: name.into(), text: format!("{head}{}", yaml(value)?) })
    };
    let directory = plan.files.display();
    let head = format!(
        "# What Envoy ({}) is started with: `envoy --config-path {directory}/{BOOTSTRAP_YAML}`. It holds the listener,\n\
         # the filter that asks Weir and Weir's own cluster, and names the two files beside it.\n",
        plan.envoy_version
    );
    Ok(vec![
        file(BOOTSTRAP_YAML, &head, &bootstrap)?,
        file(
            CLUSTERS_YAML,
            &format!(
                "# Where each backend is. Envoy reads it at {directory}/{CLUSTERS_YAML}; to change it while Envoy runs,\n\
                 # write a new file beside it and rename that over it, clusters before routes.\n"
            ),
            &envoy::clusters(plan),
        )?,
        file(
            ROUTES_YAML,
            &format!(
                "# Which cluster a call goes to once Weir has named its backend. Envoy reads it at\n\
                 # {directory}/{ROUTES_YAML}; to change it while Envoy runs, rename a new file over it, after the clusters.\n"
            ),
            &envoy::routes(plan),
        )?,
    ])
}

/// What to add to a bootstrap that is there: a YAML document a piece, which begins with what it does,
/// the place (`# at:`) and what to do there (`# how:`).
///
/// # Errors
/// When a piece cannot be written as YAML.
pub fn patch(plan: &Plan) -> Result<String, YamlError> {
    let mut text = format!(
        "# What sends the LLM calls of an Envoy of your own through Weir, written for Envoy {}. Each document\n\
         # below is one piece: where in the bootstrap it belongs (`at`) and what to do there (`how`). The first\n\
         # listener, filter chain and filter (0) stand for those that your applications call.\n\
         #\n\
         # Weir sees every call of that connection manager. Give it a listener of its own, or switch the filter\n\
         # off (`typed_per_filter_config`, ExtProcPerRoute, `disabled: true`) at your other virtual hosts.\n",
        plan.envoy_version
    );
    for piece in pieces(plan) {
        let Piece { what, at, how, value } = piece;
        text += &format!("---\n# {what}\n# at: {at}\n# how: {how}\n{}", yaml(&value)?);
    }
    Ok(text)
}

fn pieces(plan: &Plan) -> Vec<Piece> {
    let bootstrap = envoy::bootstrap(plan);
    let manager = bootstrap.pointer(MANAGER).cloned().unwrap_or_default();
    let mut filters = manager["http_filters"].clone();
    if let Some(filters) = filters.as_array_mut() {
        filters.retain(|filter| filter["name"] != "envoy.filters.http.router");
    }
    let clusters = bootstrap["static_resources"]["clusters"].clone();
    let mut table = table(plan);
    let mut all = vec![
        of_manager("The filter that asks Weir about each call.", "http_filters", BEFORE_ROUTER, filters),
        piece("Where Envoy reaches Weir.", "/static_resources/clusters", APPEND, clusters),
    ];
    if !plan.upstreams.is_empty() {
        let providers = Value::Array(resources(envoy::clusters(plan)));
        all.push(piece("Where each backend is.", "/static_resources/clusters", APPEND, providers));
    }
    all.push(of_manager(
        "The routes that Weir chooses by `x-weir-backend`. Keep `*`: Weir sets `:authority` to the provider's\n\
         # host and has the route chosen anew.",
        "route_config/virtual_hosts",
        APPEND,
        table["virtual_hosts"].take(),
    ));
    all.push(of_manager(
        "Headers between Weir and Envoy, which no provider may see.",
        "route_config/request_headers_to_remove",
        APPEND,
        table["request_headers_to_remove"].take(),
    ));
    all.extend(manners(&bootstrap, &manager));
    all
}

/// How the listener and its connection manager must behave besides.
fn manners(bootstrap: &Value, manager: &Value) -> Vec<Piece> {
    let mut rest = manager.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.retain(|name, _| !NOT_SET.contains(&name.as_str()));
    }
    let buffer = bootstrap["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"].clone();
    let buffer = json!({"per_connection_buffer_limit_bytes": buffer});
    vec![
        of_manager(
            "Takes from clients what only Weir may say, before a route is chosen: without it a client chooses its\n\
             # backend and orders retries.",
            "early_header_mutation_extensions",
            APPEND,
            manager["early_header_mutation_extensions"].clone(),
        ),
        of_manager(
            "A JSON error for what Envoy answers by itself, never for what Weir answered.",
            "local_reply_config/mappers",
            APPEND,
            manager["local_reply_config"]["mappers"].clone(),
        ),
        of_manager("Lets WebSockets pass.", "upgrade_configs", APPEND, manager["upgrade_configs"].clone()),
        of_manager(
            "A line for each call with what Weir decided (`weir`).",
            "access_log",
            APPEND,
            manager["access_log"].clone(),
        ),
        piece("Answers take minutes, keep their trailers and go out as they came.", MANAGER, SET, rest),
        piece("How much of a body Envoy holds for one connection.", "/static_resources/listeners/0", SET, buffer),
    ]
}

fn piece(what: &'static str, at: &str, how: &'static str, value: Value) -> Piece {
    Piece { what, at: at.to_owned(), how, value }
}

fn of_manager(what: &'static str, field: &str, how: &'static str, value: Value) -> Piece {
    Piece { what, at: format!("{MANAGER}/{field}"), how, value }
}

/// The route table, as a connection manager holds it.
fn table(plan: &Plan) -> Value {
    resources(envoy::routes(plan)).pop().unwrap_or_default()
}

/// The resources of a discovery file, as they stand in a bootstrap.
fn resources(mut discovery: Value) -> Vec<Value> {
    let Value::Array(mut resources) = discovery["resources"].take() else { return vec![] };
    for resource in resources.iter_mut().filter_map(Value::as_object_mut) {
        resource.shift_remove("@type");
    }
    resources
}

#[cfg(test)]
mod tests;
