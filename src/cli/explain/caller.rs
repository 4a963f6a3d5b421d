//! Whom the command line says to be, as facts that an exchange would be told.

use std::sync::Arc;

use serde_json::Value;

use super::request::Request;
use super::{Args, ExplainError};
use crate::base::words::Words;
use crate::config::{Bootstrap, Listen, WorkloadNames};
use crate::exchange::event::Headers;
use crate::identity::key::{Digest, Key, State};
use crate::identity::{Claim, Claims, Jwt, Role};
use crate::policy::Policy;

/// The caller of a question.
pub struct Who<'a> {
    args: &'a Args,
    role: Role,
    /// In role Sidecar: the workload that the process runs beside.
    pub workload: WorkloadNames,
    peer: Option<String>,
}

/// The key that a consumer of the command line shows. It is valid in this process alone.
const KEY: &str = "sk-weir-explain-is-no-key-of-anybody-anywhere";
/// Headers in which it can stand, the rarest first.
const KEY_HEADERS: [&str; 3] = ["api-key", "x-api-key", "authorization"];

// === impl Who ===

impl<'a> Who<'a> {
    /// # Errors
    /// A caller that there cannot be in this role.
    pub fn of(args: &'a Args, role: Role) -> Result<Self, ExplainError> {
        let account = args.service_account.clone().unwrap_or_else(|| "default".to_owned());
        let said = match &args.peer {
            None => args.namespace.clone().map(|namespace| (namespace, account)),
            Some(peer) => workload_of(peer),
        };
        let mut who = Who { args, role, workload: WorkloadNames::default(), peer: None };
        match (role, said) {
            (Role::Gateway, said) => {
                let of = |(namespace, account)| format!("spiffe://cluster.local/ns/{namespace}/sa/{account}");
                who.peer = args.peer.clone().or_else(|| said.map(of));
            }
            (Role::Sidecar, Some((namespace, account))) => {
                (who.workload.namespace, who.workload.service_account) = (Some(namespace), Some(account));
            }
            (Role::Sidecar, None) if args.peer.is_some() => {
                return Err(question(
                    "--as: in role Sidecar the caller is the workload of the pod, and this id names none; say \
                     spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT, or set spec.role of the WeirBootstrap to Gateway",
                ));
            }
            (Role::Sidecar, None) => {
                let own = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
                who.workload = WorkloadNames {
                    namespace: own("WEIR_NAMESPACE"),
                    service_account: own("WEIR_SERVICE_ACCOUNT"),
                    name: own("WEIR_WORKLOAD"),
                };
            }
        }
        Ok(who)
    }

    /// Adds to the request what shows who calls.
    ///
    /// # Errors
    /// A consumer that there is not, and claims that are none or that nobody looks at.
    pub fn present(&self, policy: &mut Policy, request: &mut Request) -> Result<(), ExplainError> {
        request.head.facts.peer_uri.clone_from(&self.peer);
        if let Some(name) = &self.args.consumer {
            show_key(name, policy, &mut request.head.headers)?;
        }
        if let Some(text) = &self.args.jwt {
            let jwt = match (self.role, &policy.identity.jwt) {
                (Role::Sidecar, _) => return Err(question("--jwt: no token is looked at in role Sidecar")),
                (Role::Gateway, None) => {
                    return Err(question("--jwt: no LLMProfile says spec.identity.jwt, so no token is looked at"));
                }
                (Role::Gateway, Some(jwt)) => jwt,
            };
            request.head.facts.claims = claims(text, jwt)?;
        }
        Ok(())
    }
}

/// Lets the consumer have a key and puts it on the request.
fn show_key(name: &str, policy: &mut Policy, headers: &mut Headers) -> Result<(), ExplainError> {
    let key = Key { name: "explain".into(), digest: Digest::of(KEY), not_after: None, state: State::Active };
    let is_there = match name.split_once('/') {
        None => Arc::make_mut(&mut policy.identity.directory).add_key(name, key),
        Some((namespace, _)) => {
            let space = Arc::make_mut(&mut policy.identity.spaces).get_mut(namespace);
            space.is_some_and(|space| space.directory.add_key(name, key))
        }
    };
    if !is_there {
        return Err(question(format!("--consumer: there is no LLMConsumer {name:?}")));
    }
    let free = KEY_HEADERS.iter().find(|header| !headers.contains(header));
    headers.push(
        free.ok_or_else(|| question("--consumer: the request has a credential in every header"))?,
        KEY.as_bytes(),
    );
    Ok(())
}

/// The claims where the profile looks for them.
fn claims(text: &str, jwt: &Jwt) -> Result<Claims, ExplainError> {
    let value: Value = serde_json::from_str(text).map_err(|error| question(format!("--jwt is no JSON: {error}")))?;
    if !value.is_object() {
        return Err(question("--jwt is to be the claims as one JSON object"));
    }
    let nested = jwt.path.iter().rev().fold(claim(&value), |inner, name| Claim::Map(vec![((&**name).into(), inner)]));
    Ok(Claims::Said(nested))
}

fn claim(value: &Value) -> Claim {
    match value {
        Value::String(text) => Claim::Text(text.as_str().into()),
        Value::Array(items) => Claim::List(items.iter().map(claim).collect()),
        Value::Object(members) => {
            Claim::Map(members.iter().map(|(name, value)| (name.as_str().into(), claim(value))).collect())
        }
        Value::Number(number) => number.as_f64().map_or(Claim::Other, Claim::number),
        Value::Null | Value::Bool(_) => Claim::Other,
    }
}

/// Namespace and account of a SPIFFE id of the usual form.
fn workload_of(uri: &str) -> Option<(String, String)> {
    let (_, path) = uri.strip_prefix("spiffe://")?.split_once('/')?;
    match path.split('/').collect::<Vec<_>>()[..] {
        ["ns", namespace, "sa", account] if !namespace.is_empty() && !account.is_empty() => {
            Some((namespace.to_owned(), account.to_owned()))
        }
        _ => None,
    }
}

/// Whether the listener that the documents describe would sign, as far as they say it.
pub fn may_sign(bootstrap: &Bootstrap) -> bool {
    !matches!(bootstrap.listen.ext_proc, Listen::Tcp(_))
}

fn question(text: impl Into<Words>) -> ExplainError {
    ExplainError::Question(text.into().to_string())
}
