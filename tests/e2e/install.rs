//! `make install`: what it puts where, and whether systemd takes it.

use harness::program::find;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Tenths of `systemd-analyze security`'s exposure: 0 is shut in, 100 is free. The network alone is 7.
const EXPOSURE_MAX: &str = "20";
const UNITS: [&str; 3] = ["aorta-proxy.service", "aorta-viewer.service", "aorta-fhir.service"];

/// A root of its own, with Aorta installed.
struct Root {
    directory: tempfile::TempDir,
}

impl Root {
    fn installed() -> Self {
        let root = Self { directory: tempfile::tempdir().unwrap() };
        for program in ["aorta-proxy", "aorta-viewer", "aorta-fhir"] {
            symlink(find(program), root.built().join(program)).unwrap();
        }
        root.make("install", &[]);
        root
    }

    /// Where the programs were built.
    fn built(&self) -> PathBuf {
        let built = self.directory.path().join("built");
        fs::create_dir_all(&built).unwrap();
        built
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path)
    }

    fn make(&self, target: &str, more: &[&str]) {
        let mut make = Command::new("make");
        // Not a part of the make that runs the tests.
        make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").args(["-s", target]).args(more);
        make.arg(format!("DESTDIR={}", self.at("").display())).arg(format!("BIN={}", self.built().display()));
        finished(make.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")));
    }
}

fn finished(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run `make setup`"));
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    output
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn systemd_takes_the_units_as_they_are_installed() {
    let root = Root::installed();
    // Aorta's units order themselves after systemd's own, so those must be in the root too.
    let own = root.at("usr/lib/systemd/");
    finished(Command::new("cp").args(["-rn", "/usr/lib/systemd/system"]).arg(own));
    let verify =
        Command::new("systemd-analyze").arg("verify").arg("--root").arg(root.at("")).args(UNITS).output();
    let verify = verify.expect("systemd-analyze is there: run `make setup`");
    assert!(verify.status.success() && said(&verify).is_empty(), "{}", said(&verify));
}

#[test]
fn the_units_leave_their_programs_little_to_misuse() {
    let root = Root::installed();
    for unit in UNITS {
        let file = root.at("usr/lib/systemd/system").join(unit);
        let threshold = format!("--threshold={EXPOSURE_MAX}");
        finished(Command::new("systemd-analyze").args(["security", "--offline=true", &threshold]).arg(file));
    }
}

#[test]
fn the_installed_programs_take_the_installed_configuration() {
    let root = Root::installed();
    for (program, file) in [("aorta-proxy", "aorta.yaml"), ("aorta-viewer", "viewer.yaml")] {
        let mut check = Command::new(root.at("usr/bin").join(program));
        finished(check.args(["check", "--config"]).arg(root.at("etc/aorta").join(file)));
    }
}

#[test]
fn the_installed_configuration_can_be_sent_through_the_installed_scenarios() {
    let root = Root::installed();
    let mut simulate = Command::new(root.at("usr/bin/aorta-proxy"));
    simulate.args(["simulate", "--config"]).arg(root.at("etc/aorta/aorta.yaml"));
    finished(simulate.arg("--scenario").arg(root.at("usr/share/doc/aorta/scenarios/region-dark.yaml")));
}

#[test]
fn what_watches_a_fleet_is_installed_whole() {
    let root = Root::installed();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    for folder in ["prometheus", "grafana", "kubernetes"] {
        let (here, there) = (shipped.join(folder), root.at("usr/share/doc/aorta").join(folder));
        finished(Command::new("diff").arg("-r").args([&here, &there]));
    }
}

#[test]
fn an_edited_configuration_outlives_install_and_uninstall() {
    let root = Root::installed();
    let file = root.at("etc/aorta/aorta.yaml");
    fs::write(&file, "edited: yes\n").unwrap();
    root.make("install", &[]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "edited: yes\n");
    root.make("uninstall", &[]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "edited: yes\n");
    for gone in ["usr/bin/aorta-proxy", "usr/lib/systemd/system/aorta-viewer.service", "usr/share/doc/aorta"]
    {
        assert!(!root.at(gone).exists(), "{gone} is still there");
    }
}

#[test]
fn under_another_prefix_the_units_start_the_programs_there() {
    let root = Root::installed();
    root.make("install", &["PREFIX=/opt/aorta"]);
    assert!(root.at("opt/aorta/bin/aorta-viewer").is_file());
    let unit = fs::read_to_string(root.at("usr/lib/systemd/system/aorta-viewer.service")).unwrap();
    assert!(unit.contains("\nExecStart=/opt/aorta/bin/aorta-viewer run "), "{unit}");
    assert!(!unit.contains("=/usr/bin/"), "{unit}");
}
