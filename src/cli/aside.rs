//! A file that is written aside and takes its name when all of it is on disk: whoever looks finds the whole file or none.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::journal::directory::parent;

/// Whether the name may be taken from another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// An error of kind `AlreadyExists`.
    Keep,
    Replace,
}

/// The file while it is written. Removed unless it is published.
pub(super) struct Aside {
    target: PathBuf,
    path: PathBuf,
    file: File,
    is_published: bool,
}

impl Aside {
    pub(super) fn create(target: &Path) -> io::Result<Aside> {
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".part");
        let path = target.with_file_name(name);
        Ok(Aside {
            file: File::create(&path)?,
            target: target.to_owned(),
            path,
            is_published: false,
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Makes what was written durable and gives it its name.
    pub(super) fn publish(mut self, existing: Existing) -> io::Result<()> {
        self.file.sync_all()?;
        match existing {
            Existing::Replace => fs::rename(&self.path, &self.target)?,
            Existing::Keep => rename_to_new(&self.path, &self.target)?,
        }
        self.is_published = true;
        File::open(parent(&self.target))?.sync_all()
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.is_published {
            // If it stays, the next attempt writes over it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can do both at once.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => renamed.map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_takes_none_that_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("file");
        let write = |text: &str, existing| {
            let mut aside = Aside::create(&target).unwrap();
            aside.write(text.as_bytes()).unwrap();
            aside.publish(existing)
        };
        drop(Aside::create(&target).unwrap());
        assert_eq!(0, fs::read_dir(directory.path()).unwrap().count());
        write("first", Existing::Keep).unwrap();
        let error = write("second", Existing::Keep).unwrap_err();
        assert_eq!(io::ErrorKind::AlreadyExists, error.kind());
        assert_eq!("first", fs::read_to_string(&target).unwrap());
        write("third", Existing::Replace).unwrap();
        assert_eq!("third", fs::read_to_string(&target).unwrap());
        assert_eq!(1, fs::read_dir(directory.path()).unwrap().count());
    }
}
