//! [io] The client credentials grant (RFC 6749, section 4.4) of any server.

use super::token;
use super::{FetchError, Issued, Outside};
use crate::base::base64;
use crate::base::secret::Secret;
use crate::credential::source::OAuth;

pub(super) async fn fetch(source: &OAuth, outside: &Outside) -> Result<Issued, FetchError> {
    let OAuth { token_url, client, secret, scopes, audience } = source;
    let scope = scopes.join(" ");
    let mut form = vec![("grant_type", "client_credentials")];
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    form.extend(audience.as_deref().map(|audience| ("audience", audience)));
    // Every server must take the header (section 2.3.1); some take the body alone all the same.
    let refused = match token::ask(outside, token_url, &form, Some(basic(client, secret))).await {
        Err(refused @ FetchError::Refused { status: 400 | 401, .. }) => refused,
        result => return result,
    };
    form.extend([("client_id", &**client), ("client_secret", secret.expose())]);
    token::ask(outside, token_url, &form, None).await.map_err(|_| refused)
}

/// Both parts are escaped as in a form before they are put together.
fn basic(client: &str, secret: &Secret) -> Secret {
    let mut pair = String::new();
    token::escape(client, &mut pair);
    pair.push(':');
    token::escape(secret.expose(), &mut pair);
    Secret::new(&format!("Basic {}", base64::encode(pair.as_bytes())))
}
