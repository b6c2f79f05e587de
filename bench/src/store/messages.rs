//! A stream of server-sent events, read as its rules say.

/// A message of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// `id`: the offset, of events.
    pub id: Option<u64>,
    /// `event`: the type, or `error`.
    pub event: String,
    /// `data`, its lines joined.
    pub data: String,
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
    pub fn take_next(&mut self) -> Option<Message> {
        loop {
            let rest = &self.text[self.taken..];
            let end = memchr::memmem::find(rest, b"\n\n")?;
            let block = String::from_utf8_lossy(&rest[..end]).into_owned();
            self.taken += end + 2;
            if let Some(message) = read(&block) {
                return Some(message);
            }
        }
    }
}

fn read(block: &str) -> Option<Message> {
    let mut message = Message::default();
    let mut is_message = false;
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => message.id = value.parse().ok(),
            "event" => value.clone_into(&mut message.event),
            "data" => {
                if is_message {
                    message.data.push('\n');
                }
                is_message = true;
                message.data.push_str(value);
            }
            _ => {}
        }
    }
    is_message.then_some(message)
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
                found.extend(std::iter::from_fn(|| messages.take_next()));
            }
            let first = Message {
                id: Some(7),
                event: "a".to_owned(),
                data: "{\"b\":1}".to_owned(),
            };
            let second = Message {
                data: "x\ny".to_owned(),
                ..Message::default()
            };
            assert_eq!(vec![first, second], found, "{cut}");
            assert_eq!(b"id: 8", messages.buffer().as_slice());
        }
    }
}
