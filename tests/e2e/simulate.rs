//! `simulate`: a configuration through a scenario, told as text, JSON and a picture, with an exit code to build on.

use harness::authority::Authority;
use harness::proxy;
use harness::setup::Setup;
use harness::upstream::{Speech, Upstream};
use std::ffi::OsStr;
use std::fs;
use std::process::Output;

const DARK: &str = "\
upstreams: {virginia: {faults: [{from: 5s, until: 15s}]}, ohio: {}}
span: 30s
expect: {lost: 0, ejections: 10}
";

fn simulate(scenario: &str, more: &[&str]) -> Output {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a directory can be made"));
    let upstreams = ["virginia", "ohio"].map(|name| Upstream::start(name, Speech::Plain, &authority));
    let yaml = Setup::new(&upstreams.iter().collect::<Vec<_>>()).yaml();
    let file = folder.path().join("scenario.yaml");
    fs::write(&file, scenario).expect("a scenario can be written");
    let mut arguments = vec![OsStr::new("--scenario"), file.as_os_str()];
    arguments.extend(more.iter().map(OsStr::new));
    proxy::command_with("simulate", &yaml, &arguments)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_run_that_keeps_what_its_scenario_expects_ends_with_0_and_draws_itself() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let picture = folder.path().join("run.svg");
    let output = simulate(DARK, &["--seed", "7", "--svg", picture.to_str().expect("a plain path")]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    for line in ["lost      0\n", "ejected   virginia consecutive_failures: ", "seed 7"] {
        assert!(told(&output).contains(line), "{line} is not in\n{}", told(&output));
    }
    let picture = fs::read_to_string(picture).expect("the picture is there");
    assert!(picture.starts_with("<svg ") && picture.contains("refuse_connections"), "{picture}");
}

#[test]
fn a_run_that_fares_worse_than_its_scenario_expects_ends_with_1() {
    let output = simulate(&DARK.replace("ejections: 10", "ejections: 0"), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("BROKEN"), "{}", told(&output));
}

#[test]
fn a_scenario_with_mistakes_ends_with_78_and_every_one_of_them() {
    let output = simulate("upstreams: {texas: {}}\nspam: 1s\n", &[]);
    assert_eq!(output.status.code(), Some(78), "{}", told(&output));
    for problem in
        ["scenario.yaml:1:13: upstreams.texas: is no upstream", "scenario.yaml:2:1: spam: is an unknown key"]
    {
        assert!(told(&output).contains(problem), "{problem} is not in\n{}", told(&output));
    }
    let output = simulate(DARK, &["--pool", "images"]);
    assert_eq!(output.status.code(), Some(78), "{}", told(&output));
}

#[test]
fn json_is_for_programs() {
    let output = simulate(DARK, &["--json"]);
    let run: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&run["lost"], &run["upstreams"][0]["name"]), (&0.into(), &"virginia".into()));
}
