//! A run from beginning to end: a server, products, followers, phases, judgement, report.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use central_inventory::plan::{CpuList, Machine};
use indicatif::{ProgressBar, ProgressStyle};

use crate::control::Control;
use crate::engine::{Followed, Followers, Load, Memory, Outcome, Pace, Recorder, Seen};
use crate::machine::{self, process_cpu, resident_bytes};
use crate::options::RunOptions;
use crate::report::{
    ClientSide, Headline, Pacing, Phase, Report, SCHEMA, ServerFacts, ServerSide, Setup,
    Verification,
};
use crate::scrape;
use crate::server::Target;
use crate::verify::{self, Judged};
use crate::workload::Sampler;

/// Steps of a sweep, in hundredths of saturation.
const SWEEP: [u32; 10] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 110];
/// How long followers may take to catch up at the end.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at the server.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// A run as it was asked for, and what it has so far.
struct Run<'a> {
    options: &'a RunOptions,
    load: Load,
    target: Target,
    memory: Memory,
    followers: Option<Followers>,
    phases: Vec<Phase>,
    recorders: Vec<Recorder>,
    headline: Vec<Headline>,
    bar: ProgressBar,
}

/// A report, and the times behind it by phase.
pub struct Done {
    /// The report.
    pub report: Report,
    /// What every phase recorded.
    pub recorders: Vec<Recorder>,
    /// When it began.
    pub started: SystemTime,
}

