//! `weir up` itself: what it prints, what its admin endpoint shows, and that it leaves nothing behind.

use std::time::Duration;

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{Call, Protocol};
use crate::support::envoy_stats::{Admin, Exceptions};
use crate::support::proc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_a_call_and_leaves_nothing_behind() {
    let mut egress = Egress::up(ONE_BACKEND).await;
    let call = Call::chat(r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}"#);
    let response = call.send(Protocol::Http1, &egress.address).await;
    let id = response.header("x-weir-request-id").expect("an id").to_owned();
    assert_eq!(egress.ledger_of(1).await[0]["id"], *id);
    let admin = Admin::new(&egress.admin);
    for (path, holds) in [
        ("/healthz".to_owned(), ""),
        ("/readyz".to_owned(), ""),
        ("/metrics".to_owned(), "gen_ai_client_token_usage"),
        (format!("/exchanges/{id}"), "\"decisions\""),
    ] {
        let page = admin.get(&path).await.expect("a page");
        assert!(page.contains(holds), "{path}: {page}");
    }
    egress.assert_clean(&Exceptions::default()).await;
    assert_eq!(egress.weir.stop(Duration::from_secs(30)).code(), Some(0), "{}", egress.weir.written());
    assert!(!proc::runs(egress.envoy), "Envoy runs on");
    assert!(!egress.run_directory.exists(), "{} is left", egress.run_directory.display());
    let printed = egress.weir.stdout();
    assert!(printed.starts_with("ready base_url=http://127.0.0.1:") && printed.lines().count() == 1, "{printed}");
}
