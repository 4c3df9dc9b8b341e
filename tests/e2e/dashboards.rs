//! The dashboards of `config/grafana/`: in shape, true to what the proxy exports, and each panel with data when a real
//! Prometheus watches a real house lose a region.

use crate::world::World;
use harness::client::{Client, Target};
use harness::eventually;
use harness::house::{House, Part, Plan, furnish_prometheus};
use harness::prometheus::{Found, Prometheus};
use harness::watched::{exported, unheld, unknown};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const QUESTIONS: [&str; 5] = [
    "1. Are clients hurt?",
    "2. Is failover saving us?",
    "3. Who is sick, and since when?",
    "4. Why?",
    "5. Can we survive the next one?",
];
/// What Grafana draws without a plug-in, of its panel types.
const TYPES: [&str; 6] = ["heatmap", "row", "stat", "state-timeline", "table", "timeseries"];
/// Grafana's grid.
const COLUMNS: u64 = 24;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/grafana")
}

fn dashboards() -> Vec<Value> {
    let files = fs::read_dir(folder().join("dashboards")).unwrap().flatten();
    let texts = files.map(|file| fs::read_to_string(file.path()).unwrap());
    let dashboards: Vec<_> = texts.map(|text| serde_json::from_str(&text).unwrap()).collect();
    assert_eq!(dashboards.len(), 3);
    dashboards
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What a panel asks, with Grafana's variables filled in.
fn asked(target: &Value) -> String {
    let expression = text(&target["expr"]).replace("$__rate_interval", "1m");
    let filled =
        ["$pool", "$route", "$instance"].iter().fold(expression, |text, name| text.replace(name, ".*"));
    assert!(!filled.is_empty() && !filled.contains('$'), "{filled}");
    filled
}

/// Every expression of a dashboard's panels, with its panel's title.
fn panels(dashboard: &Value) -> Vec<(String, String)> {
    let panels = list(&dashboard["panels"]).iter();
    let name = |panel: &Value| format!("{} / {}", text(&dashboard["title"]), text(&panel["title"]));
    panels
        .flat_map(|panel| list(&panel["targets"]).iter().map(move |target| (name(panel), asked(target))))
        .collect()
}

fn annotations(dashboard: &Value) -> Vec<String> {
    list(&dashboard["annotations"]["list"]).iter().map(asked).collect()
}

#[test]
fn the_failover_dashboard_asks_the_five_questions_in_order() {
    let dashboards = dashboards();
    let failover = dashboards.iter().find(|one| one["uid"] == "aorta-failover").unwrap();
    let rows = list(&failover["panels"]).iter().filter(|panel| panel["type"] == "row");
    assert_eq!(rows.map(|row| text(&row["title"])).collect::<Vec<_>>(), QUESTIONS);
}

#[test]
fn every_panel_has_its_place_its_words_and_the_provisioned_datasource() {
    let provisioned = fs::read_to_string(folder().join("provisioning/datasources/aorta.yaml")).unwrap();
    let provisioned: Value = serde_yaml::from_str(&provisioned).unwrap();
    let source = &provisioned["datasources"][0]["uid"];
    for dashboard in dashboards() {
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        assert!(!text(&dashboard["title"]).is_empty() && !text(&dashboard["uid"]).is_empty());
        for panel in list(&dashboard["panels"]) {
            let title = text(&panel["title"]);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id stands twice");
            assert!(TYPES.contains(&text(&panel["type"])), "{title}: {}", panel["type"]);
            for cell in cells(&panel["gridPos"]) {
                assert!(cell.0 < COLUMNS && taken.insert(cell), "{title} overlaps at {cell:?}");
            }
            if panel["type"] != "row" {
                must_be_complete(panel, source);
            }
        }
    }
}

fn cells(place: &Value) -> Vec<(u64, u64)> {
    let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| place[key].as_u64().unwrap());
    (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))).collect()
}

fn must_be_complete(panel: &Value, source: &Value) {
    let title = text(&panel["title"]);
    assert!(!title.is_empty() && text(&panel["description"]).ends_with('.'), "{title}: say what it shows");
    assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{title} has no unit");
    let targets = list(&panel["targets"]);
    let ids: BTreeSet<_> = targets.iter().map(|target| text(&target["refId"])).collect();
    assert!(!targets.is_empty() && ids.len() == targets.len(), "{title}: {ids:?}");
    for part in targets.iter().chain([panel]) {
        assert_eq!(&part["datasource"]["uid"], source, "{title}");
    }
}

#[tokio::test]
async fn dashboards_ask_for_what_the_proxy_exports() {
    let scrape = World::new().await.proxy.metrics();
    let exported = exported(&scrape);
    for dashboard in dashboards() {
        let expressions = panels(&dashboard).into_iter().map(|(_, expression)| expression);
        for expression in expressions.chain(annotations(&dashboard)) {
            let unknown = unknown(&expression, &exported);
            assert!(unknown.is_empty(), "{unknown:?} in {expression}");
            let unheld = unheld(&expression, &scrape);
            assert!(unheld.is_empty(), "no series can bear {unheld:?} in {expression}");
        }
    }
}

/// A house that is watched every second and asked for patients all the time.
struct Watched {
    prometheus: Prometheus,
    house: House,
    _files: tempfile::TempDir,
}

