//! The lists of API keys: where they come from, what is demanded of them, and how those in files are read again. That no
//! message, log or debug output ever shows a key is kept by [`Key`], which holds only its digest.

mod key;
mod list;

use std::ffi::OsString;
use std::path::PathBuf;

use super::errors::ConfigErrors;
use super::parse::file_path;
use super::reader::Reader;
use super::values::Environment;
use super::variables::named;
use list::Placed;

pub use key::Key;

/// The variables that one list can come from.
struct Names {
    keys: &'static str,
    file: &'static str,
}

const REGULAR: Names = Names {
    keys: "API_KEYS",
    file: "API_KEYS_FILE",
};
const ADMIN: Names = Names {
    keys: "ADMIN_API_KEYS",
    file: "ADMIN_API_KEYS_FILE",
};

/// The keys that open the API. Neither list is empty, and none of its keys stands in both.
#[derive(Clone, Debug, Default)]
pub struct KeyLists {
    /// They open the regular endpoints.
    pub regular: Vec<Key>,
    /// They open the admin endpoints as well.
    pub admin: Vec<Key>,
}

/// Where the keys come from, so that those in files can be read again.
#[derive(Clone, Debug)]
pub struct KeySources {
    regular: Option<Source>,
    admin: Option<Source>,
    in_production: bool,
}

/// Where one list comes from, with the variable that says so.
#[derive(Clone, Debug)]
enum Source {
    Variable(&'static str, Vec<Placed>),
    File(&'static str, PathBuf),
}

impl KeySources {
    /// Whether any list is in a file: only then can reading it again change anything.
    pub fn has_file(&self) -> bool {
        let sources = [&self.regular, &self.admin];
        sources
            .iter()
            .any(|source| matches!(source, Some(Source::File(..))))
    }

    /// Reads the files again, and demands of all keys what a start demands.
    pub fn read_again(&self) -> Result<KeyLists, ConfigErrors> {
        let mut reader = Reader::new(|_| None);
        let lists = load(&mut reader, self);
        reader.finish(lists)
    }
}

/// The keys and where they come from. `environment` is `None` if it could not be read: then nothing is known about what it demands.
pub(super) fn read<F: Fn(&str) -> Option<OsString>>(
    reader: &mut Reader<F>,
    environment: Option<Environment>,
) -> (KeyLists, KeySources) {
    let in_production = environment == Some(Environment::Production);
    let sources = KeySources {
        regular: read_source(reader, &REGULAR, in_production),
        admin: read_source(reader, &ADMIN, in_production),
        in_production,
    };
    (load(reader, &sources), sources)
}

/// Where a list comes from; none if that is wrong, which is recorded.
fn read_source<F: Fn(&str) -> Option<OsString>>(
    reader: &mut Reader<F>,
    names: &Names,
    in_production: bool,
) -> Option<Source> {
    let keys = reader.read_secret(names.keys, |_, text| list::of_variable(text));
    let path = reader.read_optional(names.file, file_path);
    if reader.refused(names.keys) || reader.refused(names.file) {
        return None;
    }
    match (keys, path) {
        (Some(keys), None) => Some(Source::Variable(names.keys, keys)),
        (None, Some(path)) => Some(Source::File(names.file, path)),
        (Some(_), Some(path)) => {
            let problem = format!("{} is set too: only one of the two may be", names.keys);
            reader.refuse(names.file, Some(path.display().to_string()), problem);
            None
        }
        (None, None) if in_production => {
            reader.refuse(names.keys, None, "not set, with ENVIRONMENT=production");
            None
        }
        (None, None) => Some(Source::Variable(names.keys, examples(names))),
    }
}

fn load<F: Fn(&str) -> Option<OsString>>(reader: &mut Reader<F>, sources: &KeySources) -> KeyLists {
    let regular = load_list(reader, sources.regular.as_ref(), sources.in_production);
    let admin = load_list(reader, sources.admin.as_ref(), sources.in_production);
    if let (Some(regular_source), Some(admin_source)) = (&sources.regular, &sources.admin) {
        refuse_shared(reader, (regular_source, &regular), (admin_source, &admin));
    }
    KeyLists {
        regular: regular.iter().map(|placed| placed.key).collect(),
        admin: admin.iter().map(|placed| placed.key).collect(),
    }
}

fn load_list<F: Fn(&str) -> Option<OsString>>(
    reader: &mut Reader<F>,
    source: Option<&Source>,
    in_production: bool,
) -> Vec<Placed> {
    let Some(source) = source else {
        return Vec::new();
    };
    let keys = match source {
        Source::Variable(_, keys) => keys.clone(),
        Source::File(_, path) => match list::of_file(path) {
            Ok(keys) => keys,
            Err(problem) => {
                source.refuse(reader, problem);
                return Vec::new();
            }
        },
    };
    if in_production {
        refuse_examples(reader, source, &keys);
    }
    keys
}

impl Source {
    fn variable(&self) -> &'static str {
        match self {
            Source::Variable(name, _) | Source::File(name, _) => name,
        }
    }

    fn refuse<F: Fn(&str) -> Option<OsString>>(&self, reader: &mut Reader<F>, problem: String) {
        let value = match self {
            Source::Variable(..) => None,
            Source::File(_, path) => Some(path.display().to_string()),
        };
        reader.refuse(self.variable(), value, problem);
    }
}

/// The keys that anyone can read in the documentation: the table's defaults.
fn examples(names: &Names) -> Vec<Placed> {
    list::of_variable(named(names.keys).default).expect("the defaults of the table are allowed")
}

fn refuse_examples<F: Fn(&str) -> Option<OsString>>(
    reader: &mut Reader<F>,
    source: &Source,
    keys: &[Placed],
) {
    let examples = [examples(&REGULAR), examples(&ADMIN)].concat();
    for Placed { key, place } in keys {
        if examples.iter().any(|example| example.key.is(key)) {
            let problem = format!("the key at {place} is an example of the documentation");
            source.refuse(reader, problem);
        }
    }
}

fn refuse_shared<F: Fn(&str) -> Option<OsString>>(
    reader: &mut Reader<F>,
    (regular_source, regular): (&Source, &[Placed]),
    (admin_source, admin): (&Source, &[Placed]),
) {
    for Placed { key, place } in admin {
        if let Some(other) = regular.iter().find(|other| other.key.is(key)) {
            let variable = regular_source.variable();
            let problem = format!(
                "the key at {place} stands in {variable} too, at {}",
                other.place
            );
            admin_source.refuse(reader, problem);
        }
    }
}
