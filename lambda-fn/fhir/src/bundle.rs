//! Bundle: the shape of a search answer and of a history.

use serde_json::{Map, Value, json};

use crate::OperationOutcome;

/// Which kind of answer a Bundle is (<https://hl7.org/fhir/R4/valueset-bundle-type.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleKind {
    /// The answer to a search.
    Searchset,
    /// The versions of a resource, newest first.
    History,
}

/// A Bundle under construction; [`Bundle::into_value`] ends it.
#[derive(Clone, Debug)]
pub struct Bundle {
    kind: BundleKind,
    total: Option<u64>,
    links: Vec<(&'static str, String)>,
    entries: Vec<Entry>,
}

/// One entry of a Bundle.
#[derive(Clone, Debug)]
pub struct Entry(Map<String, Value>);

impl Bundle {
    /// A Bundle without entries.
    pub fn new(kind: BundleKind) -> Self {
        Self { kind, total: None, links: Vec::new(), entries: Vec::new() }
    }

    /// How many match in all, on whatever page.
    #[must_use]
    pub fn total(mut self, total: Option<u64>) -> Self {
        self.total = total;
        self
    }

    /// One link: `self`, `next`, ….
    #[must_use]
    pub fn link(mut self, relation: &'static str, url: impl Into<String>) -> Self {
        self.links.push((relation, url.into()));
        self
    }

    /// One more entry.
    #[must_use]
    pub fn entry(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// The resource as JSON. An empty list is left out: FHIR knows none.
    pub fn into_value(self) -> Value {
        let mut bundle = Map::new();
        bundle.insert("resourceType".into(), "Bundle".into());
        let kind = match self.kind {
            BundleKind::Searchset => "searchset",
            BundleKind::History => "history",
        };
        bundle.insert("type".into(), kind.into());
        if let Some(total) = self.total {
            bundle.insert("total".into(), total.into());
        }
        if !self.links.is_empty() {
            let link = |(relation, url)| json!({"relation": relation, "url": Value::String(url)});
            bundle.insert("link".into(), self.links.into_iter().map(link).collect());
        }
        if !self.entries.is_empty() {
            let entries = self.entries.into_iter().map(|entry| Value::Object(entry.0));
            bundle.insert("entry".into(), entries.collect());
        }
        Value::Object(bundle)
    }
}

impl Entry {
    /// A resource that matched a search.
    pub fn matched(full_url: String, resource: Value) -> Self {
        Self::with([
            ("fullUrl", full_url.into()),
            ("resource", resource),
            ("search", json!({"mode": "match"})),
        ])
    }

    /// What the server has to say about the search itself.
    pub fn remark(outcome: &OperationOutcome) -> Self {
        Self::with([("resource", outcome.to_value()), ("search", json!({"mode": "outcome"}))])
    }

    /// One version in a history; `resource` is absent where the version is a deletion.
    pub fn version(full_url: String, resource: Option<Value>, request: Value, response: Value) -> Self {
        let mut entry = Self::with([("fullUrl", full_url.into())]);
        if let Some(resource) = resource {
            entry.0.insert("resource".into(), resource);
        }
        entry.0.insert("request".into(), request);
        entry.0.insert("response".into(), response);
        entry
    }

    fn with<const N: usize>(members: [(&str, Value); N]) -> Self {
        Self(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bundle_has_no_empty_lists() {
        let bundle = Bundle::new(BundleKind::Searchset).total(Some(0)).into_value();
        assert_eq!(bundle.to_string(), r#"{"resourceType":"Bundle","type":"searchset","total":0}"#);
    }

    #[test]
    fn a_deletion_in_a_history_has_no_resource() {
        let entry = Entry::version("x".into(), None, json!({"method": "DELETE"}), json!({"status": "204"}));
        let bundle = Bundle::new(BundleKind::History).link("self", "u").entry(entry).into_value();
        assert_eq!(
            bundle.to_string(),
            concat!(
                r#"{"resourceType":"Bundle","type":"history","link":[{"relation":"self","url":"u"}],"#,
                r#""entry":[{"fullUrl":"x","request":{"method":"DELETE"},"response":{"status":"204"}}]}"#
            )
        );
    }
}
