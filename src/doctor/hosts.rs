//! Which host is a provider's: those of the catalogue, and of the configuration. Pure.

use std::net::IpAddr;

use crate::base::glob::Glob;
use crate::catalog::Catalog;

/// Hosts of providers.
#[derive(Debug, Default)]
pub struct Hosts {
    rows: Vec<(Glob, Box<str>)>,
}

// === impl Hosts ===

impl Hosts {
    /// Those that the catalogue names. A piece of a host that is the user's own stands for any.
    pub fn of(catalog: &Catalog) -> Hosts {
        let mut hosts = Hosts::default();
        for provider in catalog.providers() {
            let urls = provider.base_url.iter().chain(provider.also.iter().map(|also| &also.base_url));
            for url in urls.chain(provider.region_urls.iter().map(|(_, url)| url)) {
                hosts.add(&host_of(url), &provider.id);
            }
        }
        hosts
    }

    /// One more. What is no name in a domain is nobody's: an address, `localhost`, a host that is all the user's own.
    pub fn add(&mut self, host: &str, provider: &str) {
        let host = host.to_ascii_lowercase();
        let is_name = host.parse::<IpAddr>().is_err() && host.contains('.');
        let has_domain = host.rsplit('*').next().is_some_and(|rest| rest.trim_matches('.').contains('.'));
        if is_name && has_domain && !self.rows.iter().any(|(glob, _)| glob.as_str() == host) {
            self.rows.push((Glob::new(&host), provider.into()));
        }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whose host `name` is. It may be a pattern of TLS, `*.example.com`.
    pub fn find(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        let name = name.trim_end_matches('.');
        let is_it = |glob: &Glob| match name.strip_prefix('*') {
            Some(domain) if domain.matches('.').count() > 1 => glob.as_str().ends_with(domain),
            Some(_) => false,
            None => glob.matches(name),
        };
        self.rows.iter().find(|(glob, _)| is_it(glob)).map(|(_, provider)| &**provider)
    }
}

/// The host of a URL, with `*` for each word in braces.
fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    let mut out = String::new();
    for piece in host.split('}') {
        match piece.split_once('{') {
            Some((before, _)) => {
                out.push_str(before);
                out.push('*');
            }
            None => out.push_str(piece),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_the_catalogue_are_known_and_others_are_not() {
        let hosts = Hosts::of(&Catalog::builtin());
        assert!(hosts.len() > 50);
        let known = [
            ("api.openai.com", "openai"),
            ("API.OpenAI.com.", "openai"),
            ("api.anthropic.com", "anthropic"),
            ("europe-west4-aiplatform.googleapis.com", "vertex_ai"),
            ("bedrock-runtime.eu-central-1.amazonaws.com", "bedrock"),
            ("*.openai.com", "openai"),
        ];
        for (host, provider) in known {
            assert_eq!(hosts.find(host), Some(provider), "{host}");
        }
        for host in
            ["localhost", "127.0.0.1", "openai.com", "api.openai.com.evil.example", "example.com", "*.com", "*", ""]
        {
            assert_eq!(hosts.find(host), None, "{host}");
        }
    }

    #[test]
    fn what_is_all_the_users_own_is_no_providers() {
        let mut hosts = Hosts::default();
        for url in ["https://{workspace}/serving", "http://localhost:11434/v1", "http://10.0.0.1/v1", "https://*.com"] {
            hosts.add(&host_of(url), "x");
        }
        assert!(hosts.is_empty(), "{hosts:?}");
    }
}
