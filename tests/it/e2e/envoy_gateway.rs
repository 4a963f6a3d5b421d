//! `weir render --mesh envoy-gateway`: what it renders is what the CRDs take, becomes what Envoy Gateway would
//! make of it (`support::gateway_xds`), and that is accepted by a real Envoy and serves beside a real `weir run`,
//! with the documents, the Secrets and the arguments of the rendered container.

mod rendered;
mod rig;

use serde_json::json;
use weir::render::envoy::INTERNAL_HEADERS;
use weir::up::RunDir;

use self::rendered::{EXAMPLE, Rendered, VERSIONS};
use self::rig::Rig;
use super::pair::{Call, Protocol};
use super::render::{golden, validate};
use crate::support::envoy_stats::Exceptions;
use crate::support::gateway_kinds;
use crate::support::gateway_xds::{Scheme, Xds};
use crate::support::process;

#[tokio::test]
async fn every_version_gets_what_its_crds_take_and_envoy_accepts_what_becomes_of_it() {
    let directory = RunDir::create().expect("a directory");
    for minor in VERSIONS {
        for (scheme, names) in [(Scheme::Gateway, "gateway"), (Scheme::Port, "port")] {
            let version = format!("1.{minor}");
            let arguments = ["--gateway-version", &version, "--xds-names", names];
            let rendered = Rendered::of(rendered::EVERY_KIND, &arguments);
            let complaints = gateway_kinds::complaints(&rendered.resources, minor);
            assert!(complaints.is_empty(), "{version}: {complaints:#?}");
            let xds = Xds::of(&rendered.resources, scheme, |_, port| {
                ("127.0.0.1".to_owned(), u16::try_from(port).expect("a port"))
            });
            let bootstrap = xds.patched(&rendered.resources).bootstrap();
            let config = directory.file(&format!("{version}-{names}.json"));
            std::fs::write(&config, bootstrap.to_string()).expect("a file");
            validate(&config).await;
        }
    }
}

#[test]
fn the_same_documents_give_the_same_bytes_in_order() {
    let one = Rendered::of(rendered::EVERY_KIND, &[]);
    let again = Rendered::of(rendered::EVERY_KIND, &[]);
    assert!(one.files == again.files, "twice the same");
    let names: Vec<&str> = one.files.iter().map(|(name, _)| name.as_str()).collect();
    let wanted = [
        "10-proxy.yaml",
        "20-gateway.yaml",
        "30-process.yaml",
        "40-patches.yaml",
        "50-backends.yaml",
        "60-documents.yaml",
    ];
    assert_eq!(names, wanted);
    for (name, text) in &one.files {
        assert!(text.starts_with("# "), "{name} does not say what it is for");
    }
    let whole: Vec<&str> = one.files.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(one.stream(), whole.join("---\n"), "the stream is the files");
    golden("envoy-gateway.yaml", &one.stream());
}

