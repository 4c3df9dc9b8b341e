//! What is wrong with a configuration, where, and what would be right.
//!
//! Nothing here stops at the first mistake: a [`Report`] gathers them, and [`Problems`] prints one a line.

use std::cell::RefCell;
use std::fmt;

/// A place in the file; lines and columns count from one, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl At {
    /// The first character of the file.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where; none when the file itself could not be read.
    pub at: Option<At>,
    /// The key, as in `pools.records.upstreams[0].url`; empty for the whole file.
    pub key: String,
    /// What is wrong. Never holds a secret.
    pub wrong: String,
    /// What would be right.
    pub right: String,
}

/// Every mistake of one configuration, in the order of the file; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// Every mistake of `file`.
    #[must_use]
    pub(super) fn new(file: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.at);
        // A key that two rules read is wrong once.
        list.dedup();
        Self { file: file.to_owned(), list }
    }

    /// The mistakes, in the order of the file.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file)?;
            if let Some(at) = problem.at {
                write!(f, "{}:{}:", at.line, at.column)?;
            }
            if !problem.key.is_empty() {
                write!(f, " {}:", problem.key)?;
            }
            write!(f, " {}; {}", problem.wrong, problem.right)?;
        }
        Ok(())
    }
}

/// Gathers mistakes while a file is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
}

impl Report {
    /// Books one mistake.
    pub(super) fn add(&self, at: At, key: &str, wrong: impl Into<String>, right: impl Into<String>) {
        let problem = Problem { at: Some(at), key: key.to_owned(), wrong: wrong.into(), right: right.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// All mistakes so far.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// What the operator wrote, fit for one line: control characters escaped, long text cut.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    // What stands between backquotes needs no escape for the other quotes.
    shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
