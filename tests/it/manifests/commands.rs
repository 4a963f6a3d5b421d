//! The commands of the pages in `mesh/` and of `examples/egress-gateway`: each shell block that does not say that it
//! needs a cluster is run, and what it writes is the text block behind it.

use super::resolved::root;
use crate::faults::explain::shell;

const PAGES: &[&str] =
    &["mesh/README.md", "mesh/roles-and-trust.md", "mesh/applications.md", "examples/egress-gateway/README.md"];

/// How a block begins that nothing here can run.
const CLUSTER: &str = "# Needs a cluster.";
/// And one that takes minutes, or the network.
const BUILD: &str = "# Needs a build.";

#[test]
fn commands_write_what_the_pages_say() {
    let mut run = 0;
    for page in PAGES {
        let text = std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
        let blocks: Vec<(&str, &str)> =
            text.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect();
        let mut found = text.clone();
        for (at, (kind, script)) in blocks.iter().enumerate() {
            if *kind != "sh" || script.starts_with(CLUSTER) || script.starts_with(BUILD) {
                continue;
            }
            let Some(("text", expected)) = blocks.get(at + 1) else { panic!("{page}: nothing behind {script}") };
            let answer = shell(script);
            run += 1;
            let block = |text: &str| format!("{script}```\n\n```text\n{text}```");
            assert!(found.contains(&block(expected)), "{page}: {script}");
            found = found.replace(&block(expected), &block(&answer));
        }
        if std::env::var_os("WEIR_BLESS").is_some() {
            std::fs::write(root().join(page), &found).expect("the page");
        }
        let text = std::fs::read_to_string(root().join(page)).expect("the page");
        assert!(found == text, "{page}: a command writes something else (WEIR_BLESS=1 writes it anew):\n{found}");
    }
    assert!(run >= 4, "{run}");
}

#[test]
fn links_of_the_pages_lead_somewhere() {
    for page in PAGES {
        let path = root().join(page);
        let text = std::fs::read_to_string(&path).expect("a page");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in links.filter(|link| !link.starts_with("https://") && !link.starts_with('#')) {
            let file = link.split('#').next().expect("a path");
            assert!(path.parent().expect("a folder").join(file).exists(), "{page}: {link}");
        }
    }
}
