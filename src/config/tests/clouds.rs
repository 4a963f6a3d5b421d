//! Backends of the clouds: where they are, what signs, what is fetched, and what is missing.

use std::sync::OnceLock;

use super::*;
use crate::config::KeysAre;
use crate::credential::source::{Aws, Azure, Google, OAuth, Source};
use crate::credential::{Credential, sign};
use crate::credential::{Leaving, Signing};

const EXTERNAL: &str = r#"{"type": "external_account", "audience": "a", "subject_token_type": "t",
    "token_url": "https://sts.example/", "credential_source": {"file": "/etc/passwd"}}"#;

const NO_KEY: &str = r#"{"type": "service_account", "client_email": "a@p.iam", "private_key_id": "1",
    "private_key": "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n"}"#;

/// The key of a service account, of which none is kept anywhere.
fn service_account() -> &'static str {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| {
        let asked = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        let made = std::process::Command::new("openssl").args(asked).output().expect("openssl");
        let pem = String::from_utf8(made.stdout).expect("PEM");
        let file = serde_json::json!({
            "type": "service_account", "client_email": "a@p.iam", "private_key_id": "1", "private_key": pem,
        });
        file.to_string()
    })
}

fn fakes() -> Fakes {
    Fakes {
        options: Options { secrets_dir: Some("/secrets".into()), ..Fakes::default().options },
        env: [("HOME", "/home/a"), ("ID", "AKID"), ("SECRET", "hush"), ("EMPTY", "")].into(),
        files: [
            ("/sa.json", service_account()),
            ("/wif.json", EXTERNAL),
            ("/token", "eyJ"),
            ("/blank", " "),
            ("/no-key.json", NO_KEY),
            ("/aws", "[other]\n[ team ]\naws_access_key_id = hush\n"),
            ("/config", "[profile named]\nregion = a\n"),
            ("/home/a/.aws/config", "[profile dev]\nregion = a\n"),
            ("/secrets/shop/sa/key", service_account()),
            ("/secrets/shop/wif/key", EXTERNAL),
        ]
        .into(),
    }
}

fn compiled(namespace: &str, spec: &str, fakes: &Fakes) -> Compiled {
    let yaml = format!(
        "--- {{apiVersion: {API}, kind: LLMBackend, metadata: {{name: a, namespace: {namespace}}}, spec: {{{spec}}}}}\n"
    );
    load_text(&yaml, fakes).map_err(|errors| lines(&errors)).unwrap()
}

fn in_root(spec: &str) -> Compiled {
    compiled("weir-system", spec, &fakes())
}

fn credential(compiled: &Compiled) -> &Credential {
    &compiled.policy.credentials.rows(0)[0].credential
}

/// The source of a credential, and the region where what it gives signs.
fn source(spec: &str) -> (Source, Option<String>) {
    let compiled = in_root(spec);
    assert_eq!(lines(&compiled.warnings), "", "{spec}");
    match credential(&compiled) {
        Credential::Fetched(fetched) => {
            (fetched.lease.source.clone(), fetched.place.as_ref().map(|place| place.region.to_string()))
        }
        other => panic!("{spec}: {other:?}"),
    }
}

/// What is said of a backend whose credential cannot be had.
fn lack(compiled: &Compiled) -> String {
    let leaving = Leaving { backend: "a", may_sign: true, unix_seconds: 0 };
    let refusal = sign(credential(compiled), leaving).expect_err("no credential");
    let text = format!("{}\n{}", lines(&compiled.warnings), refusal.detail.unwrap_or_default());
    assert!(!text.contains("hush") && !refusal.message.contains("hush"), "{text}");
    text
}

