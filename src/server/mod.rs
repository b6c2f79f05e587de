//! A server from start to stop: check, lock, listen, recover, hand over, wait, drain.

pub mod lanes;
mod reload;
mod roles;
mod state;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use slog::{Logger, info, warn};

use crate::acceptor::auth::Keys;
use crate::api;
#[cfg(feature = "otlp")]
use crate::config::Otlp;
use crate::config::{Config, TlsPaths};
use crate::journal::directory;
use crate::lifecycle::Lifecycle;
#[cfg(feature = "otlp")]
use crate::observe::metrics::Wired;
use crate::observe::metrics::{LogMetrics, Metrics};
#[cfg(feature = "otlp")]
use crate::observe::otlp::{self, Export};
use crate::observe::service_manager::ServiceManager;
use crate::observe::{log, port};
use crate::plan::{ExecutorPlan, Machine, Plan};
use crate::runtime::executor::Executor;
use crate::runtime::reloadable::Reloadable;
use crate::runtime::tls::{Tls, TlsError};
use crate::runtime::{preflight, tcp};
use reload::{CaughtSignals, Reload};
use roles::{Roles, Shared};
use state::State;

pub use state::files;

/// Descriptors beside those of connections: listeners, the journal's files, eventfds and rings, with room to spare.
pub const DESCRIPTORS_OWN: u64 = 512;

