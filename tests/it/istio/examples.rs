//! The examples of Istio: each command in a README that is shown with `$` is run, and its output is what is shown; the
//! pod of `examples/sidecar` fits its documents, and its documents serve.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::rig::{KEYS, Mesh, Place, render};
use crate::support::envoy_stats::Exceptions;
use crate::support::istio::{Proxy, of_kind, resources};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The commands of the blocks `console`, each with the output that is shown.
fn shown(readme: &str) -> Vec<(String, String)> {
    let blocks = readme.split("```console\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let commands = blocks.flat_map(|(block, _)| block.trim_start_matches("$ ").split("\n$ ").collect::<Vec<_>>());
    let parts = commands.map(|part| part.split_once('\n').unwrap_or((part, "")));
    parts.map(|(command, output)| (command.to_owned(), output.trim_end().to_owned())).collect()
}

/// What a shell says to it on stdout, in this directory.
fn run(command: &str, directory: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_weir")).parent().expect("a directory");
    let path = std::env::var("PATH").expect("a PATH");
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(directory)
        .env("PATH", format!("{}:{path}", binary.display()))
        .output()
        .expect("a shell");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[test]
fn readmes_show_what_their_commands_say() {
    for (name, least) in [("istio", 12), ("sidecar", 3)] {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::copy(example(name).join("weir.yaml"), directory.path().join("weir.yaml")).expect("copied");
        let commands = shown(&read(&example(name).join("README.md")));
        assert!(commands.len() >= least, "{commands:?}");
        for (command, output) in commands {
            assert_eq!(run(&command, directory.path()), output, "{name}: {command}");
        }
    }
}

#[test]
fn the_pod_fits_its_documents_and_the_rendered_patches() {
    let pod: Value = serde_saphyr::from_str(&read(&example("sidecar").join("app.yaml"))).expect("YAML");
    let template = &pod["spec"]["template"];
    let text = read(&example("sidecar").join("weir.yaml"));
    let file = example("sidecar").join("weir.yaml");
    let all = resources(&render(&["--istio-version", "1.30", file.to_str().expect("text")]));
    let wanted = of_kind(&all, "EnvoyFilter")[0]["spec"]["workloadSelector"]["labels"].as_object().expect("labels");
    for (key, value) in wanted {
        assert_eq!(template["metadata"]["labels"][key], *value);
    }
    // The socket is where the documents say, in Weir and the proxy, and in no container besides.
    let mounted = template["metadata"]["annotations"]["sidecar.istio.io/userVolumeMount"].as_str().expect("mounts");
    let mounted: Value = serde_json::from_str(mounted).expect("JSON");
    let spec = &template["spec"];
    let weir = &spec["initContainers"][0];
    let mounts = |container: &Value| container["volumeMounts"].as_array().cloned().unwrap_or_default();
    let socket = mounts(weir).into_iter().find(|mount| mount["name"] == "weir-socket").expect("the socket");
    assert_eq!((&mounted[0], weir["restartPolicy"].as_str()), (&socket, Some("Always")));
    assert!(text.contains(&format!("unix:{}/extproc.sock", socket["mountPath"].as_str().expect("a path"))));
    assert_eq!(mounts(&spec["containers"][0]), Vec::<Value>::new());
    let alias = &spec["hostAliases"][0];
    let own = &of_kind(&all, "ServiceEntry")[0]["spec"];
    assert_eq!((&alias["ip"], &alias["hostnames"]), (&own["addresses"][0], &own["hosts"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sidecar_example_serves() {
    let place = Place::new();
    let at = place.directory.path().display().to_string();
    let file = place.directory.file("weir.yaml");
    let text = read(&example("sidecar").join("weir.yaml"))
        .replace("/run/weir-admin/", &format!("{at}/"))
        .replace("/run/weir/", &format!("{at}/run/"))
        .replace("adminSocket", "metrics: '127.0.0.1:0', adminSocket")
        .replace("secretRef: {name: openai, key: token}", &format!("env: {}", KEYS[0].0));
    std::fs::write(&file, text).expect("a file of our own");
    let text = render(&["--istio-version", "1.30", file.to_str().expect("text")]);
    let mesh = Mesh::start(place, &file, &text, Proxy::Sidecar, ("weir.dev/inject", "true"), None).await;
    for expected in [200, 200, 429] {
        let answer = mesh.chat("gpt-4o-mini", &[]).await;
        assert_eq!(answer.status, expected, "{answer:?}");
    }
    assert_eq!(mesh.counts(), [2, 0, 0]);
    mesh.assert_clean(&Exceptions::default()).await;
}
