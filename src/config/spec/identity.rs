//! `identity` of an LLMProfile: which facts count, and where a caller's own words are taken from.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::read::Reader;
use super::super::shape::{Fields, Keyed, Most, Rule, Shape, list, may, need, set};
use super::super::text;
use super::super::value;
use super::scope::texts;
use super::{or, unique};
use crate::credential::CALLER_HEADERS;
use crate::identity::{Anonymous, Jwt, MAX_TAGS, Said, Source};

/// How callers are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentitySpec {
    pub jwt: Option<Jwt>,
    pub end_user: Vec<Source>,
    pub session: Vec<Source>,
    pub tags: Option<Vec<String>>,
    /// None for the default, Deny.
    pub anonymous: Option<Anonymous>,
    /// None for the default, 0.
    pub trusted_hops: Option<usize>,
    /// Empty for every one.
    pub trust_domains: Vec<String>,
}

#[derive(Clone, Copy)]
enum BodyField {
    User,
}

/// Proxies in a row that anybody trusts.
const MAX_HOPS: u64 = 16;

pub(super) const IDENTITY: Fields = Fields {
    rows: &[
        may(
            "jwt",
            Shape::Object(&JWT),
            "Where the claims of a token are that the proxy checked. Inert in role Sidecar.",
        ),
        may("endUser", Shape::Object(&SOURCES), "Where the name of the application's user is."),
        may("session", Shape::Object(&SOURCES), "Where the name of the session is."),
        may(
            "tags",
            Shape::List {
                item: &Shape::Text(&text::TAG),
                least: 0,
                most: Most::Anywhere(MAX_TAGS as u64),
                keyed: Keyed::Set,
            },
            "Names that are taken from x-weir-tags.",
        ),
        may(
            "anonymous",
            Shape::Word(&ANONYMOUS),
            "Callers of whom nothing is known; Deny is the default in role Gateway.",
        ),
        may(
            "trustedHops",
            Shape::Whole { least: 0, most: MAX_HOPS },
            "Role Gateway: how many hops of XFCC are believed; 0, which is the default in root, is the TLS peer alone.",
        ),
        may(
            "trustDomains",
            set(&Shape::Text(&text::HOST), 16),
            "Role Gateway: the SPIFFE trust domains whose ids name namespaces of this mesh; absent means every one. A \
             federated mesh needs it: a peer of another domain keeps its id and is of no namespace.",
        ),
    ],
    rules: &[
        Rule::Other {
            says: "body must be the last source: it is read after the others",
            cel: "!has(self.endUser) || !self.endUser.sources.exists(s, has(s.body)) || (self.endUser.sources.filter(s, has(s.body)).size() == 1 && has(self.endUser.sources[size(self.endUser.sources) - 1].body))",
            json: "",
        },
        Rule::Other {
            says: "no dialect has a session in its body; take a header or a claim",
            cel: "!has(self.session) || !self.session.sources.exists(s, has(s.body))",
            json: r#"{"properties": {"session": {"properties": {"sources": {"items": {"not": {"required": ["body"]}}}}}}}"#,
        },
    ],
};
const JWT: Fields = Fields::of(&[
    may("metadataNamespace", Shape::Text(&text::NAME), "The namespace of the proxy's dynamic metadata.")
        .or("envoy.filters.http.jwt_authn"),
    may("metadataPath", list(&Shape::Text(&text::NAME), 16), "The way to the claims in it; absent: payload."),
    may("claims", Shape::Object(&CLAIMS), "Which claim says what."),
]);
const CLAIMS: Fields = Fields::of(&[
    may("subject", Shape::Text(&text::NAME), "Who it is.").or("sub"),
    may("team", Shape::Text(&text::NAME), "Whose budget it spends; absent: no claim says it."),
    may("groups", Shape::Text(&text::NAME), "What it belongs to; absent: no claim says it."),
]);
const SOURCES: Fields =
    Fields::of(&[need("sources", list(&Shape::Object(&SOURCE), 8), "The first that says something.")]);
const SOURCE: Fields = Fields {
    rows: &[
        may("jwtClaim", Shape::Text(&text::NAME), "A claim of the caller's token."),
        may("header", Shape::Text(&text::SAID_HEADER), "A header of the request: the caller's own word."),
        may("body", Shape::Word(&BODY), "What the dialect has a field for."),
    ],
    rules: &[Rule::OneOf(&["jwtClaim", "header", "body"])],
};
const ANONYMOUS: &[(&str, Option<Anonymous>)] = &[("Allow", Some(Anonymous::Allow)), ("Deny", Some(Anonymous::Deny))];
const BODY: &[(&str, Option<BodyField>)] = &[("User", Some(BodyField::User))];