#[test]
fn a_region_or_a_project_says_where_a_backend_of_the_catalogue_is() {
    let vertex = |location: &str| {
        format!(
            "provider: vertex_ai, credentials: [{{type: GCP, gcp: {{project: p-1, location: {location}, ambient: {{}}}}}}]"
        )
    };
    let catalog = Catalog::builtin();
    let load = |spec: &str| {
        let yaml = format!("--- {{apiVersion: {API}, kind: LLMBackend, metadata: {{name: a}}, spec: {{{spec}}}}}\n");
        let files = vec![("weir.yaml".to_owned(), yaml)];
        let source = crate::config::Source { files, ..Default::default() };
        load(&source, &fakes().options, &catalog, &fakes(), catalog.clone())
    };
    for (spec, host, prefix) in [
        ("provider: bedrock, region: us-east-1".to_owned(), "bedrock-runtime.us-east-1.amazonaws.com", ""),
        ("provider: bedrock, endpoint: 'https://vpce-1.example', region: us-east-1".to_owned(), "vpce-1.example", ""),
        (vertex("europe-west4"), "europe-west4-aiplatform.googleapis.com", "/v1/projects/p-1/locations/europe-west4"),
        (vertex("global"), "aiplatform.googleapis.com", "/v1/projects/p-1/locations/global"),
        (vertex("eu"), "aiplatform.eu.rep.googleapis.com", "/v1/projects/p-1/locations/eu"),
        (vertex("global") + ", endpoint: 'https://own.example/v1'", "own.example", "/v1"),
    ] {
        let compiled = load(&spec).map_err(|errors| lines(&errors)).unwrap();
        let (backend, upstream) = (&compiled.policy.targets.backends[0], &compiled.policy.upstreams[0]);
        assert_eq!((&*backend.authority, &*backend.prefix), (host, prefix), "{spec}");
        assert_eq!((&*upstream.host, upstream.https), (host, true), "{spec}");
    }
    for (spec, expected) in [
        ("provider: bedrock", "say its `region`"),
        ("provider: vertex_ai", "give a credential of type GCP with `project` and `location`, or an"),
    ] {
        let errors = lines(&load(spec).unwrap_err());
        assert!(errors.contains(expected), "{errors}");
    }
}

#[test]
fn an_access_key_signs_in_its_region() {
    let spec = |more: &str| {
        format!(
            "dialect: Bedrock, {more}, credentials: [{{type: AWS, aws: {{accessKeyId: {{env: ID}}, secretAccessKey: {{env: SECRET}}}}}}]"
        )
    };
    let own = "endpoint: 'https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com'";
    for (more, env, expected) in [
        ("endpoint: 'https://b.example', region: eu-west-3", None, "eu-west-3"),
        ("endpoint: 'https://bedrock-runtime.eu-west-2.amazonaws.com'", None, "eu-west-2"),
        (own, None, "us-gov-west-1"),
        ("endpoint: 'https://proxy.example', region: eu-west-1", None, "eu-west-1"),
        ("endpoint: 'https://proxy.example'", Some(("AWS_REGION", "ap-south-1")), "ap-south-1"),
        ("endpoint: 'https://proxy.example'", Some(("AWS_DEFAULT_REGION", "ap-south-2")), "ap-south-2"),
    ] {
        let mut fakes = fakes();
        fakes.env.extend(env);
        let compiled = compiled("weir-system", &spec(more), &fakes);
        let Credential::Aws(key) = credential(&compiled) else { panic!("{:?}", credential(&compiled)) };
        assert_eq!((&*key.place.region, key.place.service), (expected, "bedrock"), "{more}");
        assert_eq!((key.keys.id.expose(), key.keys.secret.expose(), &key.keys.token), ("AKID", "hush", &None));
        assert_eq!(&*key.name, "AWS/accessKey/env/ID");
    }
    let text = lack(&in_root(&spec("endpoint: 'https://proxy.example'")));
    assert!(text.contains("needs to know its region: state `region`"), "{text}");
}

#[test]
fn what_is_fetched_is_what_the_document_says() {
    let (region, none) = (Some("us-east-1".to_owned()), None::<String>);
    let bedrock = |key: &str| {
        format!(
            "dialect: Bedrock, endpoint: 'https://b.example', region: us-east-1, credentials: [{{type: AWS, aws: {{{key}}}}}]"
        )
    };
    let aws = |source| (Source::Aws(source), region.clone());
    let web = "webIdentity: {roleArn: 'arn:aws:iam::1:role/r', tokenFile: /token}";
    assert_eq!(source(&bedrock("profile: dev")), aws(Aws::Profile { name: "dev".into(), region: region.clone() }));
    let role = "arn:aws:iam::1:role/r".to_owned();
    let expected = Aws::WebIdentity { role, token_file: "/token".into(), region: region.clone() };
    assert_eq!(source(&bedrock(web)), aws(expected));
    assert_eq!(source(&bedrock("ambient: {}")), aws(Aws::Ambient { region: region.clone() }));

    let vertex = |key: &str| {
        format!(
            "dialect: Vertex, endpoint: 'https://v.example/v1', credentials: [{{type: GCP, gcp: {{project: p, location: global, {key}}}}}]"
        )
    };
    let key = Google::Key(crate::base::secret::Secret::new(service_account()));
    assert_eq!(source(&vertex("serviceAccountKey: {file: /sa.json}")), (Source::Google(key), none.clone()));
    assert_eq!(source(&vertex("ambient: {}")), (Source::Google(Google::Ambient), none));
    let compiled = in_root(&vertex("accessToken: {env: SECRET}"));
    let Credential::Key(token) = credential(&compiled) else { panic!("{:?}", credential(&compiled)) };
    assert_eq!(
        (&*token.name, &*token.header, token.prefix),
        ("GCP/accessToken/env/SECRET", "authorization", "Bearer ")
    );
}

