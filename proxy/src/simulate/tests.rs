use super::*;
use crate::config::parse;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

fn scenarios() -> Vec<PathBuf> {
    let files = fs::read_dir(shipped().join("scenarios")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|kind| kind == "yaml")).collect()
}

/// A shipped scenario over the shipped configuration.
fn shipped_run(name: &str) -> Run {
    let scenario = shipped().join("scenarios").join(name);
    run(&shipped().join("aorta.yaml"), &scenario, None, 1).unwrap()
}

#[test]
fn every_shipped_scenario_ends_as_it_expects() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= 7, "{scenarios:?}");
    for scenario in scenarios {
        let run = run(&shipped().join("aorta.yaml"), &scenario, None, 1).unwrap_or_else(|no| panic!("{no}"));
        assert!(!run.judged.is_empty(), "{} expects nothing", scenario.display());
        assert!(run.is_as_expected(), "{}:\n{}", scenario.display(), text::show(&run));
    }
}

#[test]
fn a_worse_configuration_is_found_out() {
    let good = fs::read_to_string(shipped().join("aorta.yaml")).unwrap();
    let config = |text: &str| parse(text, Path::new("")).unwrap_or_else(|problems| panic!("{problems}"));
    let scenario = shipped().join("scenarios/region-dark.yaml");
    for (change, broken) in [
        // Nobody rescues, or nobody ejects.
        (("attempts_max: 3 ", "attempts_max: 1 "), "lost"),
        (("dry_run: false", "dry_run: true"), "attempts_percent"),
    ] {
        assert!(good.contains(change.0), "{change:?}");
        let text = good
            .replace(change.0, change.1)
            .replace("attempts_max_ambiguous: 2", "attempts_max_ambiguous: 1");
        let scenario = config::load_scenario(&scenario, &config(&text), None).unwrap();
        let run = Run::new(scenario, 1);
        let found: Vec<_> =
            run.judged.iter().filter(|judged| !judged.kept).map(|judged| judged.key).collect();
        assert!(found.contains(&broken), "{change:?}: {}", text::show(&run));
        assert!(text::show(&run).contains("BROKEN"));
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (first, again) = (shipped_run("flapping.yaml"), shipped_run("flapping.yaml"));
    assert_eq!((first.report.trace, text::show(&first)), (again.report.trace, text::show(&again)));
}

#[test]
fn text_names_every_ejection_with_its_reason_and_every_guard() {
    let told = text::show(&shipped_run("retry-storm.yaml"));
    for line in
        ["ejected   ", " consecutive_app_failures: once, at 20.1 s", "prevented ", " last_upstream: once"]
    {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    let states = told.lines().find(|line| line.contains("xxx")).unwrap();
    assert!(states.trim().starts_with("....."), "{states}");
    assert!(text::show(&shipped_run("bad-key.yaml")).contains("unverified: "));
}

#[test]
fn json_says_what_the_report_says() {
    let run = shipped_run("region-dark.yaml");
    let shown = json::show(&run);
    assert_eq!(shown["requests"], run.report.requests);
    let steps = shown["steps"].as_array().unwrap();
    let sum = |key: &str| steps.iter().map(|step| step[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("requests"), sum("rescued")), (run.report.requests, run.report.rescued));
    let received: u64 = steps
        .iter()
        .flat_map(|step| step["upstreams"].as_array().unwrap())
        .map(|upstream| upstream["received"].as_u64().unwrap())
        .sum();
    assert_eq!(received, run.report.attempts);
    assert_eq!(steps[40]["upstreams"][0]["states"], serde_json::json!({"ejected": 1}));
    assert_eq!(shown["ejections"][0]["reason"], "consecutive_failures");
    assert_eq!(shown["expected"].as_array().map(Vec::len), Some(4));
    assert_eq!(shown["upstreams"][1]["faults"], Value::Array(Vec::new()));
}

#[test]
fn the_picture_is_well_formed_runs_nothing_and_has_colours_for_the_dark() {
    let mut run = shipped_run("flapping.yaml");
    run.scenario.about = "<script>alert(1)</script> & more".to_owned();
    let svg = svg::draw(&run);
    assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"), "text became a mark");
    assert!(svg.contains("prefers-color-scheme:dark"));
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "a number is none");
    let (mut open, mut rest) = (Vec::new(), svg.as_str());
    while let Some((_, tail)) = rest.split_once('<') {
        let (tag, tail) = tail.split_once('>').expect("a tag ends");
        rest = tail;
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().unwrap()),
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
    let fault = svg.matches("class=\"ejected\"").count();
    assert!(fault > 1, "no ejection is drawn");
}
