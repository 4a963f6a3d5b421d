//! Backends of the clouds: Azure's deployments, and credentials that are fetched rather than
//! written down. Not built yet: read to find what is wrong in it.

use std::collections::HashSet;

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::secret::{self, SecretSource};
use super::super::shape::{Fields, Rule, Shape, keyed, may, need};
use super::super::text;
use super::super::value;
use super::unique;

/// Whose credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    Aws,
    Gcp,
    Azure,
}

pub(super) const AZURE: Fields = Fields::of(&[
    may("apiVersion", Shape::Text(&text::IDENTIFIER), "The version that requests ask for."),
    may("deployments", keyed(&Shape::Object(&DEPLOYMENT), "model", 256), "Which deployment serves which model."),
]);
const DEPLOYMENT: Fields = Fields::of(&[
    need("model", Shape::Text(&text::ANY), "The model, as routes name it."),
    need("deployment", Shape::Text(&text::IDENTIFIER), "The deployment, as Azure names it."),
]);
pub(super) const CARRIER: Fields = Fields {
    rows: &[
        may("group", Shape::Word(&CARRIER_GROUPS), "The group of the kind; absent for Kubernetes' own."),
        need("kind", Shape::Word(&CARRIERS), "What the resource is."),
        need("name", Shape::Text(&text::SUBDOMAIN), "Its name."),
    ],
    rules: &[Rule::Pairs { key: "kind", field: "group", table: CARRIERS }],
};
pub(super) const AWS_KEY: Fields = Fields {
    rows: &[
        may("profile", Shape::Text(&text::IDENTIFIER), "A profile of the shared configuration file."),
        may("accessKeyId", Shape::Object(&secret::SOURCE), "The id of an access key."),
        may("secretAccessKey", Shape::Object(&secret::SOURCE), "The secret of the access key."),
        may("sessionToken", Shape::Object(&secret::SOURCE), "The token of a temporary access key."),
        may("webIdentity", Shape::Object(&WEB_IDENTITY), "A role, assumed with a token of the cluster."),
    ],
    rules: &[
        Rule::OneOf(&["profile", "accessKeyId", "webIdentity"]),
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
        need("location", Shape::Text(&text::IDENTIFIER), "Where the models run."),
        may("serviceAccountKey", Shape::Object(&secret::SOURCE), "The JSON key of a service account."),
        may("accessToken", Shape::Object(&secret::SOURCE), "A token that somebody else renews."),
        may("ambient", Shape::Object(&AMBIENT), "What the machine itself is: write {}."),
    ],
    rules: &[Rule::OneOf(&["serviceAccountKey", "accessToken", "ambient"])],
};
pub(super) const AZURE_KEY: Fields = Fields {
    rows: &[
        need("tenant", Shape::Text(&text::IDENTIFIER), "The tenant of Entra ID."),
        need("clientId", Shape::Text(&text::IDENTIFIER), "The application."),
        may("clientSecret", Shape::Object(&secret::SOURCE), "A secret of the application."),
        may("federated", Shape::Object(&FEDERATED), "A token of the cluster, exchanged."),
    ],
    rules: &[Rule::OneOf(&["clientSecret", "federated"])],
};
const FEDERATED: Fields = Fields::of(&[may(
    "tokenFile",
    Shape::Text(&text::FILE_PATH),
    "The file with the token of the service account; absent: where the platform puts it.",
)]);
const AMBIENT: Fields = Fields::of(&[]);
/// The groups of `CARRIERS`.
const CARRIER_GROUPS: &[(&str, Option<()>)] =
    &[("networking.istio.io", Some(())), ("gateway.envoyproxy.io", Some(())), ("", Some(()))];
/// Kinds of the meshes that carry a host.
const CARRIERS: &[(&str, Option<&str>)] =
    &[("ServiceEntry", Some("networking.istio.io")), ("Backend", Some("gateway.envoyproxy.io")), ("Service", Some(""))];

// === impl Cloud ===

impl Cloud {
    /// The field that belongs to a credential of this cloud.
    pub(super) fn field(self) -> &'static str {
        match self {
            Cloud::Aws => "aws",
            Cloud::Gcp => "gcp",
            Cloud::Azure => "azure",
        }
    }

    /// Reads what a credential says of this cloud.
    pub(super) fn read(self, reader: &Reader<'_>) {
        match self {
            Cloud::Aws => read_aws(reader),
            Cloud::Gcp => read_gcp(reader),
            Cloud::Azure => read_azure_key(reader),
        };
    }
}

