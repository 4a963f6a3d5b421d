//! Frames as the SDKs of AWS write and read them, wherever a stream is cut.

use proptest::prelude::*;

use super::*;

/// Frames of the test suites of the AWS SDKs (`aws-c-event-stream`, `tests/`; botocore,
/// `tests/unit/test_eventstream.py`).
const EMPTY: &[u8] = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff";
const INT32: &[u8] =
    b"\x00\x00\x00+\x00\x00\x00\x0e4\x8b\xec{\x08event-id\x04\x00\x00\xa0\x0c{'foo':'bar'}\xd3\x89\x02\x85";
const PAYLOAD_NO_HEADERS: &[u8] = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96";
const PAYLOAD_ONE_HEADER: &[u8] = b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1";

fn parse(stream: &[u8], step: usize, max_frame: usize) -> (Vec<Event>, Result<(), Damaged>, Parser) {
    let (mut parser, mut events, mut result) = (Parser::new(max_frame), Vec::new(), Ok(()));
    for chunk in stream.chunks(step) {
        result = parser.push(Bytes::copy_from_slice(chunk), &mut events);
    }
    (events, result, parser)
}

fn one(frame: &[u8]) -> Event {
    let (mut events, result, parser) = parse(frame, usize::MAX, 1 << 20);
    assert_eq!((result, events.len(), parser.is_whole()), (Ok(()), 1, true));
    events.remove(0)
}

