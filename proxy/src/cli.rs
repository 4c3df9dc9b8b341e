//! The commands.

mod orders;

use crate::admin_client::Door;
use crate::audit::verify::{self, Verdict};
use crate::config::{Config, Summary};
use crate::drills::command::{self, Outcome};
use crate::explain::ask::{About, ask, show};
use crate::handover::{Inherited, Program};
use crate::log_level::LogLevel;
use crate::reload::{self, Reloads};
use crate::simulate::{NoRun, Run};
use crate::{admin_client, config, server, simulate};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use orders::OrderArgs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The configuration is wrong (`sysexits.h`, EX_CONFIG).
const EX_CONFIG: u8 = 78;
/// There was no drill: 1 says that it hurt.
const NO_DRILL: u8 = 2;

/// Carries FHIR traffic to regional endpoints and keeps it flowing when one fails.
#[derive(Debug, Parser)]
#[command(name = "aorta-proxy", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy.
    Run {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Take over from the process whose end of a socket is standard input: `upgrade` starts this.
        #[arg(long, hide = true)]
        take_over: bool,
        /// Record every decision into this file, for `simulate --replay`: to look into a fault, not for every day.
        /// It holds no patient data and takes up to 256 MiB; a process that takes over does not go on with it.
        #[arg(long, value_name = "FILE")]
        tape: Option<PathBuf>,
    },
    /// Let a new process of this program take over from the running one, without losing a request; exit 0, or 1
    /// when the new one does not come to serve: then the running one goes on.
    Upgrade {
        /// Its configuration, which says where it listens.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Let the running proxy read its configuration anew, without losing a request; exit 0, 78 if the file is wrong, or
    /// 1 if the proxy did not take it: then nothing has changed.
    Reload {
        /// Its configuration, which says where it listens.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Read a configuration and report every problem; exit 0, or 78.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Say what a reload would change in the proxy whose admin port is here, such as http://127.0.0.1:9901.
        #[arg(long, value_name = "ADMIN_URL")]
        diff: Option<String>,
    },
    /// Print the JSON Schema of the configuration.
    Schema {
        /// Print that of a scenario instead.
        #[arg(long)]
        scenario: bool,
    },
    /// Let an upstream finish what it has and take nothing new until it is undrained.
    Drain {
        #[command(flatten)]
        order: OrderArgs,
        /// Even if fewer than `min_healthy` are left.
        #[arg(long)]
        force: bool,
    },
    /// Let a drained upstream come back.
    Undrain {
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Put an upstream out for a while; when the others fail it is still asked.
    Eject {
        #[command(flatten)]
        order: OrderArgs,
        /// How long, such as 10m, at most 24h; default: the pool's `ejection_max`.
        #[arg(long = "for", value_name = "TIME")]
        lasts: Option<String>,
        /// Even if fewer than `min_healthy` are left.
        #[arg(long)]
        force: bool,
    },
    /// Bring an upstream back that is out, now.
    Readmit {
        #[command(flatten)]
        order: OrderArgs,
    },
    /// Ask the running proxy why: an upstream's state, or what became of a request; exit 0, or 1 when it knows
    /// no such thing.
    Explain {
        /// Its configuration, which says where it listens.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The pool; default: the only one.
        #[arg(long, value_name = "NAME")]
        pool: Option<String>,
        /// An upstream of the pool.
        #[arg(long, value_name = "NAME")]
        upstream: Option<String>,
        /// A request, by its x-request-id.
        #[arg(long, value_name = "ID", conflicts_with_all = ["pool", "upstream"])]
        request: Option<String>,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Make a fault of one upstream for a while and a share of the requests, and see that nobody is hurt; exit 0, 1
    /// when clients were hurt, or 2 when there was no drill.
    Drill {
        /// The configuration of the running proxy, which says where it listens.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The pool.
        #[arg(long, value_name = "NAME")]
        pool: String,
        /// The upstream.
        #[arg(long, value_name = "NAME")]
        upstream: String,
        /// `eject`, `refuse`, `delay:2s` or `status:503`.
        #[arg(long)]
        fault: String,
        /// The share of the requests.
        #[arg(long, default_value = "100%")]
        share: String,
        /// How long.
        #[arg(long = "for", value_name = "TIME")]
        length: String,
        /// Why: it stands in the report.
        #[arg(long)]
        reason: String,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Judge an audit file.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Send a configuration through a scenario, in virtual time; exit 0, 1 if it fares worse than the scenario
    /// expects, or 78 if a file is wrong. Or decide again what `run --tape` has recorded; exit 1 if a decision differs.
    Simulate {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// What happens: see config/scenarios.
        #[arg(long, value_name = "FILE", required_unless_present = "replay")]
        scenario: Option<PathBuf>,
        /// The tape whose decisions are to be made again.
        #[arg(long, value_name = "TAPE", conflicts_with_all = ["scenario", "pool", "seed", "svg", "json"])]
        replay: Option<PathBuf>,
        /// The pool that is tried; default: the one the scenario names, or the only one.
        #[arg(long, value_name = "NAME")]
        pool: Option<String>,
        /// The dice: the same seed gives the same run.
        #[arg(long, default_value_t = 1, value_name = "N")]
        seed: u64,
        /// Draw the run into this file.
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Whether every entry is as it was written and none is missing between two; exit 0, or 1 at the first that is
    /// not.
    Verify {
        /// The file; several that continue each other, the oldest first.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

/// Carries out a command.
///
/// # Errors
/// When the proxy cannot be put together, or standard output is closed.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run { config, take_over, tape } => serve(&config, take_over, tape.as_deref()),
        Command::Drain { order, force } => orders::give("drain", &order, None, force),
        Command::Undrain { order } => orders::give("undrain", &order, None, false),
        Command::Eject { order, lasts, force } => orders::give("eject", &order, lasts.as_deref(), force),
        Command::Readmit { order } => orders::give("readmit", &order, None, false),
        Command::Upgrade { config } => order(&config, "/api/upgrade"),
        Command::Reload { config } => order(&config, "/api/reload"),
        Command::Check { config, diff } => check(&config, diff.as_deref()),
        Command::Drill { config, pool, upstream, fault, share, length, reason, json } => {
            let order = serde_json::json!({ "pool": pool, "upstream": upstream, "fault": fault, "share": share,
                                            "for": length, "reason": reason });
            drill(&config, &order, json)
        }
        Command::Explain { config, pool, upstream, request, json } => {
            explain(&config, pool, upstream, request, json)
        }
        Command::Audit { command: AuditCommand::Verify { files } } => verify(&files),
        Command::Simulate { config, replay: Some(tape), .. } => replay(&config, &tape),
        Command::Simulate { config, scenario, pool, seed, svg, json, .. } => {
            match simulate::run(&config, &scenario.unwrap_or_default(), pool.as_deref(), seed) {
                Ok(run) => tell(&run, svg.as_deref(), json),
                Err(no_run) => wrong(&no_run),
            }
        }
        Command::Schema { scenario } => {
            let schema = if scenario { config::scenario_schema() } else { config::schema() };
            let text = serde_json::to_string_pretty(&schema)?;
            writeln!(std::io::stdout().lock(), "{text}")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn serve(path: &Path, take_over: bool, tape: Option<&Path>) -> anyhow::Result<ExitCode> {
    let (loaded, files) = config::load_noting(path);
    match loaded {
        Err(problems) => {
            writeln!(std::io::stderr().lock(), "{problems}")?;
            Ok(ExitCode::from(EX_CONFIG))
        }
        Ok(config) => {
            let level = LogLevel::start(config.log.level)?;
            let reloads = Reloads::new(path, files, &config, level.clone());
            let inherited = if take_over { Inherited::receive() } else { Ok(Inherited::default()) };
            let inherited = inherited.context("nothing is handed over")?;
            server::run((config, reloads), level, Program::new(path)?, inherited, tape)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn verify(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    match verify::verify(files).context("a file cannot be read")? {
        Verdict::Sound { entries, after, last } => {
            let (first, number, hash) = (after.number + 1, last.number, last.hash);
            writeln!(std::io::stdout().lock(), "{entries} entries, {first} to {number}, the last {hash}")?;
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Broken { file, line, how } => {
            writeln!(std::io::stderr().lock(), "{}:{line}: the entry {how}", file.display())?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// A configuration; or, once its problems are told, what the command ends with.
fn read(path: &Path) -> anyhow::Result<Result<Config, ExitCode>> {
    let loaded = config::load(path);
    if let Err(problems) = &loaded {
        writeln!(std::io::stderr().lock(), "{problems}")?;
    }
    Ok(loaded.map_err(|_| ExitCode::from(EX_CONFIG)))
}

fn drill(path: &Path, order: &serde_json::Value, as_json: bool) -> anyhow::Result<ExitCode> {
    let config = match read(path)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let outcome = match command::run(&Door::of(&config), order) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::None(format!("no proxy answers at {}: {error}\n", config.admin)),
    };
    match outcome {
        Outcome::None(why) => {
            write!(std::io::stderr().lock(), "{why}")?;
            Ok(ExitCode::from(NO_DRILL))
        }
        Outcome::Over(report) => {
            let text = if as_json { format!("{report:#}\n") } else { command::show(&report) };
            write!(std::io::stdout().lock(), "{text}")?;
            Ok(if report["finding"] == "hurt" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
    }
}

/// Has the running proxy do something, and says what came of it.
fn order(path: &Path, order: &str) -> anyhow::Result<ExitCode> {
    let config = match read(path)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let said = admin_client::post(&Door::of(&config), order, "");
    let said = said.with_context(|| format!("no proxy answers at {}", config.admin))?;
    if said.status != 200 {
        write!(std::io::stderr().lock(), "{}", said.body)?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(std::io::stdout().lock(), "{}", said.body)?;
    Ok(ExitCode::SUCCESS)
}

fn explain(
    path: &Path,
    pool: Option<String>,
    upstream: Option<String>,
    request: Option<String>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let config = match read(path)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let only = || match &config.pools[..] {
        [only] => Ok(only.spec.name.clone()),
        pools => {
            let names: Vec<_> = pools.iter().map(|pool| pool.spec.name.as_str()).collect();
            anyhow::bail!("name one with --pool: {}", names.join(", "))
        }
    };
    let about = match (request, upstream) {
        (Some(id), _) => About::Request(id),
        (None, Some(upstream)) => About::Upstream(pool.map_or_else(only, Ok)?, upstream),
        (None, None) => About::Pool(pool.map_or_else(only, Ok)?),
    };
    let said =
        ask(&config, &about).with_context(|| format!("no proxy explains itself at {}", config.admin))?;
    let Some(said) = said else {
        writeln!(std::io::stderr().lock(), "the proxy knows no such thing (any more): {about:?}")?;
        return Ok(ExitCode::FAILURE);
    };
    let text = if as_json { serde_json::to_string_pretty(&said)? + "\n" } else { show(&said) };
    write!(std::io::stdout().lock(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}

fn replay(config: &Path, tape: &Path) -> anyhow::Result<ExitCode> {
    match simulate::replay::run(config, tape) {
        Ok(replayed) => {
            write!(std::io::stdout().lock(), "{}", replayed.show())?;
            Ok(if replayed.difference.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(no_run) => wrong(&no_run),
    }
}

fn wrong(no_run: &NoRun) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stderr().lock(), "{no_run}")?;
    Ok(ExitCode::from(EX_CONFIG))
}

fn tell(run: &Run, svg: Option<&Path>, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{}", serde_json::to_string_pretty(&simulate::json::show(run))?)?;
    } else {
        write!(out, "{}", simulate::text::show(run))?;
    }
    if let Some(path) = svg {
        let drawn = std::fs::write(path, simulate::svg::draw(run));
        drawn.with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(if run.is_as_expected() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(path: &Path, diff: Option<&str>) -> anyhow::Result<ExitCode> {
    let config = match read(path)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    writeln!(std::io::stdout().lock(), "{}", Summary::from(&config))?;
    let Some(url) = diff else { return Ok(ExitCode::SUCCESS) };
    let bare = url.trim_start_matches("http://").trim_end_matches('/');
    let address = bare.parse().with_context(|| format!("{url} is not such as http://127.0.0.1:9901"))?;
    let door = Door { address, ..Door::of(&config) };
    let ask = |what: &str| -> anyhow::Result<serde_json::Value> {
        let said = admin_client::get(&door, what).with_context(|| format!("no proxy answers at {url}"))?;
        anyhow::ensure!(said.status == 200, "{}", said.body.trim_end());
        Ok(serde_json::from_str(&said.body)?)
    };
    let preview = reload::preview(&config, &ask("/api/config")?, &ask("/api/pools")?);
    let preview = preview.context("that proxy does not say what it runs with")?;
    write!(std::io::stdout().lock(), "{preview}")?;
    Ok(ExitCode::SUCCESS)
}
