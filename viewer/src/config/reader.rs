//! Takes keys out of the tree. A mistake is noted and the default stands in, so that one pass finds every mistake.

use super::locate::{Target, place};
use super::node::Node;
use super::problem::Problem;

/// A value that cannot stand, in words.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) right: String,
}

/// The value and its fault: `"maybe" is no log level`.
pub(super) fn wrong(node: &Node, fault: &str, right: &str) -> Wrong {
    Wrong { what: format!("{node} {fault}"), right: right.to_owned() }
}

/// A table of the file with the keys it may have; empty when the file has none.
pub(super) struct Table<'n> {
    path: Vec<String>,
    entries: &'n [(String, Node)],
}

/// Collects problems while keys are taken.
pub(super) struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, problems: Vec::new() }
    }

    /// The whole file as a table.
    pub(super) fn root<'n>(&mut self, node: &'n Node, known: &[&str]) -> Table<'n> {
        self.open(Vec::new(), Some(node), known)
    }

    /// The table under `key`, which may have only the `known` keys.
    pub(super) fn table<'n>(&mut self, parent: &Table<'n>, key: &str, known: &[&str]) -> Table<'n> {
        let path = child(&parent.path, key);
        self.open(path, find(parent.entries, key), known)
    }

    fn open<'n>(&mut self, path: Vec<String>, node: Option<&'n Node>, known: &[&str]) -> Table<'n> {
        let entries = match node {
            None | Some(Node::Null) => &[][..],
            Some(Node::Table(entries)) => entries,
            Some(other) => {
                let right = format!("a table with the keys {}", known.join(", "));
                self.note(&path, Target::value(), wrong(other, "is no table", &right));
                &[]
            }
        };
        for (index, (key, _)) in entries.iter().enumerate() {
            let path = child(&path, key);
            let earlier = entries.iter().take(index).filter(|(other, _)| other == key).count();
            if !known.contains(&key.as_str()) {
                let right =
                    format!("did you mean {:?}? Known here: {}", nearest(key, known), known.join(", "));
                let fault = Wrong { what: "is no key of the viewer".to_owned(), right };
                self.note(&path, Target::key(earlier), fault);
            } else if earlier > 0 {
                let fault = Wrong { what: "stands twice".to_owned(), right: "keep one of them".to_owned() };
                self.note(&path, Target::key(earlier), fault);
            }
        }
        Table { path, entries }
    }

    /// The value under `key`, or the default when the file is silent or wrong.
    pub(super) fn value<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        default: T,
        parse: impl FnOnce(&Node) -> Result<T, Wrong>,
    ) -> T {
        match find(table.entries, key).map(parse) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(fault)) => {
                self.report(table, key, fault);
                default
            }
        }
    }

    /// Notes a problem with the value under `key`.
    pub(super) fn report(&mut self, table: &Table<'_>, key: &str, fault: Wrong) {
        self.note(&child(&table.path, key), Target::value(), fault);
    }

    fn note(&mut self, path: &[String], target: Target, fault: Wrong) {
        let key = if path.is_empty() { "file".to_owned() } else { path.join(".") };
        let place = place(self.text, path, target);
        self.problems.push(Problem { place, key, what: fault.what, right: fault.right });
    }

    /// Every problem, in the order of the file; those without a place last.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place.unwrap_or((usize::MAX, 0)));
        self.problems
    }
}

fn child(path: &[String], key: &str) -> Vec<String> {
    path.iter().cloned().chain([key.to_owned()]).collect()
}

fn find<'n>(entries: &'n [(String, Node)], key: &str) -> Option<&'n Node> {
    entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
}

/// The known key that needs the fewest edits to become this one.
fn nearest<'k>(key: &str, known: &[&'k str]) -> &'k str {
    known.iter().copied().min_by_key(|candidate| edits(key, candidate)).unwrap_or_default()
}

/// Levenshtein distance, one row at a time.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (other, cell) in to.iter().zip(row.iter_mut().skip(1)) {
            let cost = (diagonal + usize::from(*other != letter)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = cost;
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
