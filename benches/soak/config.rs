//! [io] What Weir is told, what is made worse in the rendered configuration, and what Envoy counted.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use weir::render::attempt;
use weir::render::envoy::EXTPROC_CLUSTER;

const FILTER: &str = "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions/http_filters/0/typed_config";

/// A form of the attempt filter that ends Envoy 1.40, to see that this bench would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Worse {
    /// Both roles through one cluster.
    Shared,
    /// The response's head is sent as well.
    Heads,
}

/// Documents for two backends, of which each call visits both, in either order.
pub fn documents(directory: &Path, bad: SocketAddr, good: SocketAddr) -> String {
    let backend = |name: &str, at: SocketAddr| {
        format!(
            "apiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {{name: {name}}}\n\
             spec: {{endpoint: 'http://{at}/v1', dialect: OpenAI, credentials: [{{type: None}}]}}\n---\n"
        )
    };
    let directory = directory.display();
    format!(
        "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {{name: process}}\nspec:\n  \
         listen: {{extProc: 'unix:{directory}/processor.sock', adminSocket: 'unix:{directory}/admin.sock', \
         metrics: '127.0.0.1:0'}}\n---\n{}{}\
         apiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: chat}}\nspec:\n  rules:\n  \
         - name: all\n    backends: [{{name: bad}}, {{name: good}}]\n    failover: PerAttempt\n    \
         retry: {{attempts: 1, on: [ServerError, ConnectFailure], cooldown: 1ms}}\n",
        backend("bad", bad),
        backend("good", good)
    )
}

/// Makes the filters of the providers' clusters worse.
pub fn worsen(path: &Path, worse: Worse) -> io::Result<()> {
    let mut clusters: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    for cluster in clusters["resources"].as_array_mut().into_iter().flatten() {
        let Some(filter) = cluster.pointer_mut(FILTER) else { continue };
        match worse {
            Worse::Shared => filter["grpc_service"]["envoy_grpc"]["cluster_name"] = json!(EXTPROC_CLUSTER),
            Worse::Heads => filter["processing_mode"]["response_header_mode"] = json!("SEND"),
        }
    }
    debug_assert!(clusters.to_string().contains(attempt::LENGTH_HEADER));
    std::fs::write(path, serde_json::to_vec(&clusters)?)
}

/// The counters of Envoy that tell what became of retries.
pub async fn stats(admin: SocketAddr) -> Result<String, Box<dyn Error>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let names =
        "upstream_rq_retry|upstream_rq_.*overflow|server.uptime|ext_proc.*(failed|error|spurious|opened|closed)";
    let uri = format!("http://{admin}/stats?usedonly&filter={names}").replace('|', "%7C");
    let answer = client.get(uri.parse()?).await?;
    Ok(String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?)
}
