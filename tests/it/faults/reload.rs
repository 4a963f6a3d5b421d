//! Configuration and keys that change under load: nothing is lost, nothing bad is taken over, and what
//! is in force is said.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use weir::app;
use weir::config::{Options, Source};
use weir::render::envoy::BodyMode;

use super::rig::{BACKEND, LONG, Parts, Rig, ask, outage, wait};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{self, Request};

/// Workers of a load.
const WORKERS: usize = 8;

/// A backend whose key is in a mounted Secret.
fn with_key_file() -> String {
    BACKEND.replace("env: RIG_KEY", "file: '{dir}/keys/token'")
}

/// A route of this number, so that documents differ.
fn route(number: usize) -> String {
    format!(
        "---\napiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r{number}}}\nspec:\n  rules:\n  \
         - {{name: x, matches: [{{model: {{value: route-{number}}}}}], backends: [{{name: main}}]}}\n"
    )
}

async fn page(rig: &Rig) -> Value {
    rig.admin("/config").await.json()
}

async fn loads(rig: &Rig, result: &str) -> f64 {
    rig.samples().await.sum("weir_config_reloads_total", &[("result", result)])
}

async fn wait_loads(rig: &Rig, result: &str, count: f64) {
    wait(result, || async { loads(rig, result).await >= count }).await;
}

/// Calls without a pause until told to stop, every second one a stream; all of them must succeed.
async fn load(rig: Arc<Rig>, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let headers = [("x-mock-tokens", "20"), ("x-mock-spacing", "10")];
        let headers = if number % 2 == 0 { &headers[..] } else { &headers[..1] };
        let answer = rig.chat(headers, &ask("alpha", number % 2 == 0)).await;
        assert!(answer.status == 200 && answer.complete, "{answer:?}");
        number += 1;
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs the load while `change` runs and for `least` calls at least, and gives their number.
async fn under_load(rig: &Arc<Rig>, least: usize, change: impl Future<Output = ()>) -> usize {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> =
        (0..WORKERS).map(|_| tokio::spawn(load(Arc::clone(rig), Arc::clone(&stop), Arc::clone(&done)))).collect();
    change.await;
    // However slow the machine is.
    wait("calls", || async { done.load(Ordering::Relaxed) >= least }).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("every call succeeds");
    }
    done.load(Ordering::Relaxed)
}

