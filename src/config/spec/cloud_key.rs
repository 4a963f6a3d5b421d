//! Credentials that a cloud gives: keys that sign, and what a token is fetched with.

use std::path::PathBuf;

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::secret::{self, SecretSource};
use super::super::shape::{Fields, Rule, Shape, list, may, need};
use super::super::text;
use super::super::value;
use super::backend::ApiKey;

/// Whose credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    Aws,
    Gcp,
    Azure,
    OAuth,
}

/// What is said of a credential of a cloud, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct CloudKey {
    pub way: Way,
    pub path: String,
}

/// How it is had.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    AwsKey { id: ApiKey, secret: ApiKey, token: Option<ApiKey> },
    AwsProfile(String),
    AwsWebIdentity { role: String, token_file: PathBuf },
    AwsAmbient,
    GcpKey { place: GcpPlace, key: ApiKey },
    GcpToken { place: GcpPlace, token: ApiKey },
    GcpAmbient { place: GcpPlace },
    AzureSecret { tenant: String, client: String, secret: ApiKey },
    AzureFederated { tenant: String, client: String, token_file: Option<PathBuf> },
    AzureManaged { client: Option<String> },
    OAuth { token_url: String, client: String, secret: ApiKey, scopes: Vec<String>, audience: Option<String> },
}

/// Whose models of Google Cloud, and where they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcpPlace {
    pub project: String,
    pub location: String,
}

const AWS_WAYS: &[&str] = &["profile", "accessKeyId", "webIdentity", "ambient"];
const GCP_WAYS: &[&str] = &["serviceAccountKey", "accessToken", "ambient"];
const AZURE_WAYS: &[&str] = &["clientSecret", "federated", "managedIdentity"];

pub(super) const AWS_KEY: Fields = Fields {
    rows: &[
        may("profile", Shape::Text(&text::IDENTIFIER), "A profile of the shared configuration files."),
        may("accessKeyId", Shape::Object(&secret::SOURCE), "The id of an access key."),
        may("secretAccessKey", Shape::Object(&secret::SOURCE), "The secret of the access key."),
        may("sessionToken", Shape::Object(&secret::SOURCE), "The token of a temporary access key."),
        may("webIdentity", Shape::Object(&WEB_IDENTITY), "A role, assumed with a token of the cluster."),
        may(
            "ambient",
            Shape::Object(&AMBIENT),
            "What the process itself is, looked for as AWS's SDKs do (environment, web identity, container, \
             instance): write {}.",
        ),
    ],
    rules: &[
        Rule::OneOf(AWS_WAYS),
        Rule::Beside("accessKeyId", "secretAccessKey"),
        Rule::Beside("secretAccessKey", "accessKeyId"),
        Rule::Beside("sessionToken", "accessKeyId"),
    ],
};
const WEB_IDENTITY: Fields = Fields::of(&[
    need("roleArn", Shape::Text(&text::ANY), "The ARN of the role."),
    need("tokenFile", Shape::Text(&text::FILE_PATH), "The file with the token of the service account."),
]);
pub(super) const GCP_KEY: Fields = Fields {
    rows: &[
        need("project", Shape::Text(&text::IDENTIFIER), "The project that is billed."),
        need("location", Shape::Text(&text::IDENTIFIER), "Where the models run: a region, or global."),
        may(
            "serviceAccountKey",
            Shape::Object(&secret::SOURCE),
            "The JSON key of a service account, or another of Google's credential files.",
        ),
        may("accessToken", Shape::Object(&secret::SOURCE), "A token that somebody else renews."),
        may(
            "ambient",
            Shape::Object(&AMBIENT),
            "Application default credentials: GOOGLE_APPLICATION_CREDENTIALS, gcloud's own, or the metadata server: \
             write {}.",
        ),
    ],
    rules: &[Rule::OneOf(GCP_WAYS)],
};
pub(super) const AZURE_KEY: Fields = Fields {
    rows: &[
        may("tenant", Shape::Text(&text::IDENTIFIER), "The tenant of Entra ID."),
        may("clientId", Shape::Text(&text::IDENTIFIER), "The application."),
        may("clientSecret", Shape::Object(&secret::SOURCE), "A secret of the application."),
        may("federated", Shape::Object(&FEDERATED), "A token of the cluster, exchanged."),
        may("managedIdentity", Shape::Object(&MANAGED), "The machine's own identity."),
    ],
    rules: &[
        Rule::OneOf(AZURE_WAYS),
        Rule::Beside("clientSecret", "tenant"),
        Rule::Beside("clientSecret", "clientId"),
        Rule::Beside("federated", "tenant"),
        Rule::Beside("federated", "clientId"),
        Rule::NotBoth("managedIdentity", "tenant"),
        Rule::NotBoth("managedIdentity", "clientId"),
    ],
};
const FEDERATED: Fields = Fields::of(&[may(
    "tokenFile",
    Shape::Text(&text::FILE_PATH),
    "The file with the token of the service account; absent: where the platform puts it.",
)]);
const MANAGED: Fields = Fields::of(&[may(
    "clientId",
    Shape::Text(&text::IDENTIFIER),
    "Which of several identities; absent: the only one.",
)]);
pub(super) const OAUTH_KEY: Fields = Fields::of(&[
    need("tokenUrl", Shape::Text(&text::ENDPOINT), "Where tokens are had."),
    need("clientId", Shape::Text(&text::ANY), "The client."),
    need("clientSecret", Shape::Object(&secret::SOURCE), "The secret of the client."),
    may("scopes", list(&Shape::Text(&text::ANY), 32), "What is asked for."),
    may("audience", Shape::Text(&text::ANY), "For whom the token is, where the server wants to know."),
]);
const AMBIENT: Fields = Fields::of(&[]);

