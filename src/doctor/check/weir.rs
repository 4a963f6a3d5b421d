//! What Weir says of itself. Pure.

use super::{Findings, Scene, Told};

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    let Some(weir) = &scene.evidence.weir else {
        return Told::Skipped("Weir was not asked (--admin SOCKET, or --config PATH)");
    };
    const AT: &str = "weir";
    if let Some(why) = &weir.absent {
        let means = format!("Weir does not answer on its admin socket: {why}.");
        findings.error("weir-absent", AT, means, "is `weir run` up? Run this as its user: the socket's mode is 0600");
        return Told::Skipped("Weir does not answer");
    }
    if !weir.is_ready {
        let means = "Weir is not ready: calls would be refused.";
        findings.error("weir-not-ready", AT, means, "look at GET /config on the admin socket, and at Weir's log");
    }
    if weir.refused > 0 {
        let means =
            format!("The newest configuration was refused ({} errors); the one before is in force.", weir.refused);
        findings.error("weir-config-refused", AT, means, "`weir check PATH` says every error");
    }
    if weir.signs == Some(false) {
        findings.warning(
            "weir-signing-off",
            AT,
            "Weir puts no key on requests: it listens where others could read it.",
            "a socket in a directory of Weir's own, or listen.socketAccess: Mount with the volume in the proxy and Weir alone",
        );
    }
    if weir.failed_open > 0 {
        let means = format!("Policies let {} calls pass that they could not check.", weir.failed_open);
        findings.warning(
            "weir-failed-open",
            AT,
            means,
            "weir_fail_open_total says which and why; onError: Deny, where it must hold",
        );
    }
    if weir.shed > 0 {
        let means = format!("{} calls were refused because there was no room.", weir.shed);
        findings.warning("weir-shed", AT, means, "overload: {maxExchanges, maxBuffered}, or more replicas");
    }
    Told::Looked("Weir answers, is ready, and runs its newest configuration".to_owned())
}
