//! An explanation for people: a line a fact, the same for the same question.

use std::fmt;

use super::{Chance, Explanation, Fate, Line, Standing};
use crate::policy::Mode;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.caller(f)?;
        self.route(f)?;
        self.documents(f)
    }
}

// === impl Explanation ===

impl Explanation {
    fn caller(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.caller.name.is_empty() {
            return writeln!(f, "caller: not known, the call was refused before");
        }
        writeln!(f, "caller: {} ({})", self.caller.name, self.caller.rank)?;
        for fact in &self.caller.facts {
            writeln!(f, "  {} {}, from {}", fact.name, fact.value, fact.from)?;
        }
        Ok(())
    }

    fn route(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = &self.route;
        f.write_str("route: ")?;
        match (&route.rule, &route.backend) {
            (Some(rule), Some(backend)) => write!(f, "{rule}, to {backend}")?,
            (None, Some(backend)) => write!(f, "no rule, to {backend}")?,
            _ => f.write_str("none")?,
        }
        if let Some(model) = &route.model {
            write!(f, " as {model}")?;
        }
        writeln!(f, ": {}", route.why)?;
        for choice in &route.choices {
            writeln!(f, "  {choice}")?;
        }
        for rule in &route.rules {
            writeln!(f, "  not {}: {}", rule.rule, rule.why)?;
        }
        if route.omitted > 0 {
            writeln!(f, "  and {} more", route.omitted)?;
        }
        Ok(())
    }

    fn documents(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (head, lines) in [("policies that apply:", &self.applied), ("policies that do not:", &self.others)] {
            match lines.is_empty() {
                true => writeln!(f, "{head} none")?,
                false => writeln!(f, "{head}")?,
            }
            for line in lines {
                writeln!(f, "  {line}")?;
                for limit in &line.limits {
                    writeln!(f, "    {limit}")?;
                }
            }
        }
        if self.omitted > 0 {
            writeln!(f, "  and {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Chance { backend, model, priority, weight, of, fate } = self;
        write!(f, "priority {priority}, weight {weight} of {of}: {backend} as {model}: {fate}")
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Chosen => f.write_str("chosen"),
            Fate::PassedOver(reason) => write!(f, "passed over: {reason}"),
            Fate::NoWeight => f.write_str("never chosen without a weight"),
            Fate::Other => f.write_str("it was another one's turn"),
            Fate::NotNeeded => f.write_str("only if all before it fail"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if !self.names.is_empty() {
            write!(f, " ({})", self.names.join(", "))?;
        }
        write!(f, ": {}", self.standing)?;
        match (self.mode, &self.standing) {
            (Mode::Shadow, Standing::Refuses(_)) => f.write_str("; in Shadow, so it only counts"),
            (Mode::Shadow, Standing::Applies) => f.write_str(", in Shadow"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::Allows => f.write_str("allows"),
            Standing::Refuses(why) => write!(f, "refuses: {why}"),
            Standing::Applies => f.write_str("applies"),
            Standing::Replaced(by) => write!(f, "{by} is more particular, and replaces it"),
            Standing::Conflicted(with) => write!(f, "in conflict with {with}, which was written before it"),
            Standing::NotMet(why) => f.write_str(why),
            Standing::NotAsked => f.write_str("not asked, for no backend was chosen"),
        }
    }
}
