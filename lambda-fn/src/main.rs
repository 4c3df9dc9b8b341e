//! The program: a Lambda custom runtime where Lambda started it, else what the command line says. The only file that
//! names `lambda_runtime`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use aorta_fhir::serve::Server;
use aorta_fhir::settings::{Database, Seed, Settings};
use aorta_fhir::store::sqlite::Sqlite;
use aorta_fhir::{clock, event, http, load, notify, resource::Resource, seed, store::Store};
use clap::{Parser, Subcommand};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

/// EX_CONFIG of sysexits.h.
const EXIT_CONFIG: u8 = 78;

/// Aorta's FHIR R4 record server. Settings come from AORTA_FHIR_DATABASE, AORTA_FHIR_SEED, AORTA_FHIR_ROOT and
/// AORTA_FHIR_CURSOR_KEY; under AWS Lambda there is no command line.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer plain HTTP.
    Serve {
        /// Where to listen, as 127.0.0.1:8089; port 0 takes any free one and says which.
        #[arg(long)]
        address: String,
        /// Where records are kept: sqlite:PATH. Else AORTA_FHIR_DATABASE.
        #[arg(long)]
        database: Option<String>,
    },
    /// Store the resources of JSON files; Bundles are unpacked.
    Load {
        /// Where records are kept: sqlite:PATH. Else AORTA_FHIR_DATABASE.
        #[arg(long)]
        database: Option<String>,
        /// FHIR resources or Bundles, in the order they are to be stored.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let level = std::env::var("AORTA_FHIR_LOG").ok().and_then(|level| level.parse().ok());
    // Other crates stay silent: what they print could hold what a client sent.
    let filter = tracing_subscriber::filter::EnvFilter::default()
        .add_directive(tracing::level_filters::LevelFilter::OFF.into())
        .add_directive(target(level.unwrap_or(tracing::Level::INFO)));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let outcome = if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        run_under_lambda().await
    } else {
        match Arguments::parse().command {
            Command::Serve { address, database } => serve(&address, database).await,
            Command::Load { database, files } => load_files(database, &files).await,
        }
    };
    outcome.unwrap_or_else(|error| {
        tracing::error!(error = format!("{error:#}"), "stopped");
        if error.is::<aorta_fhir::settings::Problems>() {
            ExitCode::from(EXIT_CONFIG)
        } else {
            ExitCode::FAILURE
        }
    })
}

fn target(level: tracing::Level) -> tracing_subscriber::filter::Directive {
    format!("aorta_fhir={level}").parse().expect("a crate's name and a level are a directive")
}

async fn run_under_lambda() -> anyhow::Result<ExitCode> {
    // Lambda sets them always; the runtime client would panic where a stand-in forgot one.
    for name in ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"]
    {
        std::env::var(name).with_context(|| format!("{name} is not set, AWS_LAMBDA_RUNTIME_API is"))?;
    }
    let server = Arc::new(start(&settings(None)?).await?);
    let handler = service_fn(move |event: LambdaEvent<Value>| {
        let server = Arc::clone(&server);
        async move {
            let now = clock::now();
            Ok::<_, lambda_runtime::Error>(
                event::answer(&server, &event.payload, now, clock::new_id(now)).await,
            )
        }
    });
    lambda_runtime::run(handler)
        .await
        .map_err(|error| anyhow::anyhow!("the Lambda runtime stopped: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(address: &str, database: Option<String>) -> anyhow::Result<ExitCode> {
    let server = Arc::new(start(&settings(database)?).await?);
    let listener =
        tokio::net::TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    let address = listener.local_addr()?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tracing::info!(address = address.to_string(), "listening");
    say(&format!("listening on http://{address}"))?;
    notify::tell("READY=1");
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        notify::tell("STOPPING=1");
    };
    http::run(listener, server, stop).await;
    Ok(ExitCode::SUCCESS)
}

async fn load_files(database: Option<String>, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let store = open(&settings(database)?.database).await?;
    for file in files {
        load_file(&store, file).await.with_context(|| file.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn load_file(store: &impl Store, file: &PathBuf) -> anyhow::Result<()> {
    let bytes = std::fs::read(file)?;
    let now = clock::now();
    let report = load::load(store, &bytes, now, || clock::new_id(now)).await?;
    let load::Report { created, updated, unchanged, unresolved } = report;
    let name = file.display();
    say(&format!(
        "{name}: {created} created, {updated} updated, {unchanged} unchanged, {unresolved} references unresolved"
    ))
}

fn settings(database: Option<String>) -> anyhow::Result<Settings> {
    Ok(Settings::read(|name| match (name, &database) {
        ("AORTA_FHIR_DATABASE", Some(url)) => Some(url.clone()),
        _ => std::env::var(name).ok(),
    })?)
}

async fn open(database: &Database) -> anyhow::Result<Sqlite> {
    let Database::Sqlite(path) = database;
    Sqlite::open(path).await.with_context(|| format!("opening the records at {}", path.display()))
}

async fn start(settings: &Settings) -> anyhow::Result<Server<Sqlite>> {
    let store = open(&settings.database).await?;
    let now = clock::now();
    match &settings.seed {
        None => {}
        Some(Seed::Builtin) => {
            let resource = Resource::parse(seed::BUILTIN.as_bytes())?;
            seed::plant(&store, seed::builtin_key(), resource, now).await?;
        }
        Some(Seed::File(path)) => load_seed(&store, path).await?,
    }
    let cursor_key = match &settings.cursor_key {
        Some(key) => key.clone(),
        None => store.cursor_key().await?,
    };
    Ok(Server { store, cursor_key, root: settings.root.clone() })
}

async fn load_seed(store: &Sqlite, path: &PathBuf) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("reading the seed at {}", path.display()))?;
    let now = clock::now();
    load::load(store, &bytes, now, || clock::new_id(now)).await?;
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}
