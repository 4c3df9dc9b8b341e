//! The whole house, as a client without a browser sees it: two regions with the real function, the proxy, the
//! viewer.

use harness::client::{Client, Reply};
use harness::eventually;
use harness::house::{House, Part, Plan};
use serde_json::{Value, json};
use std::time::Instant;

const VIRGINIA: &str = "https://y18va6f6rc.execute-api.us-east-1.amazonaws.com/Server1";
const OHIO: &str = "https://unbf0byjdc.execute-api.us-east-2.amazonaws.com/Server2";

async fn read_patient(client: &mut Client) -> Reply {
    let reply = client.get("/").await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(reply.json()["identifier"][0]["value"], "P123456");
    reply
}

/// Reads until this endpoint has answered again.
async fn is_back(client: &mut Client, endpoint: &str) {
    let start = Instant::now();
    while read_patient(client).await.upstream() != endpoint {
        assert!(start.elapsed() < eventually::BOUND * 2, "{endpoint} does not come back");
    }
}

#[tokio::test]
async fn each_region_answers_in_its_turn() {
    // Checks are reads too: none falls into the count.
    let house = House::start_with(Plan::new().edit(Part::Proxy, "interval: 1s", "interval: 1h")).await;
    let mut client = Client::new(house.proxy.target());
    let mut order = Vec::new();
    for _ in 0..10 {
        order.push(read_patient(&mut client).await.upstream().to_owned());
    }
    let expected: Vec<_> = [VIRGINIA, OHIO].into_iter().cycle().take(10).collect();
    assert_eq!(order, expected);
    for region in [&house.virginia, &house.ohio] {
        assert_eq!(region.counters().await["executed"]["GET"], 5);
    }
}

#[tokio::test]
async fn the_patient_is_read_while_a_region_is_disabled_killed_or_frozen() {
    // Shorter ejections than the demo's, so that each return can be watched.
    let check = "    active_health:";
    let short = format!("    passive_health: {{ejection: 500ms, ejection_max: 1s}}\n{check}");
    let mut house = House::start_with(Plan::new().edit(Part::Proxy, check, &short)).await;
    let mut client = Client::new(house.proxy.target());
    for way in ["disabled", "killed", "frozen"] {
        match way {
            "disabled" => house.ohio.fault(r#"{"kind": "disabled"}"#).await,
            "killed" => house.ohio.kill(),
            _ => house.ohio.freeze(),
        }
        for _ in 0..12 {
            assert_eq!(read_patient(&mut client).await.upstream(), VIRGINIA, "{way}");
        }
        match way {
            "disabled" => house.ohio.heal().await,
            "killed" => house.ohio.restart().await,
            _ => house.ohio.thaw(),
        }
        is_back(&mut client, OHIO).await;
    }
}

#[tokio::test]
async fn one_create_makes_one_record_whatever_the_regions_refuse() {
    let house = House::start().await;
    let mut client = Client::new(house.proxy.target());
    for (index, kind) in ["none", "throttled", "disabled", "refuse_connections"].into_iter().enumerate() {
        if kind != "none" {
            house.virginia.fault(&json!({ "kind": kind }).to_string()).await;
        }
        // Two creates: one of them begins with the region that refuses.
        for half in 0..2 {
            let number = format!("NEW-{index}-{half}");
            let patient =
                json!({"resourceType": "Patient", "identifier": [{"system": "urn:ward", "value": number}]});
            let created = client.post("/Patient", patient.to_string()).await;
            assert_eq!(created.status, 201, "{kind}: {}", String::from_utf8_lossy(&created.body));
            house.virginia.heal().await;
            for _ in 0..2 {
                let found = client.get(&format!("/Patient?identifier=urn:ward%7C{number}")).await;
                assert_eq!((found.status, &found.json()["total"]), (200, &Value::from(1)), "{kind}");
            }
        }
    }
}

#[tokio::test]
async fn every_link_of_a_search_is_one_that_the_client_can_follow() {
    let house = House::start().await;
    let mut client = Client::new(house.proxy.target());
    for number in 0..5 {
        let patient = json!({"resourceType": "Patient", "name": [{"family": format!("Pager{number}")}]});
        let created = client.post("/Patient", patient.to_string()).await;
        assert!(
            created.header("location").starts_with("http://aorta.test/Patient/"),
            "{:?}",
            created.headers
        );
    }
    let (mut path, mut found) = ("/Patient?name=pager&_count=2".to_owned(), 0);
    for _ in 0..3 {
        let page = client.get(&path).await;
        let bundle = page.json();
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        found += entries.len();
        let urls = entries.iter().map(|entry| &entry["fullUrl"]);
        for url in urls.chain(bundle["link"].as_array().into_iter().flatten().map(|link| &link["url"])) {
            let url = url.as_str().unwrap_or_default();
            assert!(url.starts_with("http://aorta.test/Patient"), "{url}");
        }
        let links = bundle["link"].as_array().cloned().unwrap_or_default();
        let Some(next) = links.iter().find(|link| link["relation"] == "next") else { break };
        path = next["url"].as_str().unwrap_or_default().replace("http://aorta.test", "");
    }
    assert_eq!(found, 5);
}

#[tokio::test]
async fn the_viewer_shows_what_the_regions_hold() {
    let house = House::start().await;
    let mut browserless = Client::new(house.viewer_target());
    let front = browserless.get("/").await;
    assert!(String::from_utf8_lossy(&front.body).contains("Fetch Patient Data"));
    for endpoint in [VIRGINIA, OHIO] {
        let page = browserless.get("/patient").await;
        let text = String::from_utf8_lossy(&page.body).into_owned();
        assert!(page.status == 200 && text.contains("P123456") && text.contains(endpoint), "{text}");
    }
    house.virginia.kill();
    house.ohio.kill();
    let page = browserless.get("/patient").await;
    assert!(String::from_utf8_lossy(&page.body).contains("Failed to fetch data from all endpoints"));
}
