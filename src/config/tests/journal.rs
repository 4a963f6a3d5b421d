//! Where what is spent is kept, and what is said where it is kept nowhere.

use std::time::Duration;

use super::fake::{Fakes, lines, load_text};
use super::*;
use crate::limit::journal::Settings;

#[test]
fn a_budget_that_is_forgotten_with_its_process_is_a_warning() {
    let yaml = |process: &str, period: &str| {
        format!(
            "{{apiVersion: {API}, kind: LLMLimitPolicy, metadata: {{name: p}}, spec: {{counting: Process, limits: [\
             {{name: rpm, unit: Requests, amount: 9, period: {{rolling: 1m}}}}, \
             {{name: daily, unit: Requests, amount: 9, period: {period}}}]}}}}\n\
             --- {{apiVersion: {API}, kind: WeirBootstrap, metadata: {{name: b}}, spec: {{{process}}}}}\n"
        )
    };
    let warned = |process: &str, period: &str, options: Options| {
        let fakes = Fakes { options, ..Fakes::default() };
        let compiled = load_text(&yaml(process, period), &fakes).map_err(|errors| lines(&errors)).expect("valid");
        (lines(&compiled.warnings), compiled.bootstrap.journal)
    };
    let (warning, journal) = warned("", "{calendar: Day}", Options::default());
    assert!(warning.starts_with("weir.yaml:1:spec.limits[1].period.calendar: what is spent of \"daily\""), "{warning}");
    assert_eq!((warning.lines().count(), journal), (1, None));
    assert_eq!(warned("", "{rolling: 24h}", Options::default()).0, "");
    assert_eq!(warned("", "{calendar: Day}", Options { keeps_spend: true, ..Options::default() }).0, "");
    for (process, sync) in
        [("journal: {path: /var/lib/weir}", 100), ("journal: {path: /var/lib/weir, sync: 2s}", 2_000)]
    {
        let (warning, journal) = warned(process, "{calendar: Day}", Options::default());
        let settings = Settings { path: "/var/lib/weir".into(), sync: Duration::from_millis(sync), is_implied: false };
        assert_eq!((warning.as_str(), journal), ("", Some(settings)));
    }
}
