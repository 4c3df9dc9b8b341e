//! What the proxy counts: one scrape of its metrics, and the difference between two.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One series at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// All series at one moment.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// In the order they were told.
    pub series: Vec<Series>,
    /// As it came.
    pub text: String,
}

impl Scrape {
    /// Reads the metrics at this address; none when nobody answers.
    #[must_use]
    pub fn take(address: SocketAddr) -> Option<Self> {
        let text = get(address, "/metrics")?;
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(parse).collect();
        Some(Self { series, text })
    }

    /// The sum of all series of this name that bear these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|series| series.value).sum()
    }

    /// The same as a whole number, for counters.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let sum = self.sum(name, labels);
        assert!(sum >= 0.0 && sum.fract() == 0.0, "{name} is no count: {sum}");
        format!("{sum:.0}").parse().unwrap_or_default()
    }

    /// A series of this name stands, with these labels.
    #[must_use]
    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.matching(name, labels).next().is_some()
    }

    fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(move |series| {
            let bears =
                |&(label, value): &(&str, &str)| series.labels.get(label).map(String::as_str) == Some(value);
            series.name == name && labels.iter().all(bears)
        })
    }
}

/// Asks for a path in the clear and reads the body; none when nobody answers 200.
#[must_use]
pub fn get(address: SocketAddr, path: &str) -> Option<String> {
    let bound = Duration::from_secs(5);
    let mut tcp = TcpStream::connect_timeout(&address, bound).ok()?;
    tcp.set_read_timeout(Some(bound)).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    tcp.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200").then(|| body.to_owned())
}

fn parse(line: &str) -> Option<Series> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let mut parsed = BTreeMap::new();
    for label in labels.trim_end_matches('}').split("\",") {
        if let Some((key, value)) = label.split_once("=\"") {
            parsed.insert(key.trim().to_owned(), value.trim_end_matches('"').to_owned());
        }
    }
    Some(Series { name: name.to_owned(), labels: parsed, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_labels_and_a_value() {
        let series = parse(r#"aorta_requests_total{code_class="2xx",route="ehr"} 12"#).unwrap();
        assert_eq!(series.name, "aorta_requests_total");
        assert_eq!(series.labels["code_class"], "2xx");
        assert_eq!(series.labels["route"], "ehr");
        assert_eq!(parse("up 1").unwrap().value, 1.0);
    }
}
