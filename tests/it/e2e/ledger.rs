//! The ledger as a file of JSON lines.

use std::path::Path;
use std::time::Duration;

/// The records in a ledger file; none when there is no file yet. The last line may be half written.
pub fn read(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A ledger file once it holds `count` records, or after ten seconds as it is.
pub async fn wait_for(path: &Path, count: usize) -> Vec<serde_json::Value> {
    for _ in 0..200 {
        if read(path).len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    read(path)
}
