//! The region that a provider's host stands for, where prices depend on it.

/// The region of a host; none for a global one and for hosts without regions.
///
/// | host | region |
/// |---|---|
/// | `bedrock-runtime.eu-west-1.amazonaws.com`, `bedrock-runtime-fips.…`, `bedrock-mantle.eu-west-1.api.aws` | `eu-west-1` |
/// | `europe-west4-aiplatform.googleapis.com` | `europe-west4` |
/// | `aiplatform.eu.rep.googleapis.com` | `eu` |
/// | `eu.api.openai.com` | `eu` |
pub fn of(authority: &str) -> Option<&str> {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    if let Some(rest) = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".api.aws")) {
        let (service, region) = rest.split_once('.')?;
        return service.starts_with("bedrock").then_some(region).filter(|region| !region.contains('.'));
    }
    let google = host.strip_suffix("-aiplatform.googleapis.com");
    let shared = || host.strip_prefix("aiplatform.")?.strip_suffix(".rep.googleapis.com");
    let openai = || host.strip_suffix(".api.openai.com");
    google.or_else(shared).or_else(openai).filter(|region| !region.is_empty() && !region.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_their_region_or_none() {
        for (host, region) in [
            ("bedrock-runtime.us-east-1.amazonaws.com", Some("us-east-1")),
            ("bedrock-runtime.us-east-1.amazonaws.com:443", Some("us-east-1")),
            ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("bedrock-mantle.eu-west-1.api.aws", Some("eu-west-1")),
            ("s3.us-east-1.amazonaws.com", None),
            ("vpce-1.bedrock-runtime.us-east-1.vpce.amazonaws.com", None),
            ("europe-west4-aiplatform.googleapis.com", Some("europe-west4")),
            ("aiplatform.googleapis.com", None),
            ("aiplatform.eu.rep.googleapis.com", Some("eu")),
            ("generativelanguage.googleapis.com", None),
            ("eu.api.openai.com", Some("eu")),
            ("api.openai.com", None),
            ("evil.example.com", None),
            ("", None),
        ] {
            assert_eq!(of(host), region, "{host}");
        }
    }
}
