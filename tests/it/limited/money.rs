//! Budgets in USD: by team over namespaces, and of calls that are no chats or have no price.

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::{code, limit, policy, rig, told};
use crate::e2e::pair::Call;
use crate::faults::rig::{BACKEND as PRICED, Parts as RigParts, Rig, ask, number};
use crate::gateway::rig::{BACKEND, Gateway, Parts};
use crate::support::envoy_stats::Exceptions;

/// A tenth of a cent a token.
const DEAR: &str = ", pricing: {models: [{model: dear, input: '1000', output: '1000'}]}}";

/// A team of two namespaces, and one of one.
const TEAMS: &str = "---
apiVersion: weir.dev/v1alpha1
kind: LLMConsumer
metadata: {name: search}
spec: {match: [{namespaces: ['search-*']}], team: search}
---
apiVersion: weir.dev/v1alpha1
kind: LLMConsumer
metadata: {name: shop}
spec: {match: [{namespaces: [shop]}], team: shop}
";

async fn a_team_has_one_budget_over_its_namespaces(mode: BodyMode) {
    let backend = BACKEND.trim_end().strip_suffix('}').expect("a flow mapping").to_owned() + DEAR + "\n";
    let budget = "  from: [{teams: ['*']}]\n  limits:\n  - {name: monthly, unit: USD, amount: '0.11', period: {calendar: \
                  Month, timeZone: Europe/Berlin}, per: [Team], count: Exact, warnAt: [50, 80]}";
    let documents = backend + TEAMS + &policy(budget);
    let gateway = Gateway::start(Parts { documents, mode, ..Parts::default() }).await;
    let client = |namespace: &str| gateway.site.client(namespace, Some(&format!("spiffe://mesh/ns/{namespace}/sa/a")));
    let (index, query, shop) = (client("search-index"), client("search-query"), client("shop"));
    let call = Call::chat(
        json!({"model": "dear", "max_tokens": 19, "messages": [{"role": "user", "content": "hi"}]}).to_string(),
    );
    let call = Call { headers: Vec::new(), ..call }.with(&[("content-type", "application/json")]);
    // 1 token in and 19 out: two cents.
    let mut answers = Vec::new();
    for client in [&index, &query, &index, &query, &index, &query] {
        let answer = gateway.call(client, &call).await;
        gateway.record_of(&answer).await;
        assert!([200, 429].contains(&answer.status), "{answer:?}");
        answers.push(answer);
    }
    let spent: Vec<u64> = gateway.records().iter().map(|record| number(&record["costNanoUsd"])).collect();
    assert_eq!(spent, [20_000_000, 20_000_000, 20_000_000, 20_000_000, 20_000_000, 0], "the last was refused");
    let refused = answers.pop().expect("a sixth");
    assert_eq!(code(&refused), (429, "project_spend_limit_exceeded".to_owned()));
    assert_eq!((refused.header("x-should-retry"), refused.header("retry-after")), (Some("false"), None));
    assert!(refused.text().contains("monthly"), "{refused:?}");
    assert_eq!(gateway.call(&shop, &call).await.status, 200, "another team's is another");
    let written = gateway.weir.written();
    for share in ["50 % of a limit", "80 % of a limit"] {
        assert_eq!(written.matches(share).count(), 1, "{written}");
    }
    // Which limit, and not whose.
    assert!(written.contains("limit=\"fair/monthly\"") && !written.contains("fair/monthly|"), "{written}");
    gateway.end(&Exceptions::default()).await;
}

async fn what_has_no_price_passes_no_budget_unless_it_may(mode: BodyMode) {
    let budget = limit("name: daily, unit: USD, amount: '1', period: {calendar: Day}");
    let profile =
        "---\napiVersion: weir.dev/v1alpha1\nkind: LLMProfile\nmetadata: {name: default}\nspec: {unpriced: Allow}\n";
    for (documents, status) in [(budget.clone(), 403), (budget.clone() + profile, 200)] {
        let rig = rig(mode, &documents).await;
        let answer = rig.chat(&[], &ask("model-without-a-price", false)).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(status == 200 || answer.text().contains("The price of"), "{answer:?}");
        assert_eq!(rig.chat(&[], &ask("alpha", false)).await.status, 200);
        rig.end(&Exceptions::default()).await;
    }
}

/// An image of a cent. One that says less may be any of its model's.
fn image() -> Value {
    json!({"model": "gpt-image-1", "prompt": "A weir.", "size": "1024x1024", "quality": "low"})
}

/// What is no chat: it is charged what its usage comes to, whatever was taken beforehand.
async fn other_endpoints_are_charged_by_their_own_usage(mode: BodyMode) {
    let two = "  limits:\n  - {name: tokens, unit: Tokens, amount: 2000, period: {rolling: 1h}, per: [Workload]}\n  - {name: \
               usd, unit: USD, amount: '0.05', period: {calendar: Day}, per: [Workload]}";
    let documents = PRICED.replace("  dialect: OpenAI\n", "  provider: mock\n") + &policy(two);
    let rig = Rig::start(RigParts { documents, mode, ..RigParts::default() }).await;
    let form = "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x\r\ncontent-disposition: \
                form-data; name=\"file\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\nRIFF....\r\n--x--\r\n";
    let rows = [
        ("/v1/embeddings", json!({"model": "text-embedding-3-small", "input": "How high is a weir?"}).to_string()),
        ("/v1/images/generations", image().to_string()),
        ("/v1/audio/transcriptions", form.to_owned()),
    ];
    let (mut tokens, mut nanos) = (0, 0);
    for (path, body) in rows {
        let kind = if body.starts_with("--") { "multipart/form-data; boundary=x" } else { "application/json" };
        let mut call = Call::post("", body);
        call.headers = vec![("content-type".to_owned(), kind.to_owned())];
        let headers = [("content-type", kind)];
        let bytes = crate::support::http1::Request { method: "POST", path, headers: &headers }.with_length(&call.body);
        let answer = crate::support::http1::exchange(&rig.address, "POST", &bytes).await.expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let record = rig.record_of(&answer).await;
        let usage = &record["usage"];
        tokens += ["input", "output", "imageIn", "imageOut", "audioIn", "audioOut"]
            .map(|class| number(&usage[class]))
            .iter()
            .sum::<u64>();
        nanos += number(&record["costNanoUsd"]);
        rig.idle().await;
        let mut probe = ask("alpha", false);
        probe["max_tokens"] = json!(1);
        let probe = rig.chat(&[], &probe).await;
        tokens += 6;
        nanos += number(&rig.record_of(&probe).await["costNanoUsd"]);
        let left = told(&probe, "x-ratelimit-remaining-tokens");
        // The probe itself is told as what it probably comes to.
        assert!(left.abs_diff(2000 - tokens) <= 30, "{path}: {left} of 2000 after {tokens}");
    }
    assert!(nanos > 10_000_000, "an image is a cent: {nanos}");
    // What is left of five cents is no five images.
    let mut refused = 0;
    for _ in 0..6 {
        let body = image().to_string();
        let answer = rig.post("/v1/images/generations", &[], body.as_bytes()).await;
        rig.record_of(&answer).await;
        refused += usize::from(code(&answer) == (429, "project_spend_limit_exceeded".to_owned()));
    }
    assert!((1..6).contains(&refused), "{refused}");
    rig.end(&Exceptions::default()).await;
}

first_mode!(a_team_has_one_budget_over_its_namespaces);
every_mode!(what_has_no_price_passes_no_budget_unless_it_may, other_endpoints_are_charged_by_their_own_usage);
