//! A [`Query`] as SQL over the one schema. Pure text: every value travels as a parameter, none is spliced.

use crate::search::date::{Comparison, Interval};
use crate::search::{Criterion, Order, Query, Test};

/// A statement and its parameters, all of them texts, numbered `?1`, `?2`, ….
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What to run.
    pub text: String,
    /// `?1` and so on.
    pub parameters: Vec<String>,
}

/// Counts the current records that match, whatever the page.
pub fn total(query: &Query) -> Statement {
    let mut builder = Builder::new(query);
    builder.criteria(&query.criteria);
    builder.finish("SELECT count(*) FROM cur c")
}

/// The page's records, in order, one more than the page holds: that one says whether there is a next page. Columns: those of
/// `res`.
pub fn page(query: &Query) -> Statement {
    let mut builder = Builder::new(query);
    builder.criteria(&query.criteria);
    builder.page(query);
    builder.finish(concat!(
        "SELECT r.id, r.vid, r.deleted, r.updated, r.body, r.hash, r.prev_hash ",
        "FROM cur c JOIN res r ON r.type = c.type AND r.id = c.id AND r.vid = c.vid"
    ))
}

struct Builder {
    conditions: Vec<String>,
    order: String,
    parameters: Vec<String>,
}

impl Builder {
    fn new(query: &Query) -> Self {
        let parameters = vec![query.kind.as_str().to_owned()];
        Self { conditions: vec!["c.type = ?1".into()], order: String::new(), parameters }
    }

    fn finish(self, select: &str) -> Statement {
        let text = format!("{select} WHERE {}{}", self.conditions.join(" AND "), self.order);
        Statement { text, parameters: self.parameters }
    }

    fn bind(&mut self, value: impl Into<String>) -> String {
        self.parameters.push(value.into());
        format!("?{}", self.parameters.len())
    }

    fn criteria(&mut self, criteria: &[Criterion]) {
        for criterion in criteria {
            let tests: Vec<String> =
                criterion.any.iter().map(|test| self.test(criterion.param, test)).collect();
            // Nothing to match is matched by nothing.
            self.conditions.push(if tests.is_empty() {
                "1 = 0".into()
            } else {
                format!("({})", tests.join(" OR "))
            });
        }
    }

    fn test(&mut self, param: &'static str, test: &Test) -> String {
        let condition = match test {
            Test::Id(id) => return format!("c.id = {}", self.bind(id.as_str())),
            Test::Updated(how, when) => {
                let (low, high) = (self.bind(when.low.to_string()), self.bind(when.high.to_string()));
                return compare(*how, "c.updated", "c.updated", &low, &high);
            }
            Test::Token(None, None) => "1 = 1".into(),
            Test::Token(None, Some(value)) => format!("val = {}", self.bind(value)),
            Test::Token(Some(system), None) => format!("sys = {}", self.bind(system)),
            Test::Token(Some(system), Some(value)) => {
                format!("val = {} AND sys = {}", self.bind(value), self.bind(system))
            }
            // The last character there is closes the range of all that begin alike.
            Test::StartsWith(text) => {
                format!("val >= {} AND val < {}", self.bind(text), self.bind(format!("{text}\u{10ffff}")))
            }
            Test::Contains(text) => format!("instr(val, {}) > 0", self.bind(text)),
            Test::Exactly(text) => format!("sys = {}", self.bind(text)),
            Test::Date(how, Interval { low, high }) => {
                let (low, high) = (self.bind(low.to_string()), self.bind(high.to_string()));
                compare(*how, "sys", "val", &low, &high)
            }
            Test::TargetId(id) => format!("sys = {}", self.bind(id)),
            Test::Target(target) => format!("val = {}", self.bind(target)),
        };
        let param = self.bind(param);
        format!("c.id IN (SELECT id FROM ix WHERE type = ?1 AND param = {param} AND ({condition}))")
    }

    fn page(&mut self, query: &Query) {
        let (columns, direction, than) = match query.order {
            Order::Id => ("c.id", "ASC", ">"),
            Order::IdDescending => ("c.id", "DESC", "<"),
            Order::Updated => ("c.updated, c.id", "ASC", ">"),
            Order::UpdatedDescending => ("c.updated, c.id", "DESC", "<"),
        };
        let by_time = matches!(query.order, Order::Updated | Order::UpdatedDescending);
        if let Some(after) = &query.after {
            let id = self.bind(after.id.as_str());
            let bound = if by_time { format!("{}, {id}", self.bind(&after.key)) } else { id };
            self.conditions.push(format!("({columns}) {than} ({bound})"));
        }
        let columns = columns.replace(", ", &format!(" {direction}, "));
        self.order = format!(" ORDER BY {columns} {direction} LIMIT {}", query.count + 1);
    }
}

/// How an interval from `low` to `high` that is searched relates to one that is stored in two columns. Both ends are inside.
fn compare(how: Comparison, stored_low: &str, stored_high: &str, low: &str, high: &str) -> String {
    let contained = format!("{stored_low} >= {low} AND {stored_high} <= {high}");
    match how {
        Comparison::Eq => contained,
        Comparison::Ne => format!("NOT ({contained})"),
        Comparison::Lt => format!("{stored_low} < {low}"),
        Comparison::Gt => format!("{stored_high} > {high}"),
        Comparison::Le => format!("({stored_low} < {low} OR ({contained}))"),
        Comparison::Ge => format!("({stored_high} > {high} OR ({contained}))"),
        Comparison::Sa => format!("{stored_low} > {high}"),
        Comparison::Eb => format!("{stored_high} < {low}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Search;
    use fhir::ResourceType;

    #[test]
    fn no_value_of_a_client_is_part_of_the_text() {
        let marker = "x' OR 1=1 --";
        let pairs = ["identifier", "name", "name:contains", "name:exact", "family", "organization"];
        let pairs: Vec<_> = pairs.iter().map(|name| ((*name).to_owned(), marker.to_owned())).collect();
        let mut query = Search::parse(ResourceType::PATIENT, &pairs).unwrap().query;
        query.after = Some(crate::search::cursor::Position { key: marker.into(), id: "a".parse().unwrap() });
        for statement in [total(&query), page(&query)] {
            assert!(!statement.text.contains("OR 1=1"), "{}", statement.text);
            let last = format!("?{}", statement.parameters.len());
            assert!(statement.text.contains(&last));
        }
    }
}
