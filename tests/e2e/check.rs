//! A bad file: `check` tells every problem by its line and its remedy, and `run` leaves nothing half-started.

use harness::authority::Authority;
use harness::proxy;
use harness::setup::Setup;
use harness::upstream::{Speech, Upstream};

const CONFIG: i32 = 78;

fn sound() -> String {
    let authority = Authority::new();
    let upstream = Upstream::start("virginia", Speech::Plain, &authority);
    Setup::new(&[&upstream]).yaml()
}

/// Spoils a sound file; `check` and `run` must both tell the line on which `place` stands, and these words.
fn told(spoil: impl FnOnce(String) -> String, place: &str, words: &[&str]) {
    let yaml = spoil(sound());
    let line = yaml.lines().position(|line| line.contains(place)).expect("the place is in the file") + 1;
    for command in ["check", "run"] {
        let output = proxy::command(command, &yaml);
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = out.clone() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(CONFIG), "{command}: {said}\n{yaml}");
        let at = format!("aorta.yaml:{line}:");
        let problem = said.lines().find(|told| told.contains(&at));
        let problem = problem.unwrap_or_else(|| panic!("{command} names no {at} in\n{said}\n{yaml}"));
        for word in words {
            assert!(problem.contains(word), "{command} says {problem:?} without {word:?}");
        }
        assert!(problem.contains(';'), "{command} gives no remedy: {problem:?}");
        assert!(!out.contains("\"ready\""), "{command} started all the same");
    }
}

#[test]
fn a_sound_file_passes() {
    let output = proxy::command("check", &sound());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    told(
        |yaml| yaml.replace("reveal_upstream:", "reveal_upstraem:"),
        "reveal_upstraem",
        &["reveal_upstream"],
    );
}

#[test]
fn a_duplicate_route_is_told() {
    let twice = "  - {name: ehr, pool: records}\n";
    told(
        |yaml| {
            yaml.replace(
                "  - {name: ehr, pool: records}\n",
                &format!("{twice}  - {{name: ehr2, pool: records}}\n"),
            )
        },
        "ehr2",
        &["ehr"],
    );
    told(
        |yaml| {
            yaml.replace(
                twice,
                &format!("{twice}  - {{pool: records, name: ehr, match: {{path_prefix: /second}}}}\n"),
            )
        },
        "/second",
        &["ehr"],
    );
}

#[test]
fn an_unreadable_certificate_is_told() {
    let tls = "    tls: {certificate: /nowhere/aorta.crt, private_key: /nowhere/aorta.key}\n";
    told(
        |yaml| yaml.replace("  - address: 127.0.0.1:0\n", &format!("  - address: 127.0.0.1:0\n{tls}")),
        "/nowhere/aorta.crt",
        &["certificate", "/nowhere/aorta.crt"],
    );
}

#[test]
fn an_empty_pool_is_told() {
    let empty = |yaml: String| {
        let cut = yaml.find("    upstreams:").expect("the pool has upstreams");
        format!("{}    upstreams: []\n", &yaml[..cut])
    };
    told(empty, "upstreams: []", &["upstreams"]);
}

#[test]
fn a_syntax_error_is_told() {
    told(|yaml| yaml.replace("routes:\n", "routes: [\n"), "- {name: ehr", &[]);
    told(|yaml| yaml.replace("    fhir: true", "\tfhir: true"), "\tfhir", &[]);
}

#[test]
fn every_problem_is_told_at_once() {
    let yaml = sound().replace("fhir: true", "fhir: maybe").replace("pool: records", "pool: recrods");
    let output = proxy::command("check", &yaml);
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(CONFIG));
    assert!(said.contains("maybe") || said.contains("fhir"), "{said}");
    assert!(said.contains("recrods"), "{said}");
}
