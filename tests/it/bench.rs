//! The parts of the benches that compute: a wrong number in the table must be a failing test.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use self::support::answer::Answer;
use self::support::histogram::Histogram;
use self::support::load::{self, Amount, Load};
use self::support::streams::{self, Events, Streams};
use crate::support::split;

mod noop;
#[path = "../../benches/support/mod.rs"]
pub mod support;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";

/// A server that gives each request on any connection the answer at its turn, then begins anew; an
/// empty answer closes the connection.
async fn serve(answers: &'static [&'static [u8]]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut turn = answers.iter().cycle();
        loop {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = vec![0; REQUEST.len()];
            while stream.read_exact(&mut request).await.is_ok() {
                let answer = turn.next().expect("answers are not empty");
                if answer.is_empty() || stream.write_all(answer).await.is_err() {
                    break;
                }
            }
        }
    });
    address
}

#[test]
fn a_quantile_is_within_one_percent() {
    let mut all = Histogram::new();
    assert_eq!((all.quantile(0.99), all.len()), (Duration::ZERO, 0));
    for micros in 1..=100_000 {
        let mut one = Histogram::new();
        one.record(Duration::from_micros(micros));
        if micros % 9973 == 0 {
            let value = one.quantile(0.5).as_secs_f64() * 1e6 / micros as f64;
            assert!((1.0..1.01).contains(&value), "{micros}: {value}");
        }
        all.record(Duration::from_micros(micros));
    }
    for (share, truth) in [(0.5, 0.05), (0.99, 0.099), (1.0, 0.1)] {
        let value = all.quantile(share).as_secs_f64() / truth;
        assert!((1.0..1.01).contains(&value), "{share}: {value}");
    }
    let mut double = all.clone();
    double.merge(&all);
    assert_eq!((double.len(), double.quantile(0.9)), (200_000, all.quantile(0.9)));
    double.record(Duration::from_secs(1 << 40));
    assert!(double.quantile(1.0) > Duration::from_secs(3600));
}

#[test]
fn an_answer_may_be_split_anywhere() {
    let rows: &[(&[u8], u16, &[u8])] = &[
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
        (b"HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n", 429, b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;a\r\nllo\r\n0\r\nx: y\r\n\r\n",
            200,
            b"hello",
        ),
        (b"HTTP/1.1 204 No\r\n\r\n", 204, b""),
    ];
    let mut answer = Answer::default();
    for (bytes, status, body) in rows {
        for pieces in split::three(bytes) {
            answer.reset();
            let mut got = Vec::new();
            for (index, piece) in pieces.iter().enumerate() {
                answer.push(piece, &mut |bytes| got.extend_from_slice(bytes)).expect("readable");
                let left: usize = pieces[index + 1..].iter().map(|piece| piece.len()).sum();
                assert_eq!(answer.done(), left == 0, "{pieces:?}");
            }
            assert_eq!((answer.status(), &got[..]), (*status, *body), "{pieces:?}");
        }
        assert!(answer.push(b"x", &mut |_| ()).is_err(), "bytes after the end");
    }
}

#[test]
fn an_event_is_as_late_as_its_stamp_says() {
    let body =
        b": sent_ns=1000000000\ndata: {}\n\ndata: {\"sent_ns\": \"1000500000\"}\r\n\r\ndata: [DONE]\n\ndata: half";
    let now = Instant::now();
    for pieces in split::three(body) {
        let mut events = Events::new(Duration::from_millis(20));
        for piece in pieces {
            events.push(piece, now, Duration::from_micros(1_001_000));
        }
        // Of the third nothing is known, for it has no stamp where others have.
        assert_eq!((events.events, events.stamped, events.delay.len()), (3, 2, 2), "{pieces:?}");
        let second = events.delay.quantile(0.5).as_secs_f64();
        let first = events.delay.quantile(1.0).as_secs_f64();
        assert!((500e-6..505e-6).contains(&second) && (1000e-6..1010e-6).contains(&first), "{second} {first}");
    }
}

#[test]
fn without_a_stamp_an_event_is_as_late_as_its_gap() {
    let mut events = Events::new(Duration::from_millis(20));
    let begin = Instant::now();
    for millis in [0, 20, 45, 60] {
        events.push(b"data: x\n\n", begin + Duration::from_millis(millis), Duration::ZERO);
    }
    assert_eq!((events.events, events.stamped, events.delay.len()), (4, 0, 3));
    assert_eq!(events.delay.quantile(0.6), Duration::ZERO);
    let late = events.delay.quantile(1.0).as_secs_f64();
    assert!((5e-3..5.05e-3).contains(&late), "{late}");
}

#[tokio::test]
async fn the_loop_counts_what_it_got() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let address = serve(&[OK, OK, b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", OK, b""]).await;
    let load = Load {
        address,
        request: REQUEST.to_vec(),
        connections: 1,
        warm_up: Duration::ZERO,
        amount: Amount::Requests(50),
    };
    let outcome = load::run(&load).await.expect("runs");
    assert_eq!((outcome.requests, outcome.errors, outcome.latency.len()), (30, 20, 30));
    assert!(outcome.p50() <= outcome.p99() && outcome.rps() > 0.0);
    assert!((outcome.rps() * outcome.elapsed.as_secs_f64() - 30.0).abs() < 1e-6);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_lost() {
    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n0\r\n\r\n";
    const REFUSED: &[u8] = b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";
    let streams = |address, count| Streams { address, request: REQUEST.to_vec(), count, spacing: Duration::ZERO };
    let outcome = streams::run(&streams(serve(&[WHOLE, REFUSED, b""]).await, 6)).await.expect("runs");
    assert_eq!((outcome.complete, outcome.lost, outcome.events), (2, 4, 2));
}
