//! `config/kubernetes/`: every file is named by a kustomization and every named file is there; the manifests say the ports,
//! paths and users that the programs have. `make check` judges them by Kubernetes' own schemas.

use serde::Deserialize as _;
use serde_yaml::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/kubernetes").canonicalize().unwrap()
}

fn files(below: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(below).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn document(file: &str) -> Value {
    documents(file).remove(0)
}

fn list(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The files and folders that a kustomization names.
fn named(kustomization: &Value) -> Vec<String> {
    let listed = ["resources", "components"].into_iter().flat_map(|key| list(&kustomization[key]));
    let patches = list(&kustomization["patches"]).iter().map(|patch| &patch["path"]);
    let generated = list(&kustomization["configMapGenerator"]).iter().flat_map(|made| list(&made["files"]));
    listed.chain(patches).chain(generated).map(|name| text(name).to_owned()).collect()
}

#[test]
fn every_file_is_named_and_every_name_is_a_file() {
    let (mut all, mut used) = (BTreeSet::new(), BTreeSet::new());
    for file in files(&folder()) {
        if file.file_name().unwrap() != "kustomization.yaml" {
            all.insert(file);
            continue;
        }
        let kustomization = document(&file.display().to_string());
        for name in named(&kustomization) {
            let path = file.parent().unwrap().join(&name);
            let path =
                path.canonicalize().unwrap_or_else(|error| panic!("{}: {name}: {error}", file.display()));
            assert!(
                path.is_file() || path.join("kustomization.yaml").is_file(),
                "{name} holds no kustomization"
            );
            used.insert(path);
        }
    }
    all.remove(&folder().join("Containerfile"));
    let unused: Vec<_> = all.difference(&used).collect();
    assert!(unused.is_empty(), "no kustomization names {unused:?}");
}

#[test]
fn the_proxies_take_their_configurations() {
    for file in ["gateway/aorta.yaml", "components/sidecar/aorta.yaml"] {
        let yaml = fs::read_to_string(folder().join(file)).unwrap();
        let output = harness::proxy::command("check", &yaml);
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The proxy's container, and the configuration it is given.
fn proxies() -> [(Value, Value); 2] {
    let (gateway, sidecar) = (document("gateway/deployment.yaml"), document("components/sidecar/proxy.yaml"));
    let container = |of: &Value, kind: &str| of["spec"]["template"]["spec"][kind][0].clone();
    [
        (container(&gateway, "containers"), document("gateway/aorta.yaml")),
        (container(&sidecar, "initContainers"), document("components/sidecar/aorta.yaml")),
    ]
}

#[test]
fn probes_ask_the_admin_port_of_the_configuration() {
    for (container, configuration) in proxies() {
        let admin = text(&configuration["admin"]["address"]).rsplit(':').next().unwrap().to_owned();
        let port =
            list(&container["ports"]).iter().find(|port| text(&port["name"]).ends_with("admin")).unwrap();
        assert_eq!(port["containerPort"].as_u64().unwrap().to_string(), admin);
        for (probe, path) in
            [("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/readyz")]
        {
            let Some(asked) = container.get(probe) else { continue };
            assert_eq!(
                (&asked["httpGet"]["path"], &asked["httpGet"]["port"]),
                (&Value::from(path), &port["name"])
            );
        }
        assert!(container.get("livenessProbe").is_some(), "a proxy that hangs is started again");
    }
}

#[test]
fn from_outside_a_pod_its_proxy_is_only_probed_and_scraped() {
    for file in ["gateway/aorta.yaml", "components/sidecar/aorta.yaml"] {
        let admin = document(file)["admin"].clone();
        assert_eq!((text(&admin["address"]), text(&admin["remote"])), ("0.0.0.0:9901", "probes"), "{file}");
    }
}

#[test]
fn no_proxy_runs_as_root_or_could_become_it() {
    let [(gateway, _), (sidecar, _)] = proxies();
    let pod = document("gateway/deployment.yaml")["spec"]["template"]["spec"]["securityContext"].clone();
    for container in [&gateway, &sidecar] {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["capabilities"]["drop"][0], "ALL");
    }
    for context in [&pod, &sidecar["securityContext"]] {
        assert_eq!(
            (&context["runAsNonRoot"], &context["runAsUser"]),
            (&Value::from(true), &Value::from(65532))
        );
    }
    let recipe = fs::read_to_string(folder().join("Containerfile")).unwrap();
    let last_user = recipe.lines().rfind(|line| line.starts_with("USER "));
    assert_eq!(last_user, Some("USER 65532:65532"));
}

#[test]
fn whatever_selects_the_proxies_selects_the_gateways_pods() {
    let deployment = document("gateway/deployment.yaml");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let mut selectors = vec![
        deployment["spec"]["selector"]["matchLabels"].clone(),
        document("gateway/disruption.yaml")["spec"]["selector"]["matchLabels"].clone(),
        document("gateway/network.yaml")["spec"]["podSelector"]["matchLabels"].clone(),
    ];
    let services = documents("gateway/service.yaml");
    selectors.extend(services.iter().map(|service| service["spec"]["selector"].clone()));
    for selector in selectors {
        for (key, value) in selector.as_mapping().expect("a selector selects") {
            assert_eq!(labels.get(key), Some(value), "{selector:?}");
        }
    }
    let scaled = document("gateway/autoscaler.yaml")["spec"]["scaleTargetRef"]["name"].clone();
    assert_eq!(scaled, deployment["metadata"]["name"]);
}

#[test]
fn the_prometheus_operator_finds_the_admin_port() {
    let monitor = document("components/monitoring/servicemonitor.yaml");
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_mapping().unwrap().clone();
    let services = documents("gateway/service.yaml");
    let bears = |service: &&Value| {
        wanted.iter().all(|(key, value)| service["metadata"]["labels"].get(key) == Some(value))
    };
    let found: Vec<_> = services.iter().filter(bears).collect();
    assert_eq!(found.len(), 1);
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(
        (&found[0]["spec"]["ports"][0]["name"], text(&endpoint["path"])),
        (&endpoint["port"], "/metrics")
    );
    // The rules select by job: the operator takes it from this label.
    let label = text(&monitor["spec"]["jobLabel"]);
    assert_eq!(found[0]["metadata"]["labels"][label], "aorta");
}
