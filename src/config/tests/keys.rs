//! Keys as digests and in files.

use std::fs;

use tempfile::TempDir;

use super::*;

/// `printf %s KEY | sha256sum`
const SECRET_DIGEST: &str =
    "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
const DEMO_DIGEST: &str = "sha256:2a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea";
const EMPTY_DIGEST: &str =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A file of keys, and its path as text.
fn file(content: impl AsRef<[u8]>) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

#[track_caller]
fn check_file(content: &str, expected: &[&str]) {
    let (_directory, path) = file(content);
    let config = load(&[("API_KEYS_FILE", &path), ("ADMIN_API_KEYS", "root")])
        .unwrap_or_else(|errors| panic!("{content:?}: {errors}"));
    assert_keys(&config.keys, expected, &["root"]);
}

#[track_caller]
fn check_file_refused(content: impl AsRef<[u8]>, problem: &str) {
    let (_directory, path) = file(content);
    let beginning = format!("ADMIN_API_KEYS_FILE={path:?}: {problem}; allowed: the path of a file");
    check_refused(&[("ADMIN_API_KEYS_FILE", &path)], &[&beginning]);
}

#[test]
fn a_key_may_be_given_as_its_digest_in_either_case() {
    let upper = SECRET_DIGEST.to_ascii_uppercase();
    for digest in [SECRET_DIGEST, &upper] {
        let list = format!("one, {digest}");
        let config = load(&[("API_KEYS", &list), ("ADMIN_API_KEYS", "root")]).unwrap();
        assert_keys(&config.keys, &["one", "secret"], &["root"]);
    }
}

#[test]
fn a_digest_that_is_none_is_refused_and_not_shown() {
    let short = &SECRET_DIGEST[..SECRET_DIGEST.len() - 1];
    let long = format!("{SECRET_DIGEST}0");
    let no_hex = SECRET_DIGEST.replace("2bb8", "2bbg");
    let wide = format!("{}ä", &SECRET_DIGEST[..SECRET_DIGEST.len() - 2]);
    let pasted = format!("{SECRET_DIGEST}  -");
    for digest in [short, &long, &no_hex, &wide, &pasted, "sha256:"] {
        let complaint = "API_KEYS: the key at position 1 is not a digest: sha256: is followed by 64 hexadecimal digits";
        check_refused(&[("API_KEYS", digest)], &[complaint]);
        let errors = load(&[("API_KEYS", digest)]).unwrap_err();
        assert!(!errors.to_string().contains("0d537b1d"), "{errors}");
    }
    check_refused(
        &[("API_KEYS", EMPTY_DIGEST)],
        &["API_KEYS: the key at position 1 is the digest of an empty key; allowed: "],
    );
}

#[test]
fn an_example_or_a_shared_key_is_found_also_as_a_digest() {
    check_refused(
        &[
            ("ENVIRONMENT", "production"),
            ("API_KEYS", "own"),
            ("ADMIN_API_KEYS", DEMO_DIGEST),
        ],
        &["ADMIN_API_KEYS: the key at position 1 is an example of the documentation"],
    );
    check_refused(
        &[
            ("API_KEYS", "one,secret"),
            ("ADMIN_API_KEYS", SECRET_DIGEST),
        ],
        &["ADMIN_API_KEYS: the key at position 1 stands in API_KEYS too, at position 2"],
    );
}

#[test]
fn a_file_has_a_key_a_line_or_several_and_comments() {
    check_file("one", &["one"]);
    check_file("one\n", &["one"]);
    check_file("one\ntwo, three\n", &["one", "two", "three"]);
    check_file(
        "# stores\r\n\r\n  one  \r\n\t# more\n\n two#2\n\n",
        &["one", "two#2"],
    );
    check_file("\u{feff}one\n", &["one"]);
    check_file(&format!("{SECRET_DIGEST}\n"), &["secret"]);
}

