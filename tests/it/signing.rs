//! Signatures for AWS against botocore's own signer: on generated requests both say the same, byte for byte.

use std::fs;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use weir::base::secret::Secret;
use weir::credential::sigv4::{self, Keys, Request, Scope};

use crate::support::python;

const REQUESTS: usize = 500;

/// Signs each line of a file as `botocore.auth` does at the instant that the line says.
const SCRIPT: &str = r#"
import base64, datetime, json, sys
import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
for line in open(sys.argv[1], encoding='utf-8'):
    case = json.loads(line)
    now = datetime.datetime.fromtimestamp(case['unix'], datetime.timezone.utc)
    botocore.auth.get_current_datetime = lambda *_, **__: now
    request = AWSRequest(method=case['method'], url='https://' + case['host'] + case['path'],
                         data=base64.b64decode(case['body']))
    for name, value in case['headers']:
        request.headers.add_header(name, value)
    keys = Credentials(case['id'], case['secret'], case['token'])
    botocore.auth.SigV4Auth(keys, case['service'], case['region']).add_auth(request)
    print(request.headers['X-Amz-Date'], request.headers['Authorization'])
"#;

/// One request, the key that signs it, and when.
#[derive(Clone, Debug)]
struct Case {
    method: &'static str,
    host: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    keys: (String, String, Option<String>),
    scope: (String, &'static str),
    unix: u64,
}

/// Escaped as every SDK escapes a label of a path; a byte in three is escaped without need, or not at all.
fn step() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("model".to_owned()),
        Just("anthropic.claude-sonnet-4-5-20250929-v1%3A0".to_owned()),
        Just("us.meta.llama3-3-70b-instruct-v1:0".to_owned()),
        Just("arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2".to_owned()),
        Just("arn:aws:bedrock:us-east-1:123456789012:provisioned-model".to_owned()),
        Just("converse-stream".to_owned()),
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just(String::new()),
        "[a-zA-Z0-9_.~:@!$&'()*+,;=-]{1,12}",
        "(%[0-9A-Fa-f]{2}){1,4}",
        "[\u{e4}\u{f6}\u{3b1}\u{6c34}\u{1f30a}]{1,3}",
    ]
}

fn query() -> impl Strategy<Value = String> {
    // What is in a query is escaped: a signer that escapes and one that does not must not differ.
    let pair = ("[a-zA-Z0-9_.~-]{1,4}(%[0-9A-F]{2})?", prop::option::of("[a-zA-Z0-9_.~-]{0,4}(%[0-9A-F]{2})?"));
    let pair = pair.prop_map(|(key, value)| format!("{key}={}", value.unwrap_or_default()));
    prop_oneof![
        2 => Just(String::new()),
        1 => prop::collection::vec(pair, 1..6).prop_map(|pairs| format!("?{}", pairs.join("&"))),
    ]
}

fn header() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        Just("content-type".to_owned()),
        Just("x-amzn-bedrock-accept".to_owned()),
        "x-amz-[a-z]{1,6}",
        "[a-z][a-z0-9_.~^-]{0,10}0",
    ];
    (name, "[ \t]{0,2}[!-~]{1,8}([ \t]{1,3}[!-~]{1,8}){0,2}[ \t]{0,2}")
}

fn cases() -> impl Strategy<Value = Case> {
    let host = prop_oneof![
        Just("bedrock-runtime.us-east-1.amazonaws.com".to_owned()),
        "[a-z][a-z0-9-]{0,8}\\.example",
        "[a-z]{1,5}\\.example:8443",
    ];
    let keys = ("[A-Z0-9]{16,20}", "[A-Za-z0-9/+]{20,100}", prop::option::of("[A-Za-z0-9/+=]{1,300}"));
    let scope = (
        prop_oneof![Just("us-east-1".to_owned()), "[a-z]{2}-[a-z]{4,9}-[1-9]"],
        prop_oneof![Just("bedrock"), Just("sts"), Just("sagemaker")],
    );
    let path = (prop::collection::vec(step(), 0..5), query());
    let path = path.prop_map(|(steps, query)| format!("/{}{query}", steps.join("/")));
    let method = prop_oneof![3 => Just("POST"), 1 => Just("GET"), 1 => Just("DELETE")];
    let rest = (prop::collection::vec(header(), 0..5), prop::collection::vec(any::<u8>(), 0..64));
    (method, host, path, rest, keys, scope, 0..4_102_444_800_u64).prop_map(
        |(method, host, path, (headers, body), keys, scope, unix)| Case {
            method,
            host,
            path,
            headers,
            body,
            keys,
            scope,
            unix,
        },
    )
}

// === impl Case ===

impl Case {
    fn to_json(&self) -> Value {
        json!({
            "method": self.method, "host": self.host, "path": self.path, "headers": self.headers,
            "body": weir::base::base64::encode(&self.body), "id": self.keys.0, "secret": self.keys.1,
            "token": self.keys.2, "region": self.scope.0, "service": self.scope.1, "unix": self.unix,
        })
    }

    fn sign(&self) -> String {
        let (id, secret, token) = &self.keys;
        let keys = Keys { id: Secret::new(id), secret: Secret::new(secret), token: token.as_deref().map(Secret::new) };
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let Case { method, host, path, body, .. } = self;
        let request = Request { method, host, path, headers: &headers, body };
        let signed = sigv4::sign(&request, &keys, Scope { region: &self.scope.0, service: self.scope.1 }, self.unix);
        format!("{} {}", signed.date, signed.authorization.expose())
    }
}

#[test]
fn botocore_signs_generated_requests_alike() {
    let mut runner = TestRunner::deterministic();
    let strategy = cases();
    let cases: Vec<Case> =
        (0..REQUESTS).map(|_| strategy.new_tree(&mut runner).expect("a request").current()).collect();
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("requests.jsonl");
    let lines: String = cases.iter().map(|case| format!("{}\n", case.to_json())).collect();
    fs::write(&file, lines).expect("a file");
    let output = python::run_script(SCRIPT, &[file.to_str().expect("a path in UTF-8")], &[]);
    assert!(output.status.success(), "{output:?}");
    let signed: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(signed.len(), REQUESTS);
    for (case, expected) in cases.iter().zip(signed) {
        assert_eq!(case.sign(), expected, "{case:?}");
    }
}