impl Watched {
    async fn start() -> Self {
        let house = House::start().await;
        let files = tempfile::tempdir().unwrap();
        let plan = Plan::new()
            .port(9901, house.proxy.admin().port())
            .edit(Part::Prometheus, "scrape_interval: 5s", "scrape_interval: 1s")
            .edit(Part::Prometheus, "evaluation_interval: 5s", "evaluation_interval: 1s");
        furnish_prometheus(files.path(), &plan).unwrap();
        let prometheus = Prometheus::start(&files.path().join(Part::Prometheus.file())).await;
        Self { prometheus, house, _files: files }
    }

    /// Asks until there is a series with a number, and returns them all.
    async fn data(&self, what: &str, expression: &str) -> Vec<Found> {
        let look = || {
            let found = self.prometheus.ask(expression);
            let has_number = found.iter().any(|series| series.last().is_some_and(f64::is_finite));
            has_number.then_some(found)
        };
        eventually::found_within(Duration::from_secs(30), &format!("{what} shows data: {expression}"), look)
            .await
    }

    /// The first scrape after this moment, by its own time.
    async fn scraped_after(&self, unix: f64) -> f64 {
        let all = r#"aorta_upstream_state{upstream="ohio", state="ejected"}[1m]"#;
        let look = || {
            let series = self.prometheus.ask(all).pop()?;
            series.samples.into_iter().map(|(at, _)| at).find(|at| *at > unix)
        };
        eventually::found("Prometheus scrapes again", look).await
    }
}

impl Watched {
    /// What an operator orders by the command line.
    fn order(&self, command: &str, upstream: &str) {
        let said = self.house.proxy.command(command, &["records", upstream, "--reason", "a test"]);
        assert!(said.status.success(), "{said:?}");
    }
}

/// Reads, searches, misses, over and over.
async fn ask_for_patients(mut client: Client) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for path in ["/", "/Patient/P123456", "/Patient?_id=P123456", "/Patient/nobody"].iter().cycle() {
        ticks.tick().await;
        client.get(path).await;
    }
}

fn unix() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[tokio::test]
async fn a_lost_region_shows_within_one_scrape_and_no_panel_is_empty() {
    let watched = Watched::start().await;
    let traffic = tokio::spawn(ask_for_patients(Client::new(watched.house.proxy.target())));
    watched.data("traffic", "sum(rate(aorta_requests_total[1m])) > 0").await;
    // First where only clients meet it, so that some are rescued: the proxy's own check may find a lost region before they do.
    watched.house.ohio.fault(r#"{"kind": "disabled", "paths": "/Patient"}"#).await;
    watched.data("rescues", "sum(aorta_requests_rescued_total) > 0").await;
    watched.house.ohio.fault(r#"{"kind": "disabled"}"#).await;
    let is_out = || (watched.house.proxy.state_of("ohio") == "ejected").then(unix);
    let lost = eventually::found("Ohio is ejected", is_out).await;

    let first_scrape = watched.scraped_after(lost).await;
    let dashboards = dashboards();
    let all: Vec<_> = dashboards.iter().flat_map(panels).collect();
    let (_, state) = all.iter().find(|(name, _)| name.ends_with("/ State of each upstream")).unwrap();
    let shown = watched.prometheus.ask_at(state, first_scrape);
    let ohio = shown.iter().find(|series| series.metric["upstream"] == "ohio").unwrap();
    assert_eq!(ohio.last(), Some(5.0), "ejected, as the panel numbers its states");

    for (name, expression) in &all {
        watched.data(name, expression).await;
    }
    let mut marks = dashboards.iter().flat_map(annotations);
    let ejected = marks.find(|text| text.contains("aorta_upstream_ejections_total")).unwrap();
    watched.data("the mark of an ejection", &ejected).await;
    watched.data("the alert", r#"ALERTS{alertname="AortaRedundancyLost"}"#).await;
    traffic.abort();
}

#[tokio::test]
async fn what_an_operator_does_is_told_apart_from_what_fails() {
    let watched = Watched::start().await;
    let dashboards = dashboards();
    let all: Vec<_> = dashboards.iter().flat_map(panels).collect();
    let (_, state) = all.iter().find(|(name, _)| name.ends_with("/ State of each upstream")).unwrap();
    let shows = |number: u32| format!("({state}) == {number}");
    for (out, back, number) in [("drain", "undrain", 6), ("eject", "readmit", 7)] {
        watched.order(out, "ohio");
        let shown = watched.data(out, &shows(number)).await;
        assert!(shown.len() == 1 && shown[0].metric["upstream"] == "ohio", "{shown:?}");
        watched.order(back, "ohio");
        watched.data(back, &format!("count({}) == 2", shows(1))).await;
    }
    let admin = watched.house.proxy.admin();
    let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    let drill =
        r#"{"pool": "records", "upstream": "ohio", "fault": "eject", "for": "5s", "reason": "a test"}"#;
    assert_eq!(client.post("/api/drills", drill).await.status, 201);
    let mut marks = dashboards.iter().flat_map(annotations);
    let mark = marks.find(|text| text.contains("aorta_drill_active")).unwrap();
    let over = marks.find(|text| text.contains("aorta_drills_total")).unwrap();
    watched.data("the mark of a drill", &mark).await;
    let ended = watched.data("the mark of its end", &over).await;
    assert!(ended.iter().any(|mark| mark.metric["end"] == "time_up"), "{ended:?}");
}
