//! The pace of the decoder alone, over replies that are in memory already: `cargo bench`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lakeflow_redis::resp::{Decoder, Token, Tokens};

/// Larger than a processor's caches, as what comes from a socket is too.
const WIRE_BYTES: usize = 64 << 20;
/// Values per array, as in a hash of 10 fields.
const VALUES: usize = 20;

/// A reply's bytes over and over.
fn repeated(reply: &[u8]) -> Vec<u8> {
    reply.repeat(WIRE_BYTES.div_ceil(reply.len()))
}

/// Arrays of values that are all of one form.
fn arrays(value: &str) -> Vec<u8> {
    repeated(format!("*{VALUES}\r\n{}", value.repeat(VALUES)).as_bytes())
}

/// A bulk string of this length.
fn bulk(length: usize) -> String {
    format!("${length}\r\n{}\r\n", "v".repeat(length))
}

/// Pulls every token; the sum keeps the compiler from leaving any of it out.
fn pull(wire: &[u8]) -> usize {
    let mut decoder = Decoder::new(wire);
    let mut sum = 0;
    // It ends with the error that the bytes are at their end.
    while let Ok(token) = decoder.token() {
        sum += match black_box(token) {
            Token::Bulk(bytes) | Token::Status(bytes) | Token::Error(bytes) => bytes.len(),
            Token::Integer(_) | Token::Array(_) | Token::Nil => 1,
        };
    }
    assert_eq!(decoder.consumed(), wire.len() as u64, "all is pulled");
    sum
}

fn decoder(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decoder");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    for (name, wire) in [
        ("values of 100 bytes", arrays(&bulk(100))),
        ("values of 10 bytes", arrays(&bulk(10))),
        ("values of 10 kB", repeated(bulk(10_000).as_bytes())),
        ("integers", repeated(b":-1\r\n:86400\r\n")),
    ] {
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| pull(black_box(&wire))));
    }
    group.finish();
}

criterion_group!(benches, decoder);
criterion_main!(benches);