// === impl IdentitySpec ===

impl IdentitySpec {
    pub(in super::super) fn read(reader: &Reader<'_>) -> Option<IdentitySpec> {
        let object = reader.object(&IDENTITY)?;
        let sources = |name: &str| {
            let list = object.get(name)?.object(&SOURCES)?.need("sources")?;
            let sources = list.list(|item| read_source(&item))?;
            // The body is read when the head has been decided on.
            if sources.iter().position(|source| *source == Source::Body).is_some_and(|at| at + 1 < sources.len()) {
                list.error("`body` must be the last source: it is read after the others");
            }
            Some(sources)
        };
        let session = sources("session").unwrap_or_default();
        if let (Some(field), true) = (object.get("session"), session.contains(&Source::Body)) {
            field.error("no dialect has a session in its body; take a header or a claim");
        }
        Some(IdentitySpec {
            jwt: object.get("jwt").and_then(|jwt| read_jwt(&jwt)),
            end_user: sources("endUser").unwrap_or_default(),
            session,
            tags: object.get("tags").and_then(|tags| read_tags(&tags)),
            anonymous: object.get("anonymous").and_then(|word| word.word(ANONYMOUS)),
            trusted_hops: object
                .get("trustedHops")
                .and_then(|hops| hops.whole(value::quantity, 0, MAX_HOPS)?.try_into().ok()),
            trust_domains: object.get("trustDomains").and_then(|list| texts(&list, value::host)).unwrap_or_default(),
        })
    }
}

impl IdentitySpec {
    /// What is taken of a caller's own words, where what is not said is `otherwise`.
    pub(in super::super) fn said(&self, otherwise: &Said) -> Said {
        let or = |said: &[Source], otherwise: &[Source]| if said.is_empty() { otherwise } else { said }.to_vec();
        let tags = self.tags.as_ref().map(|tags| tags.iter().map(|tag| tag.as_str().into()).collect());
        Said {
            end_user: or(&self.end_user, &otherwise.end_user),
            session: or(&self.session, &otherwise.session),
            tags: tags.unwrap_or_else(|| otherwise.tags.clone()),
        }
    }
}

fn read_jwt(reader: &Reader<'_>) -> Option<Jwt> {
    let object = reader.object(&JWT)?;
    let name = |field: &Reader<'_>| field.parsed(value::name).map(Arc::from);
    let path = object.get("metadataPath").and_then(|path| path.list(|step| name(&step)));
    let claims = object.get("claims").and_then(|claims| claims.object(&CLAIMS));
    let claim = |word: &str| claims.as_ref()?.get(word).and_then(|claim| name(&claim));
    Some(Jwt {
        namespace: or(&object, "metadataNamespace", "envoy.filters.http.jwt_authn".into(), |field| name(&field)),
        path: path.unwrap_or_else(|| vec!["payload".into()]),
        subject: claim("subject").unwrap_or_else(|| "sub".into()),
        team: claim("team"),
        groups: claim("groups"),
    })
}

fn read_source(reader: &Reader<'_>) -> Option<Source> {
    let object = reader.object(&SOURCE)?;
    let &[name] = object.names().as_slice() else {
        object.at().error("needs exactly one of jwtClaim, header, body");
        return None;
    };
    let field = object.get(name)?;
    match name {
        "jwtClaim" => field.parsed(value::name).map(|claim| Source::Claim(claim.into())),
        "header" => {
            let header = field.parsed(value::field_name)?;
            if CALLER_HEADERS.contains(&header.as_str()) {
                field.error("this header carries credentials, and a record would show it");
            } else if header.starts_with("x-weir-") {
                field.error("headers of this name are Weir's own");
            }
            Some(Source::Header(header.into()))
        }
        _ => field.word(BODY).map(|BodyField::User| Source::Body),
    }
}

fn read_tags(reader: &Reader<'_>) -> Option<Vec<String>> {
    let mut seen = HashSet::new();
    let tags = reader.list_or_empty(|item| {
        unique(&item, &mut seen, "tag");
        let name = item.parsed(value::name)?;
        if name.contains([',', '=', ' ']) {
            item.error("a tag's name has no ',', no '=' and no space in it");
        }
        Some(name)
    })?;
    if tags.len() > MAX_TAGS {
        reader.error(format_args!("has more than {MAX_TAGS} tags"));
    }
    Some(tags)
}