#[test]
fn the_frames_of_the_sdks_are_read_and_written() {
    let content = Header { name: "content-type", value: Value::Text("application/json") };
    let id = Header { name: "event-id", value: Value::Integer(0xa00c) };
    let rows: [(&[u8], &[Header<'_>], &[u8]); 4] = [
        (EMPTY, &[], b""),
        (INT32, &[id], b"{'foo':'bar'}"),
        (PAYLOAD_NO_HEADERS, &[], b"{'foo':'bar'}"),
        (PAYLOAD_ONE_HEADER, &[content], b"{'foo':'bar'}"),
    ];
    for (frame, headers, payload) in rows {
        let event = one(frame);
        assert_eq!((&event.raw[..], &event.data[..], event.name), (frame, payload, None));
        let mut written = Vec::new();
        write_frame(&mut written, headers, payload);
        assert_eq!(written, frame);
    }
}

#[test]
fn a_frame_is_named_by_what_it_is() {
    let mut stream = Vec::new();
    write(&mut stream, "messageStart", br#"{"role":"assistant"}"#);
    write_exception(&mut stream, "throttlingException", br#"{"message":"slow"}"#);
    let text = |name, text| Header { name, value: Value::Text(text) };
    let error = [text(":message-type", "error"), text(":error-code", "Bad"), text(":error-message", "a \"b\"")];
    write_frame(&mut stream, &error, b"");
    let (events, result, _) = parse(&stream, usize::MAX, 1 << 10);
    let seen: Vec<_> =
        events.iter().map(|event| (event.name.as_deref().unwrap_or_default(), &event.data[..])).collect();
    let expected: [(&[u8], &[u8]); 3] = [
        (b"messageStart", br#"{"role":"assistant"}"#),
        (b"throttlingException", br#"{"message":"slow"}"#),
        (b"Bad", br#"{"error":"Bad","message":"a \"b\""}"#),
    ];
    assert_eq!((result, &seen[..]), (Ok(()), &expected[..]));
    assert!(is_failure(seen[1].0) && !is_failure(seen[0].0));
}

#[test]
fn an_event_in_base64_is_unwrapped() {
    let inner = br#"{"type":"message_stop","x":"\u00e9"}"#;
    let chunk = |payload: &str| {
        let mut frame = Vec::new();
        write(&mut frame, "chunk", payload.as_bytes());
        one(&frame)
    };
    let event = chunk(&format!(r#"{{"bytes":"{}","p":"abcdef"}}"#, base64::encode(inner)));
    assert_eq!((&event.data[..], event.name.as_deref()), (&inner[..], Some(&b"message_stop"[..])));
    let untyped = chunk(&format!(r#"{{"bytes":"{}"}}"#, base64::encode(b"{\"generation\":\"a\"}")));
    assert_eq!((&untyped.data[..], untyped.name), (&b"{\"generation\":\"a\"}"[..], None));
    // What is none of InvokeModel's stays as it is.
    for payload in [r#"{"bytes":"AA=A"}"#, r#"{"bytes":1}"#, r#"{"b":"e30="}"#, "{", r#"{"bytes":"aGVsbG8="}"#] {
        let event = chunk(payload);
        assert_eq!((&event.data[..], event.name.as_deref()), (payload.as_bytes(), Some(&b"chunk"[..])), "{payload}");
    }
}

#[test]
fn damage_is_told_and_nothing_behind_it_is_believed() {
    let mut good = Vec::new();
    write(&mut good, "a", b"{}");
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] ^= byte;
        bad
    };
    // A frame with these lengths and a true checksum of them.
    let prelude = |total: u32, headers: u32| {
        let mut frame = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        frame.extend(checksum(&frame).to_be_bytes());
        frame.resize(64, 0);
        frame
    };
    let mut headers = Vec::new();
    write_frame(&mut headers, &[Header { name: "a", value: Value::Byte(1) }], b"");
    headers[14] = 10;
    let crc = checksum(&headers[..headers.len() - 4]).to_be_bytes();
    let end = headers.len() - 4;
    headers[end..].copy_from_slice(&crc);
    let rows = [
        ("a length", with(3, 1), Damaged::Checksum),
        ("the prelude's checksum", with(8, 1), Damaged::Checksum),
        ("a header", with(14, 1), Damaged::Checksum),
        ("the payload", with(good.len() - 5, 1), Damaged::Checksum),
        ("the checksum", with(good.len() - 1, 1), Damaged::Checksum),
        ("a type that is none", headers, Damaged::Headers),
        ("too short", prelude(15, 0), Damaged::Length),
        ("nothing", prelude(0, 0), Damaged::Length),
        ("more headers than frame", prelude(32, 17), Damaged::Length),
        ("all headers that there can be", prelude(u32::MAX, u32::MAX), Damaged::Length),
        ("large", prelude(201, 0), Damaged::Oversized { limit: 200 }),
    ];
    for (name, bad, expected) in rows {
        let stream = [&good[..], &bad, &good].concat();
        for step in [1, 2, 3, 7, 64, stream.len()] {
            let (events, result, mut parser) = parse(&stream, step, 200);
            assert_eq!((events.len(), result), (1, Err(expected)), "{name} {step}");
            let rest = parser.take_rest();
            assert_eq!(&rest[..], &stream[good.len()..], "{name} {step}");
        }
    }
}

#[test]
fn an_unfinished_frame_is_held_and_no_more() {
    let mut frame = Vec::new();
    write(&mut frame, "a", &[b'x'; 100]);
    for end in 0..frame.len() {
        let (events, result, parser) = parse(&frame[..end], 5, frame.len());
        assert_eq!((events.len(), result, parser.carried()), (0, Ok(()), end));
    }
    assert_eq!(parse(&frame, 5, frame.len()).0.len(), 1);
    // A frame that is too large is refused by its first bytes, before any of it is held.
    let (_, result, _) = parse(&frame[..12], 12, frame.len() - 1);
    assert_eq!(result, Err(Damaged::Oversized { limit: frame.len() - 1 }));
}

fn header_value() -> impl Strategy<Value = (u8, i64, Vec<u8>, String)> {
    (0u8..9, any::<i64>(), prop::collection::vec(any::<u8>(), 0..20), ".{0,8}")
}

fn value<'a>((kind, number, bytes, text): &'a (u8, i64, Vec<u8>, String)) -> Value<'a> {
    match kind {
        0 => Value::Flag(number % 2 == 0),
        1 => Value::Byte(*number as i8),
        2 => Value::Short(*number as i16),
        3 => Value::Integer(*number as i32),
        4 => Value::Long(*number),
        5 => Value::Bytes(bytes),
        6 => Value::Text(text),
        7 => Value::Timestamp(*number),
        _ => Value::Uuid([*number as u8; 16]),
    }
}

proptest! {
    #[test]
    fn headers_of_every_type_come_back(made in prop::collection::vec((".{0,12}", header_value()), 0..6)) {
        let headers: Vec<_> = made.iter().map(|(name, made)| Header { name, value: value(made) }).collect();
        let mut frame = Vec::new();
        write_frame(&mut frame, &headers, b"");
        let length = number(&frame, 4).unwrap();
        let read: Vec<_> = Headers::of(&frame[PRELUDE..PRELUDE + length]).map(Result::unwrap).collect();
        prop_assert_eq!(read, headers);
    }

    #[test]
    fn any_split_gives_the_same_events(
        payloads in prop::collection::vec("[a-z{}\"]{0,40}", 0..6),
        step in 1usize..50,
    ) {
        let mut stream = Vec::new();
        for payload in &payloads {
            write(&mut stream, payload, payload.as_bytes());
        }
        let (events, result, parser) = parse(&stream, step, 1 << 10);
        prop_assert_eq!((events.len(), result, parser.is_whole()), (payloads.len(), Ok(()), true));
        for (event, payload) in events.iter().zip(&payloads) {
            prop_assert_eq!((&event.data[..], event.name.as_deref()), (payload.as_bytes(), Some(payload.as_bytes())));
        }
        prop_assert_eq!(events.iter().flat_map(|event| event.raw.to_vec()).collect::<Vec<_>>(), stream);
    }

    #[test]
    fn no_bytes_panic(
        noise in prop::collection::vec(any::<u8>(), 0..40),
        change in (0usize..80, any::<u8>()),
        step in 1usize..20,
    ) {
        let mut stream = Vec::new();
        write(&mut stream, "chunk", br#"{"bytes":"e30="}"#);
        let at = change.0 % stream.len();
        stream[at] ^= change.1;
        stream.extend_from_slice(&noise);
        let (_, _, parser) = parse(&stream, step, 64 << 10);
        prop_assert!(parser.carried() <= stream.len());
        let _ = Headers::of(&noise).count();
    }
}
