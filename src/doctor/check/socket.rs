//! Can anybody but the proxy open Weir's socket? Whoever can may read the keys that Weir puts on requests. Pure.

use std::collections::BTreeSet;

use super::{Findings, Scene, Told};
use crate::doctor::pod::{Pod, Role};

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    let Some(pods) = &scene.evidence.pods else {
        return Told::Skipped("no Pod was given (--pod FILE with what `kubectl get pod NAME -o yaml` prints)");
    };
    let mut sockets: BTreeSet<&str> = scene.evidence.wanted.socket.as_deref().into_iter().collect();
    let clusters = scene.weir.iter().filter_map(|name| scene.clusters.get(name));
    sockets.extend(clusters.flat_map(|cluster| cluster.hosts.sockets.iter().map(String::as_str)));
    if sockets.is_empty() {
        return Told::Skipped("the path of Weir's socket is not known (say --config, or give Envoy's dump)");
    }
    for pod in &pods.pods {
        for socket in &sockets {
            mounts(pod, socket, findings);
        }
    }
    Told::Looked("only the proxy and Weir mount the volume of Weir's socket".to_owned())
}

fn mounts(pod: &Pod, socket: &str, findings: &mut Findings) {
    let place = |what: &str| format!("pod {}, {what}", pod.name);
    let volumes = pod.volumes_of(socket);
    if volumes.is_empty() {
        let means = format!("No container that is known as a proxy or as Weir mounts a volume that holds {socket}.");
        let change = "mount one emptyDir at its directory, in the proxy and in Weir alone";
        return findings.warning("socket-unmounted", &place("its volumes"), means, change);
    }
    for volume in &volumes {
        for container in pod.containers.iter().filter(|container| container.role == Role::Other) {
            if container.mounts.iter().any(|mount| mount.volume == *volume) {
                let means = format!(
                    "It mounts the volume {volume}, in which {socket} is: it can ask Weir and read the keys of providers."
                );
                let change = format!("take the mount of {volume} out of this container");
                findings.error("socket-mounted", &place(&format!("container {}", container.name)), means, change);
            }
        }
        if pod.host_paths.iter().any(|name| name == volume) {
            let means = format!(
                "The socket {socket} is in a directory of the machine: whatever mounts it there can read keys."
            );
            findings.error(
                "socket-host-path",
                &place(&format!("volume {volume}")),
                means,
                "emptyDir: {} in the place of hostPath",
            );
        }
    }
    if pod.shares_processes {
        let means = "Containers see one another's processes, and through /proc one another's files: the socket too.";
        findings.warning("socket-processes", &place("the pod"), means, "shareProcessNamespace: false");
    }
}
