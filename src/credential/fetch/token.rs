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

/// The longest text of an endpoint that an error repeats, in characters.
const SAID: usize = 300;

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

/// Sends a form.
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
    send(outside, url, request, encode(form)).await
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
    must_succeed(url, answer)?;
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
    let end = answered.expires_in.and_then(Seconds::whole).map(|life| lease::now().saturating_add(life));
    let end = end.or_else(|| answered.expires_on.and_then(Seconds::whole));
    let end = end.or_else(|| crate::base::rfc3339::unix(&answered.expire_time?));
    Ok(Issued { grant: Grant::Token(Secret::new(&token)), until: end })
}

/// # Errors
/// The endpoint answered with another status, and what it says of the fault.
pub(super) fn must_succeed(url: &str, answer: &Answer) -> Result<(), FetchError> {
    if answer.status == 200 {
        return Ok(());
    }
    let fault: Fault = serde_json::from_slice(&answer.body).unwrap_or_default();
    let error = match fault.error {
        Some(FaultError::Word(text) | FaultError::Google { message: text }) => Some(text),
        Some(FaultError::Other(_)) | None => None,
    };
    let said: String = [error, fault.error_description].into_iter().flatten().map(|text| format!(": {text}")).collect();
    let said = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID).collect();
    Err(FetchError::Refused { place: place(url), status: answer.status, said })
}

/// A URL as an error shows it: a query may hold a secret.
pub(super) fn place(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    plain.chars().take(SAID).collect()
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
