//! A stream of server-sent events, read as its rules say.

use std::borrow::Cow;

/// A message of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// `id`: the offset, of events.
    pub id: Option<u64>,
    /// `event`: the type, or `error`.
    pub event: Cow<'a, str>,
    /// `data`, its lines joined.
    pub data: Cow<'a, str>,
}

/// What has come of a stream and was not taken yet.
#[derive(Debug, Default)]
pub struct Messages {
    text: Vec<u8>,
    /// Up to here it was taken.
    taken: usize,
}

impl Messages {
    /// Where to put what comes.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.text.drain(..self.taken);
        self.taken = 0;
        &mut self.text
    }

    /// The next whole message; comments are none.
    pub fn take_next(&mut self) -> Option<Message<'_>> {
        loop {
            let start = self.taken;
            let length = memchr::memmem::find(&self.text[start..], b"\n\n")?;
            self.taken = start + length + 2;
            let block = start..start + length;
            if has_data(&self.text[block.clone()]) {
                return Some(read(&self.text[block]));
            }
        }
    }
}

fn has_data(block: &[u8]) -> bool {
    let mut lines = block.split(|byte| *byte == b'\n');
    lines.any(|line| line == b"data" || line.starts_with(b"data:"))
}

fn read(block: &[u8]) -> Message<'_> {
    let mut message = Message::default();
    for line in block.split(|byte| *byte == b'\n') {
        let colon = memchr::memchr(b':', line);
        let (field, value) = colon.map_or((line, &b""[..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let value = String::from_utf8_lossy(value);
        match field {
            b"id" => message.id = value.parse().ok(),
            b"event" => message.event = value,
            b"data" if message.data.is_empty() => message.data = value,
            b"data" => {
                let data = message.data.to_mut();
                data.push('\n');
                data.push_str(&value);
            }
            _ => {}
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_the_stream_is_cut() {
        let text = b": hello\n\nid: 7\nevent: a\ndata: {\"b\":1}\n\n: still here\n\nretry: 5\n\ndata: x\ndata:y\n\nid: 8";
        for cut in 0..text.len() {
            let mut messages = Messages::default();
            let mut found = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                messages.buffer().extend_from_slice(part);
                while let Some(message) = messages.take_next() {
                    found.push((
                        message.id,
                        message.event.into_owned(),
                        message.data.into_owned(),
                    ));
                }
            }
            let first = (Some(7), "a".to_owned(), "{\"b\":1}".to_owned());
            let second = (None, String::new(), "x\ny".to_owned());
            assert_eq!(vec![first, second], found, "{cut}");
            assert_eq!(b"id: 8", messages.buffer().as_slice());
        }
    }
}
