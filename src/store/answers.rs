//! [io] What a server's errors mean. Only their codes are ever repeated: a text may hold a key, and so who calls.

use redis::Value;

/// Codes of errors that concern a whole server and not one key. An older server says some of them only in the text
/// of a script's error.
const OF_STORE: &[&str] = &[
    "OOM",
    "LOADING",
    "READONLY",
    "MISCONF",
    "NOPERM",
    "NOAUTH",
    "WRONGPASS",
    "BUSY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "NOREPLICAS",
];

/// Where else a slot is, as a server of a Cluster says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// For good. The host may be empty: that of who says it.
    Moved { host: String, port: u16 },
    /// What is asked now alone.
    Ask { host: String, port: u16 },
    /// It is on its way, and some of the keys are here and some there.
    Between,
}

pub(super) fn is_no_script(value: &Value) -> bool {
    code(value) == Some("NOSCRIPT")
}

/// Whether it is an error of the whole server.
pub(super) fn is_of_store(value: &Value) -> bool {
    let Value::ServerError(error) = value else { return false };
    let text = error.details().unwrap_or_default();
    OF_STORE.contains(&error.code()) || OF_STORE.iter().any(|code| within(text, code))
}

/// Whether it is a master no more.
pub(super) fn is_read_only(value: &Value) -> bool {
    let Value::ServerError(error) = value else { return false };
    error.code() == "READONLY" || within(error.details().unwrap_or_default(), "READONLY")
}

/// Whether it goes away by itself.
pub fn goes_away(value: &Value) -> bool {
    is_of_store(value) || elsewhere(value).is_some()
}

pub(super) fn elsewhere(value: &Value) -> Option<Elsewhere> {
    let Value::ServerError(error) = value else { return None };
    let address = || {
        // `3999 10.0.0.1:6381`
        let (host, port) = error.details()?.split_ascii_whitespace().nth(1)?.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?))
    };
    match error.code() {
        "MOVED" => address().map(|(host, port)| Elsewhere::Moved { host, port }),
        "ASK" => address().map(|(host, port)| Elsewhere::Ask { host, port }),
        "TRYAGAIN" => Some(Elsewhere::Between),
        _ => None,
    }
}

/// Whether a script's error repeats that of a command: `… -OOM command not allowed …`.
fn within(text: &str, code: &str) -> bool {
    text.split_ascii_whitespace().any(|word| word.strip_prefix('-') == Some(code))
}

/// An error's code, and not its text.
pub fn words(value: &Value) -> String {
    let Value::ServerError(error) = value else { return String::new() };
    let text = error.details().unwrap_or_default();
    let code = OF_STORE.iter().find(|code| within(text, code)).copied().unwrap_or(error.code());
    let why = match code {
        "MOVED" => ": it is of a Cluster, and its user needs the right to `CLUSTER SLOTS`",
        "CROSSSLOT" => {
            ": it divides keys by slot and says of no Cluster where they are, so that nothing can be done to \
                        several of them together"
        }
        _ => "",
    };
    format!("it answers {code}{why}")
}

fn code(value: &Value) -> Option<&str> {
    match value {
        Value::ServerError(error) => Some(error.code()),
        _ => None,
    }
}