// === impl Cloud ===

impl Cloud {
    /// The field that belongs to a credential of this cloud.
    pub(super) fn field(self) -> &'static str {
        match self {
            Cloud::Aws => "aws",
            Cloud::Gcp => "gcp",
            Cloud::Azure => "azure",
            Cloud::OAuth => "oauth",
        }
    }

    /// Reads what a credential says of this cloud.
    pub(super) fn read(self, reader: &Reader<'_>) -> Option<CloudKey> {
        let way = match self {
            Cloud::Aws => read_aws(reader),
            Cloud::Gcp => read_gcp(reader),
            Cloud::Azure => read_azure(reader),
            Cloud::OAuth => read_oauth(reader),
        };
        Some(CloudKey { way: way?, path: reader.path().to_owned() })
    }
}

// === impl CloudKey ===

impl CloudKey {
    /// Where secrets are looked for.
    pub fn keys(&self) -> Vec<&ApiKey> {
        match &self.way {
            Way::AwsKey { id, secret, token } => [id, secret].into_iter().chain(token).collect(),
            Way::GcpKey { key, .. } | Way::GcpToken { token: key, .. } => vec![key],
            Way::AzureSecret { secret, .. } | Way::OAuth { secret, .. } => vec![secret],
            Way::AwsProfile(_)
            | Way::AwsWebIdentity { .. }
            | Way::AwsAmbient
            | Way::GcpAmbient { .. }
            | Way::AzureFederated { .. }
            | Way::AzureManaged { .. } => Vec::new(),
        }
    }

    /// True for what the process or its machine is, whoever asks.
    pub fn is_of_the_process(&self) -> bool {
        self.keys().is_empty()
    }

    /// Whose models of Google Cloud it is for.
    pub fn place(&self) -> Option<&GcpPlace> {
        match &self.way {
            Way::GcpKey { place, .. } | Way::GcpToken { place, .. } | Way::GcpAmbient { place } => Some(place),
            _ => None,
        }
    }
}

