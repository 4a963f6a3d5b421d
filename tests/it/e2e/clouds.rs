//! What a cloud's backend receives through a real Envoy: a signature that holds for what arrives, or a token that
//! was fetched from the cloud's own kind of endpoint.

use std::path::Path;

use serde_json::{Value, json};
use weir::base::secret::Secret;
use weir::credential::sigv4::Keys;
use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::pair::{BOTH, Call, Protocol};
use crate::credentials::fake::{Fake, Seen, json as token_json};
use crate::credentials::google::{Account, token_server};
use crate::support::aws::Arrived;
use crate::support::envoy_stats::Exceptions;

/// One backend for each way to have a credential. Places of fakes are in the environment.
const CONFIG: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {discovery: {environment: Disabled}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: static}
spec:
  endpoint: \"http://{mock}/a\"
  dialect: Bedrock
  region: us-east-1
  headers: {set: [{name: x-amz-extra, value: of the document}]}
  credentials: [{type: AWS, aws: {accessKeyId: {env: A_ID}, secretAccessKey: {env: A_SECRET}}}]
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: profile}
spec: {endpoint: \"http://{mock}\", dialect: Bedrock, region: eu-west-3, credentials: [{type: AWS, aws: {profile: team}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: web}
spec:
  endpoint: \"http://{mock}\"
  dialect: Bedrock
  region: us-west-2
  credentials:
  - {type: AWS, aws: {webIdentity: {roleArn: \"arn:aws:iam::123456789012:role/weir\", tokenFile: {folder}/web-token}}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: ambient}
spec: {endpoint: \"http://{mock}\", dialect: Bedrock, region: us-east-2, credentials: [{type: AWS, aws: {ambient: {}}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: vertex}
spec:
  endpoint: \"http://{mock}/v1/projects/p/locations/us-central1\"
  dialect: Vertex
  credentials:
  - {type: GCP, gcp: {project: p, location: us-central1, serviceAccountKey: {file: {folder}/key.json}}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: entra}
spec: {endpoint: \"http://{mock}/openai/v1\", dialect: Azure, credentials: [{type: Azure, azure: {managedIdentity: {}}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: gone}
spec:
  endpoint: \"http://{mock}/v1\"
  dialect: OpenAI
  credentials:
  - type: OAuth
    oauth: {tokenUrl: \"{gone}/token\", clientId: c, clientSecret: {env: A_SECRET}}
";

const MODEL: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";

/// Those of one backend, as its fake gives them.
fn keys(of: &str, token: Option<&str>) -> Keys {
    let secret = Secret::new(&format!("wJalrXUtnFEMI/K7MDENG+{of}"));
    Keys { id: Secret::new(&format!("AKID{of}")), secret, token: token.map(Secret::new) }
}

/// The signature of what arrived holds, and is as old as it can be.
fn must_hold(seen: &Value, keys: &Keys, region: &str) {
    let pairs = seen["headers"].as_array().expect("headers").iter();
    let headers: Vec<(&str, &str)> =
        pairs.map(|pair| (pair[0].as_str().expect("a name"), pair[1].as_str().expect("a value"))).collect();
    let text = |name: &str| seen[name].as_str().unwrap_or_default();
    let host = headers.iter().find(|(name, _)| *name == "host").expect("a host").1;
    let (method, path, body) = (text("method"), text("path"), text("body").as_bytes());
    let unix = Arrived { method, host, path, headers, body }.signed_at(keys, region);
    let age = weir::credential::lease::now().abs_diff(unix);
    assert!(age < 300, "a service takes a signature for five minutes: {age}");
}

/// As an SDK of AWS calls, with the signature of a key that does not count here.
fn converse(backend: &str, stream: bool) -> Call {
    let action = if stream { "converse-stream" } else { "converse" };
    let path = format!("/model/{backend}%2F{}/{action}", MODEL.replace(':', "%3A"));
    let body = json!({"messages": [{"role": "user", "content": [{"text": "h\u{e9}llo"}]}]});
    Call::post(path.leak(), body.to_string()).with(&[
        ("x-amz-date", "20200101T000000Z"),
        ("x-amz-security-token", "of-the-caller"),
        ("x-amz-content-sha256", "of-the-caller"),
        ("amz-sdk-request", "attempt=1"),
        ("x-mock-echo", "1"),
    ])
}

fn chat(backend: &str) -> Call {
    let body = json!({"model": format!("{backend}/m"), "messages": [{"role": "user", "content": "hi"}]});
    Call::chat(body.to_string()).with(&[("x-mock-echo", "1")])
}

/// The security token service, and the endpoint of a container.
fn aws(seen: &Seen) -> (u16, String) {
    if seen.path == "/container" {
        assert_eq!(seen.headers["authorization"], "container-token");
        let Keys { id, secret, token } = keys("ambient", Some("tok/ambient=="));
        let token = token.expect("a token");
        let answer = json!({
            "AccessKeyId": id.expose(), "SecretAccessKey": secret.expose(), "Token": token.expose(),
            "Expiration": "2099-01-01T00:00:00Z",
        });
        return (200, answer.to_string());
    }
    let form = seen.form();
    assert_eq!((&*seen.method, &*form["Action"]), ("POST", "AssumeRoleWithWebIdentity"));
    assert_eq!((&*form["RoleArn"], &*form["RoleSessionName"]), ("arn:aws:iam::123456789012:role/weir", "weir"));
    assert_eq!(form["WebIdentityToken"], "eyJ.cluster");
    let Keys { id, secret, token } = keys("web", Some("tok/web=="));
    let token = token.expect("a token");
    let answer = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{}</AccessKeyId>\
         <SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
         </AssumeRoleWithWebIdentityResponse>",
        id.expose(),
        secret.expose(),
        token.expose()
    );
    (200, answer)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("text").to_owned()
}

/// The fakes of all clouds, and what Weir is started with.
struct Clouds {
    aws: Fake,
    google: Fake,
    azure: Fake,
    _gone: Fake,
    config: String,
    environment: Vec<(&'static str, String)>,
}

// === impl Clouds ===

impl Clouds {
    async fn start(folder: &Path) -> Clouds {
        let account = Account::new(folder);
        let (aws, google) = (Fake::start(aws).await, token_server(&account, "ya29.vertex").await);
        let azure = Fake::start(|seen| {
            assert_eq!(seen.headers["x-identity-header"], "header-secret");
            token_json("entra-token", 3600)
        })
        .await;
        let gone = Fake::start(|_| (500, "hush".to_owned())).await;
        write(folder, "key.json", &account.file(&format!("{}/token", google.url)));
        write(folder, "web-token", "eyJ.cluster");
        let of = keys("profile", None);
        let (id, secret) = (of.id.expose(), of.secret.expose());
        let profile = format!("[team]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        let profiles = write(folder, "credentials", &profile);
        let config = CONFIG.replace("{folder}", folder.to_str().expect("text")).replace("{gone}", &gone.url);
        let of = keys("static", None);
        let environment = vec![
            ("A_ID", of.id.expose().to_owned()),
            ("A_SECRET", of.secret.expose().to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", profiles),
            ("AWS_ENDPOINT_URL_STS", aws.url.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/container", aws.url)),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token".to_owned()),
            ("IDENTITY_ENDPOINT", format!("{}/msi", azure.url)),
            ("IDENTITY_HEADER", "header-secret".to_owned()),
        ];
        Clouds { aws, google, azure, _gone: gone, config, environment }
    }
}

async fn must_sign(egress: &Egress, protocol: Protocol) {
    for (backend, region, token) in [
        ("static", "us-east-1", None),
        ("profile", "eu-west-3", None),
        ("web", "us-west-2", Some("tok/web==")),
        ("ambient", "us-east-2", Some("tok/ambient==")),
    ] {
        for stream in [false, true] {
            let answer = converse(backend, stream).send(protocol, &egress.address).await;
            assert_eq!(answer.status, 200, "{backend}: {answer:?}\n{}", egress.weir.written());
            let seen: Value = answer.json();
            let path = seen["path"].as_str().expect("a path");
            assert!(path.contains("/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"), "{path}");
            must_hold(&seen, &keys(backend, token), region);
        }
    }
}

/// The ARN of a profile is one step of the path, whatever stands in it.
async fn must_sign_an_arn(egress: &Egress, protocol: Protocol) {
    let model = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1b2";
    for path in [format!("/model/static%2F{model}/converse"), format!("/model/static%2f{model}/converse")] {
        let body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
        let call = Call::post(path.leak(), body.to_string()).with(&[("x-mock-echo", "1")]);
        let answer = call.send(protocol, &egress.address).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen: Value = answer.json();
        assert_eq!(seen["path"], format!("/a/model/{model}/converse"));
        must_hold(&seen, &keys("static", None), "us-east-1");
    }
}

async fn must_bear(egress: &Egress, protocol: Protocol) {
    let gemini = Call::post(
        "/v1beta1/models/vertex%2Fgemini-2.5-flash:generateContent?key=AIza-of-the-caller",
        json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}).to_string(),
    );
    for (call, expected) in
        [(gemini.with(&[("x-mock-echo", "1")]), "Bearer ya29.vertex"), (chat("entra"), "Bearer entra-token")]
    {
        let answer = call.send(protocol, &egress.address).await;
        assert_eq!(answer.status, 200, "{expected}: {answer:?}\n{}", egress.weir.written());
        let seen: Value = answer.json();
        let headers = seen["headers"].as_array().expect("headers").iter();
        let sent: Vec<&Value> = headers.filter(|pair| pair[0] == "authorization").map(|pair| &pair[1]).collect();
        assert_eq!(sent, [&json!(expected)]);
        assert!(!seen.to_string().contains("of-the-caller"), "{seen}");
    }
}

async fn every_backend_gets_what_its_cloud_takes(mode: BodyMode) {
    let folder = tempfile::tempdir().expect("a directory");
    let clouds = Clouds::start(folder.path()).await;
    let environment: Vec<(&str, &str)> = clouds.environment.iter().map(|(name, value)| (*name, &**value)).collect();
    let egress = Egress::up_with(mode, &clouds.config, &environment).await;
    for protocol in BOTH {
        must_sign(&egress, protocol).await;
        must_sign_an_arn(&egress, protocol).await;
        must_bear(&egress, protocol).await;
        let refused = chat("gone").send(protocol, &egress.address).await;
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(refused.json()["error"]["code"], "credential_unavailable", "{refused:?}");
        let message = refused.json()["error"]["message"].to_string();
        assert!(message.contains("gone") && message.contains("no valid token"), "{message}");
    }
    // Each source was asked once, whoever called.
    assert_eq!((clouds.aws.seen().len(), clouds.google.seen().len(), clouds.azure.seen().len()), (2, 1, 1));
    let ledger = egress.ledger_of(26).await;
    let named: std::collections::BTreeSet<&str> =
        ledger.iter().filter_map(|line| line["credential"].as_str()).collect();
    let expected = [
        "AWS/accessKey/env/A_ID",
        "AWS/ambient",
        "AWS/profile/team",
        "AWS/webIdentity/arn:aws:iam::123456789012:role/weir",
        "Azure/managedIdentity",
        "GCP/serviceAccountKey/weir@p.iam.gserviceaccount.com",
    ];
    assert_eq!(named.into_iter().collect::<Vec<_>>(), expected);
    let secrets = ["wJalrXUtnFEMI", "tok/", "ya29", "entra-token", "PRIVATE KEY", "hush"];
    for text in [egress.weir.written(), format!("{ledger:?}")] {
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    }
    egress.assert_clean(&Exceptions::default()).await;
}

/// The metadata of an instance, the second version: a session first.
fn instance(seen: &Seen) -> (u16, String) {
    if seen.path == "/" {
        // A security token service that has lost its mind.
        return (200, "<Garbage>hush-answer</Garbage>".to_owned());
    }
    let role = "/latest/meta-data/iam/security-credentials";
    let path = seen.path.replace("-extended", "");
    if seen.method == "PUT" {
        assert_eq!(seen.path, "/latest/api/token");
        assert!(seen.headers["x-aws-ec2-metadata-token-ttl-seconds"].parse::<u32>().is_ok());
        return (200, "session-of-the-instance".to_owned());
    }
    assert_eq!(seen.headers["x-aws-ec2-metadata-token"], "session-of-the-instance");
    if path.trim_end_matches('/') == role {
        return (200, "weir-role".to_owned());
    }
    assert_eq!(path, format!("{role}/weir-role"));
    let Keys { id, secret, token } = keys("instance", Some("tok/instance=="));
    let answer = json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": id.expose(), "SecretAccessKey": secret.expose(),
        "Token": token.as_ref().map(Secret::expose), "AccountId": "123456789012", "Expiration": "2099-01-01T00:00:00Z",
    });
    (200, answer.to_string())
}

async fn an_instance_gives_its_key(mode: BodyMode) {
    const ALONE: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: ambient}
spec: {endpoint: \"http://{mock}\", dialect: Bedrock, credentials: [{type: AWS, aws: {ambient: {}}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: web}
spec:
  endpoint: \"http://{mock}\"
  dialect: Bedrock
  credentials: [{type: AWS, aws: {webIdentity: {roleArn: r, tokenFile: {folder}/web-token}}}]
";
    let folder = tempfile::tempdir().expect("a directory");
    write(folder.path(), "web-token", "hush-token");
    let config = ALONE.replace("{folder}", folder.path().to_str().expect("text"));
    let fake = Fake::start(instance).await;
    let environment = [
        ("AWS_REGION", "sa-east-1"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*fake.url),
        ("AWS_ENDPOINT_URL_STS", &*fake.url),
        ("WEIR_LOG", "trace"),
    ];
    let egress = Egress::up_with(mode, &config, &environment).await;
    for protocol in BOTH {
        let answer = converse("ambient", false).send(protocol, &egress.address).await;
        assert_eq!(answer.status, 200, "{answer:?}\n{}", egress.weir.written());
        must_hold(&answer.json(), &keys("instance", Some("tok/instance==")), "sa-east-1");
        assert_eq!(converse("web", false).send(protocol, &egress.address).await.status, 503);
    }
    // Not even who asks for everything gets what was sent and what came.
    let told = egress.weir.written();
    assert!(told.contains("credential \"AWS/webIdentity/r\" cannot be fetched"), "{told}");
    for secret in ["hush-answer", "hush-token", "session-of-the-instance", "tok/instance", "wJalrXUtnFEMI"] {
        assert!(!told.contains(secret), "{secret} in\n{told}");
    }
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(every_backend_gets_what_its_cloud_takes);

first_mode!(an_instance_gives_its_key);
