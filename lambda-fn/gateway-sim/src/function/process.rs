//! One environment of the function: its process, started again whenever it ends.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{INIT_TIMEOUT, Outcome, Shared};
use crate::runtime_api::{Session, serve};

/// The pause after a process that never asked for an event; doubled each time up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

const LAST_WORDS: Duration = Duration::from_millis(200);

enum End {
    /// The region stops.
    Stopped,
    /// The process ended or was killed; `true` when it had asked for an event before.
    Ended(bool),
}

/// Keeps one process running until the region stops.
pub(super) async fn supervise(shared: Arc<Shared>, slot: usize) {
    let mut pause = PAUSE;
    let mut first = true;
    let mut stop = shared.stop.clone();
    loop {
        match run(&shared, slot, first).await {
            End::Stopped => return,
            End::Ended(true) => pause = PAUSE,
            End::Ended(false) => {
                fail_waiting(&shared);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    _ = stop.wait_for(|stopped| *stopped) => return,
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        first = false;
    }
}

/// One process from start to end. A listener of its own for each: whatever still speaks to an older one is refused.
async fn run(shared: &Arc<Shared>, slot: usize, first: bool) -> End {
    let mut stop = shared.stop.clone();
    if *stop.borrow_and_update() {
        return End::Stopped;
    }
    let started = start(shared, slot).await;
    let (mut child, listener) = match started {
        Ok(started) => started,
        Err(error) => {
            tracing::error!(slot, %error, "the function program does not start");
            settle(shared, first);
            return End::Ended(false);
        }
    };
    let session = Arc::new(Session::new(Arc::clone(shared), first));
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, Arc::clone(&session)));
    let mut printed = JoinSet::new();
    forward(&mut child, slot, &mut printed);
    let failure = tokio::select! {
        status = child.wait() => exited(slot, status),
        () = session.overdue() => {
            let limit = shared.function.timeout.as_secs_f64();
            tracing::warn!(slot, limit, "the function exceeded its time limit and is killed");
            Outcome::failed("Sandbox.Timedout", &format!("Error: Task timed out after {limit:.2} seconds"))
        }
        () = never_asked(&session) => {
            tracing::error!(slot, "the function never asked for an event and is killed");
            Outcome::failed("Sandbox.Timedout", "Error: Init timed out after 10.00 seconds")
        }
        _ = stop.wait_for(|stopped| *stopped) => Outcome::failed("Sandbox.Stopped", "Error: the region stops"),
    };
    if !matches!(child.try_wait(), Ok(Some(_)))
        && let Err(error) = child.kill().await
    {
        tracing::error!(slot, %error, "the function process cannot be killed");
    }
    tasks.shutdown().await;
    // Its last words; bounded because a child of its own may hold the pipes open.
    let _ = tokio::time::timeout(LAST_WORDS, async { while printed.join_next().await.is_some() {} }).await;
    session.fail(failure);
    settle(shared, first && !session.has_asked());
    if *shared.stop.borrow() { End::Stopped } else { End::Ended(session.has_asked()) }
}

async fn start(shared: &Shared, slot: usize) -> std::io::Result<(Child, TcpListener)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let api = listener.local_addr()?;
    let function = &shared.function;
    let name =
        function.program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut command = Command::new(&function.program);
    command
        .args(&function.arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TZ", ":UTC")
        .env("AWS_REGION", &shared.region)
        .env("AWS_DEFAULT_REGION", &shared.region)
        .env("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023")
        .env("AWS_LAMBDA_FUNCTION_NAME", &name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", format!("{}/{slot}", shared.region))
        .env("_HANDLER", "bootstrap")
        .envs(&function.environment)
        .env("AWS_LAMBDA_RUNTIME_API", api.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok((command.spawn()?, listener))
}

async fn never_asked(session: &Session) {
    let deadline = Instant::now() + INIT_TIMEOUT;
    tokio::time::sleep_until(deadline).await;
    if session.has_asked() {
        std::future::pending::<()>().await;
    }
}

fn exited(slot: usize, status: std::io::Result<ExitStatus>) -> Outcome {
    let status = match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(slot, status, "the function process ended");
    Outcome::failed("Runtime.ExitError", &format!("Error: Runtime exited with error: {status}"))
}

/// Counts this environment among those that are up, or known not to come up.
fn settle(shared: &Shared, newly: bool) {
    if newly {
        shared.settled.send_modify(|settled| *settled += 1);
    }
}

/// Fails what waits, unless another process is already waiting to take it (it holds the queue then).
fn fail_waiting(shared: &Shared) {
    let Ok(mut queue) = shared.queue.try_lock() else { return };
    while let Ok(event) = queue.try_recv() {
        let _ = event.outcome.send(Outcome::failed("Runtime.ExitError", "Error: Runtime failed to start"));
    }
}

/// What the function prints goes to the log: standard output at debug, standard error at info.
fn forward(child: &mut Child, slot: usize, tasks: &mut JoinSet<()>) {
    if let Some(output) = child.stdout.take() {
        tasks.spawn(each_line(output, move |line| tracing::debug!(target: "function", slot, "{line}")));
    }
    if let Some(output) = child.stderr.take() {
        tasks.spawn(each_line(output, move |line| tracing::info!(target: "function", slot, "{line}")));
    }
}

async fn each_line(output: impl AsyncRead + Unpin, log: impl Fn(&str)) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    // Bytes, not a string: a function may print anything, and a full pipe would stop it.
    while matches!(output.read_until(b'\n', &mut line).await, Ok(1..)) {
        log(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}