/// What an endpoint of Azure needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AzureEndpoint {
    /// None for the v1 API, which has no version in its path.
    pub version: Option<String>,
    /// Model and deployment.
    pub deployments: Vec<(String, String)>,
}

/// Reads `carriedBy` of a backend.
pub(super) fn read(backend: &Object<'_>) {
    backend.later("carriedBy").and_then(|carrier| read_carrier(&carrier));
}

pub(super) fn read_azure(reader: &Reader<'_>) -> Option<AzureEndpoint> {
    let object = reader.object(&AZURE)?;
    let version = object.get("apiVersion").and_then(|version| version.parsed(form::identifier));
    let mut seen = HashSet::new();
    let deployments = object.get("deployments").and_then(|list| {
        list.list(|item| {
            let object = item.object(&DEPLOYMENT)?;
            let model = object.need("model").and_then(|model| {
                unique(&model, &mut seen, "model");
                model.text().map(str::to_owned)
            });
            let deployment = object.need("deployment").and_then(|name| name.parsed(form::identifier));
            Some((model?, deployment?))
        })
    });
    Some(AzureEndpoint { version, deployments: deployments.unwrap_or_default() })
}

fn read_carrier(reader: &Reader<'_>) -> Option<()> {
    let object = reader.object(&CARRIER)?;
    object.need("name").and_then(|name| name.parsed(value::subdomain));
    let group = object.need("kind").and_then(|kind| kind.word(CARRIERS));
    // The empty group is Kubernetes' own.
    let field = object.get("group");
    let said = field.as_ref().and_then(Reader::peek).unwrap_or_default();
    if let Some(group) = group.filter(|group| *group != said) {
        let at = field.as_ref().unwrap_or(object.at());
        at.error(format_args!("the group of this kind is {group:?}"));
    }
    Some(())
}

fn read_aws(reader: &Reader<'_>) -> Option<()> {
    let object = reader.object(&AWS_KEY)?;
    let ways = ["profile", "accessKeyId", "webIdentity"];
    one_of(&object, &ways);
    object.get("profile").and_then(|profile| profile.parsed(form::identifier));
    object.get("webIdentity").and_then(|web| {
        let object = web.object(&WEB_IDENTITY)?;
        object.need("roleArn").and_then(|arn| arn.text());
        object.need("tokenFile")?.parsed(form::file_path)
    });
    let parts = ["accessKeyId", "secretAccessKey", "sessionToken"];
    for part in parts {
        object.get(part).and_then(|source| SecretSource::read(&source));
    }
    match (object.get("accessKeyId"), object.get("secretAccessKey"), object.get("sessionToken")) {
        (Some(_), None, _) => drop(object.need("secretAccessKey")),
        (None, Some(field), _) | (None, None, Some(field)) => field.error("is of use beside an `accessKeyId` only"),
        _ => {}
    }
    Some(())
}

fn read_gcp(reader: &Reader<'_>) -> Option<()> {
    let object = reader.object(&GCP_KEY)?;
    one_of(&object, &["serviceAccountKey", "accessToken", "ambient"]);
    object.need("project").and_then(|project| project.parsed(form::identifier));
    object.need("location").and_then(|location| location.parsed(form::identifier));
    for part in ["serviceAccountKey", "accessToken"] {
        object.get(part).and_then(|source| SecretSource::read(&source));
    }
    object.get("ambient")?.object(&AMBIENT).map(drop)
}

fn read_azure_key(reader: &Reader<'_>) -> Option<()> {
    let object = reader.object(&AZURE_KEY)?;
    one_of(&object, &["clientSecret", "federated"]);
    object.need("tenant").and_then(|tenant| tenant.parsed(form::identifier));
    object.need("clientId").and_then(|id| id.parsed(form::identifier));
    object.get("clientSecret").and_then(|source| SecretSource::read(&source));
    object.get("federated")?.object(&FEDERATED)?.get("tokenFile")?.parsed(form::file_path).map(drop)
}

fn one_of(object: &Object<'_>, ways: &[&str]) {
    if ways.iter().filter(|way| object.get(way).is_some()).count() != 1 {
        object.at().error(format_args!("needs exactly one of {}", ways.join(", ")));
    }
}
