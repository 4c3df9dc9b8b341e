//! One fetch of the patient through the viewer: what its page shows.

use anyhow::{Context as _, bail, ensure};
use harness::client::Client;

/// A region of the dissertation, by what its endpoint's address holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// us-east-1.
    Virginia,
    /// us-east-2.
    Ohio,
}

impl Place {
    /// Its name in the dissertation.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Virginia => "N. Virginia",
            Self::Ohio => "Ohio",
        }
    }

    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Virginia => Self::Ohio,
            Self::Ohio => Self::Virginia,
        }
    }
}

/// What a page showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// "API Details": the endpoint that answered.
    pub(crate) place: Place,
    /// "Total Time Taken", in milliseconds.
    pub(crate) millis: f64,
    /// "Attempts".
    pub(crate) attempts: usize,
}

/// Presses the button once.
pub(crate) async fn fetch(viewer: &mut Client) -> anyhow::Result<Shown> {
    let reply = viewer.get("/patient").await;
    let html = String::from_utf8_lossy(&reply.body).into_owned();
    ensure!(reply.status == 200, "the page says {}: {html}", reply.status);
    read(&html)
}

fn read(html: &str) -> anyhow::Result<Shown> {
    ensure!(field(html, "name")? == "John Doe", "another patient: {html}");
    let place = match field(html, "api-details")? {
        url if url.contains("us-east-1") => Place::Virginia,
        url if url.contains("us-east-2") => Place::Ohio,
        url => bail!("an endpoint of no region: {url}"),
    };
    let attempts = field(html, "attempts")?.parse().context("attempts")?;
    Ok(Shown { place, millis: millis(field(html, "total-time-taken")?)?, attempts })
}

fn field<'a>(html: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let start = html.split_once(&format!("data-field=\"{name}\">"));
    let value = start.and_then(|(_, rest)| rest.split_once('<')).map(|(value, _)| value);
    value.with_context(|| format!("the page has no field {name}: {html}"))
}

fn millis(text: &str) -> anyhow::Result<f64> {
    match text.split_once(' ') {
        Some((number, "ms")) => Ok(number.parse()?),
        Some((number, "s")) => Ok(number.parse::<f64>()? * 1000.0),
        _ => bail!("a time in no known unit: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_by_its_fields() {
        let shown = read(include_str!("../../viewer/tests/golden/seed.html"));
        assert!(shown.unwrap_err().to_string().contains("no region"));
        let html = include_str!("../../viewer/tests/golden/seed.html").replace("virginia.fhir", "us-east-2");
        let shown = read(&html).unwrap();
        assert_eq!((shown.place, shown.attempts), (Place::Ohio, 2));
        assert!((shown.millis - 84.0).abs() < f64::EPSILON);
    }

    #[test]
    fn times_are_read_in_both_units() {
        assert!((millis("1.2 s").unwrap() - 1200.0).abs() < f64::EPSILON);
        assert!(millis("soon").is_err());
    }
}
