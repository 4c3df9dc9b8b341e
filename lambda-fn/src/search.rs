//! A search as the client wrote it, read into what a store can answer. Pure: no store, no clock.
//!
//! `parameter` is the table of what can be asked, `index` what a resource can be found by, `date` and `fold` how values
//! compare, `cursor` where a page begins.

pub mod cursor;
pub mod date;
pub mod fold;
pub mod index;
pub mod parameter;

use fhir::{Id, ResourceType};

use self::cursor::Position;
use self::date::{Comparison, Interval};
use self::parameter::{Kind, Parameter};

/// What a store is asked for. Every criterion must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Only resources of this type.
    pub kind: ResourceType,
    /// What must hold of them.
    pub criteria: Vec<Criterion>,
    /// In which order they come.
    pub order: Order,
    /// The page begins behind this one.
    pub after: Option<Position>,
    /// The most resources on a page; 0 asks for the total only.
    pub count: usize,
}

/// One parameter of a search: one of its tests must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Criterion {
    /// The parameter's name; `_id` and `_lastUpdated` are not in the index.
    pub param: &'static str,
    /// The alternatives, at least one.
    pub any: Vec<Test>,
}

/// One alternative of a criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// This id.
    Id(Id),
    /// Stored within a time.
    Updated(Comparison, Interval),
    /// A token: any system or this one (empty: none), any value or this one.
    Token(Option<String>, Option<String>),
    /// A folded text at the beginning.
    StartsWith(String),
    /// A folded text anywhere.
    Contains(String),
    /// A text exactly as it is written.
    Exactly(String),
    /// An interval of time.
    Date(Comparison, Interval),
    /// A reference by the target's id alone.
    TargetId(String),
    /// A reference by `Type/id` or whole.
    Target(String),
}

/// The order of a search's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// By id.
    #[default]
    Id,
    /// By id, backwards.
    IdDescending,
    /// Least recently changed first.
    Updated,
    /// Most recently changed first.
    UpdatedDescending,
}

/// A search read from its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// What to ask the store, but for the page's beginning.
    pub query: Query,
    /// The parameters that were understood: what the `self` link repeats.
    pub understood: Vec<(String, String)>,
    /// The names of those that were not.
    pub ignored: Vec<String>,
    /// Where the page begins, still sealed.
    pub cursor: Option<String>,
}

/// Why a search cannot be answered. The words are for the client and repeat no value it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSearch(pub String);

/// Resources on a page when the client does not say.
pub const COUNT_DEFAULT: usize = 20;
/// The most resources on a page, whatever the client says: the page must fit into Lambda's answer of 6 MB.
pub const COUNT_MAX: usize = 200;
/// The most alternatives and parameters of one search; each costs the store a look-up.
const TESTS_MAX: usize = 200;

impl Search {
    /// Reads the parameters of a search on a type.
    pub fn parse(kind: ResourceType, pairs: &[(String, String)]) -> Result<Self, InvalidSearch> {
        let query =
            Query { kind, criteria: Vec::new(), order: Order::default(), after: None, count: COUNT_DEFAULT };
        let mut search = Self { query, understood: Vec::new(), ignored: Vec::new(), cursor: None };
        let mut tests = 0;
        for (name, value) in pairs {
            // A parameter without a value says nothing (https://hl7.org/fhir/R4/search.html#errors).
            if value.is_empty() {
                continue;
            }
            if search.take(name, value)? {
                search.understood.push((name.clone(), value.clone()));
            }
            tests += search.query.criteria.last().map_or(0, |criterion| criterion.any.len());
            if tests > TESTS_MAX {
                return Err(InvalidSearch(format!("a search has at most {TESTS_MAX} values")));
            }
        }
        Ok(search)
    }

    /// Whether the parameter is to be repeated in links.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, InvalidSearch> {
        match name {
            "_count" => {
                let count: usize =
                    value.parse().map_err(|_| InvalidSearch("_count is not a number".into()))?;
                self.query.count = count.min(COUNT_MAX);
            }
            "_summary" if value == "count" => self.query.count = 0,
            "_summary" if value == "false" => return Ok(false),
            "_sort" => {
                self.query.order = Order::parse(value).ok_or_else(|| {
                    InvalidSearch("_sort knows _id, -_id, _lastUpdated and -_lastUpdated".into())
                })?;
            }
            "_cursor" => {
                self.cursor = Some(value.to_owned());
                return Ok(false);
            }
            // How the answer is written, not what it says.
            "_format" | "_pretty" => return Ok(false),
            _ => match criterion(self.query.kind, name, value)? {
                Some(criterion) => self.query.criteria.push(criterion),
                None => {
                    self.ignored.push(name.to_owned());
                    return Ok(false);
                }
            },
        }
        Ok(true)
    }
}

