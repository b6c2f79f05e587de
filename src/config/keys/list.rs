//! Lists of keys as text: a comma list in a variable; in a file a key a line, or several with commas.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::key::Key;

/// The most keys of a list: each request is compared with every one, which is some 10 us for two full lists.
const KEYS_MAX: usize = 1024;
/// The largest file, in bytes: `KEYS_MAX` of the longest keys, and as much again for comments.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A key and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    pub key: Key,
    pub place: Place,
}

/// Where a key stands in its list, which is how messages name it. Counted from 1.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Of a file.
    line: Option<usize>,
    /// In the line, or in the variable.
    position: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        write!(f, "position {}", self.position)
    }
}

/// The keys of a variable.
pub fn of_variable(text: &str) -> Result<Vec<Placed>, String> {
    let keys: Result<Vec<Placed>, String> = comma_list(None, text).collect();
    check_count(keys?)
}

/// The keys of a file. The error says what is wrong with it, without any of its text.
pub fn of_file(path: &Path) -> Result<Vec<Placed>, String> {
    let text = read(path)?;
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = (1..).zip(text.lines().map(str::trim_ascii));
    let lists = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys: Result<Vec<Placed>, String> = lists
        .flat_map(|(line, text)| comma_list(Some(line), text))
        .collect();
    let keys = check_count(keys?)?;
    match keys.is_empty() {
        true => Err("the file has no key".to_owned()),
        false => Ok(keys),
    }
}

fn comma_list(
    line: Option<usize>,
    text: &str,
) -> impl Iterator<Item = Result<Placed, String>> + '_ {
    text.split(',').zip(1..).map(move |(item, position)| {
        let place = Place { line, position };
        match Key::parse(item.trim_ascii()) {
            Ok(key) => Ok(Placed { key, place }),
            Err(problem) => Err(format!("the key at {place} {problem}")),
        }
    })
}

fn check_count(keys: Vec<Placed>) -> Result<Vec<Placed>, String> {
    match keys.len() > KEYS_MAX {
        true => Err(format!("more than {KEYS_MAX} keys")),
        false => Ok(keys),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("the file cannot be read: {error}");
    // Whoever opens a pipe waits for its writer, which may never come.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("the file is larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "the file is not valid UTF-8".to_owned())
}
