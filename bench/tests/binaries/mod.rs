//! The programs that the tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The server, beside the load generator. Built once where only this package was.
pub fn server() -> PathBuf {
    let beside =
        Path::new(env!("CARGO_BIN_EXE_inventory-bench")).with_file_name("central-inventory");
    if !beside.is_file() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args([
            "build",
            "--package",
            "central-inventory",
            "--bin",
            "central-inventory",
        ]);
        assert!(build.status().expect("cargo runs").success());
    }
    beside
}