async fn ten_reloads_a_second_under_load_lose_nothing(mode: BodyMode) {
    let rig = Arc::new(Rig::start(Parts { log: "error", mode, ..Parts::default() }).await);
    let config = rig.config();
    let calls = under_load(&rig, 200, async {
        for number in 0..40 {
            rig.configure(&(config.clone() + &route(number)));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // A loaded machine may take two changes for one, and is given the time for all the calls.
        wait_loads(&rig, "success", 10.0).await;
    })
    .await;
    println!("{calls} calls over {} loads", loads(&rig, "success").await);
    wait("the last documents", || async { page(&rig).await["rules"][0] == "r39/x" }).await;
    assert_eq!(loads(&rig, "refused").await, 0.0);
    assert_eq!(rig.mock().tally().requests as usize, calls);
    rig.records_when(calls).await;
    Arc::into_inner(rig).expect("all workers are done").end(&Exceptions::default()).await;
}

async fn what_is_wrong_is_refused_whole_and_said(mode: BodyMode) {
    let rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    let good = rig.config();
    assert_eq!(loads(&rig, "success").await, 1.0);
    let hash = page(&rig).await["status"]["hash"].clone();
    let two_errors = good.clone() + &route(1).replace("main", "nobody") + &route(2).replace("rules", "colours");
    // Nothing is wrong with it, but this version cannot do it yet.
    let noted = good.clone()
        + &route(1)
        + "---\napiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {name: later}\n\
           spec: {endpoint: 'http://127.0.0.1:1/v1', dialect: OpenAI, credentials: [{type: None}], \
           carriedBy: {kind: Service, name: a}}\n";
    let checked = app::check(
        &Source { files: vec![("weir.yaml".to_owned(), noted.clone())], ..Source::default() },
        &Options::default(),
        None,
    );
    assert_eq!((checked.errors.len(), checked.notes.len()), (0, 1), "{checked:?}");
    let gateway = good.replace("spec:\n  listen", "spec:\n  role: Gateway\n  listen");
    let refused = [
        (two_errors.as_str(), ["nobody", "colours"]),
        (&noted, ["spec.carriedBy", "not supported yet"]),
        ("# nothing\n", ["no document", ""]),
        (&gateway, ["role", ""]),
    ];
    for (n, (bad, words)) in refused.into_iter().enumerate() {
        rig.configure(bad);
        wait_loads(&rig, "refused", (n + 1) as f64).await;
        let status = page(&rig).await["status"].clone();
        let errors = status["errors"].to_string();
        assert!(words.iter().all(|word| errors.contains(word)), "{errors}");
        // What it has written may still be on its way here.
        wait("words", || async { words.iter().all(|word| rig.weir.written().contains(word)) }).await;
        assert_eq!(status["hash"], hash);
        assert_eq!(rig.chat(&[], &ask("alpha", false)).await.status, 200);
    }
    rig.configure(
        &(good.replace(
            "kind: WeirBootstrap\nmetadata: {name: process}\nspec:\n",
            "kind: WeirBootstrap\nmetadata: {name: process}\nspec:\n  drainTimeout: 7s\n",
        ) + &route(3)),
    );
    wait_loads(&rig, "success", 2.0).await;
    let all = page(&rig).await;
    assert_eq!((all["status"]["errors"].to_string(), &all["rules"][0]), ("[]".into(), &"r3/x".into()), "{all}");
    assert_eq!(all["status"]["needsRestart"].to_string(), r#"["spec.drainTimeout"]"#);
    assert_ne!(all["status"]["hash"], hash);
    // A signal loads what has not changed.
    rig.weir.signal("HUP");
    wait_loads(&rig, "success", 3.0).await;
    let stamp = rig.samples().await.sum("weir_config_last_success_timestamp_seconds", &[]);
    assert!(stamp > 1.7e9, "{stamp}");
    assert_eq!(rig.samples().await.of("weir_config_in_force", &[]).count(), 1);
    rig.end(&Exceptions::default()).await;
}

/// Puts a key into a mounted Secret, as the kubelet does.
fn mount(directory: &Path, key: &str) {
    let keys = directory.join("keys");
    fs::create_dir_all(keys.join(format!("..{key}"))).expect("a directory");
    fs::write(keys.join(format!("..{key}/token")), key).expect("a file");
    symlink(format!("..{key}"), keys.join("..data_tmp")).expect("a link");
    fs::rename(keys.join("..data_tmp"), keys.join("..data")).expect("a swap");
    if !keys.join("token").exists() {
        symlink("..data/token", keys.join("token")).expect("a link");
    }
}

async fn wait_keys(rig: &Rig, count: f64) {
    wait("new keys", || async { rig.samples().await.sum("weir_secret_reloads_total", &[]) >= count }).await;
}

async fn a_key_is_rotated_under_load(mode: BodyMode) {
    let parts = Parts { documents: with_key_file(), mode, ..Parts::default() };
    let prepare = |directory: &Path| {
        mount(directory, "sk-one");
        Ok(())
    };
    let rig = Arc::new(Rig::start_with(parts, prepare).await);
    rig.mock().require_keys(&["sk-one", "sk-two"]);
    let first = under_load(&rig, 1, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        mount(rig.directory.path(), "sk-two");
        wait_keys(&rig, 1.0).await;
    })
    .await;
    // From here on the provider knows the new key alone.
    rig.mock().require_keys(&["sk-two"]);
    let second = under_load(&rig, 1, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // A rotation that deletes first: the key stays in use.
        fs::remove_file(rig.directory.path().join("keys/..data")).expect("a link");
        wait("a kept key", || async { rig.samples().await.sum("weir_secrets_kept", &[]) == 1.0 }).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    })
    .await;
    assert!(page(&rig).await["status"]["keysKept"].to_string().contains("keys/token"));
    mount(rig.directory.path(), "sk-two");
    wait("the key", || async { rig.samples().await.sum("weir_secrets_kept", &[]) == 0.0 }).await;
    assert_eq!(loads(&rig, "success").await, 1.0, "the documents were not loaded again");
    assert_eq!(rig.mock().tally().requests as usize, first + second);
    rig.records_when(first + second).await;
    let told = rig.weir.written() + &page(&rig).await.to_string();
    assert!(!told.contains("sk-one") && !told.contains("sk-two"), "{told}");
    Arc::into_inner(rig).expect("all workers are done").end(&Exceptions::default()).await;
}

