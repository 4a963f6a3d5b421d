//! Certificates, authorities and keys that change under load: nothing is lost, what is new is in use, and what is
//! broken is told and not taken.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir::render::envoy::BodyMode;

use super::callers::{WEB, call};
use super::rig::{BACKEND, Gateway, KEY, PROXY, Parts, Site, wait};
use crate::support::certs::Pair;
use crate::support::envoy_stats::Exceptions;
use crate::support::tls::{Client, certificates};

/// Workers of a load.
const WORKERS: usize = 6;

/// Puts files where a Secret is mounted, as the kubelet does: the directory changes in one step.
fn mount(at: &Path, version: &str, files: &[(&str, &[u8])]) {
    fs::create_dir_all(at.join(format!("..{version}"))).expect("a directory");
    for (name, bytes) in files {
        fs::write(at.join(format!("..{version}/{name}")), bytes).expect("a file");
    }
    symlink(format!("..{version}"), at.join("..data_tmp")).expect("a link");
    fs::rename(at.join("..data_tmp"), at.join("..data")).expect("a swap");
    for (name, _) in files {
        if fs::symlink_metadata(at.join(name)).is_err() {
            symlink(format!("..data/{name}"), at.join(name)).expect("a link");
        }
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a file")
}

/// Mounts this pair and these authorities for Weir.
fn mount_tls(at: &Path, version: &str, pair: &Pair, cas: &[&Path]) {
    let bundle: Vec<u8> = cas.iter().flat_map(|path| read(path)).collect();
    let (certificate, key) = (read(&pair.certificate), read(&pair.key));
    mount(&at.join("tls"), version, &[("tls.crt", &certificate), ("tls.key", &key), ("ca.crt", &bundle)]);
}

/// A site whose Weir has its files in a mounted Secret, and the pair that is in it.
fn mounted() -> (Site, Pair) {
    let mut site = Site::new();
    let at = site.directory.path().to_owned();
    mount_tls(&at, "first", &site.weir, &[&site.mesh.certificate]);
    let mounted = Pair { certificate: at.join("tls/tls.crt"), key: at.join("tls/tls.key") };
    let first = std::mem::replace(&mut site.weir, mounted);
    site.client_ca = at.join("tls/ca.crt");
    (site, first)
}

/// Calls without a pause until told to stop, every second one a stream; all of them must succeed.
async fn load(gateway: Arc<Gateway>, client: Client, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let stream = done.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        let headers = [("x-mock-tokens", "20"), ("x-mock-spacing", "10")];
        let mut call = call("a", if stream { &headers } else { &headers[..1] });
        if stream {
            call.body = br#"{"model":"a","stream":true,"messages":[{"role":"user","content":"hi"}]}"#.to_vec();
        }
        let answer = gateway.call(&client, &call).await;
        assert!(answer.status == 200 && answer.complete, "{answer:?}");
        assert!(!stream || answer.text().ends_with("data: [DONE]\n\n"), "{answer:?}");
    }
}

/// Runs the load while `change` runs, and gives the number of calls.
async fn under_load(gateway: &Arc<Gateway>, change: impl Future<Output = ()>) -> usize {
    let client = gateway.site.client("web", Some(WEB));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let one = || tokio::spawn(load(Arc::clone(gateway), client.clone(), Arc::clone(&stop), Arc::clone(&done)));
    let workers: Vec<_> = (0..WORKERS).map(|_| one()).collect();
    change.await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.expect("every call succeeds");
    }
    done.load(Ordering::Relaxed)
}

async fn sum(gateway: &Gateway, name: &str) -> f64 {
    gateway.samples().await.sum(name, &[])
}

async fn wait_for(gateway: &Gateway, name: &str, value: f64) {
    wait(name, || async { sum(gateway, name).await == value }).await;
}

/// True if Weir lets this client in. A client remembers its sessions, and would resume one if it could.
async fn is_let_in(gateway: &Gateway, client: &Client) -> bool {
    let Ok(mut stream) = client.connect(&gateway.extproc).await else { return false };
    let said = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    said.is_ok() && matches!(stream.read(&mut [0; 64]).await, Ok(9..))
}