#[test]
fn a_file_that_has_no_sound_keys_is_refused_with_its_path() {
    check_file_refused("", "the file has no key");
    check_file_refused("\n# nothing\n \n", "the file has no key");
    check_file_refused(
        "one\n\ntwo,,three\n",
        "the key at line 3, position 2 is empty",
    );
    check_file_refused(
        "one\na\tb",
        "the key at line 2, position 1 has a control character",
    );
    check_file_refused(
        "#\nsha256:abc",
        "the key at line 2, position 1 is not a digest: sha256: is followed by 64 hexadecimal digits",
    );
    check_file_refused(b"one\n\xff\n", "the file is not valid UTF-8");
    check_file_refused(vec![b'#'; (1 << 20) + 1], "the file is larger than 1 MiB");
    let many = |count: usize| (0..count).fold(String::new(), |all, key| format!("{all}{key}\n"));
    check_file_refused(many(1025), "more than 1024 keys");
    let (_directory, path) = file(many(1024));
    let config = load(&[("ADMIN_API_KEYS_FILE", &path)]).unwrap();
    assert_eq!(config.keys.admin.len(), 1024);
}

#[test]
fn a_file_that_cannot_be_read_is_refused_with_the_reason_beside_all_else() {
    let (directory, path) = file("one");
    let missing = format!("{path}-missing");
    check_refused(
        &[
            ("API_KEYS_FILE", &missing),
            ("ADMIN_API_KEYS_FILE", directory.path().to_str().unwrap()),
            ("PORT", "none"),
        ],
        &[
            &format!("API_KEYS_FILE={missing:?}: the file cannot be read: No such file"),
            &format!(
                "ADMIN_API_KEYS_FILE={:?}: not a regular file; allowed: ",
                directory.path()
            ),
            "PORT=\"none\": ",
        ],
    );
}

#[test]
fn a_list_comes_from_its_variable_or_from_its_file() {
    let (_directory, path) = file("one");
    check_refused(
        &[("API_KEYS", "one"), ("API_KEYS_FILE", &path)],
        &[&format!(
            "API_KEYS_FILE={path:?}: API_KEYS is set too: only one of the two may be; allowed: "
        )],
    );
}

#[test]
fn what_production_demands_holds_for_files() {
    let (_directory, path) = file("own\nadmin-dev-key");
    let (_other, own) = file("root");
    let production = ("ENVIRONMENT", "production");
    check_refused(
        &[
            production,
            ("API_KEYS_FILE", &path),
            ("ADMIN_API_KEYS_FILE", &own),
        ],
        &[&format!(
            "API_KEYS_FILE={path:?}: the key at line 2, position 1 is an example of the documentation"
        )],
    );
    check_refused(
        &[
            production,
            ("API_KEYS", "root"),
            ("ADMIN_API_KEYS_FILE", &own),
        ],
        &[&format!(
            "ADMIN_API_KEYS_FILE={own:?}: the key at line 1, position 1 stands in API_KEYS too, at position 1"
        )],
    );
}

#[test]
fn files_are_read_again_and_variables_stay_as_they_were() {
    let (_directory, path) = file("one");
    let config = load(&[("API_KEYS_FILE", &path), ("ADMIN_API_KEYS", "root")]).unwrap();
    assert!(config.key_sources.has_file());
    fs::write(&path, "two\nthree\n").unwrap();
    let again = config.key_sources.read_again().unwrap();
    assert_keys(&again, &["two", "three"], &["root"]);
    for (content, problem) in [
        ("", "the file has no key"),
        (
            "root",
            "ADMIN_API_KEYS: the key at position 1 stands in API_KEYS_FILE too, at line 1",
        ),
    ] {
        fs::write(&path, content).unwrap();
        let errors = config.key_sources.read_again().unwrap_err();
        assert!(errors.to_string().contains(problem), "{errors}");
    }
    assert!(!load(&[]).unwrap().key_sources.has_file());
}
