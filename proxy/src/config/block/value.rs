//! The scalars of a block: each reader checks the type and the bounds that the table declares.

use super::super::keys::{Kind, Need};
use super::super::nearest::nearest;
use super::super::problem::quoted;
use super::super::raw::{Node, Value};
use super::super::units;
use super::{Block, Text};
use aorta_core::bounds::Ratio;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

impl<'a> Block<'a> {
    /// A text that must stand or may be absent; none after a mistake too.
    pub(in crate::config) fn text(&self, name: &str) -> Option<Text<'a>> {
        let Kind::Text { need, like } = self.key(name).kind else { unreachable!("{name} is declared text") };
        let found = self.found(name);
        let text = match (found.node.map(|node| &node.value), need) {
            (Some(Value::Text(text)), _) => text.as_str(),
            (Some(value), _) => {
                self.problem(name, format!("is {}", value.what()), as_text(value, like));
                return None;
            }
            (None, Need::Default(text)) => text,
            (None, Need::Optional) => return None,
            (None, Need::Required) => {
                self.missing(name, format!("write for example `{name}: {like}`"));
                return None;
            }
        };
        Some(Text { at: found.at, path: found.path, text })
    }

    /// One of the declared words.
    pub(in crate::config) fn choice(&self, name: &str) -> &'static str {
        let Kind::Choice { words, default } = self.key(name).kind else {
            unreachable!("{name} is declared a choice")
        };
        let written = self.found(name).node;
        written.and_then(|node| self.one_word(name, &node.value, words)).unwrap_or(default)
    }

    /// The word that stands there; none after a mistake.
    pub(super) fn one_word(&self, name: &str, value: &Value, words: &[&'static str]) -> Option<&'static str> {
        let Value::Text(text) = value else {
            self.problem(name, format!("is {}", value.what()), one_of("", words));
            return None;
        };
        let found = words.iter().find(|word| *word == text).copied();
        if found.is_none() {
            self.problem(name, format!("{} is no choice", quoted(text)), one_of(text, words));
        }
        found
    }

    /// True or false.
    pub(in crate::config) fn flag(&self, name: &str) -> bool {
        let Kind::Flag { default } = self.key(name).kind else { unreachable!("{name} is declared a flag") };
        match self.found(name).node.map(|node| &node.value) {
            None => default,
            Some(Value::Flag(flag)) => *flag,
            Some(value) => {
                self.problem(name, format!("is {}", value.what()), "write `true` or `false`, without quotes");
                default
            }
        }
    }

    /// A whole number within its bounds.
    pub(in crate::config) fn count(&self, name: &str) -> u32 {
        let Kind::Count { default, min, max } = self.key(name).kind else {
            unreachable!("{name} is declared a count")
        };
        let right = format!("write a whole number from {min} to {max}");
        match self.found(name).node.map(|node| &node.value) {
            None => default,
            Some(Value::Integer(number)) => match u32::try_from(*number) {
                Ok(number) if (min..=max).contains(&number) => number,
                _ => {
                    self.problem(name, format!("{number} is out of bounds"), right);
                    default
                }
            },
            Some(value) => {
                self.problem(name, format!("is {}", value.what()), right);
                default
            }
        }
    }

    /// A whole number of which the table says that it is never zero.
    pub(in crate::config) fn positive(&self, name: &str) -> NonZeroU32 {
        NonZeroU32::new(self.count(name)).unwrap_or(NonZeroU32::MIN)
    }

    /// A share between 0 and 1.
    pub(in crate::config) fn share(&self, name: &str) -> Ratio {
        let Kind::Share { default } = self.key(name).kind else { unreachable!("{name} is declared a share") };
        let written = self.found(name).node.map_or(Ok(default), number);
        written.and_then(|share| Ratio::try_new(share).map_err(|not| not.to_string())).unwrap_or_else(
            |wrong| {
                self.problem(name, wrong, format!("write a share such as `{default}`"));
                Ratio::percent(100)
            },
        )
    }

    /// The same where it must stand.
    pub(in crate::config) fn required_share(&self, name: &str) -> Ratio {
        if !self.has(name) {
            self.missing(name, format!("write for example `{name}: 0.1`"));
        }
        self.share(name)
    }

    /// A time within its bounds.
    pub(in crate::config) fn duration(&self, name: &str) -> Duration {
        let Kind::Duration { default, min, max } = self.key(name).kind else {
            unreachable!("{name} is declared a duration")
        };
        let show = units::show_duration;
        self.measure(name, default, min, max, Unit { parse: units::duration, show, example: "s" })
    }

    /// Bytes within their bounds.
    pub(in crate::config) fn size(&self, name: &str) -> usize {
        let Kind::Size { default, min, max } = self.key(name).kind else {
            unreachable!("{name} is declared a size")
        };
        let show = units::show_size;
        let bytes = self.measure(name, default, min, max, Unit { parse: units::size, show, example: "KiB" });
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn measure<T: PartialOrd + Copy>(&self, name: &str, default: T, min: T, max: T, unit: Unit<T>) -> T {
        let (show, like) = (unit.show, (unit.show)(default));
        let (wrong, right) = match self.found(name).node.map(|node| &node.value) {
            None => return default,
            Some(Value::Text(text)) => match (unit.parse)(text) {
                Some(value) if value >= min && value <= max => return value,
                Some(_) => (
                    format!("{} is out of bounds", quoted(text)),
                    format!("write {} to {}", show(min), show(max)),
                ),
                None => (
                    format!("{} is no whole number with a unit", quoted(text)),
                    format!("write for example `{like}`"),
                ),
            },
            Some(Value::Integer(number)) => (
                format!("{number} has no unit"),
                format!("write `{number}{}` or, by default, `{like}`", unit.example),
            ),
            Some(value) => (format!("is {}", value.what()), format!("write for example `{like}`")),
        };
        self.problem(name, wrong, right);
        default
    }

    /// Statuses: one, a range, or a list of both.
    pub(in crate::config) fn statuses(&self, name: &str) -> Vec<RangeInclusive<u16>> {
        let Kind::Statuses { default, min, max } = self.key(name).kind else {
            unreachable!("{name} is declared statuses")
        };
        let found = self.found(name);
        let written = match found.node {
            None => return units::statuses(default).into_iter().collect(),
            Some(Node { value: Value::List(items), .. }) => items.as_slice(),
            Some(node) => std::slice::from_ref(node),
        };
        let right = format!("write a status from {min} to {max}, or a range such as `{default}`");
        if written.is_empty() {
            self.problem(name, "is empty", right.as_str());
        }
        let mut ranges = Vec::new();
        for node in written {
            let read = match &node.value {
                Value::Integer(number) => units::statuses(&number.to_string()).ok_or(number.to_string()),
                Value::Text(text) => units::statuses(text).ok_or(quoted(text)),
                value => {
                    self.report.add(node.at, &found.path, format!("is {}", value.what()), right.as_str());
                    continue;
                }
            };
            match read {
                Ok(range) if *range.start() >= min && *range.end() <= max => ranges.push(range),
                Ok(range) => {
                    let (first, last) = range.into_inner();
                    let shown = if first == last { first.to_string() } else { format!("{first}-{last}") };
                    self.report.add(
                        node.at,
                        &found.path,
                        format!("{shown} is out of bounds"),
                        right.as_str(),
                    );
                }
                Err(shown) => {
                    self.report.add(node.at, &found.path, format!("{shown} is no status"), right.as_str());
                }
            }
        }
        ranges
    }

    /// A list of texts.
    pub(in crate::config) fn texts(&self, name: &str) -> Vec<Text<'a>> {
        let like = match self.key(name).kind {
            Kind::Texts { like } => like,
            Kind::Words { words } => words.first().copied().unwrap_or_default(),
            _ => unreachable!("{name} is declared a list of texts"),
        };
        let items = match self.found(name).node.map(|node| &node.value) {
            None => return Vec::new(),
            Some(Value::List(items)) => items,
            Some(value) => {
                self.problem(name, format!("is {}", value.what()), format!("write a list: `[{like}]`"));
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let path = format!("{}[{i}]", self.path_of(name));
            match &item.value {
                Value::Text(text) => texts.push(Text { at: item.at, path, text }),
                value => {
                    self.report.add(item.at, &path, format!("is {}", value.what()), as_text(value, like));
                }
            }
        }
        texts
    }

    /// A list of declared words.
    pub(in crate::config) fn words(&self, name: &str) -> Vec<&'static str> {
        let Kind::Words { words } = self.key(name).kind else { unreachable!("{name} is declared words") };
        let mut chosen = Vec::new();
        for Text { at, path, text } in self.texts(name) {
            match words.iter().find(|word| **word == text) {
                Some(word) if chosen.contains(word) => {
                    self.report.add(at, &path, format!("{} stands twice", quoted(text)), "keep one of them");
                }
                Some(word) => chosen.push(*word),
                None => {
                    let wrong = format!("{} is no choice", quoted(text));
                    self.report.add(at, &path, wrong, one_of(text, words));
                }
            }
        }
        chosen
    }
}

struct Unit<T> {
    parse: fn(&str) -> Option<T>,
    show: fn(T) -> String,
    example: &'static str,
}

/// A number with or without fraction.
fn number(node: &Node) -> Result<f64, String> {
    match &node.value {
        Value::Number(number) => Ok(*number),
        // Whatever is too large to be exact is out of bounds anyway.
        Value::Integer(number) => Ok(i32::try_from(*number).map_or(f64::MAX, f64::from)),
        value => Err(format!("is {}", value.what())),
    }
}

fn as_text(value: &Value, like: &str) -> String {
    match value {
        Value::Flag(_) | Value::Integer(_) | Value::Number(_) => "put it in quotes".to_owned(),
        _ => format!("write text such as `{like}`"),
    }
}

fn one_of(text: &str, words: &[&'static str]) -> String {
    match nearest(text, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write one of {}", words.join(", ")),
    }
}
