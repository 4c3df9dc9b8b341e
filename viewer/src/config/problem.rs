//! One mistake in a configuration file, and how a list of them prints.

use std::fmt;
use std::io;

/// Line and column, both from 1.
pub(super) type Place = (usize, usize);

/// One mistake: where, which key, what is wrong, what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line and column; absent when no text stands for it (a default that clashes, an unreadable file).
    pub place: Option<(usize, usize)>,
    /// The key's path, such as `proxy.timeout`.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub right: String,
}

/// Every mistake of one file. Prints one a line: `FILE:LINE:COLUMN: key: what is wrong; what would be right`.
#[derive(Debug)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &str, list: Vec<Problem>) -> Self {
        Self { file: file.to_owned(), list }
    }

    pub(super) fn unreadable(file: &str, error: &io::Error) -> Self {
        let problem = Problem {
            place: None,
            key: "file".to_owned(),
            what: format!("cannot be read ({error})"),
            right: "name a readable YAML file with --config".to_owned(),
        };
        Self::new(file, vec![problem])
    }

    /// The problems in the order of the file.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.file)?;
            if let Some((line, column)) = problem.place {
                write!(f, "{line}:{column}:")?;
            }
            write!(f, " {}: {}; {}", problem.key, problem.what, problem.right)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
