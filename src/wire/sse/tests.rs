//! The parser against a reader of whole streams, over every way to split them.

use proptest::prelude::*;

use super::*;

/// Pushes the parts; the events, and what was left.
fn parse<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Bytes) {
    let mut parser = Parser::new(1 << 20);
    let mut events = Vec::new();
    for part in parts {
        parser.push(Bytes::copy_from_slice(part), &mut events).unwrap();
    }
    let carried = parser.carried();
    let rest = parser.take_rest();
    assert_eq!(carried, rest.len());
    assert_eq!(parser.carried(), 0);
    (events, rest)
}

fn split_at<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// What the specification says, over a whole stream: name and data of each event that has a
/// `data` line and a blank line behind it.
fn reference(stream: &[u8]) -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
    let stream = stream.strip_prefix(BOM).unwrap_or(stream);
    let unified = String::from_utf8_lossy(stream).replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut name, mut data) = (Vec::new(), None, Vec::new());
    // Without a line end, the last line is none.
    for line in unified.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            _ if line.is_empty() => {
                let lines: Vec<String> = std::mem::take(&mut data);
                let name: Option<Vec<u8>> = name.take();
                if !lines.is_empty() {
                    events.push((name, lines.join("\n").into_bytes()));
                }
            }
            "data" => data.push(value.to_owned()),
            "event" => name = Some(value.as_bytes().to_vec()),
            _ => {}
        }
    }
    events
}

/// The raw bytes of each event, with a line feed that came late put where it belongs.
fn grouped(events: &[Event]) -> Vec<Vec<u8>> {
    let mut groups: Vec<Vec<u8>> = Vec::new();
    for event in events {
        match groups.last_mut() {
            Some(last) if &event.raw[..] == b"\n" && last.ends_with(b"\r") => last.push(b'\n'),
            _ => groups.push(event.raw.to_vec()),
        }
    }
    groups
}

fn one(stream: &[u8]) -> Event {
    let (mut events, rest) = parse([stream]);
    assert_eq!((events.len(), rest.len()), (1, 0), "{}", stream.escape_ascii());
    events.remove(0)
}

#[test]
fn fields() {
    assert_eq!(&one(b"data: a\n\n").data[..], b"a");
    assert_eq!(&one(b"data:a\n\n").data[..], b"a");
    assert_eq!(&one(b"data:  a: b \n\n").data[..], b" a: b ");
    assert_eq!(&one(b"data: a\rdata:b\r\ndata\ndata: \n\n").data[..], b"a\nb\n\n");
    assert_eq!(&one(b"event: x\nevent: ping\nid: 1\nretry: 5\nwhat\nDATA: no\n data: no\ndata: a\n\n").data[..], b"a");
    assert_eq!(one(b"event: x\nevent:ping\n\n").name.as_deref(), Some(&b"ping"[..]));
    assert_eq!(one(b"data: a\n\n").name, None);
}

#[test]
fn nothing_is_lost() {
    for empty in [&b"\n"[..], b"\r", b"\r\n", b": comment\n\n", b"\xef\xbb\xbf\n", b"id: 7\n\n", b"event: ping\n\n"] {
        let event = one(empty);
        assert!(event.is_empty());
        assert_eq!(&event.raw[..], empty);
    }
    let event = one(b"\xef\xbb\xbfdata: a\n\n");
    assert_eq!((&event.data[..], event.raw.len()), (&b"a"[..], 12));
    // A byte order mark is one at the beginning of the stream only.
    let (events, _) = parse([&b"data: a\n\n\xef\xbb\xbfdata: b\n\n"[..]]);
    assert!(!events[0].is_empty() && events[1].is_empty());
}

#[test]
fn whole_events_are_not_copied() {
    let chunk = Bytes::from_static(b"data: one\r\n\r\nevent: e\ndata: two\n\ndata: thr");
    let range = chunk.as_ptr_range();
    let mut parser = Parser::new(100);
    let mut events = Vec::new();
    parser.push(chunk.clone(), &mut events).unwrap();
    assert_eq!(events.len(), 2);
    for bytes in events.iter().flat_map(|event| [&event.raw, &event.data]) {
        assert!(range.contains(&bytes.as_ptr()));
    }
    assert_eq!(parser.carried(), 9);
    parser.push(Bytes::from_static(b"ee\n\ndata: 4\n\n"), &mut events).unwrap();
    assert_eq!(&events[2].data[..], b"three");
    assert_eq!(&events[3].raw[..], b"data: 4\n\n");
    let inside = events[2].raw.as_ptr_range();
    assert!(inside.contains(&events[2].data.as_ptr()));
}

