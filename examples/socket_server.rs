//! A yardstick: the executor's sockets without hyper. It answers the bytes of `constant_server` as soon as a request's
//! head and body are complete, and reads no more of a request than where it ends; what it reaches is what the sockets
//! of this runtime cost.
//!
//! `PORT=8091 cargo run --release --example socket_server`

mod yardstick;

use std::future::poll_fn;

use central_inventory::runtime::tcp::Stream;
use memchr::memmem;

/// What one read takes at most; more of a request is taken by the next.
const READ_BYTES: usize = 16 << 10;

/// A request that is longer ends its connection. The server allows a body of so much.
const REQUEST_BYTES_MAX: usize = 1 << 20;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    yardstick::serve(8091, |mut stream| async move {
        // A connection that ends is the client's business.
        let _ = answer_all(&mut stream).await;
    })
}

async fn answer_all(stream: &mut Stream) -> std::io::Result<()> {
    let answer = answer();
    let mut read = [0; READ_BYTES];
    let mut received = Vec::with_capacity(READ_BYTES);
    loop {
        let count = poll_fn(|context| stream.poll_read(context, &mut read)).await?;
        received.extend_from_slice(&read[..count]);
        if count == 0 || received.len() > REQUEST_BYTES_MAX {
            return Ok(());
        }
        let mut done = 0;
        while let Some(bytes) = request_bytes(&received[done..]) {
            done += bytes;
            write_all(stream, answer.as_bytes()).await?;
        }
        received.drain(..done);
    }
}

/// How long the request at the start of `received` is; none if it is not complete yet.
fn request_bytes(received: &[u8]) -> Option<usize> {
    let head_bytes = memmem::find(received, b"\r\n\r\n")? + 4;
    let bytes = head_bytes.saturating_add(body_bytes(&received[..head_bytes]));
    (bytes <= received.len()).then_some(bytes)
}

fn body_bytes(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    head.split(|byte| *byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
        .and_then(|line| {
            std::str::from_utf8(&line[NAME.len()..])
                .ok()?
                .trim()
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

async fn write_all(stream: &mut Stream, mut rest: &[u8]) -> std::io::Result<()> {
    while !rest.is_empty() {
        match poll_fn(|context| stream.poll_write(context, rest)).await? {
            0 => return Err(std::io::ErrorKind::WriteZero.into()),
            written => rest = &rest[written..],
        }
    }
    Ok(())
}

/// As hyper writes it. The date is a constant too.
fn answer() -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\ndate: Sun, 22 Nov 2026 17:41:02 GMT\r\n\r\n{}",
        yardstick::BODY.len(),
        yardstick::BODY
    )
}