/// What Weir shows to a client that connects now.
async fn shown(gateway: &Gateway) -> Vec<u8> {
    let client = Client::new(&gateway.site.mesh.certificate, Some(&gateway.site.proxy));
    let stream = client.connect(&gateway.extproc).await.expect("a connection");
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

fn leaf(pair: &Pair) -> Vec<u8> {
    certificates(&pair.certificate)[0].to_vec()
}

every_mode!(certificates_change_under_load_and_nothing_is_lost);

async fn certificates_change_under_load_and_nothing_is_lost(mode: BodyMode) {
    let (site, first) = mounted();
    // Envoy connects anew after every few exchanges, so there are handshakes all the time.
    let gateway = Arc::new(Gateway::start_at(site, Parts { mode, per_connection: 10, ..Parts::default() }).await);
    let (site, at) = (&gateway.site, gateway.site.directory.path());
    let mesh = site.mesh.certificate.as_path();
    assert_eq!(shown(&gateway).await, leaf(&first));
    let proxy = Client::new(mesh, Some(&site.proxy));
    let of_other = Client::new(mesh, Some(&site.other.workload("proxy", &[PROXY])));
    assert!(!is_let_in(&gateway, &of_other).await);
    let calls = under_load(&gateway, async {
        for number in 1..=5 {
            let pair = site.mesh.server("weir");
            mount_tls(at, &format!("pair-{number}"), &pair, &[mesh]);
            wait_for(&gateway, "weir_tls_reloads_total", f64::from(number)).await;
            assert_eq!(shown(&gateway).await, leaf(&pair));
        }
        // An authority is added, and taken away again.
        let last = site.mesh.server("weir");
        mount_tls(at, "two-cas", &last, &[mesh, &site.other.certificate]);
        wait_for(&gateway, "weir_tls_reloads_total", 6.0).await;
        assert!(is_let_in(&gateway, &of_other).await && is_let_in(&gateway, &proxy).await);
        mount_tls(at, "one-ca", &last, &[mesh]);
        wait_for(&gateway, "weir_tls_reloads_total", 7.0).await;
        assert!(!is_let_in(&gateway, &of_other).await && is_let_in(&gateway, &proxy).await);
        let before = sum(&gateway, "weir_tls_accepted_total").await;
        wait("handshakes of Envoy's own", || async { sum(&gateway, "weir_tls_accepted_total").await > before + 5.0 })
            .await;
    })
    .await;
    assert!(calls >= 50, "{calls} calls");
    assert_eq!(gateway.mock.tally().requests as usize, calls);
    wait("all records", || async { gateway.records().len() == calls }).await;
    assert_eq!(sum(&gateway, "weir_tls_kept").await, 0.0);
    Arc::into_inner(gateway).expect("all workers are done").end(&Exceptions::default()).await;
}

first_mode!(files_that_break_are_told_and_the_last_good_ones_stay, a_backends_key_changes_under_load);

async fn files_that_break_are_told_and_the_last_good_ones_stay(mode: BodyMode) {
    let (site, first) = mounted();
    let gateway = Arc::new(Gateway::start_at(site, Parts { mode, per_connection: 10, ..Parts::default() }).await);
    let (site, at) = (&gateway.site, gateway.site.directory.path());
    let mesh = site.mesh.certificate.as_path();
    let fresh = site.mesh.server("weir");
    let of_another_key = Pair { certificate: fresh.certificate.clone(), key: first.key.clone() };
    let proxy = Client::new(mesh, Some(&site.proxy));
    let told = |what: &str| gateway.weir.written().matches(what).count();
    let back = "again in their files";
    let calls = under_load(&gateway, async {
        let mut times = 0;
        let good = |version: &str| mount_tls(at, version, &first, &[mesh]);
        let broken: [(&str, &dyn Fn()); 4] = [
            ("do not make a pair", &|| mount_tls(at, "half", &of_another_key, &[mesh])),
            ("holds no certificate in PEM", &|| {
                mount(&at.join("tls"), "garbage", &[("tls.crt", b"no PEM"), ("tls.key", b""), ("ca.crt", b"")]);
            }),
            ("clientCA: ", &|| mount_tls(at, "no-ca", &first, &[&first.key])),
            ("cannot be read", &|| fs::remove_file(at.join("tls/..data")).expect("a link")),
        ];
        for (says, change) in broken {
            change();
            wait_for(&gateway, "weir_tls_kept", 1.0).await;
            // What it has written may still be on its way here.
            wait(says, || async { told(says) == 1 }).await;
            assert_eq!(shown(&gateway).await, leaf(&first));
            assert!(is_let_in(&gateway, &proxy).await);
            times += 1;
            good(&format!("good-{times}"));
            wait_for(&gateway, "weir_tls_kept", 0.0).await;
            wait(back, || async { told(back) == times }).await;
        }
        assert_eq!(sum(&gateway, "weir_tls_reloads_total").await, 0.0, "nothing new was there");
        mount_tls(at, "fresh", &fresh, &[mesh]);
        wait_for(&gateway, "weir_tls_reloads_total", 1.0).await;
        assert_eq!(shown(&gateway).await, leaf(&fresh));
    })
    .await;
    assert_eq!(gateway.mock.tally().requests as usize, calls);
    Arc::into_inner(gateway).expect("all workers are done").end(&Exceptions::default()).await;
}

async fn a_backends_key_changes_under_load(mode: BodyMode) {
    let site = Site::new();
    let at = site.directory.path().to_owned();
    mount(&at.join("keys"), "first", &[("token", KEY.as_bytes())]);
    let documents = BACKEND.replace("env: RIG_KEY", "file: '{dir}/keys/token'");
    let gateway = Arc::new(Gateway::start_at(site, Parts { documents, mode, ..Parts::default() }).await);
    gateway.mock.require_keys(&[KEY, "sk-canary-second"]);
    let first = under_load(&gateway, async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        mount(&at.join("keys"), "second", &[("token", b"sk-canary-second")]);
        wait_for(&gateway, "weir_secret_reloads_total", 1.0).await;
    })
    .await;
    // From here on the provider knows the new key alone.
    gateway.mock.require_keys(&["sk-canary-second"]);
    let second = under_load(&gateway, tokio::time::sleep(Duration::from_millis(300))).await;
    assert_eq!(gateway.mock.tally().requests as usize, first + second);
    assert!(!gateway.weir.written().contains("sk-canary-second"));
    Arc::into_inner(gateway).expect("all workers are done").end(&Exceptions::default()).await;
}
