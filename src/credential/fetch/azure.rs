//! [io] Tokens of Microsoft Entra ID for Azure's AI services: an application's own secret, a token of the
//! cluster in exchange (workload identity), or the identity of the machine (App Service, virtual machine).

use http::Request;

use super::token::{self, Field};
use super::{FetchError, Issued, Outside, file};
use crate::credential::source::Azure;

/// What a token is for: Azure OpenAI and the other AI services.
const RESOURCE: &str = "https://cognitiveservices.azure.com";
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

/// Where tokens are had, unless `AZURE_AUTHORITY_HOST` says otherwise.
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// The instance metadata service, unless `AZURE_POD_IDENTITY_AUTHORITY_HOST` says otherwise.
const METADATA: &str = "http://169.254.169.254";

pub(super) async fn fetch(source: &Azure, outside: &Outside) -> Result<Issued, FetchError> {
    match source {
        Azure::ClientSecret { tenant, client, secret } => {
            exchange(outside, tenant, client, &[("client_secret", secret.expose())]).await
        }
        Azure::Federated { tenant, client, token_file } => {
            let path = match token_file {
                Some(path) => path.clone(),
                None => {
                    let named = outside.env("AZURE_FEDERATED_TOKEN_FILE");
                    named.map(Into::into).ok_or(FetchError::Nowhere(
                        "AZURE_FEDERATED_TOKEN_FILE is not set: label the pod `azure.workload.identity/use: \"true\"`, \
                         or state `tokenFile`",
                    ))?
                }
            };
            let assertion = file(&path).await?;
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            let fields = [("client_assertion_type", kind), ("client_assertion", &*assertion)];
            exchange(outside, tenant, client, &fields).await
        }
        Azure::Managed { client } => managed(outside, client.as_deref()).await,
    }
}

async fn exchange(outside: &Outside, tenant: &str, client: &str, proof: &[Field<'_>]) -> Result<Issued, FetchError> {
    let authority = outside.env("AZURE_AUTHORITY_HOST").unwrap_or_else(|| AUTHORITY.to_owned());
    let url = format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/'));
    let mut form = vec![("grant_type", "client_credentials"), ("client_id", client), ("scope", SCOPE)];
    form.extend(proof);
    token::ask(outside, &url, &form, None).await
}

/// App Service, Functions and Container Apps say where they are asked; a virtual machine has its metadata.
async fn managed(outside: &Outside, client: Option<&str>) -> Result<Issued, FetchError> {
    let service = outside.env("IDENTITY_ENDPOINT").zip(outside.env("IDENTITY_HEADER"));
    let (base, version, header) = match service {
        Some((endpoint, secret)) => (endpoint, "2019-08-01", ("x-identity-header", secret)),
        None => {
            let host = outside.env("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or_else(|| METADATA.to_owned());
            let base = format!("{}/metadata/identity/oauth2/token", host.trim_end_matches('/'));
            (base, "2018-02-01", ("metadata", "true".to_owned()))
        }
    };
    let mut query = vec![("api-version", version), ("resource", RESOURCE)];
    query.extend(client.map(|client| ("client_id", client)));
    let url = format!("{base}?{}", token::encode(&query));
    let (name, value) = header;
    let answer = token::send(outside, &url, Request::get(&url).header(name, value), String::new()).await?;
    token::read(&url, &answer)
}
