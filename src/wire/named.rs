//! Paths that name their model: Gemini's (AI Studio and Vertex) and Bedrock's.

use super::{Endpoint, Named};
use crate::llm::{Dialect, Operation};

/// What Gemini asks of a model, behind the colon.
const VERBS: &[(&str, Operation, bool)] = &[
    ("generateContent", Operation::Chat, false),
    ("streamGenerateContent", Operation::Chat, true),
    ("countTokens", Operation::CountTokens, false),
];

/// What Bedrock asks of a model, behind its id.
const ACTIONS: &[(&str, Operation, bool)] = &[
    ("converse", Operation::Chat, false),
    ("converse-stream", Operation::Chat, true),
    ("count-tokens", Operation::CountTokens, false),
];

/// What a POST to such a path asks for; nothing for another path.
pub(super) fn endpoint(path: &str) -> Option<Endpoint> {
    let (dialect, _, verb) = parts(path)?;
    let table = if dialect == Dialect::Gemini { VERBS } else { ACTIONS };
    let &(_, operation, stream) = table.iter().find(|(word, ..)| *word == verb)?;
    let query = path.split_once('?').map_or("", |(_, query)| query);
    // Without `alt=sse` Gemini streams the elements of one array.
    let array = stream && dialect == Dialect::Gemini && !query.split('&').any(|pair| pair == "alt=sse");
    Some(Endpoint { dialect, operation, held: true, multipart: false, named: Named::Path { stream, array } })
}

/// The model that such a path names, percent signs decoded.
pub fn model(path: &str) -> Option<String> {
    let (_, model, _) = parts(path)?;
    Some(super::models::decode(model)).filter(|model| !model.is_empty())
}

fn parts(path: &str) -> Option<(Dialect, &str, &str)> {
    let path = path.split('?').next().unwrap_or(path);
    if let Some(rest) = path.strip_prefix("/model/") {
        let (model, verb) = rest.rsplit_once('/')?;
        return (!model.contains('/')).then_some((Dialect::Bedrock, model, verb));
    }
    let rest = ["/v1beta/", "/v1beta1/", "/v1/", "/v1alpha/"].iter().find_map(|prefix| path.strip_prefix(prefix))?;
    // A client of Vertex says whose project it is; where calls go is not the client's to say.
    let rest = match rest.strip_prefix("projects/") {
        Some(rest) => rest.split_once("/publishers/google/").map(|(_, rest)| rest)?,
        None => rest.strip_prefix("publishers/google/").unwrap_or(rest),
    };
    let (model, verb) = rest.strip_prefix("models/")?.rsplit_once(':')?;
    (!model.contains('/')).then_some((Dialect::Gemini, model, verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_stands_in_the_path() {
        for (path, dialect, operation, stream, array, name) in [
            ("/v1beta/models/g-1:generateContent", Dialect::Gemini, Operation::Chat, false, false, "g-1"),
            ("/v1beta/models/g:streamGenerateContent?alt=sse", Dialect::Gemini, Operation::Chat, true, false, "g"),
            ("/v1beta/models/g:streamGenerateContent?key=alt=sse", Dialect::Gemini, Operation::Chat, true, true, "g"),
            ("/v1/models/a%2Fb:countTokens", Dialect::Gemini, Operation::CountTokens, false, false, "a/b"),
            (
                "/v1beta1/projects/p/locations/l/publishers/google/models/g:generateContent",
                Dialect::Gemini,
                Operation::Chat,
                false,
                false,
                "g",
            ),
            (
                "/model/us.anthropic.c-v1%3A0/converse",
                Dialect::Bedrock,
                Operation::Chat,
                false,
                false,
                "us.anthropic.c-v1:0",
            ),
            ("/model/m/converse-stream", Dialect::Bedrock, Operation::Chat, true, false, "m"),
        ] {
            let named = Named::Path { stream, array };
            let expected = Endpoint { dialect, operation, held: true, multipart: false, named };
            assert_eq!(endpoint(path), Some(expected), "{path}");
            assert_eq!(model(path).as_deref(), Some(name), "{path}");
        }
        for path in [
            "/v1beta/models/g",
            "/v1beta/models/g:predict",
            "/v1beta/models/a/b:generateContent",
            "/v2/models/g:generateContent",
            "/model/a/b/converse",
            "/model/m/invoke",
            "/v1/chat/completions",
        ] {
            assert_eq!(endpoint(path), None, "{path}");
        }
    }
}
