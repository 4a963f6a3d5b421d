//! [io] Keys of AWS by way of its own crates, which know the shared configuration files, web identity, the
//! containers' endpoints and the instance metadata service. What they ask leaves through [`Http`].

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::BehaviorVersion;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::region::Region;
use bytes::Bytes;

use super::http::{Http, HttpError};
use super::{FetchError, Issued, Outside};
use crate::base::secret::Secret;
use crate::credential::lease::{self, Grant};
use crate::credential::refresh::good_until;
use crate::credential::sigv4::Keys;
use crate::credential::source::Aws;

/// What the session of an assumed role is called in the account's log.
const SESSION: &str = "weir";

pub(super) async fn fetch(source: &Aws, outside: &Outside) -> Result<Issued, FetchError> {
    let (Aws::Profile { region, .. } | Aws::WebIdentity { region, .. } | Aws::Ambient { region }) = source;
    let region = region.clone().or_else(|| outside.env("AWS_REGION")).or_else(|| outside.env("AWS_DEFAULT_REGION"));
    let client = Client { http: outside.http.clone(), ahead: Arc::default() };
    let config = ProviderConfig::default()
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_http_client(client.clone())
        .with_sleep_impl(SharedAsyncSleep::new(aws_smithy_async::rt::sleep::TokioSleep::new()))
        .with_region(region.clone().map(Region::new));
    let result = match source {
        Aws::Profile { name, .. } => {
            let provider = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(name).build();
            provider.provide_credentials().await
        }
        Aws::WebIdentity { role, token_file, .. } => {
            let web = StaticConfiguration {
                web_identity_token_file: token_file.clone(),
                role_arn: role.clone(),
                session_name: SESSION.to_owned(),
            };
            let builder = WebIdentityTokenCredentialsProvider::builder().configure(&config);
            builder.static_configuration(web).build().provide_credentials().await
        }
        Aws::Ambient { .. } => {
            let mut builder = DefaultCredentialsChain::builder().configure(config);
            builder.set_region(region.map(Region::new));
            builder.build().await.provide_credentials().await
        }
    };
    let ahead = client.ahead.load(Ordering::Relaxed);
    result.map(|credentials| issued(&credentials, ahead)).map_err(|error| FetchError::Aws(words(&error)))
}

/// `ahead` is as [`Client::ahead`].
fn issued(credentials: &Credentials, ahead: i64) -> Issued {
    let keys = Keys {
        id: Secret::new(credentials.access_key_id()),
        secret: Secret::new(credentials.secret_access_key()),
        token: credentials.session_token().map(Secret::new),
    };
    let until = credentials.expiry().map(|end| good_until(lease::now(), unix(end).saturating_add_signed(-ahead)));
    Issued { grant: Grant::Aws(keys.into()), until }
}

fn unix(instant: SystemTime) -> u64 {
    instant.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The error with what caused it: the outermost text alone says only that there was one. None of them holds a
/// key.
fn words(error: &CredentialsError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

/// [`Http`] as AWS's crates want it.
#[derive(Clone, Debug)]
struct Client {
    http: Http,
    /// By how many seconds the clock of who answered last is ahead of this machine's.
    ahead: Arc<AtomicI64>,
}

// === impl Client ===

impl HttpClient for Client {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Client {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Client { http, ahead } = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            // Every body that asks for keys is a short text.
            let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
            let answer = http.send(request).await.map_err(|error| match error {
                HttpError::Slow(_) => ConnectorError::timeout(error.into()),
                error => ConnectorError::io(error.into()),
            })?;
            let now = lease::now();
            // What is now by that clock is so much earlier by this one.
            let own = answer.by_own_clock(now, now);
            ahead.store(now.cast_signed().saturating_sub(own.cast_signed()), Ordering::Relaxed);
            let mut response = http::Response::new(SdkBody::from(answer.body));
            *response.headers_mut() = answer.headers;
            *response.status_mut() =
                http::StatusCode::from_u16(answer.status).map_err(|error| ConnectorError::other(error.into(), None))?;
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