#[test]
fn what_is_fetched_of_entra_and_of_any_server_is_what_the_document_says() {
    let none = None::<String>;
    let azure = |key: &str| {
        format!(
            "dialect: Azure, endpoint: 'https://r.openai.azure.com/openai/v1', credentials: [{{type: Azure, azure: {{{key}}}}}]"
        )
    };
    let (tenant, client, secret) = ("t".to_owned(), "c".to_owned(), crate::base::secret::Secret::new("hush"));
    let app = "tenant: t, clientId: c";
    for (key, expected) in [
        (
            format!("{app}, clientSecret: {{env: SECRET}}"),
            Azure::ClientSecret { tenant: tenant.clone(), client: client.clone(), secret: secret.clone() },
        ),
        (
            format!("{app}, federated: {{}}"),
            Azure::Federated { tenant: tenant.clone(), client: client.clone(), token_file: None },
        ),
        (
            format!("{app}, federated: {{tokenFile: /token}}"),
            Azure::Federated { tenant, client: client.clone(), token_file: Some("/token".into()) },
        ),
        ("managedIdentity: {}".to_owned(), Azure::Managed { client: None }),
        ("managedIdentity: {clientId: c}".to_owned(), Azure::Managed { client: Some(client) }),
    ] {
        assert_eq!(source(&azure(&key)), (Source::Azure(expected), none.clone()), "{key}");
    }

    let oauth = "dialect: OpenAI, endpoint: 'https://llm.example/v1', credentials: [{type: OAuth, oauth: {tokenUrl: \
                 'https://id.example/oauth/token', clientId: 'client one', clientSecret: {env: SECRET}, scopes: [a, b], \
                 audience: llm}}]";
    let expected = OAuth {
        token_url: "https://id.example/oauth/token".into(),
        client: "client one".into(),
        secret,
        scopes: vec!["a".into(), "b".into()],
        audience: Some("llm".into()),
    };
    assert_eq!(source(oauth), (Source::OAuth(expected), none));
}

#[test]
fn what_is_missing_is_found_beforehand_and_refuses_its_calls_alone() {
    let vertex = "dialect: Vertex, endpoint: 'https://v.example/v1', credentials: [{type: GCP, gcp: {project: p, location: global, \
                  serviceAccountKey: {file: FILE}}}]";
    for (file, expected) in [
        ("/none.json", "file /none.json does not exist"),
        ("/blank", "file /blank is empty"),
        ("/token", "the credential file is no JSON object with a `type`"),
        ("/no-key.json", "the credential file has a `private_key` that is no RSA key of 2048 bits or more in PKCS #8"),
    ] {
        let text = lack(&in_root(&vertex.replace("FILE", file)));
        assert!(text.contains(&format!("serviceAccountKey: {expected}")), "{text}");
        assert!(text.contains(&format!("Reason: {expected}")), "{text}");
    }
    let secret = "dialect: OpenAI, endpoint: 'https://a/v1', credentials: [{type: OAuth, oauth: {tokenUrl: 'https://b', \
                  clientId: c, clientSecret: {env: EMPTY}}}]";
    let text = lack(&in_root(secret));
    assert!(text.contains("spec.credentials[0].oauth.clientSecret: environment variable EMPTY is empty"), "{text}");
    // A file that a platform writes may come later: it is said, and the source is asked all the same.
    let compiled = in_root(
        "dialect: Bedrock, endpoint: 'https://b.example', region: a, credentials: [{type: AWS, aws: {webIdentity: {roleArn: r, tokenFile: \
         /late}}}]",
    );
    let expected = "aws.webIdentity.tokenFile: file /late does not exist; without it no token is fetched";
    assert!(lines(&compiled.warnings).contains(expected), "{:?}", compiled.warnings);
    assert!(matches!(credential(&compiled), Credential::Fetched(_)));
}

