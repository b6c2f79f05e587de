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
use crate::runtime::tls::Tls;

/// All that can be read again.
pub struct Reload {
    config: Arc<Config>,
    keys: Arc<Reloadable<Keys>>,
    tls: Option<Arc<Reloadable<Tls>>>,
    log: Logger,
}

impl Reload {
    /// `keys` and `tls` are those of `config`.
    pub fn new(
        config: Arc<Config>,
        keys: Arc<Reloadable<Keys>>,
        tls: Option<Arc<Reloadable<Tls>>>,
        log: Logger,
    ) -> Reload {
        Reload {
            config,
            keys,
            tls,
            log,
        }
    }

    /// Reads everything again that is in a file.
    pub fn run(&self) {
        let had_files = [self.read_keys(), self.read_tls()];
        if !had_files.contains(&true) {
            info!(
                self.log,
                "SIGHUP: there is nothing to read again; API_KEYS_FILE, ADMIN_API_KEYS_FILE and TLS_CERT_PATH are not set"
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

    /// Whether there is a certificate. Connections that shook hands before keep what they agreed on.
    fn read_tls(&self) -> bool {
        let (Some(paths), Some(tls)) = (&self.config.tls, &self.tls) else {
            return false;
        };
        match Tls::read(&paths.certificates, &paths.key) {
            Ok(read) => {
                info!(
                    self.log,
                    "SIGHUP: the certificate and its key were read again"
                );
                tls.replace(read);
            }
            Err(problem) => {
                error!(self.log, "SIGHUP: the certificate cannot be read again, that of before stays in use";
                    "problem" => %problem);
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

    /// Whether the server was told to stop. Calls `reload` where it was told to read again.
    pub fn is_told_to_stop(&mut self, reload: &impl Fn()) -> bool {
        let mut is_told = false;
        for signal in self.0.pending() {
            match signal {
                SIGHUP => reload(),
                _ => is_told = true,
            }
        }
        is_told
    }

    /// Waits until the server is told to stop, and meanwhile calls `reload` where it is told to read again.
    pub fn wait_for_stop(&mut self, reload: &impl Fn()) {
        for signal in self.0.forever() {
            match signal {
                SIGHUP => reload(),
                _ => return,
            }
        }
    }
}
