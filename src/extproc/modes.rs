//! In which mode Envoy says that it sends bodies.

use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;

use super::incoming::Modes;
use crate::exchange::phase::BodyMode;

/// The mode that Envoy means; none for one that is not spoken.
pub(super) fn body_mode(said: Modes) -> Option<BodyMode> {
    use BodySendMode::{Buffered, FullDuplexStreamed, Streamed};
    let known = [
        (FullDuplexStreamed, FullDuplexStreamed, BodyMode::FullDuplex),
        (Buffered, Streamed, BodyMode::BufferedStreamed),
        (Buffered, Buffered, BodyMode::Buffered),
    ];
    let same = |mode: BodySendMode, said: i32| i32::from(mode) == said;
    let found =
        known.iter().find(|(request, response, _)| same(*request, said.request) && same(*response, said.response));
    found.map(|(_, _, mode)| *mode)
}