impl Order {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "_id" => Some(Self::Id),
            "-_id" => Some(Self::IdDescending),
            "_lastUpdated" => Some(Self::Updated),
            "-_lastUpdated" => Some(Self::UpdatedDescending),
            _ => None,
        }
    }
}

/// The criterion that a parameter and its value make; `None` for a parameter that is not offered.
fn criterion(kind: ResourceType, name: &str, value: &str) -> Result<Option<Criterion>, InvalidSearch> {
    let (name, modifier) =
        name.split_once(':').map_or((name, None), |(name, modifier)| (name, Some(modifier)));
    let alternatives = || split_unescaped(value, ',').into_iter();
    let (param, any): (&'static str, Result<Vec<Test>, InvalidSearch>) = match (name, modifier) {
        ("_id", None) => ("_id", Ok(alternatives().filter_map(|id| id.parse().ok()).map(Test::Id).collect())),
        ("_lastUpdated", None) => {
            let test = |text: String| date(&text, "_lastUpdated").map(|(how, when)| Test::Updated(how, when));
            ("_lastUpdated", alternatives().map(test).collect())
        }
        _ => match parameter::find(kind, name) {
            None => return Ok(None),
            Some(parameter) => {
                (parameter.name, alternatives().map(|value| test(parameter, modifier, &value)).collect())
            }
        },
    };
    Ok(Some(Criterion { param, any: any? }))
}

fn test(parameter: &Parameter, modifier: Option<&str>, value: &str) -> Result<Test, InvalidSearch> {
    match (parameter.kind, modifier) {
        (Kind::Token, None) => Ok(match split_unescaped(value, '|').as_slice() {
            [value] => Test::Token(None, Some(index::token(&unescape(value)))),
            [system, value @ ..] => {
                let value = unescape(&value.join("|"));
                let value = (!value.is_empty()).then(|| index::token(&value));
                Test::Token(Some(index::token(&unescape(system))), value)
            }
            [] => Test::Token(None, Some(String::new())),
        }),
        (Kind::String, None) => Ok(Test::StartsWith(fold::fold(&unescape(value)))),
        (Kind::String, Some("contains")) => Ok(Test::Contains(fold::fold(&unescape(value)))),
        (Kind::String, Some("exact")) => Ok(Test::Exactly(unescape(value))),
        (Kind::Date, None) => date(value, parameter.name).map(|(how, when)| Test::Date(how, when)),
        (Kind::Reference, None) => Ok(target(parameter, &unescape(value))),
        (Kind::Reference, Some(kind))
            if kind.parse::<ResourceType>().is_ok() && value.parse::<Id>().is_ok() =>
        {
            Ok(Test::Target(format!("{kind}/{value}")))
        }
        // A modifier that is not understood changes what is asked: never ignored (search.html#modifiers).
        (_, Some(_)) => Err(InvalidSearch(format!("this modifier is not offered on {}", parameter.name))),
    }
}

fn target(parameter: &Parameter, value: &str) -> Test {
    match value.parse::<Id>() {
        Ok(id) if parameter.name == "patient" => Test::Target(format!("Patient/{id}")),
        Ok(id) => Test::TargetId(id.to_string()),
        Err(_) => Test::Target(index::reference(value).1),
    }
}

fn date(text: &str, name: &str) -> Result<(Comparison, Interval), InvalidSearch> {
    Comparison::split(text).map_err(|error| InvalidSearch(format!("{name}: {error}")))
}

/// Splits at a separator that no backslash stands before (search.html#escaping); the backslashes stay.
fn split_unescaped(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for letter in text.chars() {
        match parts.last_mut() {
            Some(last) if letter != separator || escaped => last.push(letter),
            _ => parts.push(String::new()),
        }
        escaped = letter == '\\' && !escaped;
    }
    parts
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or('\\') } else { letter });
    }
    plain
}

#[cfg(test)]
mod tests;
