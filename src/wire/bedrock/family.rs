//! What the models of each maker take beside the plain request, by the model's id (Bedrock user guide,
//! "Supported models and features", "Inference request parameters", "Structured outputs", 2026; Anthropic's
//! migration guides up to 5.5).

/// A maker's models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Anthropic's, by 100 times their major version and the minor one.
    Claude(u16, Line),
    /// Amazon's, by their generation.
    Nova(u8),
    /// `gpt-oss`.
    OpenAi,
    Mistral,
    Cohere,
    /// Open models that know structured output.
    Open,
    /// Those that know nothing of the sort.
    Plain,
    /// An inference profile or an endpoint whose name does not tell its model.
    Unknown,
}

/// Anthropic's lines of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Opus,
    Sonnet,
    Haiku,
    /// Fable and Mythos, which always think.
    Thinker,
}

/// How a model is told not to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Off {
    /// It does not in any case, or it is not known how it is told.
    Needless,
    /// `thinking` of this type.
    Typed(&'static str),
    Impossible,
}

/// How an id tells its maker, the longer names first.
const MAKERS: &[(&str, Family)] = &[
    ("anthropic.", Family::Claude(0, Line::Opus)),
    ("amazon.nova-2", Family::Nova(2)),
    ("amazon.nova", Family::Nova(1)),
    ("amazon.", Family::Plain),
    ("openai.", Family::OpenAi),
    ("mistral.", Family::Mistral),
    ("cohere.", Family::Cohere),
    ("deepseek.", Family::Open),
    ("qwen.", Family::Open),
    ("google.", Family::Open),
    ("minimax.", Family::Open),
    ("moonshot.", Family::Open),
    ("moonshotai.", Family::Open),
    ("nvidia.", Family::Open),
    ("zai.", Family::Open),
    ("meta.", Family::Plain),
    ("ai21.", Family::Plain),
    ("writer.", Family::Plain),
];

// === impl Family ===

impl Family {
    /// By an id, an id with a region in front (`us.`, `global.`), or an ARN.
    pub(super) fn of(model: &str) -> Family {
        let named = |(maker, _): &&(&str, Family)| {
            let at = model.find(maker);
            at.is_some_and(|at| at == 0 || matches!(model.as_bytes()[at - 1], b'.' | b'/'))
        };
        match MAKERS.iter().find(named) {
            Some((_, Family::Claude(..))) => claude(model),
            Some(&(_, family)) => family,
            None => Family::Unknown,
        }
    }

    /// Cache points.
    pub(super) fn caches(self) -> bool {
        matches!(self, Family::Claude(..) | Family::Nova(_) | Family::Unknown)
    }

    /// `outputConfig.textFormat` and strict tools.
    pub(super) fn is_structured(self) -> bool {
        match self {
            Family::Claude(version, _) => version >= 405,
            Family::OpenAi | Family::Mistral | Family::Open | Family::Unknown => true,
            Family::Nova(_) | Family::Cohere | Family::Plain => false,
        }
    }

    /// `toolChoice.auto`, and `status` of a tool's result.
    pub(super) fn is_rich_in_tools(self) -> bool {
        self.caches()
    }

    /// Claude's version; 0 for every other model.
    pub(super) fn claude(self) -> u16 {
        match self {
            Family::Claude(version, _) => version,
            _ => 0,
        }
    }

    pub(super) fn is_claude(self) -> bool {
        matches!(self, Family::Claude(..))
    }

    /// It can be forced to call a tool.
    pub(super) fn can_be_forced(self) -> bool {
        match self {
            Family::Claude(version, line) => version < 501 || (version < 505 && line != Line::Thinker),
            _ => true,
        }
    }

    pub(super) fn off(self) -> Off {
        match self {
            Family::OpenAi | Family::Claude(_, Line::Thinker) => Off::Impossible,
            Family::Claude(505.., Line::Opus) => Off::Impossible,
            Family::Claude(505.., Line::Sonnet) => Off::Typed("between_tools"),
            Family::Claude(307.., _) => Off::Typed("disabled"),
            _ => Off::Needless,
        }
    }
}

/// `claude-3-5-sonnet-20241022-v2:0` and `claude-opus-4-1-20250805-v1:0`: the first small numbers.
fn claude(model: &str) -> Family {
    let name = model.rsplit("anthropic.").next().unwrap_or_default();
    let number = |word: &str| word.parse::<u16>().ok().filter(|_| word.len() <= 2);
    let mut numbers = name.split('-').skip_while(|word| number(word).is_none());
    let major = numbers.next().and_then(number).unwrap_or(0);
    let minor = numbers.next().and_then(number).unwrap_or(0);
    let line = match name {
        name if name.contains("sonnet") => Line::Sonnet,
        name if name.contains("haiku") => Line::Haiku,
        name if name.contains("fable") || name.contains("mythos") => Line::Thinker,
        _ => Line::Opus,
    };
    Family::Claude(major * 100 + minor, line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_maker_and_version() {
        let arn = "arn:aws:bedrock:us-east-1:123456789012";
        for (model, family) in [
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", Family::Claude(305, Line::Sonnet)),
            ("anthropic.claude-3-haiku-20240307-v1:0", Family::Claude(300, Line::Haiku)),
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", Family::Claude(400, Line::Sonnet)),
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", Family::Claude(405, Line::Sonnet)),
            ("anthropic.claude-opus-4-6-v1", Family::Claude(406, Line::Opus)),
            ("anthropic.claude-v2:1", Family::Claude(0, Line::Opus)),
            (
                &format!("{arn}:inference-profile/us.anthropic.claude-opus-4-1-20250805-v1:0"),
                Family::Claude(401, Line::Opus),
            ),
            (&format!("{arn}:application-inference-profile/a1b2c3"), Family::Unknown),
            ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", Family::Nova(1)),
            ("us.amazon.nova-2-lite-v1:0", Family::Nova(2)),
            ("amazon.titan-text-express-v1", Family::Plain),
            ("openai.gpt-oss-120b-1:0", Family::OpenAi),
            ("us.meta.llama3-3-70b-instruct-v1:0", Family::Plain),
            ("deepseek.v3-v1:0", Family::Open),
            ("notanthropic.claude", Family::Unknown),
            ("", Family::Unknown),
        ] {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }
}
