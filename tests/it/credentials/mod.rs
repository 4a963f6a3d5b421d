//! Credentials that are fetched, against fakes of the clouds' endpoints: each checks what it is asked as the
//! real one does, and answers as that one would.

mod azure;
pub mod fake;
mod faults;
pub mod google;
mod oauth;

use std::collections::HashMap;
use std::sync::Arc;

use weir::credential::source::Source;
use weir::credential::{self, FetchError, Grant, Http, Issued, Outside};

pub use fake::{Fake, Seen, json};

/// Fetches with this environment and nothing of the process's own.
async fn fetch(source: Source, environment: &[(&str, &str)]) -> Result<Issued, FetchError> {
    let environment: HashMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let env = Arc::new(move |name: &str| environment.get(name).cloned());
    credential::fetch(&source, &Outside { http: Http::default(), env }).await
}

/// The token, and for how many seconds it is good.
fn token(issued: Result<Issued, FetchError>) -> (String, Option<u64>) {
    let issued = issued.unwrap_or_else(|error| panic!("no token: {error}"));
    let Grant::Token(token) = issued.grant else { panic!("no token but a key") };
    let now = credential::lease::now();
    (token.expose().to_owned(), issued.until.map(|until| until.saturating_sub(now)))
}

/// A life that was stated as an hour, looked at a little later.
fn is_an_hour(life: Option<u64>) -> bool {
    life.is_some_and(|life| (3500..=3600).contains(&life))
}