/// Runs everything that `options` ask for.
pub fn run(options: &RunOptions) -> Result<Done, String> {
    let started = SystemTime::now();
    let allowed = Machine::read().cpus;
    let client_cpus = client_cpus(options, &allowed);
    let server_cpus = server_cpus(options, &allowed, &client_cpus);
    let target = Target::of(options, &server_cpus)?;
    let control = Control::new(target.address, &options.key, &options.admin_key);
    let mut facts = control.facts()?;
    let page = target.metrics.and_then(scrape::scrape);
    facts.is_debug_build = page.as_deref().and_then(scrape::is_debug_build);
    let machine = machine::machine();
    let bar = bar();
    // Unique on a server that is used again.
    let since = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    let load = Load {
        address: target.address,
        key: options.key.clone(),
        run: format!("b{:x}", since.as_millis()),
        mix: options.preset.mix,
        sampler: Sampler::new(options.popularity(), options.products()),
        batch: options.batch,
        cpus: client_cpus.clone(),
        threads: options.threads.min(options.connections),
        connections: options.connections,
    };
    let begin = control.next_offset()?;
    control.create(&load.run, options.products(), |done| {
        bar.set_message(format!(
            "creating products: {done} of {}",
            options.products()
        ));
    })?;
    let followers = match options.followers() {
        0 => None,
        count => Some(
            Followers::start(&load, count, options.follow_by, begin)
                .map_err(|error| format!("followers: {error}"))?,
        ),
    };
    let memory = Memory::new(load.threads, options.products(), options.seed);
    let mut run = Run {
        options,
        load,
        target,
        memory,
        followers,
        phases: Vec::new(),
        recorders: Vec::new(),
        headline: Vec::new(),
        bar,
    };
    run.all_phases()?;
    let (verification, followed) = run.judge(&control, begin)?;
    run.add_deliveries(&followed);
    let setup = run.setup(&client_cpus);
    run.bar.finish_and_clear();
    let warnings = run.warnings(&facts, &machine, &server_cpus, &client_cpus);
    let Run {
        target,
        phases,
        recorders,
        headline,
        ..
    } = run;
    target.stop()?;
    let report = Report {
        schema: SCHEMA,
        preset: options.preset.name.to_owned(),
        started: humantime::format_rfc3339_millis(started).to_string(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        commit: machine::commit(),
        bench_version: env!("CARGO_PKG_VERSION").to_owned(),
        server: facts,
        machine,
        setup,
        warnings,
        phases,
        headline,
        verification,
    };
    Ok(Done {
        report,
        recorders,
        started,
    })
}

fn bar() -> ProgressBar {
    let bar = match io::stderr().is_terminal() {
        true => ProgressBar::new_spinner(),
        false => ProgressBar::hidden(),
    };
    let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is sound");
    bar.set_style(style);
    bar
}

/// The last quarter of the CPUs.
fn client_cpus(options: &RunOptions, allowed: &[usize]) -> Vec<usize> {
    match &options.cpus {
        Some(cpus) => cpus.0.clone(),
        None => allowed[allowed.len() - (allowed.len() / 4).max(1)..].to_vec(),
    }
}

/// All that are not the load generator's, or all.
fn server_cpus(options: &RunOptions, allowed: &[usize], client: &[usize]) -> Vec<usize> {
    if let Some(cpus) = &options.server_cpus {
        return cpus.0.clone();
    }
    let left: Vec<usize> = allowed
        .iter()
        .copied()
        .filter(|cpu| !client.contains(cpu))
        .collect();
    match left.is_empty() {
        true => allowed.to_vec(),
        false => left,
    }
}

impl Run<'_> {
    fn all_phases(&mut self) -> Result<(), String> {
        for round in 1..=self.options.rounds {
            let options = self.options;
            let pace = options
                .rate
                .map_or(Pace::Closed, |rate| Pace::Open(rate, options.arrivals));
            self.warm_up(pace)?;
            if let Pace::Open(..) = pace {
                self.phase("open loop", round, pace)?;
                continue;
            }
            if options.closed {
                self.phase("closed loop", round, pace)?;
                continue;
            }
            let (operations, updates, _) = self.phase("saturation", round, pace)?;
            let (_, _, p99_us) = self.phase(
                "half of saturation",
                round,
                Pace::Open(operations / 2.0, options.arrivals),
            )?;
            self.headline.push(Headline {
                updates_per_second: updates,
                p99_at_half_us: p99_us,
            });
            if options.sweep {
                for percent in SWEEP {
                    let rate = operations * f64::from(percent) / 100.0;
                    self.phase(
                        &format!("sweep {percent} %"),
                        round,
                        Pace::Open(rate, options.arrivals),
                    )?;
                }
            }
        }
        Ok(())
    }

    fn warm_up(&mut self, pace: Pace) -> Result<(), String> {
        let (seen, _) = self.drive("warm-up", pace, self.options.warm_up)?;
        drop(seen);
        Ok(())
    }

    /// Runs a phase. Returns operations and applied updates a second, and the p99 of all operations.
    fn phase(&mut self, name: &str, round: usize, pace: Pace) -> Result<(f64, f64, u64), String> {
        if let Some(followers) = &self.followers {
            followers.enter(Some(self.phases.len()));
        }
        let driven = self.drive(name, pace, self.options.duration);
        if let Some(followers) = &self.followers {
            followers.enter(None);
        }
        let (seen, server) = driven?;
        let seconds = seen.elapsed.as_secs_f64();
        let operations = seen.recorder.operations() as f64 / seconds;
        let updates = seen.recorder.counted(Outcome::Applied) as f64 / seconds;
        let p99_us = seen.recorder.p99_us();
        self.phases.push(Phase {
            name: name.to_owned(),
            round,
            pacing: match pace {
                Pace::Closed => Pacing::Closed,
                Pace::Open(rate, _) => Pacing::Open { rate },
            },
            seconds,
            kinds: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            series: Vec::new(),
            client: ClientSide {
                cpu_seconds: seen.cpu.as_secs_f64(),
                busiest_thread: seen.busiest,
                late_p99_us: seen.late.value_at_quantile(0.99),
            },
            server,
        });
        self.recorders.push(seen.recorder);
        Ok((operations, updates, p99_us))
    }

    /// Loads the server, and looks at it meanwhile.
    fn drive(
        &mut self,
        name: &str,
        pace: Pace,
        length: Duration,
    ) -> Result<(Seen, ServerSide), String> {
        let operations = Arc::new(AtomicU64::new(0));
        let pid = self.target.pid();
        let cpu_before = pid.and_then(process_cpu);
        let followers_before = self.followers.as_ref().map(Followers::cpu);
        let running = self.load.start(&mut self.memory, pace, length, &operations);
        let running = running.map_err(|error| format!("the load cannot be started: {error}"))?;
        let mut server = ServerSide::default();
        let mut due = running.started();
        let mut last = 0;
        while !running.is_over() {
            thread::sleep(TICK);
            if Instant::now() < due {
                continue;
            }
            due += LOOK_EVERY;
            let at = running.started().elapsed().as_secs_f64();
            let now = operations.load(Ordering::Relaxed);
            self.bar.set_message(format!(
                "{name}: {at:.0} of {:.0} s, {} operations/s",
                length.as_secs_f64(),
                now - last
            ));
            self.bar.tick();
            last = now;
            if let Some(page) = self.target.metrics.and_then(scrape::scrape) {
                for (name, value) in scrape::kept(&page) {
                    server.metrics.entry(name).or_default().push((at, value));
                }
            }
        }
        let mut seen = running
            .finish(&mut self.memory)
            .map_err(|error| format!("the load failed: {error}"))?;
        let followers = self.followers.as_ref().map(Followers::cpu);
        if let Some((after, before)) = followers.zip(followers_before) {
            let cpu = after.saturating_sub(before);
            seen.cpu += cpu;
            let shared_cpu = match self.load.cpus.len() {
                1 => seen.cpu,
                _ => cpu,
            };
            let share = shared_cpu.as_secs_f64() / seen.elapsed.as_secs_f64();
            seen.busiest = seen.busiest.max(share);
        }
        let cpu = pid.and_then(process_cpu).zip(cpu_before);
        server.cpu_seconds = cpu.map(|(after, before)| after.saturating_sub(before).as_secs_f64());
        server.resident_bytes = pid.and_then(resident_bytes);
        Ok((seen, server))
    }

    fn judge(&mut self, control: &Control, begin: u64) -> Result<(Verification, Followed), String> {
        self.bar.set_message("verifying");
        self.bar.tick();
        verify::settle(control, &self.load.run, self.memory.books_mut());
        let end = control.next_offset()?;
        let followed = match self.followers.take() {
            Some(followers) => followers
                .finish(end, CATCH_UP_LIMIT)
                .map_err(|error| format!("followers: {error}"))?,
            None => Followed::default(),
        };
        if self.options.no_verify {
            return Ok((Verification::Off, followed));
        }
        let judged = Judged {
            run: &self.load.run,
            products: self.options.products(),
            begin,
            followers: self.options.followers(),
        };
        Ok((
            verify::verify(control, &judged, self.memory.books(), &followed),
            followed,
        ))
    }

    /// Deliveries came on another thread, and through the ends of phases.
    fn add_deliveries(&mut self, followed: &Followed) {
        for (recorder, deliveries) in self.recorders.iter_mut().zip(&followed.phases) {
            recorder.add(deliveries);
        }
        for (phase, recorder) in self.phases.iter_mut().zip(&self.recorders) {
            phase.kinds = recorder.kinds();
            phase.outcomes = recorder.outcomes();
            phase.series = recorder.series();
        }
    }

    fn setup(&self, client_cpus: &[usize]) -> Setup {
        Setup {
            url: format!("http://{}", self.target.address),
            is_managed: self.target.pid().is_some(),
            server_cpus: self.target.cpus(),
            client_cpus: CpuList(client_cpus).to_string(),
            threads: self.load.threads,
            connections: self.load.connections,
            followers: self.options.followers(),
            followed_by: self.options.follow_by.to_string(),
            products: self.options.products(),
            popularity: self.options.popularity().to_string(),
            seed: self.options.seed,
        }
    }

    /// What makes the figures less worth than they look.
    fn warnings(
        &self,
        facts: &ServerFacts,
        machine: &crate::report::Machine,
        server_cpus: &[usize],
        client_cpus: &[usize],
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |applies: bool, sentence: String| {
            if applies {
                warnings.push(sentence);
            }
        };
        let total = |name: &str| {
            self.phases
                .iter()
                .filter_map(|phase| phase.outcomes.get(name))
                .sum::<u64>()
        };
        warn(
            facts.is_debug_build == Some(true),
            "the server is a debug build: measure one built with --release".to_owned(),
        );
        warn(
            cfg!(debug_assertions),
            "the load generator is a debug build: run it with --release".to_owned(),
        );
        warn(
            facts.is_durable == Some(false),
            "the server answers before changes are on disk (JOURNAL_SYNC, ENABLE_JSON_PERSISTENCE)"
                .to_owned(),
        );
        let throttled = total("throttled");
        warn(
            throttled > 0,
            format!(
                "{throttled} requests were refused by rate limits (429): these were measured, not the server"
            ),
        );
        let overloaded = total("overloaded");
        warn(
            overloaded > 0,
            format!("{overloaded} requests were refused as overloaded (503)"),
        );
        let errors = total("errors");
        warn(
            errors > 0,
            format!("{errors} requests had no answer, or one that makes no sense"),
        );
        let shares = client_cpus.iter().any(|cpu| server_cpus.contains(cpu));
        warn(
            self.target.pid().is_some() && shares,
            "server and load generator share CPUs: each slows the other".to_owned(),
        );
        warn(
            machine.load_average > 0.3 * machine.cpus as f64,
            format!(
                "other work runs on this machine: load average {:.1} at the start",
                machine.load_average
            ),
        );
        warnings.extend(bottlenecks(&self.phases));
        if self.options.no_verify {
            warnings.push("the server's answers were not checked (--no-verify)".to_owned());
        }
        warnings
    }
}