/// A profile stands in one of two files; whoever writes them may do so later.
#[test]
fn a_profile_is_looked_for_beforehand() {
    let of = |profile: &str, env: &[(&'static str, &'static str)]| {
        let mut fakes = fakes();
        fakes.env.extend(env.iter().copied());
        let spec = format!(
            "dialect: Bedrock, endpoint: 'https://b.example', region: a, credentials: [{{type: AWS, aws: {{profile: {profile}}}}}]"
        );
        let compiled = compiled("weir-system", &spec, &fakes);
        assert!(matches!(credential(&compiled), Credential::Fetched(_)));
        lines(&compiled.warnings)
    };
    let named = [("AWS_SHARED_CREDENTIALS_FILE", "/aws"), ("AWS_CONFIG_FILE", "/config")];
    for known in ["team", "other", "named"] {
        assert_eq!(of(known, &named), "", "{known}");
    }
    for (env, expected) in [
        (&named[..], "there is no profile \"gone\" (/aws, /config)"),
        (&[], "there is no profile \"gone\" (/home/a/.aws/credentials, /home/a/.aws/config)"),
    ] {
        let warned = of("gone", env);
        assert!(warned.contains(&format!("spec.credentials[0].aws.profile: {expected}")), "{warned}");
        assert!(!warned.contains("hush"), "{warned}");
    }
}

#[test]
fn who_only_explains_reads_no_secret() {
    let mut fakes = fakes();
    fakes.options.keys = KeysAre::Described;
    for spec in [
        "dialect: Bedrock, endpoint: 'https://b.example', region: a, credentials: [{type: AWS, aws: {accessKeyId: {env: ID}, \
         secretAccessKey: {env: SECRET}}}]",
        "dialect: Vertex, endpoint: 'https://v.example/v1', credentials: [{type: GCP, gcp: {project: p, location: global, \
         serviceAccountKey: {file: /sa.json}}}]",
        "dialect: OpenAI, endpoint: 'https://a/v1', credentials: [{type: OAuth, oauth: {tokenUrl: 'https://b', clientId: c, \
         clientSecret: {env: SECRET}}}]",
    ] {
        let compiled = compiled("weir-system", spec, &fakes);
        let held = match credential(&compiled) {
            Credential::Aws(key) => key.keys.secret.expose().to_owned(),
            Credential::Fetched(fetched) => match &fetched.lease.source {
                Source::Google(Google::Key(key)) => key.expose().to_owned(),
                Source::OAuth(oauth) => oauth.secret.expose().to_owned(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        assert!(held.starts_with("environment variable") || held.starts_with("file"), "{held}");
        assert!(matches!(
            sign(credential(&compiled), Leaving { backend: "a", may_sign: true, unix_seconds: 0 }),
            Ok(Signing::Ask(_) | Signing::Aws(_))
        ));
    }
}

#[test]
fn a_namespace_speaks_with_keys_of_its_own_alone() {
    let errors = |credential: &str| {
        let yaml = format!(
            "--- {{apiVersion: {API}, kind: LLMBackend, metadata: {{name: a, namespace: shop}}, spec: {{dialect: Vertex, \
             endpoint: 'https://a/v1', region: a, credentials: [{credential}]}}}}\n"
        );
        printed(load_text(&yaml, &fakes()))
    };
    for credential in [
        "{type: AWS, aws: {profile: dev}}",
        "{type: AWS, aws: {ambient: {}}}",
        "{type: AWS, aws: {webIdentity: {roleArn: r, tokenFile: /token}}}",
        "{type: GCP, gcp: {project: p, location: l, ambient: {}}}",
        "{type: Azure, azure: {managedIdentity: {}}}",
        "{type: Azure, azure: {tenant: t, clientId: c, federated: {tokenFile: /token}}}",
    ] {
        let found = errors(credential);
        assert!(found.contains("what the process itself is speaks for all"), "{credential}: {found}");
    }
    for credential in [
        "{type: AWS, aws: {accessKeyId: {value: a}, secretAccessKey: {env: SECRET}}}",
        "{type: GCP, gcp: {project: p, location: l, serviceAccountKey: {file: /sa.json}}}",
        "{type: OAuth, oauth: {tokenUrl: 'https://b', clientId: c, clientSecret: {env: SECRET}}}",
    ] {
        let found = errors(credential);
        assert!(found.contains("`file` and `env` are for the root namespace"), "{credential}: {found}");
    }
    // A credential file can name other files and addresses; one of a namespace must not.
    let spec = "dialect: Vertex, endpoint: 'https://v.example/v1', credentials: [{type: GCP, gcp: {project: p, location: l, \
                serviceAccountKey: {secretRef: {name: NAME, key: key}}}}]";
    let own = compiled("shop", &spec.replace("NAME", "sa"), &fakes());
    assert!(matches!(credential(&own), Credential::Fetched(_)), "{:?}", own.warnings);
    let text = lack(&compiled("shop", &spec.replace("NAME", "wif"), &fakes()));
    assert!(text.contains("names files and addresses, which is for the root namespace"), "{text}");
}