async fn a_key_that_is_not_taken_is_looked_for(mode: BodyMode) {
    let parts = Parts { documents: with_key_file(), mode, ..Parts::default() };
    let rig = Rig::start_with(parts, |directory| {
        fs::create_dir(directory.join("keys"))?;
        fs::create_dir(directory.join("elsewhere"))?;
        fs::write(directory.join("keys/token"), "sk-one")?;
        fs::hard_link(directory.join("keys/token"), directory.join("elsewhere/token"))
    })
    .await;
    rig.mock().require_keys(&["sk-one"]);
    assert_eq!(rig.chat(&[], &ask("alpha", false)).await.status, 200);
    // Written through its other name, the file changes without an event in the directory that is watched.
    fs::write(rig.directory.file("elsewhere/token"), "sk-two").expect("a file");
    rig.mock().require_keys(&["sk-two"]);
    let began = Instant::now();
    assert_eq!(rig.chat(&[], &ask("alpha", false)).await.status, 401);
    wait_keys(&rig, 1.0).await;
    println!("a key that was not taken was found {:?} later", began.elapsed());
    assert_eq!(rig.chat(&[], &ask("alpha", false)).await.status, 200);
    rig.end(&Exceptions::default()).await;
}

async fn without_a_valid_configuration_it_answers_and_comes_alive(mode: BodyMode) {
    for role in ["Sidecar", "Gateway"] {
        let mut rig = Rig::start(Parts { mode, ..Parts::default() }).await;
        assert!(rig.weir.stop(LONG).success());
        rig.start_next_with(|config| {
            config.replace("spec:\n  listen", &format!("spec:\n  role: {role}\n  listen")) + "---\nkind: What\n"
        });
        rig.restart_weir();
        // What it has written may still be on its way here.
        let says = |words: &str| rig.weir.written().contains(words);
        wait("words", || async { says("What") && says("there is none yet") }).await;
        let ready = Request { method: "GET", path: "/readyz", headers: &[] }.head();
        let status = async |rig: &Rig| http1::exchange(&rig.metrics, "GET", &ready).await.expect("an answer").status;
        assert_eq!(status(&rig).await, if role == "Sidecar" { 200 } else { 503 });
        for stream in [false, true] {
            let answer = rig.chat(&[], &ask("alpha", stream)).await;
            assert_eq!(
                (answer.status, &answer.json()["error"]["code"]),
                (503, &"no_configuration".into()),
                "{answer:?}"
            );
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        let passed = rig.post("/v1/files", &[], b"{}").await;
        assert_eq!((passed.status, &passed.json()["error"]["code"]), (503, &"no_configuration".into()), "{passed:?}");
        let anthropic = rig.post("/v1/messages", &[], b"{}").await;
        assert_eq!((anthropic.status, &anthropic.json()["type"]), (503, &"error".into()), "{anthropic:?}");
        assert_eq!(page(&rig).await["status"]["configured"], false);
        rig.configure(&rig.config().replace("---\nkind: What\n", ""));
        wait("a configuration", || async { page(&rig).await["status"]["configured"] == true }).await;
        assert_eq!(status(&rig).await, 200);
        // A gateway has a caller without a certificate here.
        let alive = if role == "Sidecar" { 200 } else { 401 };
        assert_eq!(rig.chat(&[], &ask("alpha", false)).await.status, alive);
        rig.end(&outage()).await;
    }
}

async fn a_thousand_routes_are_taken_over_beside_the_load(mode: BodyMode) {
    let rig = Arc::new(Rig::start(Parts { mode, ..Parts::default() }).await);
    let config = (0..1000).fold(rig.config(), |config, number| config + &route(number));
    let source = Source { files: vec![("weir.yaml".to_owned(), config.clone())], ..Source::default() };
    let began = Instant::now();
    let compiled = app::load(&source, &Options::default()).expect("it is valid");
    println!(
        "{} rules are read, checked and compiled in {:?}",
        compiled.policy.targets.rules().count(),
        began.elapsed()
    );
    let calls = under_load(&rig, 1, async {
        let began = Instant::now();
        rig.configure(&config);
        wait_loads(&rig, "success", 2.0).await;
        println!("and are in force {:?} after the file was replaced, beside the load", began.elapsed());
    })
    .await;
    assert_eq!(rig.chat(&[], &ask("route-999", false)).await.status, 200);
    rig.records_when(calls + 1).await;
    Arc::into_inner(rig).expect("all workers are done").end(&Exceptions::default()).await;
}

every_mode!(
    ten_reloads_a_second_under_load_lose_nothing,
    what_is_wrong_is_refused_whole_and_said,
    a_key_is_rotated_under_load,
    a_key_that_is_not_taken_is_looked_for,
    without_a_valid_configuration_it_answers_and_comes_alive,
    a_thousand_routes_are_taken_over_beside_the_load
);
