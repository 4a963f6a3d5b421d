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

/// Whether a name in the table of prices is that of a model in one region (`eu-west-1/NAME`, `eu/NAME`,
/// `*/1-month-commitment/NAME`): a price, and no name that a call could say.
pub fn is_in(name: &str) -> bool {
    let Some((first, _)) = name.split_once('/') else { return false };
    // AWS's regions, such as `us-gov-west-1`.
    let mut words = first.rsplit('-');
    let is_numbered =
        words.next().is_some_and(|last| last.len() == 1 && last.bytes().all(|byte| byte.is_ascii_digit()));
    let is_aws = is_numbered && matches!(words.count(), 2 | 3) && first.as_bytes().get(2) == Some(&b'-');
    is_aws || matches!(first, "*" | "us" | "eu" | "global" | "global-standard")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_of_regions_are_told_from_models() {
        for (name, is_in) in [
            ("us-gov-west-1/openai.gpt-oss-20b-1:0", true),
            ("eu-central-1/qwen.qwen3-coder-next", true),
            ("eu/gpt-4o", true),
            ("*/1-month-commitment/cohere.command-text-v14", true),
            ("gpt-4o", false),
            ("openai/gpt-4o", false),
            ("accounts/fireworks/models/x", false),
            ("zai-org/GLM-5.2", false),
            ("qwen-2/x", false),
        ] {
            assert_eq!(super::is_in(name), is_in, "{name}");
        }
    }

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
