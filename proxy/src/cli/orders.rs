//! `aorta-proxy drain`, `undrain`, `eject`, `readmit`: an order for an upstream of the running proxy.

use crate::admin_client::{self, Door};
use crate::config::access::Secret;
use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::ToSocketAddrs as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where the admin port is by default.
const ADMIN: &str = "http://127.0.0.1:9901";
/// Holds the token, where no file and no configuration does.
const TOKEN: &str = "AORTA_ADMIN_TOKEN";

/// Of whom, why, and whom to tell.
#[derive(Debug, Args)]
pub(super) struct OrderArgs {
    /// The pool.
    pool: String,
    /// Its upstream.
    upstream: String,
    /// Why, in a line: it is recorded.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The admin port; default: that of the configuration, else http://127.0.0.1:9901.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The configuration of the running proxy, which says where it listens and holds the token.
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// Holds the token; else the variable AORTA_ADMIN_TOKEN does, if one is needed.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    token_file: Option<PathBuf>,
}

/// Gives the order.
///
/// # Errors
/// When nobody can be told.
pub(super) fn give(
    verb: &str,
    args: &OrderArgs,
    lasts: Option<&str>,
    forced: bool,
) -> anyhow::Result<ExitCode> {
    let plain = |word: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !word.is_empty() && word.chars().all(good)
    };
    if !plain(&args.pool) || !plain(&args.upstream) {
        anyhow::bail!("a pool and an upstream are named by letters, digits, `-`, `_` and `.`");
    }
    let door = match args.config.as_deref().map(super::read).transpose()? {
        Some(Ok(config)) => Door::of(&config),
        Some(Err(code)) => return Ok(code),
        None => door(args)?,
    };
    let mut order = json!({ "reason": args.reason });
    if let Some(lasts) = lasts {
        order["for"] = lasts.into();
    }
    if forced {
        order["force"] = true.into();
    }
    let path = format!("/api/pools/{}/upstreams/{}/{verb}", args.pool, args.upstream);
    let said = admin_client::post(&door, &path, &order.to_string());
    let said = said.with_context(|| format!("no proxy answers at {}", door.address))?;
    if said.status != 200 {
        writeln!(std::io::stderr().lock(), "{}", said.body.trim_end())?;
        return Ok(ExitCode::FAILURE);
    }
    let stands = serde_json::from_str::<Value>(&said.body).unwrap_or_default();
    writeln!(std::io::stdout().lock(), "{}", stands["says"].as_str().unwrap_or(&said.body))?;
    Ok(ExitCode::SUCCESS)
}

/// Where no configuration says it.
fn door(args: &OrderArgs) -> anyhow::Result<Door> {
    let written = args.admin.as_deref().unwrap_or(ADMIN);
    let authority = written.trim_start_matches("http://").trim_end_matches('/');
    let addresses = authority.to_socket_addrs();
    let right = || format!("{written} is no admin port: write for example {ADMIN}");
    let address = addresses.with_context(right)?.next().with_context(right)?;
    let token = match &args.token_file {
        Some(path) => {
            let read = std::fs::read(path);
            Some(read.with_context(|| format!("{} cannot be read", path.display()))?)
        }
        None => std::env::var(TOKEN).ok().map(String::into_bytes),
    };
    let token = token.map(|token| Secret::new(token.trim_ascii()));
    Ok(Door { address, token })
}