/// Whether the load generator measured itself, a sentence for each way.
fn bottlenecks(phases: &[Phase]) -> Vec<String> {
    /// A thread that is busier than that has something waiting.
    const BUSY: f64 = 0.9;
    /// Later than that is seen in percentiles.
    const LATE_US: u64 = 5_000;
    let is_open = |phase: &&Phase| matches!(phase.pacing, Pacing::Open { .. });
    let named = |phases: &[&Phase]| match phases {
        [phase] => format!("{} (round {})", phase.name, phase.round),
        many => format!("{} phases", many.len()),
    };
    let busy: Vec<&Phase> = phases
        .iter()
        .filter(|it| it.client.busiest_thread > BUSY)
        .collect();
    let late: Vec<&Phase> = phases
        .iter()
        .filter(is_open)
        .filter(|it| it.client.late_p99_us > LATE_US)
        .collect();
    let mut sentences = Vec::new();
    if !busy.is_empty() {
        sentences.push(format!("{}: a thread of the load generator was busy for more than 90 % of the time: give it more --threads and --cpus", named(&busy)));
    }
    if let Some(latest) = late.iter().map(|it| it.client.late_p99_us).max() {
        sentences.push(format!(
            "{}: the load generator itself woke up to {latest} us late (p99)",
            named(&late)
        ));
    }
    sentences
}
