//! What a person or a script gives it, and what comes back: exit codes and words.

use weir::up::RunDir;

use super::rig::doctor;

#[test]
fn what_cannot_be_read_exits_with_2_and_says_what_to_give() {
    let directory = RunDir::create().expect("a directory");
    let list = directory.file("list.json");
    std::fs::write(&list, "[]").expect("a file");
    let list = list.to_str().expect("text");
    let rows: &[(&[&str], Option<&str>, &str)] = &[
        (&[], None, "--envoy URL, --config-dump FILE or -, or --pod FILE"),
        (&["/nowhere/dump.json"], None, "/nowhere/dump.json: No such file"),
        (&["-"], Some(""), "stdin: no dump of an Envoy: no JSON at line 1, column 0: it ends too early"),
        (&["-"], Some("{\"a\": [}"), "stdin: no dump of an Envoy: no JSON at line 1"),
        (&[list], None, "list.json: no dump of an Envoy: it has no list `configs`"),
        (&["--pod", list], None, "list.json: it holds no Pod"),
        (&["-", "--stats", "-"], Some("{}"), "only one of"),
        (&["-", "--stats", list], Some("{\"configs\": []}"), "no counters of an Envoy"),
        (&["--envoy", "http://127.0.0.1:1"], None, "http://127.0.0.1:1/config_dump?include_eds: "),
        (&["-", "--config", "/nowhere/weir.yaml"], Some("{\"configs\": []}"), "/nowhere/weir.yaml"),
        (&["a", "--envoy", "http://127.0.0.1:1"], None, "cannot be used with"),
    ];
    for (arguments, input, wanted) in rows {
        let said = doctor(arguments, *input);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        assert!(said.err.contains(wanted) && said.out.is_empty(), "{arguments:?}: {said:?}");
    }
}

#[test]
fn an_envoy_without_weir_is_an_error() {
    let said = doctor(&["-"], Some("{\"configs\": []}"));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("error   no-filter: every listener\n"), "{said:?}");
}

#[test]
fn a_pod_alone_can_be_looked_at() {
    let pod = "kind: Pod\nmetadata: {name: chat}\nspec:\n  containers:\n  \
               - {name: weir, image: weir, volumeMounts: [{name: s, mountPath: /run/weir}]}\n  \
               - {name: app, image: app, volumeMounts: [{name: s, mountPath: /mnt}]}\n";
    let directory = RunDir::create().expect("a directory");
    let config = directory.file("weir.yaml");
    let text = "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {name: p}\nspec:\n  \
                listen: {extProc: 'unix:/run/weir/extproc.sock', adminSocket: 'unix:/nowhere/a.sock'}\n";
    std::fs::write(&config, text).expect("a file");
    let said = doctor(&["--pod", "-", "--config", config.to_str().expect("text")], Some(pod));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("error   socket-mounted: pod chat, container app\n"), "{said:?}");
    let right = doctor(
        &["--pod", "-", "--config", config.to_str().expect("text")],
        Some(&pod.replace("{name: s, mountPath: /mnt}", "")),
    );
    assert_eq!(right.code, Some(0), "{right:?}");
}
