//! Directories that cannot hold what the server keeps: it does not start, exits with 1 and names the path.

use std::fs;
use std::path::Path;

use crate::server::Builder;

#[test]
fn a_file_where_a_directory_should_be_stops_the_start() {
    let builder = Builder::new();
    let file = builder.directory().join("file");
    fs::write(&file, "not a directory").expect("a file can be written");
    for variable in ["DATA_PATH", "EVENTS_FILE_PATH"] {
        let builder = builder
            .clone()
            .env(variable, file.join("kept.json").display());
        assert_stopped(&builder, &file);
        let builder = builder.env(variable, file.join("deeper/kept.json").display());
        assert_stopped(&builder, &file);
    }
    let left = fs::read_to_string(&file).expect("the file is still there");
    assert_eq!(left, "not a directory");
}

#[test]
fn a_directory_where_a_file_should_be_stops_the_start() {
    for variable in ["DATA_PATH", "EVENTS_FILE_PATH"] {
        let builder = Builder::new();
        let directory = builder.directory().join("kept.json");
        fs::create_dir(&directory).expect("a directory can be made");
        let builder = builder.env(variable, directory.display());
        assert_stopped(&builder, &directory);
    }
}

/// Tests may run as root, whom permission bits do not stop; but nobody makes a file in sysfs.
#[test]
fn a_directory_that_cannot_be_written_stops_the_start() {
    let directory = Path::new("/sys/kernel");
    for variable in ["DATA_PATH", "EVENTS_FILE_PATH"] {
        for kept in [
            directory.join("kept.json"),
            directory.join("deeper/kept.json"),
        ] {
            let builder = Builder::new().env(variable, kept.display());
            assert_stopped(&builder, directory);
        }
    }
}

#[track_caller]
fn assert_stopped(builder: &Builder, path: &Path) {
    let finished = builder.run(&[]);
    let said = &finished.stderr;
    assert_eq!(finished.code, Some(1), "{said}");
    assert!(
        said.contains(&path.display().to_string()),
        "{said} does not name {path:?}"
    );
    assert!(!said.contains("panicked"), "{said}");
}
