//! Names of members, taken apart.

use super::*;

#[test]
fn the_table_is_read() {
    let providers: Providers = toml::from_str(PROVIDERS).unwrap();
    assert_eq!(providers.rename.len(), Providers::builtin().rename.len());
    for (map, weir) in [
        ("openai", "openai"),
        ("text-completion-openai", "openai"),
        ("bedrock_converse", "bedrock"),
        ("vertex_ai", "vertex_ai"),
        ("vertex_ai-language-models", "vertex_ai"),
        ("vertex_ai-models-of-tomorrow", "vertex_ai"),
        ("cohere_chat", "cohere"),
        ("a-provider-of-tomorrow", "a-provider-of-tomorrow"),
    ] {
        assert_eq!(providers.id(map), weir);
    }
    assert!(providers.is_inclusive("xai") && !providers.is_inclusive("openai"));
}

#[test]
fn a_name_is_a_model_and_what_it_is_for() {
    let providers = Providers::builtin();
    for (provider, key, model, prefixed, size, quality) in [
        ("openai", "gpt-4o", "gpt-4o", false, None, None),
        ("openai", "openai/container", "container", true, None, None),
        ("groq", "groq/openai/gpt-oss-20b", "openai/gpt-oss-20b", true, None, None),
        ("vertex_ai-language-models", "vertex_ai/gemini-x", "gemini-x", true, None, None),
        ("vertex_ai-language-models", "gemini-x", "gemini-x", false, None, None),
        ("amazon_nova", "amazon-nova/nova-pro-v1", "nova-pro-v1", true, None, None),
        ("text-completion-codestral", "text-completion-codestral/c", "c", true, None, None),
        ("bedrock", "bedrock/us-east-1/m", "us-east-1/m", true, None, None),
        ("openai", "high/1024-x-1536/gpt-image-1", "gpt-image-1", false, Some("1024x1536"), Some("high")),
        ("openai", "1024-x-1536/gpt-image-1", "gpt-image-1", false, Some("1024x1536"), None),
        ("azure", "azure/hd/1792-x-1024/dall-e-3", "dall-e-3", true, Some("1792x1024"), Some("hd")),
        (
            "bedrock",
            "1024-x-1024/50-steps/bedrock/amazon.nova",
            "amazon.nova",
            false,
            Some("1024x1024"),
            Some("50-steps"),
        ),
        ("bedrock", "max-x-max/max-steps/sd", "sd", false, Some("max"), Some("max-steps")),
        (
            "fal_ai",
            "fal_ai/low/1024-x-768/openai/gpt-image-2",
            "openai/gpt-image-2",
            true,
            Some("1024x768"),
            Some("low"),
        ),
        ("openai", "high/gpt", "high/gpt", false, None, None),
        ("openai", "high/1024-x-/gpt", "high/1024-x-/gpt", false, None, None),
    ] {
        let size = size.map(str::to_owned);
        assert_eq!(providers.name(provider, key), Name { model, prefixed, size, quality }, "{key}");
    }
}