/// Serves until SIGTERM or SIGINT; SIGHUP reads keys and certificates in files again. Says on standard error what keeps it from starting.
pub fn serve() -> ExitCode {
    die_on_panic();
    let config = match Config::from_env() {
        Ok(config) => Arc::new(config),
        Err(errors) => {
            eprintln!("central-inventory cannot start:\n{errors}");
            return ExitCode::FAILURE;
        }
    };
    let settings = log::Settings {
        level: config.log_level,
        format: config.log_format,
        environment: config.environment,
    };
    let log_metrics = Arc::<LogMetrics>::default();
    let (log, flushed_at_the_end) = log::start(settings, log_metrics.clone());
    let outcome = start_and_wait(&config, &log, log_metrics);
    // The log's last lines come before whatever is said here.
    drop(flushed_at_the_end);
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("central-inventory cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A broken invariant ends the process, on whichever thread it is found: better no answer than a wrong one.
fn die_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

fn start_and_wait(
    config: &Arc<Config>,
    log: &Logger,
    log_metrics: Arc<LogMetrics>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    // Before anything else, so that a signal is never missed, and SIGHUP never ends the process.
    let mut signals = CaughtSignals::catch()?;
    for check in preflight::run() {
        check.outcome?;
    }
    raise_open_files(config, log);
    refuse_huge_pages(log);
    // Before any thread is pinned: afterwards only the pinned CPU would be seen.
    let machine = Machine::read();
    let plan = Plan::new(
        &machine,
        config.shard_count,
        config.acceptor_count,
        config.cpu_plan.as_ref(),
        config.lane_spin,
    )?;
    let files = state::files(config);
    let _lock = files.as_ref().map(directory::lock).transpose()?;
    let address = SocketAddr::new(config.bind_address, config.port);
    let sockets = listen(address, plan.acceptor_count.into())?;
    let metrics_address = SocketAddr::new(config.bind_address, config.metrics_port);
    let metrics_socket = listen(metrics_address, 1)?.remove(0);
    api::prepare();
    let lifecycle = Arc::new(Lifecycle::new(
        plan.acceptor_count.into(),
        plan.shard_count.into(),
    ));
    let tls = config.tls.as_ref().map(read_tls).transpose()?;
    let keys = Arc::new(Reloadable::new(Keys::new(config.keys.clone())));
    let reload = Reload::new(config.clone(), keys.clone(), tls.clone(), log.clone());
    let metrics = Arc::new(Metrics::new(
        config.clone(),
        lifecycle.clone(),
        &plan,
        log_metrics,
    ));
    let shared = Shared {
        metrics: metrics.clone(),
        config: config.clone(),
        keys,
        tls,
        lifecycle: lifecycle.clone(),
        log: log.clone(),
    };
    let router = state::router(config)?;
    let (roles, wired) = Roles::new(&shared, &plan, sockets, &router)?;
    let wired = Arc::new(wired);
    let started = roles.start(&plan)?;
    #[cfg(feature = "otlp")]
    let export = start_export(&shared, &wired)?;
    let manager = ServiceManager::of_environment(log.clone());
    let port = port::Wiring {
        manager: manager.clone(),
        socket: metrics_socket,
        metrics,
        wired,
        lifecycle: lifecycle.clone(),
        log: log.clone(),
    };
    let ops = Executor::start(&ops_plan(&machine), false, || port::run(port))?;
    info!(log, "Listening"; "address" => %address, "acceptors" => plan.acceptor_count,
        "shards" => plan.shard_count, "metrics" => %metrics_address, "version" => env!("CARGO_PKG_VERSION"));
    let reload = || manager.reloading(|| reload.run());
    let is_told_to_stop = || signals.is_told_to_stop(&reload);
    let state = match State::recover(config, files, &router, log, &manager, is_told_to_stop) {
        Ok(state) => state,
        Err(error) if state::is_interruption(&*error) => {
            info!(log, "Stopped while recovering");
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(error),
    };
    let executors = started.hand_over(&plan, state);
    info!(log, "Ready"; "ms" => lifecycle.uptime().as_millis() as u64);
    manager.ready();

    signals.wait_for_stop(&reload);
    info!(log, "Stopping: finishing what is in flight");
    manager.stopping();
    lifecycle.drain();
    for executor in executors {
        executor.join()?;
    }
    lifecycle.end();
    ops.join()?;
    #[cfg(feature = "otlp")]
    if let Some(export) = export {
        export.finish();
    }
    info!(log, "Stopped"; "uptime_seconds" => lifecycle.uptime().as_secs());
    Ok(match lifecycle.has_failed_journal() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn listen(address: SocketAddr, count: usize) -> io::Result<Vec<OwnedFd>> {
    tcp::bind_listeners(address, count).map_err(|error| {
        let advice = format!("cannot listen on {address}: is the port in use?");
        directory::describe(error, advice)
    })
}

#[cfg(feature = "otlp")]
fn start_export(shared: &Shared, wired: &Arc<Wired>) -> io::Result<Option<Export>> {
    let wire = |config: &Otlp| otlp::Wiring {
        config: config.clone(),
        metrics: shared.metrics.clone(),
        wired: wired.clone(),
        uptime: shared.lifecycle.uptime(),
        log: shared.log.clone(),
    };
    let wiring = shared.config.otlp.as_ref().map(wire);
    wiring.map(otlp::start).transpose()
}

/// The executor of the metrics port runs where there is room.
fn ops_plan(machine: &Machine) -> ExecutorPlan {
    ExecutorPlan {
        name: "ops".to_owned(),
        cpus: machine.cpus.clone(),
        pinned: false,
        roles: Vec::new(),
    }
}

fn read_tls(paths: &TlsPaths) -> Result<Arc<Reloadable<Tls>>, TlsError> {
    let tls = Tls::read(&paths.certificates, &paths.key)?;
    Ok(Arc::new(Reloadable::new(tls)))
}

/// Memory that is touched for the first time is cleared by the page fault that meets it, with every answer waiting behind: 4 KiB
/// in a microsecond, a huge page of 2 MiB in up to some milliseconds. And what is given back is given back in small parts, so
/// that the same huge page is cleared again and again (perf/experiments/2026-11-29-huge-pages).
fn refuse_huge_pages(log: &Logger) {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        warn!(log, "Huge pages cannot be refused: updates may wait for milliseconds while one is cleared"; "error" => %error);
    }
}

/// A connection is a file: take as many as we may have, and say so if they are fewer than connections may be.
fn raise_open_files(config: &Config, log: &Logger) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Refused only where the limit cannot be raised; then accepting meets it, and says so.
    let _ = setrlimit(Resource::Nofile, raised);
    let needed = config.connections_max as u64 + DESCRIPTORS_OWN;
    if let Some(allowed) = getrlimit(Resource::Nofile)
        .current
        .filter(|allowed| *allowed < needed)
    {
        warn!(log, "Fewer files may be open than MAX_CONNECTIONS needs: raise the limit (ulimit -n, LimitNOFILE) or lower it";
            "allowed" => allowed, "needed" => needed);
    }
}
