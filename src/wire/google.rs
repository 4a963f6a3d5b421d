//! What Google says of an error in the same form wherever it answers: under Gemini's own API, under the one
//! that imitates OpenAI's, and in front of Anthropic's models at Vertex AI.

use std::time::Duration;

use crate::base::json::ObjectWriter;
use crate::base::json::tree::Value;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// When to ask again: `retryDelay` of a `google.rpc.RetryInfo` in an error's `details` (google/rpc/error_details.proto;
/// a `google.protobuf.Duration` is `"34.07s"` in JSON). What is no time, or a negative one, is none.
pub(super) fn retry_delay(error: Value<'_, '_>) -> Option<Duration> {
    let mut details = error.get("details")?.elements();
    let text = details.find_map(|detail| detail.get("retryDelay")?.text())?;
    Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()
}

/// Writes a `RetryInfo` as one of an error's `details`.
pub(super) fn write_retry_info(o: &mut ObjectWriter<'_>, after: Duration) {
    o.text("@type", RETRY_INFO);
    let text = match after.subsec_millis() {
        0 => format!("{}s", after.as_secs()),
        millis => format!("{}.{millis:03}s", after.as_secs()),
    };
    o.text("retryDelay", &text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::{Tree, write_object};

    fn read(details: &str) -> Option<Duration> {
        let text = format!(r#"{{"details":{details}}}"#);
        let tree = Tree::read(text.as_bytes()).unwrap();
        retry_delay(tree.root())
    }

    #[test]
    fn a_delay_is_read_from_the_detail_that_has_one() {
        for (text, millis) in [
            (r#"[{"@type":"x"},{"retryDelay":"34.074824224s"}]"#, Some(34_074)),
            (r#"[{"retryDelay":"0s"}]"#, Some(0)),
            (r#"[{"retryDelay":"-3s"}]"#, None),
            (r#"[{"retryDelay":"soon"}]"#, None),
            (r#"[{"retryDelay":"infs"}]"#, None),
            (r#"[{"retryDelay":{"seconds":3}}]"#, None),
            (r#"{"error_code":"x"}"#, None),
            ("[]", None),
        ] {
            assert_eq!(read(text).map(|delay| delay.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for millis in [0, 7, 1500, 60_000] {
            let (after, mut out) = (Duration::from_millis(millis), Vec::new());
            write_object(&mut out, |o| write_retry_info(o, after));
            assert_eq!(read(&format!("[{}]", String::from_utf8(out).unwrap())), Some(after));
        }
    }
}