fn read_aws(reader: &Reader<'_>) -> Option<Way> {
    let object = reader.object(&AWS_KEY)?;
    one_of(&object, AWS_WAYS);
    let profile = object.get("profile").and_then(|profile| profile.parsed(form::identifier));
    let web = object.get("webIdentity").and_then(|web| {
        let object = web.object(&WEB_IDENTITY)?;
        let role = object.need("roleArn").and_then(|arn| arn.text().map(str::to_owned));
        let token_file = object.need("tokenFile").and_then(|file| file.parsed(form::file_path));
        Some(Way::AwsWebIdentity { role: role?, token_file: token_file?.into() })
    });
    let ambient = object.get("ambient").and_then(|ambient| ambient.object(&AMBIENT));
    let [id, secret, token] = ["accessKeyId", "secretAccessKey", "sessionToken"].map(|part| key(&object, part));
    match (object.get("accessKeyId"), object.get("secretAccessKey"), object.get("sessionToken")) {
        (Some(_), None, _) => drop(object.need("secretAccessKey")),
        (None, Some(field), _) | (None, None, Some(field)) => field.error("is of use beside an `accessKeyId` only"),
        _ => {}
    }
    let keys = id.zip(secret).map(|(id, secret)| Way::AwsKey { id, secret, token });
    profile.map(Way::AwsProfile).or(web).or(keys).or_else(|| ambient.map(|_| Way::AwsAmbient))
}

fn read_gcp(reader: &Reader<'_>) -> Option<Way> {
    let object = reader.object(&GCP_KEY)?;
    one_of(&object, GCP_WAYS);
    let project = object.need("project").and_then(|project| project.parsed(form::identifier));
    let location = object.need("location").and_then(|location| location.parsed(form::identifier));
    let [file, token] = ["serviceAccountKey", "accessToken"].map(|part| key(&object, part));
    let ambient = object.get("ambient").and_then(|ambient| ambient.object(&AMBIENT));
    let place = GcpPlace { project: project?, location: location? };
    match (file, token, ambient) {
        (Some(key), _, _) => Some(Way::GcpKey { place, key }),
        (None, Some(token), _) => Some(Way::GcpToken { place, token }),
        (None, None, Some(_)) => Some(Way::GcpAmbient { place }),
        (None, None, None) => None,
    }
}

fn read_azure(reader: &Reader<'_>) -> Option<Way> {
    let object = reader.object(&AZURE_KEY)?;
    one_of(&object, AZURE_WAYS);
    let secret = key(&object, "clientSecret");
    let federated = object.get("federated").map(|federated| {
        let file = federated.object(&FEDERATED).and_then(|object| object.get("tokenFile"));
        file.and_then(|file| file.parsed(form::file_path)).map(PathBuf::from)
    });
    let identifier = |field: &Reader<'_>| field.parsed(form::identifier);
    if let Some(managed) = object.get("managedIdentity") {
        for name in ["tenant", "clientId"] {
            if let Some(field) = object.get(name) {
                field.error("belongs to an application; which identity of the machine is said in `managedIdentity`");
            }
        }
        let client = managed.object(&MANAGED)?.get("clientId").as_ref().and_then(identifier);
        return Some(Way::AzureManaged { client });
    }
    let tenant = object.need("tenant").as_ref().and_then(identifier);
    let client = object.need("clientId").as_ref().and_then(identifier);
    let (tenant, client) = (tenant?, client?);
    match (secret, federated) {
        (Some(secret), _) => Some(Way::AzureSecret { tenant, client, secret }),
        (None, Some(token_file)) => Some(Way::AzureFederated { tenant, client, token_file }),
        (None, None) => None,
    }
}

fn read_oauth(reader: &Reader<'_>) -> Option<Way> {
    let object = reader.object(&OAUTH_KEY)?;
    let text = |field: Reader<'_>| field.text().map(str::to_owned);
    let token_url = object.need("tokenUrl").map(Reader::hushed).and_then(|url| {
        url.parsed(value::endpoint)?;
        text(url)
    });
    let client = object.need("clientId").and_then(text);
    let secret = object.need("clientSecret").and_then(|_| key(&object, "clientSecret"));
    let scopes = object.get("scopes").and_then(|scopes| scopes.list(text)).unwrap_or_default();
    let audience = object.get("audience").and_then(text);
    Some(Way::OAuth { token_url: token_url?, client: client?, secret: secret?, scopes, audience })
}

fn key(object: &Object<'_>, name: &str) -> Option<ApiKey> {
    let field = object.get(name)?;
    Some(ApiKey { sources: vec![SecretSource::read(&field)?], path: field.path().to_owned() })
}

fn one_of(object: &Object<'_>, ways: &[&str]) {
    if ways.iter().filter(|way| object.get(way).is_some()).count() != 1 {
        object.at().error(format_args!("needs exactly one of {}", ways.join(", ")));
    }
}
