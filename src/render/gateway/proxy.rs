//! The pods of the gateway: Envoy as Envoy Gateway makes it, and Weir as a native sidecar that is there before
//! Envoy starts and leaves after it. Pure.

use std::path::Path;

use serde_json::{Value, json};

use super::{ENVIRONMENT, Mount, NAME, Plan, VERSION, resource, settings};
use crate::render::envoy;

/// The group and user of a distroless image.
const NONROOT: u32 = 65532;

const SOCKET: &str = "weir-socket";
const ADMIN: &str = "weir-admin";
const DOCUMENTS: &str = "weir-documents";
const DOCUMENTS_AT: &str = "/etc/weir";
const SECRETS_AT: &str = "/run/weir-secrets";

/// What is mounted of a Secret: the volume, the Secret's name, where.
struct Volume {
    name: String,
    secret: String,
    path: String,
}

/// The EnvoyProxy of the Gateway.
pub(super) fn envoy_proxy(plan: &Plan) -> Value {
    let volumes: Vec<Volume> = plan.weir.secrets.iter().enumerate().map(Volume::new).collect();
    let of_secrets = volumes
        .iter()
        .map(|volume| json!({"name": volume.name, "secret": {"secretName": volume.secret, "defaultMode": 0o440}}));
    let mut pod_volumes = vec![
        json!({"name": SOCKET, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}),
        json!({"name": ADMIN, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}),
        json!({"name": DOCUMENTS, "configMap": {"name": settings::NAME}}),
    ];
    pod_volumes.extend(of_secrets);
    // The group may read what is mounted; Envoy mounts none of it.
    let pod = json!({"volumes": pod_volumes, "securityContext": {"fsGroup": NONROOT}});
    let deployment = json!({
        "pod": pod,
        "container": {"volumeMounts": [
            {"name": SOCKET, "mountPath": directory(plan.weir.socket), "readOnly": true},
        ]},
        "initContainers": [container(plan, &volumes)],
    });
    resource(
        VERSION,
        "EnvoyProxy",
        plan.namespace,
        NAME,
        json!({
            "provider": {"type": "Kubernetes", "kubernetes": {
                "envoyDeployment": deployment,
                // Envoy Gateway would otherwise ask for a load balancer that the world can call.
                "envoyService": {"type": "ClusterIP"},
            }},
            // Answers that run when a pod is told to go may end.
            "shutdown": {"drainTimeout": format!("{}s", plan.weir.drain_seconds)},
            "telemetry": {"accessLog": {"settings": [{
                "format": {"type": "JSON", "json": envoy::log_format()},
                "sinks": [{"type": "File", "file": {"path": "/dev/stdout"}}],
            }]}},
        }),
    )
}

fn container(plan: &Plan, volumes: &[Volume]) -> Value {
    let weir = &plan.weir;
    let mut mounts = vec![
        json!({"name": SOCKET, "mountPath": directory(weir.socket)}),
        json!({"name": ADMIN, "mountPath": directory(weir.admin_socket)}),
        json!({"name": DOCUMENTS, "mountPath": DOCUMENTS_AT, "readOnly": true}),
    ];
    let of_secret = |volume: &Volume| json!({"name": volume.name, "mountPath": volume.path, "readOnly": true});
    mounts.extend(volumes.iter().map(of_secret));
    let ready = json!({"path": "/readyz", "port": "metrics"});
    let mut container = json!({
        "name": "weir",
        "image": weir.image,
        // A native sidecar: Envoy's container starts when the probe has succeeded, and stops before this one.
        "restartPolicy": "Always",
        "args": [
            "run", "--config", DOCUMENTS_AT, "--secrets-dir", SECRETS_AT,
            "--root-namespace", weir.root_namespace, "--json-logs",
        ],
        "ports": [{"name": "metrics", "containerPort": weir.metrics_port, "protocol": "TCP"}],
        "startupProbe": {"httpGet": ready, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {"httpGet": ready, "periodSeconds": 5},
        "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": NONROOT,
            "runAsGroup": NONROOT,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": mounts,
    });
    if weir.environment {
        container["envFrom"] = json!([{"secretRef": {"name": ENVIRONMENT}}]);
    }
    container
}

fn directory(path: &Path) -> String {
    path.parent().unwrap_or(Path::new("/")).display().to_string()
}

// === impl Volume ===

impl Volume {
    fn new((index, mount): (usize, &Mount)) -> Self {
        let (secret, path) = match &mount.namespace {
            Some(namespace) => {
                (format!("{namespace}.{}", mount.name), format!("{SECRETS_AT}/{namespace}/{}", mount.name))
            }
            None => (mount.name.clone(), format!("{SECRETS_AT}/{}", mount.name)),
        };
        Volume { name: format!("weir-secret-{index}"), secret, path }
    }
}
