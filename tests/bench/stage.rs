//! What every run needs: a directory, certificates, the record that everything answers with.

use anyhow::{Context as _, ensure};
use harness::authority::{Authority, Files};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The host of all upstreams.
pub(crate) const HOST: &str = "records.fhir.test";
const BODY_BYTES: usize = 890;

/// Files that live as long as the benchmark.
pub(crate) struct Stage {
    /// Certificates for [`HOST`].
    pub(crate) authority: Authority,
    /// The certificate and key of all upstreams.
    pub(crate) files: Files,
    /// The file with the record.
    pub(crate) body: PathBuf,
    count: AtomicUsize,
}

impl Stage {
    /// Sets it.
    pub(crate) fn set() -> anyhow::Result<Self> {
        let authority = Authority::new();
        let files = authority.files(HOST);
        let body = authority.directory().join("patient.json");
        let record = record();
        ensure!(record.len() == BODY_BYTES, "the record has {} bytes", record.len());
        // Aorta would rightly look for a better answer elsewhere, and be measured at that.
        serde_json::from_str::<serde_json::Value>(&record).context("the record is no JSON")?;
        std::fs::write(&body, record)?;
        Ok(Self { authority, files, body, count: AtomicUsize::new(0) })
    }

    /// A new directory within the stage's own.
    pub(crate) fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let directory = self.authority.directory().join(format!("{number}-{name}"));
        std::fs::create_dir(&directory)?;
        Ok(directory)
    }
}

/// A patient of [`BODY_BYTES`] bytes.
pub(crate) fn record() -> String {
    let head = concat!(
        r#"{"resourceType":"Patient","id":"P123456","meta":{"versionId":"1","lastUpdated":"2024-01-01T00:00:00Z"},"#,
        r#""identifier":[{"system":"http://hospital.example.org/patients","value":"P123456"}],"active":true,"#,
        r#""name":[{"use":"official","family":"Doe","given":["John"]}],"gender":"male","birthDate":"1985-04-23","#,
        r#""telecom":[{"system":"phone","value":"+1-555-123-4567","use":"home"},"#,
        r#"{"system":"email","value":"johndoe@example.com","use":"work"}],"#,
        r#""address":[{"use":"home","line":["123 Main St"],"city":"Springfield","state":"IL","#,
        r#""postalCode":"62704","country":"USA"}],"maritalStatus":{"text":"Married"},"text":{"status":"generated","#,
        r#""div":"<div xmlns='http://www.w3.org/1999/xhtml'>"#
    );
    let tail = "</div>\"}}";
    let filler = "John Doe, born 1985-04-23. ".chars().cycle();
    head.chars()
        .chain(filler.take(BODY_BYTES.saturating_sub(head.len() + tail.len())))
        .chain(tail.chars())
        .collect()
}
