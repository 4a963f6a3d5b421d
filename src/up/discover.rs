//! Which providers can be used because their key is in the environment. Pure: the environment and
//! the catalogue are parameters, and no key is kept or returned.

/// A provider whose key is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The catalogue row.
    pub provider: &'a str,
    /// The variable that holds the key.
    pub variable: &'a str,
}

/// The providers of `known` for which a variable is set and not blank, in the order of `known`; for
/// each the first such variable.
pub fn discover<'a>(env: &dyn Fn(&str) -> Option<String>, known: &[(&'a str, &[&'a str])]) -> Vec<Found<'a>> {
    let holds_key = |variable: &str| env(variable).is_some_and(|value| !value.trim().is_empty());
    let found = known.iter().filter_map(|&(provider, variables)| {
        let variable = variables.iter().copied().find(|variable| holds_key(variable))?;
        Some(Found { provider, variable })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[(&str, &[&str])] = &[
        ("openai", &["OPENAI_API_KEY"]),
        ("gemini", &["GEMINI_API_KEY", "GOOGLE_API_KEY"]),
        ("groq", &["GROQ_API_KEY"]),
        ("ollama", &[]),
    ];

    #[test]
    fn the_first_variable_that_holds_something_names_the_provider() {
        let env = |name: &str| match name {
            "GROQ_API_KEY" | "GOOGLE_API_KEY" => Some("key".to_owned()),
            "OPENAI_API_KEY" => Some("  ".to_owned()),
            _ => None,
        };
        let found = discover(&env, KNOWN);
        assert_eq!(
            found,
            [
                Found { provider: "gemini", variable: "GOOGLE_API_KEY" },
                Found { provider: "groq", variable: "GROQ_API_KEY" }
            ]
        );
    }

    #[test]
    fn an_empty_environment_finds_nothing() {
        assert!(discover(&|_| None, KNOWN).is_empty());
    }
}
