//! Prices that change while the process runs, as a mounted ConfigMap does.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::app::Core;
use crate::app::Listeners;
use crate::app::documents::First;
use crate::config::Options;
use crate::extproc::server::Listener;

/// Longer than anything here takes unless it never ends.
const LONG: Duration = Duration::from_secs(60);

const BACKEND: &str = "apiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {name: first}\n\
                       spec: {endpoint: 'http://127.0.0.1:1/v1', dialect: OpenAI, credentials: [{type: None}]}\n";

fn prices(version: &str, rate: &str) -> String {
    format!(
        r#"{{"format": "weir.prices/v1", "version": "{version}", "source": "", "models": [
        {{"provider": "openai", "model": "m", "rates": [{{"unit": "input", "rate": "{rate}"}}]}}]}}"#
    )
}

/// A process whose prices are mounted.
struct Process {
    directory: tempfile::TempDir,
    core: Core,
    _reload: AbortOnDropHandle<()>,
}

impl Process {
    async fn start(first: &str) -> Process {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| -> PathBuf { directory.path().join(name) };
        std::fs::write(at("weir.yaml"), BACKEND).unwrap();
        mount(directory.path(), "0", first);
        let documents = Documents::new(Some(at("weir.yaml")), Options::default(), Vec::new());
        let documents = documents.with_prices(Some(at("prices.json")));
        let First { read, compiled, errors } = documents.first().unwrap();
        let Compiled { policy, bootstrap, .. } = compiled;
        let listener = Listener::Tcp(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let core = Core::start(
            policy,
            &bootstrap,
            None,
            Listeners { calls: listener, attempts: None },
            Signing::Off("a test"),
            None,
        )
        .unwrap();
        let reload = core.reload(Arc::new(documents), bootstrap, Alone, read, errors);
        let reload = tokio::spawn(reload.run(std::future::pending::<()>));
        Process { directory, core, _reload: AbortOnDropHandle::new(reload) }
    }

    fn page(&self) -> Value {
        serde_json::from_str(&(self.core.admin(false).config)()).unwrap()
    }

    async fn wait(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let waited = async {
            loop {
                let page = self.page();
                if is(&page) {
                    return page;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LONG, waited).await.unwrap_or_else(|_| panic!("{what}: {}", self.page()))
    }
}

/// Puts a file into a mounted ConfigMap, as the kubelet does.
fn mount(directory: &Path, name: &str, text: &str) {
    std::fs::create_dir(directory.join(format!("..{name}"))).unwrap();
    std::fs::write(directory.join(format!("..{name}/prices.json")), text).unwrap();
    symlink(format!("..{name}"), directory.join("..data_tmp")).unwrap();
    std::fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    if !directory.join("prices.json").exists() {
        symlink("..data/prices.json", directory.join("prices.json")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_prices_are_in_force_and_wrong_ones_are_not() {
    let process = Process::start(&prices("one", "1e-06")).await;
    let rate = || process.core.policies.get().catalog.price("openai", "m").map(|price| price.rates[0].rate.to_string());
    let before = process.page();
    assert_eq!((&before["prices"], rate().as_deref()), (&"one".into(), Some("0.000001")), "{before}");
    mount(process.directory.path(), "1", &prices("two", "2e-06"));
    process.wait("other prices", |page| page["prices"] == "two").await;
    assert_eq!(rate().as_deref(), Some("0.000002"));

    mount(process.directory.path(), "2", &prices("three", "-1").replace("input", "furlong"));
    let page = process.wait("errors", |page| page["status"]["errors"] != serde_json::json!([])).await;
    let errors = page["status"]["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{page}");
    assert!(errors.iter().all(|error| error.as_str().unwrap().contains("prices.json: models[0] openai/m: rates[0]")));
    assert_eq!((&page["prices"], rate().as_deref()), (&"two".into(), Some("0.000002")), "the old ones stay: {page}");

    mount(process.directory.path(), "3", &prices("four", "4e-06"));
    let page = process.wait("good prices", |page| page["prices"] == "four").await;
    assert_eq!((&page["status"]["errors"], rate().as_deref()), (&serde_json::json!([]), Some("0.000004")), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_wrong_prices_starts_and_comes_alive() {
    let process = Process::start("{}").await;
    let page = process.page();
    assert!(page["status"]["configured"] == false && page["status"]["errors"].to_string().contains("prices.json"));
    assert!(!process.core.policies.get().is_configured);
    mount(process.directory.path(), "1", &prices("two", "2e-06"));
    process.wait("a configuration", |page| page["status"]["configured"] == true && page["prices"] == "two").await;
    assert!(process.core.policies.get().is_configured);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_for_a_new_process_and_a_limit_that_needs_one_is_refused_by_this() {
    let process = Process::start(&prices("one", "1e-06")).await;
    let store = "---\napiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {name: p}\n\
                 spec: {stores: {redis: {urls: ['redis://127.0.0.1:1']}}}\n";
    let fleet = "---\napiVersion: weir.dev/v1alpha1\nkind: LLMLimitPolicy\nmetadata: {name: fair}\n\
                 spec: {counting: Fleet, limits: [{name: rpm, unit: Requests, amount: 1, period: {rolling: 1m}}]}\n";
    let write = |text: String| std::fs::write(process.directory.path().join("weir.yaml"), text).unwrap();
    write(format!("{BACKEND}{store}"));
    process.wait("a store", |page| page["status"].to_string().contains("spec.stores")).await;
    assert!(process.page()["status"]["errors"] == serde_json::json!([]));
    for (text, place) in
        [(format!("{BACKEND}{store}{fleet}"), "spec.stores"), (format!("{BACKEND}{fleet}"), "spec.counting")]
    {
        write(text);
        let is = |page: &Value| page["status"]["errors"].to_string().contains(&format!("{place}: NoSharedStore"));
        process.wait("a refusal", is).await;
        assert!(!process.core.policies.get().asks_store(), "the one before stays");
    }
}