#[test]
fn a_carriage_return_delays_nothing() {
    let mut parser = Parser::new(100);
    let mut events = Vec::new();
    parser.push(Bytes::from_static(b"data: a\r\n\r"), &mut events).unwrap();
    assert_eq!((events.len(), parser.carried()), (1, 0));
    parser.push(Bytes::from_static(b""), &mut events).unwrap();
    parser.push(Bytes::from_static(b"\ndata: b\r"), &mut events).unwrap();
    assert_eq!((events.len(), &events[1].raw[..]), (2, &b"\n"[..]));
    parser.push(Bytes::from_static(b"\n"), &mut events).unwrap();
    assert_eq!(events.len(), 2);
    parser.push(Bytes::from_static(b"\r\n"), &mut events).unwrap();
    assert_eq!(&events[2].raw[..], b"data: b\r\n\r\n");
    // A line feed that is no part of a CRLF is a blank line.
    let (events, _) = parse([&b"data: a\r\r"[..], b"\ndata: b\n", b"\n\n"]);
    assert_eq!(events.iter().map(|event| event.raw.len()).collect::<Vec<_>>(), [9, 1, 9, 1]);
}

#[test]
fn the_end_delivers_what_there_is() {
    let mut parser = Parser::new(100);
    let mut events = Vec::new();
    parser.push(Bytes::from_static(b"data: a\n\nevent: x\ndata: [DO"), &mut events).unwrap();
    parser.finish(&mut events);
    parser.finish(&mut events);
    assert_eq!(events.len(), 2);
    assert_eq!(&events[1].raw[..], b"event: x\ndata: [DO");
    assert_eq!(&events[1].data[..], b"[DO");
    let (events, rest) = parse([]);
    assert!(events.is_empty() && rest.is_empty());
}

#[test]
fn a_large_event_ends_parsing_with_nothing_lost() {
    let stream = b"data: 1\n\ndata: 22\n\ndata: 3\n\n";
    for step in 1..stream.len() {
        let mut parser = Parser::new(9);
        let (mut events, mut failed) = (Vec::new(), false);
        for part in stream.chunks(step) {
            let result = parser.push(Bytes::copy_from_slice(part), &mut events);
            assert!(result.is_err() || !failed);
            failed |= result.is_err();
        }
        assert!(failed);
        parser.finish(&mut events);
        assert_eq!(events.len(), 1);
        assert_eq!(&parser.take_rest()[..], &stream[9..]);
    }
}

#[test]
fn the_bound_holds_while_an_event_grows() {
    let mut parser = Parser::new(1000);
    let mut events = Vec::new();
    let pushed = (0..).take_while(|_| parser.push(Bytes::from_static(&[b'x'; 64]), &mut events).is_ok()).count();
    assert_eq!(pushed, 1000 / 64);
    assert!(events.is_empty());
}

#[test]
fn written_events_forge_nothing() {
    let mut out = Vec::new();
    write(&mut out, Some("na\nme"), b"a\r\n\nb\rdata: c");
    assert_eq!(out, b"event: name\ndata: a\ndata: \ndata: b\ndata: data: c\n\n");
    out.clear();
    write(&mut out, None, b"");
    assert_eq!(out, b"data: \n\n");
}

fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\r\r",
        "\r\n\r\n",
        "data: {\"a\":1}",
        "data:",
        "data",
        "data: x",
        "event: e",
        "event",
        ": c",
        "id: 1",
        ":",
        " ",
        "\u{feff}",
        "é",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(stream in streams(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let (whole, whole_rest) = parse([&stream[..]]);
        let (split, split_rest) = parse(split_at(&stream, &cuts));
        let (bytes, bytes_rest) = parse(stream.chunks(1));
        for (events, rest) in [(&whole, &whole_rest), (&split, &split_rest), (&bytes, &bytes_rest)] {
            let mut all: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).collect();
            all.extend_from_slice(rest);
            prop_assert_eq!(&all, &stream);
            prop_assert_eq!(grouped(events), grouped(&whole));
            let named = |events: &[Event]| -> Vec<_> {
                events.iter().filter(|event| !event.is_empty()).map(|event| (event.name.clone(), event.data.clone())).collect()
            };
            prop_assert_eq!(named(events), named(&whole));
        }
    }

    #[test]
    fn reads_what_the_specification_says(stream in streams()) {
        let (events, _) = parse([&stream[..]]);
        let got: Vec<_> = events.iter().filter(|event| !event.is_empty())
            .map(|event| (event.name.as_ref().map(|name| name.to_vec()), event.data.to_vec())).collect();
        let mut expected = reference(&stream);
        expected.retain(|(_, data)| !data.is_empty());
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn no_bytes_panic(stream in prop::collection::vec(any::<u8>(), 0..200), max in 0usize..50, step in 1usize..20) {
        let mut parser = Parser::new(max);
        let mut events = Vec::new();
        for part in stream.chunks(step) {
            let _ = parser.push(Bytes::copy_from_slice(part), &mut events);
        }
        let mut all: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).collect();
        all.extend_from_slice(&parser.take_rest());
        prop_assert_eq!(all, stream);
    }

    #[test]
    fn what_is_written_is_read(name in prop::option::of("[a-z]{1,8}"), data in "[^\r]{1,40}") {
        let mut out = Vec::new();
        write(&mut out, name.as_deref(), data.as_bytes());
        let event = one(&out);
        prop_assert_eq!(&event.data[..], data.as_bytes());
        prop_assert_eq!(event.name.as_deref(), name.as_deref().map(str::as_bytes));
    }
}
