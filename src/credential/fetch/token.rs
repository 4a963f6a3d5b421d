//! The answer of a token endpoint (RFC 6749, section 5), as every cloud varies it, and the form that asks
//! for one.

use bytes::Bytes;
use http::{Method, Request, header};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::http::Answer;
use super::{FetchError, Issued, Outside};
use crate::base::secret::Secret;
use crate::credential::lease::{self, Grant};
use crate::credential::refresh::good_until;

/// The longest text of an endpoint that an error repeats, in characters.
const SAID: usize = 300;

/// The fields of a form that no error may repeat, whatever an endpoint says of them.
const SECRET_FIELDS: &[&str] = &["client_secret", "refresh_token", "assertion", "client_assertion", "subject_token"];

/// One field of a form.
pub(super) type Field<'a> = (&'a str, &'a str);

#[derive(Deserialize)]
struct Answered {
    #[serde(alias = "accessToken")]
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Seconds>,
    /// Azure's instance metadata and App Service: an instant.
    expires_on: Option<Seconds>,
    /// Google's IAM Credentials API: an instant in RFC 3339.
    #[serde(rename = "expireTime")]
    expire_time: Option<String>,
}

/// Azure writes numbers as text, too.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Fraction(f64),
    Text(String),
    Other(IgnoredAny),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    error: Option<FaultError>,
    error_description: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FaultError {
    Word(String),
    Google { message: String },
    Other(IgnoredAny),
}

/// Asks a token endpoint with a form, and reads the token.
pub(super) async fn ask(
    outside: &Outside,
    url: &str,
    form: &[Field<'_>],
    authorization: Option<Secret>,
) -> Result<Issued, FetchError> {
    read(url, &post(outside, url, form, authorization).await?)
}

/// Sends a form, and has an answer that is a success.
pub(super) async fn post(
    outside: &Outside,
    url: &str,
    form: &[Field<'_>],
    authorization: Option<Secret>,
) -> Result<Answer, FetchError> {
    let mut request = Request::builder().method(Method::POST).uri(url);
    request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    request = request.header(header::ACCEPT, "application/json");
    if let Some(value) = &authorization {
        request = request.header(header::AUTHORIZATION, value.expose());
    }
    let answer = send(outside, url, request, encode(form)).await?;
    let secrets = form.iter().filter(|(name, _)| SECRET_FIELDS.contains(name)).map(|(_, value)| *value);
    let basic = authorization.as_ref().and_then(|value| value.expose().split_once(' ')).map(|(_, basic)| basic);
    must_succeed(url, &answer, &secrets.chain(basic).collect::<Vec<_>>())?;
    Ok(answer)
}

/// Sends a request that is being built for this URL.
pub(super) async fn send(
    outside: &Outside,
    url: &str,
    request: http::request::Builder,
    body: String,
) -> Result<Answer, FetchError> {
    use super::http::HttpError;
    let failed = |error| FetchError::Http { place: place(url), error };
    let request = request.body(Bytes::from(body)).map_err(|_| failed(HttpError::Url))?;
    outside.http.send(request).await.map_err(failed)
}

/// The token of an answer.
pub(super) fn read(url: &str, answer: &Answer) -> Result<Issued, FetchError> {
    must_succeed(url, answer, &[])?;
    let none = |what| FetchError::NoToken { place: place(url), what };
    let Ok(answered) = serde_json::from_slice::<Answered>(&answer.body) else {
        return Err(none("it is not the JSON of one"));
    };
    let token = answered.access_token.unwrap_or_default();
    if answered.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(none("its `token_type` is not Bearer"));
    }
    if token.is_empty() || !token.bytes().all(|byte| matches!(byte, 0x21..=0x7e)) {
        return Err(none("its `access_token` is absent, or no header can carry it"));
    }
    let now = lease::now();
    let end = answered.expires_in.and_then(Seconds::whole).map(|life| now.saturating_add(life));
    let instant = answered.expires_on.and_then(Seconds::whole);
    let instant = instant.or_else(|| crate::base::rfc3339::unix(&answered.expire_time?));
    let end = end.or_else(|| instant.map(|instant| good_until(now, answer.by_own_clock(instant, now))));
    Ok(Issued { grant: Grant::Token(Secret::new(&token)), until: end })
}

/// # Errors
/// The endpoint answered with another status, and what it says of the fault; nothing of it where that has one of
/// these secrets in it.
pub(super) fn must_succeed(url: &str, answer: &Answer, secrets: &[&str]) -> Result<(), FetchError> {
    if answer.status == 200 {
        return Ok(());
    }
    let fault: Fault = serde_json::from_slice(&answer.body).unwrap_or_default();
    let error = match fault.error {
        Some(FaultError::Word(text) | FaultError::Google { message: text }) => Some(text),
        Some(FaultError::Other(_)) | None => None,
    };
    let said: String = [error, fault.error_description].into_iter().flatten().map(|text| format!(": {text}")).collect();
    let repeats = |secret: &&str| {
        let mut escaped = String::new();
        escape(secret, &mut escaped);
        !secret.is_empty() && (said.contains(*secret) || said.contains(&escaped))
    };
    let said = if secrets.iter().any(repeats) { ": its words repeat a secret".to_owned() } else { said };
    let said = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID).collect();
    Err(FetchError::Refused { place: place(url), status: answer.status, said })
}

/// A URL as an error shows it: a query, and what stands before the host, may hold a secret.
pub(super) fn place(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = plain.split_once("://").unwrap_or(("", plain));
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = host.rsplit('@').next().unwrap_or_default();
    let slashes = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{slashes}{host}{path}").chars().take(SAID).collect()
}

/// `application/x-www-form-urlencoded`.
pub(super) fn encode(form: &[Field<'_>]) -> String {
    let mut out = String::new();
    for (name, value) in form {
        if !out.is_empty() {
            out.push('&');
        }
        escape(name, &mut out);
        out.push('=');
        escape(value, &mut out);
    }
    out
}

/// Appends a text as a form and a query both take it.
pub(super) fn escape(text: &str, out: &mut String) {
    crate::credential::sigv4::escape(text, out);
}

// === impl Seconds ===

impl Seconds {
    fn whole(self) -> Option<u64> {
        match self {
            Seconds::Number(number) => Some(number),
            // A number of seconds: what is lost is a part of one.
            Seconds::Fraction(number) => (number >= 0.0).then_some(number as u64),
            Seconds::Text(text) => text.trim().parse().ok(),
            Seconds::Other(_) => None,
        }
    }
}
