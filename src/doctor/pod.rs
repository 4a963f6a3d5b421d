//! Pods as Kubernetes tells of them: which container mounts what. Pure.

use serde_json::Value;

/// The Pods of a file.
#[derive(Debug, Default)]
pub struct Pods {
    pub pods: Vec<Pod>,
}

/// A Pod, or the template of one.
#[derive(Debug, Default)]
pub struct Pod {
    pub name: String,
    pub containers: Vec<Container>,
    /// Volumes that are a directory of the machine.
    pub host_paths: Vec<String>,
    pub shares_processes: bool,
}

#[derive(Debug, Default)]
pub struct Container {
    pub name: String,
    pub role: Role,
    pub mounts: Vec<Mount>,
}

/// What a container is, by its name and image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    Weir,
    Proxy,
    #[default]
    Other,
}

#[derive(Debug, Default)]
pub struct Mount {
    pub volume: String,
    pub path: String,
}

/// Why a file holds no Pod.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    #[error("neither JSON nor YAML")]
    Syntax,
    #[error("it holds no Pod: take what `kubectl get pod NAME -o yaml` prints")]
    NoPod,
}

/// Lists in lists, and templates, are followed so far.
const DEPTH: usize = 4;

// === impl Pods ===

impl Pods {
    /// Reads JSON or YAML: a Pod, a list of Pods, or whatever has a template of one.
    ///
    /// # Errors
    /// When it is neither, or holds none.
    pub fn read(text: &str) -> Result<Pods, PodError> {
        let documents: Vec<Value> = match serde_json::from_str(text) {
            Ok(value) => vec![value],
            Err(_) => serde_saphyr::from_multiple(text).map_err(|_| PodError::Syntax)?,
        };
        let mut pods = Vec::new();
        documents.iter().for_each(|document| collect(document, DEPTH, &mut pods));
        if pods.is_empty() { Err(PodError::NoPod) } else { Ok(Pods { pods }) }
    }
}

fn collect(value: &Value, depth: usize, pods: &mut Vec<Pod>) {
    if depth == 0 {
        return;
    }
    for item in list(&value["items"]) {
        collect(item, depth - 1, pods);
    }
    let spec = &value["spec"];
    if spec["containers"].is_array() {
        pods.push(Pod::read(text(&value["metadata"]["name"]), spec));
    } else if spec["template"].is_object() {
        let name = text(&value["metadata"]["name"]);
        pods.push(Pod::read(name, &spec["template"]["spec"]));
    } else if spec["jobTemplate"].is_object() {
        collect(&spec["jobTemplate"], depth - 1, pods);
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

// === impl Pod ===

impl Pod {
    fn read(name: String, spec: &Value) -> Pod {
        let kinds = ["initContainers", "containers", "ephemeralContainers"];
        let containers = kinds.iter().flat_map(|kind| list(&spec[*kind])).map(Container::read).collect();
        let on_host = |volume: &&Value| volume["hostPath"].is_object();
        let host_paths = list(&spec["volumes"]).iter().filter(on_host).map(|volume| text(&volume["name"])).collect();
        Pod { name, containers, host_paths, shares_processes: spec["shareProcessNamespace"] == Value::Bool(true) }
    }

    /// The volumes that hold the directory of this socket, as any container sees it.
    pub fn volumes_of(&self, socket: &str) -> Vec<&str> {
        let holds = |mount: &&Mount| {
            let path = mount.path.trim_end_matches('/');
            !path.is_empty() && socket.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
        };
        let ours = self.containers.iter().filter(|container| container.role != Role::Other);
        let mut volumes: Vec<&str> = Vec::new();
        for container in ours {
            // The innermost mount is the one that counts.
            let best = container.mounts.iter().filter(holds).max_by_key(|mount| mount.path.len());
            volumes.extend(best.map(|mount| mount.volume.as_str()));
        }
        volumes.sort_unstable();
        volumes.dedup();
        volumes
    }
}

// === impl Container ===

impl Container {
    fn read(value: &Value) -> Container {
        let mount = |mount: &Value| Mount { volume: text(&mount["name"]), path: text(&mount["mountPath"]) };
        let name = text(&value["name"]);
        let role = Role::of(&name, &text(&value["image"]), list(&value["command"]));
        Container { role, name, mounts: list(&value["volumeMounts"]).iter().map(mount).collect() }
    }
}

// === impl Role ===

impl Role {
    fn of(name: &str, image: &str, command: &[Value]) -> Role {
        let image = image.rsplit('/').next().unwrap_or_default();
        let image = image.split(['@', ':']).next().unwrap_or_default();
        let program = command.first().and_then(Value::as_str).unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default();
        let is = |word: &str| name == word || image == word || program == word;
        if is("weir") {
            Role::Weir
        } else if ["istio-proxy", "proxyv2", "envoy"].into_iter().any(is) || image.starts_with("envoy") {
            Role::Proxy
        } else {
            Role::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: chat}
spec:
  initContainers:
  - {name: weir, image: 'registry.example/weir:1', volumeMounts: [{name: weir-socket, mountPath: /run/weir/}]}
  - {name: istio-proxy, image: 'registry.example/proxyv2:1.30', volumeMounts: [{name: weir-socket, mountPath: /run/weir}, {name: tokens, mountPath: /run}]}
  containers:
  - {name: app, image: app, volumeMounts: [{name: tokens, mountPath: /run}]}
";

    #[test]
    fn the_volume_of_a_socket_is_the_innermost_mount() {
        let pods = Pods::read(POD).unwrap();
        let pod = &pods.pods[0];
        assert_eq!((pod.name.as_str(), pod.containers.len()), ("chat", 3));
        assert_eq!(
            pod.containers.iter().map(|one| one.role).collect::<Vec<_>>(),
            [Role::Weir, Role::Proxy, Role::Other]
        );
        assert_eq!(pod.volumes_of("/run/weir/extproc.sock"), ["weir-socket"]);
        assert_eq!(pod.volumes_of("/elsewhere/extproc.sock"), Vec::<&str>::new());
    }

    #[test]
    fn templates_and_lists_hold_pods_and_other_things_do_not() {
        let one: Value = serde_saphyr::from_str(POD).unwrap();
        let deployment = serde_json::json!({"metadata": {"name": "d"}, "spec": {"template": {"spec": one["spec"]}}});
        let listed = serde_json::json!({"kind": "List", "items": [one, deployment]});
        let pods = Pods::read(&listed.to_string()).unwrap();
        assert_eq!(pods.pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["chat", "d"]);
        assert!(matches!(Pods::read("{}"), Err(PodError::NoPod)));
        assert!(matches!(Pods::read("a: [b"), Err(PodError::Syntax)));
    }
}
