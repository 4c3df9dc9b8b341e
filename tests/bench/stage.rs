//! What every run needs: a directory, certificates, and the bodies that are sent and answered.

use anyhow::{Context as _, ensure};
use harness::authority::{Authority, Files};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The host of all upstreams.
pub(crate) const HOST: &str = "records.fhir.test";

/// A body of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// One patient.
    Record,
    /// A page of a search that Aorta still holds until it is whole (`hold_max` is 64 KiB).
    HeldPage,
    /// A page larger than that: from some byte on it streams.
    Page,
    /// A page of which half is larger than that: a region that breaks off half-way does so in the stream.
    LongPage,
}

impl Payload {
    const ALL: [Self; 4] = [Self::Record, Self::HeldPage, Self::Page, Self::LongPage];

    /// How many bytes it has, to the byte.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Record => 890,
            Self::HeldPage => 60_000,
            Self::Page => 100_000,
            Self::LongPage => 200_000,
        }
    }

    /// The same for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Record => "0.9 KB",
            Self::HeldPage => "60 KB",
            Self::Page => "100 KB",
            Self::LongPage => "200 KB",
        }
    }

    /// The type of resource, as a path.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Record => "/Patient",
            Self::HeldPage | Self::Page | Self::LongPage => "/Bundle",
        }
    }

    const fn file(self) -> &'static str {
        match self {
            Self::Record => "record.json",
            Self::HeldPage => "held-page.json",
            Self::Page => "page.json",
            Self::LongPage => "long-page.json",
        }
    }

    /// Its text.
    fn text(self) -> String {
        match self {
            Self::Record => record(self.bytes()),
            Self::HeldPage | Self::Page | Self::LongPage => page(self.bytes()),
        }
    }
}

/// Files that live as long as the benchmark.
pub(crate) struct Stage {
    /// Certificates for [`HOST`].
    pub(crate) authority: Authority,
    /// The certificate and key of all upstreams.
    pub(crate) files: Files,
    count: AtomicUsize,
}

impl Stage {
    /// Sets it.
    pub(crate) fn set() -> anyhow::Result<Self> {
        let authority = Authority::new();
        let files = authority.files(HOST);
        let stage = Self { authority, files, count: AtomicUsize::new(0) };
        for payload in Payload::ALL {
            let text = payload.text();
            ensure!(text.len() == payload.bytes(), "{payload:?} has {} bytes", text.len());
            // Aorta would rightly look for a better answer elsewhere, and be measured at that.
            serde_json::from_str::<serde_json::Value>(&text)
                .with_context(|| format!("{payload:?} is no JSON"))?;
            std::fs::write(stage.file(payload), text)?;
        }
        Ok(stage)
    }

    /// The file with a body.
    pub(crate) fn file(&self, payload: Payload) -> PathBuf {
        self.authority.directory().join(payload.file())
    }

    /// A new directory within the stage's own.
    pub(crate) fn directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let directory = self.authority.directory().join(format!("{number}-{name}"));
        std::fs::create_dir(&directory)?;
        Ok(directory)
    }
}

/// A patient of so many bytes.
fn record(bytes: usize) -> String {
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
        .chain(filler.take(bytes.saturating_sub(head.len() + tail.len())))
        .chain(tail.chars())
        .collect()
}

/// A page of a search: as many patients as have room. No link in it is one that a proxy rewrites, so that the answers
/// of all proxies can be compared byte by byte.
fn page(bytes: usize) -> String {
    let entry = format!(
        r#"{{"fullUrl":"urn:uuid:7d1b3c52-0f4e-4c0a-9a53-3f7b0e5d9c11","resource":{}}}"#,
        record(Payload::Record.bytes())
    );
    let head = r#"{"resourceType":"Bundle","id":"B123456","type":"searchset","entry":["#;
    let (middle, tail) = (r#"],"signature":{"data":""#, r#""}}"#);
    let room = bytes.saturating_sub(head.len() + middle.len() + tail.len());
    let entries = vec![entry.as_str(); room / (entry.len() + 1)].join(",");
    let filler = "A".repeat(room - entries.len());
    [head, &entries, middle, &filler, tail].concat()
}