#[test]
fn nothing_but_weir_mounts_documents_and_secrets() {
    let rendered = Rendered::of(rendered::EVERY_KIND, &[]);
    let proxy = rendered.one("EnvoyProxy");
    let deployment = &proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"];
    let mounts = |value: &serde_json::Value| -> Vec<String> {
        let mounts = value["volumeMounts"].as_array().expect("mounts").iter();
        mounts.map(|mount| mount["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(mounts(&deployment["container"]), ["weir-socket"]);
    let weir = mounts(&deployment["initContainers"][0]);
    let volumes: Vec<&str> = deployment["pod"]["volumes"]
        .as_array()
        .expect("volumes")
        .iter()
        .filter_map(|volume| volume["name"].as_str())
        .collect();
    assert_eq!(weir, volumes);
    let secret_of = |namespace: &str| {
        let volumes = deployment["pod"]["volumes"].as_array().expect("volumes").iter();
        volumes.filter_map(|volume| volume["secret"]["secretName"].as_str()).any(|name| name == namespace)
    };
    assert!(secret_of("openai") && secret_of("shop.own"), "{deployment:#}");
    let text = rendered.stream();
    assert!(
        !text.contains("kind: Secret\n") && !text.contains("kind: WeirBootstrap\nmetadata: {name: process}\nspec: {}")
    );
}

/// Weir removes them too: a call must be safe with either alone.
#[test]
fn what_only_weir_may_say_is_taken_from_clients_and_kept_from_providers() {
    let rendered = Rendered::of(rendered::EVERY_KIND, &[]);
    let early = &rendered.one("ClientTrafficPolicy")["spec"]["headers"]["earlyRequestHeaders"]["remove"];
    let routes: Vec<&serde_json::Value> =
        rendered.resources.iter().filter(|found| found["kind"] == "HTTPRoute").collect();
    assert_eq!(routes.len(), 5, "four backends, and nowhere");
    let holds =
        |list: &serde_json::Value, header: &str| list.as_array().is_some_and(|list| list.contains(&json!(header)));
    // Envoy takes these from strangers by itself, and believes callers of its own network.
    for header in ["x-envoy-retry-on", "x-envoy-max-retries", "x-envoy-upstream-rq-timeout-ms"] {
        assert!(holds(early, header), "a client could order Envoy with {header}");
    }
    for header in INTERNAL_HEADERS {
        let in_list = |list: &serde_json::Value| holds(list, header);
        assert!(in_list(early), "{header} from a client would be believed");
        for route in routes.iter().filter(|route| !route["spec"]["rules"][0]["backendRefs"].is_null()) {
            let removed = &route["spec"]["rules"][0]["filters"][0]["requestHeaderModifier"]["remove"];
            assert!(in_list(removed), "{header} would reach a provider");
            let matched = &route["spec"]["rules"][0]["matches"][0]["headers"][0];
            assert_eq!((&matched["name"], &matched["type"]), (&json!("x-weir-backend"), &json!("Exact")));
        }
    }
}

#[test]
fn what_a_gateway_cannot_be_told_is_said_with_what_to_do() {
    for (documents, arguments, said) in rendered::WRONG {
        let error = Rendered::failing(documents, arguments);
        assert!(error.contains(said), "{documents}\n{arguments:?}: {error}");
    }
}

/// The blocks of the example's README that begin with `$ weir`, as a reader types them.
#[test]
fn the_example_says_what_the_commands_say() {
    let directory = RunDir::create().expect("a directory");
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/envoy-gateway");
    for file in ["weir.yaml", "request.json"] {
        std::fs::copy(example.join(file), directory.file(file)).expect("a file of the example");
    }
    let readme = std::fs::read_to_string(example.join("README.md")).expect("a README");
    let blocks: Vec<&str> = readme.split("```console\n$ weir ").skip(1).collect();
    assert_eq!(blocks.len(), 3, "commands with their output");
    for block in blocks {
        let (block, _) = block.split_once("```").expect("the end of a block");
        let (line, told) = block.split_once('\n').expect("a command");
        let (line, input) = line.split_once(" < ").unwrap_or((line, "/dev/null"));
        let arguments: Vec<&str> = line.split(' ').collect();
        let mut command = process::weir(&arguments);
        let input = std::fs::File::open(directory.path().join(input)).expect("an input");
        let output = command.current_dir(directory.path()).stdin(input).output().expect("it starts");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        let said = said.replace(&directory.path().display().to_string(), "$PWD");
        assert!(said.trim_end() == told.trim_end(), "weir {line}\n{said}");
    }
}

fn chat(model: &str) -> Call {
    Call::chat(format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_reach_the_backend_that_weir_chose_signed_and_clean() {
    let rig = Rig::start(EXAMPLE, true).await;
    for (model, backend, key) in [
        ("chat-default", "openai", Some("Bearer sk-openai")),
        ("openai/gpt-4o-mini", "openai", Some("Bearer sk-openai")),
        ("vllm/llama-3.1-8b", "vllm", None),
    ] {
        // Its own words about where it goes and what Envoy does are nothing.
        let forged = [("x-weir-backend", "anthropic"), ("x-envoy-max-retries", "9"), ("x-mock-echo", "1")];
        let answer = rig.send(chat(model).with(&forged)).await;
        assert_eq!(answer.status, 200, "{model}: {answer:?}");
        let seen = rig::Seen::of(&answer);
        assert_eq!(seen.host, rig.host(backend), "{model}");
        assert_eq!(seen.header("authorization"), key, "{model}");
        let leaked: Vec<&str> = seen.names().filter(|name| name.starts_with("x-") && *name != "x-mock-echo").collect();
        assert!(leaked.is_empty(), "{model}: {leaked:?}");
        assert!(seen.header("content-length").is_some(), "{model}: {seen:?}");
    }
    let stream = r#"{"model":"chat-default","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let answer = rig.call(Call::chat(stream)).send(protocol, &rig.address).await;
        assert!(answer.status == 200 && answer.complete && answer.text().contains("[DONE]"), "{answer:?}");
    }
    // A model of another API, translated.
    let answer = rig.send(chat("anthropic/claude-sonnet-4-5")).await;
    assert!(answer.status == 200 && answer.json()["choices"][0]["message"]["content"].is_string(), "{answer:?}");
    assert_eq!(rig.mock("anthropic").tally().paths.get("/v1/messages"), Some(&1));
    // A caller without a key is nobody.
    let nobody = chat("chat-default").send(Protocol::Http1, &rig.address).await;
    assert_eq!((nobody.status, &nobody.json()["error"]["code"]), (401, &json!("invalid_api_key")), "{nobody:?}");
    rig.assert_clean(&Exceptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_body_is_tried_again_as_weir_orders_in_old_and_new_forms() {
    for version in ["1.9", "1.5"] {
        let rig = Rig::start_version(EXAMPLE, true, version).await;
        let long = "x".repeat(3 << 20);
        let body = format!(r#"{{"model":"chat-default","messages":[{{"role":"user","content":"{long}"}}]}}"#);
        let answer = rig.send(Call::chat(body).with(&[("x-mock-status", "503")])).await;
        assert_eq!(answer.status, 503, "{version}: {answer:?}");
        assert_eq!(rig.mock("openai").tally().requests, 2, "{version}: attempts: 1 is one more");
        // A rule that says nothing of retries orders none.
        let forged = [("x-mock-status", "503"), ("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "3")];
        let once = rig.send(chat("openai/gpt-4o-mini").with(&forged)).await;
        assert_eq!((once.status, rig.mock("openai").tally().requests), (503, 3), "{version}");
        rig.assert_clean(&Exceptions::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_backend_reaches_nobodys_key_with_weir_up_and_with_weir_down() {
    let mut rig = Rig::start(EXAMPLE, true).await;
    let forged = |call: Call| call.with(&[("x-weir-backend", "openai"), ("x-weir-attempt", "1")]);
    // A path that names no model, and no passthrough that would sign it.
    for call in [Call::bare("GET", "/v1/files"), Call::bare("GET", "/"), Call::bare("DELETE", "/v1/fine_tuning/jobs/1")]
    {
        let answer = rig.send(forged(call).with(&[("x-mock-echo", "1")])).await;
        let key = (answer.status == 200).then(|| rig::Seen::of(&answer)).and_then(|seen| seen.key());
        assert_eq!(key, None, "{answer:?}");
    }
    rig.assert_clean(&Exceptions::default()).await;
    let before = rig.requests();
    rig.stop_weir();
    for call in [chat("chat-default"), Call::bare("GET", "/v1/files"), Call::bare("GET", "/v1/models")] {
        let answer = rig.send(forged(call)).await;
        let code = answer.json()["error"]["code"].clone();
        assert_eq!((answer.status, code), (503, json!("weir_unavailable")), "{answer:?}");
    }
    assert_eq!(rig.requests(), before, "without Weir a call goes nowhere");
}

/// Where EnvoyPatchPolicy is not enabled: right host and key, and what is missing is what the page says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_patches_calls_still_go_to_their_own_host() {
    let mut rig = Rig::start(EXAMPLE, false).await;
    let answer = rig.send(chat("chat-default").with(&[("x-mock-echo", "1"), ("x-weir-backend", "vllm")])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = rig::Seen::of(&answer);
    assert_eq!(
        (seen.host.as_str(), seen.header("authorization")),
        (rig.host("openai").as_str(), Some("Bearer sk-openai"))
    );
    // The page says that these three are missing.
    assert_eq!(seen.header("x-forwarded-host"), Some("test"), "the host that the client called: {seen:?}");
    assert!(seen.header("x-forwarded-for").is_some() && seen.header("content-length").is_none(), "{seen:?}");
    // Weir's own host and its orders to retry are refused, call by call.
    let refused = Exceptions { may_count: vec!["rejected_header_mutations"], ..Exceptions::default() };
    rig.assert_clean(&refused).await;
    rig.stop_weir();
    let answer = rig.send(chat("chat-default")).await;
    assert!(answer.status == 503 && answer.body.is_empty(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_of_ones_own_is_what_a_certificate_is_checked_with() {
    let rig = Rig::start_private().await;
    let answer = rig.send(chat("private/m")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(rig.written().contains("asked /llm/v1/chat/completions llm.test"), "{}", rig.written());
    let stranger = rig.send(chat("stranger/m")).await;
    assert_eq!(stranger.status, 503, "another CA signed that certificate: {stranger:?}");
}
