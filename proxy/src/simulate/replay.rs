//! A tape through the core: what a running proxy asked, asked again, and where a decision differs.

use super::NoRun;
use crate::config::{self, Config};
use crate::tape::line;
use aorta_core::tape::{Question, Replay};
use aorta_core::time::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

/// What came of a replay.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Questions that were asked again.
    pub questions: u64,
    /// Exchanges that were opened.
    pub exchanges: u64,
    /// What is to be known of the tape.
    pub remarks: Vec<String>,
    /// The first decision that differs.
    pub difference: Option<Difference>,
}

/// A decision that is not what it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its line on the tape, the first being 1.
    pub line: usize,
    /// What was asked.
    pub question: String,
    /// What the core said then.
    pub then: String,
    /// What it says now.
    pub now: String,
}

/// Asks the questions of a tape again, under this configuration, up to the first decision that differs.
///
/// # Errors
/// Every mistake in the configuration, or the first in the tape.
pub fn run(config: &Path, tape: &Path) -> Result<Replayed, NoRun> {
    let wrong = |line: usize, what: &str| NoRun::Tape(format!("{}:{line}: {what}", tape.display()));
    let config = config::load(config)?;
    let file = File::open(tape).map_err(|error| wrong(0, &error.to_string()))?;
    let mut replayed = Replayed::default();
    let mut pools = BTreeMap::new();
    for (number, text) in (1..).zip(BufReader::new(file).split(b'\n')) {
        let text = text.map_err(|error| wrong(number, &error.to_string()))?;
        let line: Value = match serde_json::from_slice(&text) {
            Ok(line) => line,
            // A process that was killed may have left half a line.
            Err(_) if !text.ends_with(b"}") => {
                replayed.remarks.push(format!("line {number} is not whole: the tape ends there"));
                break;
            }
            Err(error) => return Err(wrong(number, &error.to_string())),
        };
        if line.get("begin").is_some() {
            let replay = begin(&config, &line, &mut replayed);
            pools.insert(
                pool_of(&line),
                replay.ok_or_else(|| wrong(number, "begins no pool of the configuration"))?,
            );
            continue;
        }
        if let Some(what) = line["end"].as_str() {
            replayed.remarks.push(format!("line {number}: the tape of this pool ends with: {what}"));
            continue;
        }
        let replay = pools.get_mut(&pool_of(&line)).ok_or_else(|| wrong(number, "its pool has not begun"))?;
        replayed.difference =
            again(replay, number, &line, &mut replayed).ok_or_else(|| wrong(number, "is no question"))?;
        if replayed.difference.is_some() {
            break;
        }
    }
    Ok(replayed)
}

fn pool_of(line: &Value) -> Option<u64> {
    line["pool"].as_u64()
}

fn begin(config: &Config, line: &Value, replayed: &mut Replayed) -> Option<Replay> {
    let name = line["begin"].as_str()?;
    let spec = &config.pools.iter().find(|pool| pool.spec.name == name)?.spec;
    if line["config"].as_u64() != Some(config.hash) && replayed.remarks.is_empty() {
        replayed.remarks.push("the configuration is not the one that was recorded".to_owned());
    }
    let began = Timestamp::from_micros(line["at"].as_u64()?);
    Some(Replay::new(Arc::clone(spec), line["seed"].as_u64()?, began))
}

fn again(
    replay: &mut Replay,
    number: usize,
    line: &Value,
    replayed: &mut Replayed,
) -> Option<Option<Difference>> {
    let question = line::read(line)?;
    let (exchange, now) = (line["exchange"].as_u64()?, Timestamp::from_micros(line["at"].as_u64()?));
    let then = line["said"].as_str()?;
    replayed.questions += 1;
    replayed.exchanges += u64::from(matches!(question, Question::Open(_)));
    let said = replay
        .ask(exchange, question, now)
        .unwrap_or_else(|| "this belongs to nothing that was begun".to_owned());
    let differs = said != then;
    let of = || format!("{} of exchange {exchange}", line["ask"].as_str().unwrap_or_default());
    Some(differs.then(|| Difference { line: number, question: of(), then: then.to_owned(), now: said }))
}

impl Replayed {
    /// What came of it, in words, ending with a line break.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text: String = self.remarks.iter().map(|remark| format!("{remark}\n")).collect();
        let (questions, exchanges) = (self.questions, self.exchanges);
        match &self.difference {
            None => text.push_str(&format!(
                "{questions} questions of {exchanges} exchanges: every decision is the same\n"
            )),
            Some(Difference { line, question, then, now }) => {
                text.push_str(&format!(
                    "line {line}, {question}: the decision differs\n  then {then}\n  now  {now}\n"
                ));
            }
        }
        text
    }
}
