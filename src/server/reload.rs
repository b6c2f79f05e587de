//! What is read again while the server runs, and on what signal: SIGHUP. What was read before stays in force if what is found now
//! cannot be used. Runs on the main thread, so it may read files the ordinary way.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use slog::{Logger, error, info};

use crate::acceptor::auth::Keys;
use crate::config::{Config, KeyLists};
use crate::runtime::reloadable::Reloadable;

/// All that can be read again.
pub struct Reload {
    config: Arc<Config>,
    keys: Arc<Reloadable<Keys>>,
    log: Logger,
}

impl Reload {
    /// `keys` are those of `config`.
    pub fn new(config: Arc<Config>, keys: Arc<Reloadable<Keys>>, log: Logger) -> Reload {
        Reload { config, keys, log }
    }

    /// Reads everything again that is in a file.
    pub fn run(&self) {
        let had_files = [self.read_keys()];
        if !had_files.contains(&true) {
            info!(
                self.log,
                "SIGHUP: there is nothing to read again; API_KEYS_FILE and ADMIN_API_KEYS_FILE are not set"
            );
        }
    }

    /// Whether there is a file of keys.
    fn read_keys(&self) -> bool {
        let sources = &self.config.key_sources;
        if !sources.has_file() {
            return false;
        }
        match sources.read_again() {
            Ok(lists) => self.replace_keys(lists),
            Err(errors) => {
                for problem in errors.iter() {
                    error!(self.log, "SIGHUP: the API keys cannot be read again, those of before stay valid";
                        "problem" => %problem);
                }
            }
        }
        true
    }

    fn replace_keys(&self, lists: KeyLists) {
        info!(self.log, "SIGHUP: the API keys were read again";
            "regular" => lists.regular.len(), "admin" => lists.admin.len());
        self.keys.replace(Keys::new(lists));
    }
}

/// The signals that the server knows. They are caught from when this is made, and kept until they are looked at.
pub struct CaughtSignals(Signals);

impl CaughtSignals {
    /// Catches SIGTERM, SIGINT and SIGHUP from now on.
    pub fn catch() -> io::Result<CaughtSignals> {
        Signals::new([SIGTERM, SIGINT, SIGHUP]).map(CaughtSignals)
    }

    /// Whether the server was told to stop. Reads again what it was told to.
    pub fn is_told_to_stop(&mut self, reload: &Reload) -> bool {
        let mut is_told = false;
        for signal in self.0.pending() {
            match signal {
                SIGHUP => reload.run(),
                _ => is_told = true,
            }
        }
        is_told
    }

    /// Waits until the server is told to stop, and meanwhile reads again what it is told to.
    pub fn wait_for_stop(&mut self, reload: &Reload) {
        for signal in self.0.forever() {
            match signal {
                SIGHUP => reload.run(),
                _ => return,
            }
        }
    }
}
