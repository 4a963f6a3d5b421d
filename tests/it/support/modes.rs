//! The body modes of a test: `async fn name(mode: BodyMode)` and a line below it. Each mode is a test of its
//! own, `name::mode`.
//!
//! A test runs in every mode. One that cannot says so by another macro, and `e2e` has the table of the reasons.

/// One test in one mode.
macro_rules! in_mode {
    ($test:ident, $mode:ident, $name:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            super::$name(weir::render::envoy::BodyMode::$mode).await;
        }
    };
}

/// Runs each test in the mode that Envoy is given where nothing else is said, and in which alone Weir may speak
/// at any time.
macro_rules! first_mode {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            in_mode!(full_duplex, FullDuplex, $name);
        })+
    };
}

/// Runs each test in every mode.
macro_rules! every_mode {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            in_mode!(full_duplex, FullDuplex, $name);
            in_mode!(buffered_streamed, BufferedStreamed, $name);
            in_mode!(buffered, Buffered, $name);
        })+
    };
}

/// Runs each test in the modes in which an answer goes on while it comes.
macro_rules! modes_that_stream {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            in_mode!(full_duplex, FullDuplex, $name);
            in_mode!(buffered_streamed, BufferedStreamed, $name);
        })+
    };
}

/// Runs each test in the modes in which the head of an answer can wait for its body.
macro_rules! modes_that_hold {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            in_mode!(full_duplex, FullDuplex, $name);
            in_mode!(buffered, Buffered, $name);
        })+
    };
}
