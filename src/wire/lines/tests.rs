//! Lines, wherever a stream is cut.

use proptest::prelude::*;

use super::*;

fn parse(stream: &[u8], step: usize, max_line: usize) -> (Vec<Event>, Result<(), Oversized>, Parser) {
    let (mut parser, mut events, mut result) = (Parser::new(max_line), Vec::new(), Ok(()));
    for chunk in stream.chunks(step) {
        result = parser.push(Bytes::copy_from_slice(chunk), &mut events);
    }
    (events, result, parser)
}

#[test]
fn each_line_is_an_event_and_the_last_one_needs_no_end() {
    let stream = b"{\"a\":1}\n\r\n  {\"b\":2} \r\n{\"c\":3}";
    let (mut events, result, mut parser) = parse(stream, usize::MAX, 64);
    assert_eq!((result, parser.carried()), (Ok(()), 7));
    parser.finish(&mut events);
    let data: Vec<_> = events.iter().map(|event| &event.data[..]).collect();
    assert_eq!(data, [&b"{\"a\":1}"[..], b"", b"{\"b\":2}", b"{\"c\":3}"]);
    assert!(events.iter().all(|event| event.name.is_none()));
}

#[test]
fn a_long_line_ends_the_parsing_and_loses_nothing() {
    let stream = b"{}\n{\"long\":\"0123456789\"}\n{}\n";
    for step in 1..=stream.len() {
        let (events, result, mut parser) = parse(stream, step, 8);
        assert_eq!(result, Err(Oversized { limit: 8 }));
        assert_eq!((events.len(), &parser.take_rest()[..]), (1, &stream[3..]), "{step}");
    }
    // The bound holds for a line with its end.
    assert_eq!(parse(b"1234567\n", 3, 8).1, Ok(()));
    assert!(parse(b"12345678\n", 3, 8).1.is_err());
}

proptest! {
    #[test]
    fn any_split_gives_the_same_lines(
        words in prop::collection::vec(prop::sample::select(vec!["{\"a\":1}", "\n", "\r\n", " ", "\r", "x"]), 0..30),
        step in 1usize..9,
    ) {
        let stream = words.concat();
        let whole = parse(stream.as_bytes(), usize::MAX, 1 << 10);
        let split = parse(stream.as_bytes(), step, 1 << 10);
        prop_assert_eq!(&whole.0, &split.0);
        let mut raw = whole.0.iter().flat_map(|event| event.raw.to_vec()).collect::<Vec<_>>();
        let mut parser = whole.2;
        raw.extend_from_slice(&parser.take_rest());
        prop_assert_eq!(raw, stream.into_bytes());
    }
}
