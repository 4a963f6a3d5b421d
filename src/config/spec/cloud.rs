//! Backends of the clouds: Azure's deployments, and the resource of a mesh that carries one, which is not used
//! yet.

use std::collections::HashSet;

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::shape::{Fields, Rule, Shape, keyed, may, need};
use super::super::text;
use super::super::value;
use super::unique;

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
/// The groups of `CARRIERS`.
const CARRIER_GROUPS: &[(&str, Option<()>)] =
    &[("networking.istio.io", Some(())), ("gateway.envoyproxy.io", Some(())), ("", Some(()))];
/// Kinds of the meshes that carry a host.
const CARRIERS: &[(&str, Option<&str>)] =
    &[("ServiceEntry", Some("networking.istio.io")), ("Backend", Some("gateway.envoyproxy.io")), ("Service", Some(""))];

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
