//! The whole house as a person sees it: a real browser opens the front page and clicks "Fetch Patient Data".

use harness::browser::Browser;
use harness::client::{Client, Reply};
use harness::house::{House, Part, Plan};
use http::Request;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const VIRGINIA: &str = "https://y18va6f6rc.execute-api.us-east-1.amazonaws.com/Server1";
const OHIO: &str = "https://unbf0byjdc.execute-api.us-east-2.amazonaws.com/Server2";

/// The 19 values of the page: the field's name, the places in the record, and what stands between them.
const PLACES: [(&str, &[&str], &str); 19] = [
    ("resource-type", &["/resourceType"], ""),
    ("identifier-system", &["/identifier/0/system"], ""),
    ("identifier-value", &["/identifier/0/value"], ""),
    ("active", &["/active"], ""),
    ("name", &["/name/0/given/0", "/name/0/family"], " "),
    ("phone", &["/telecom/0/value"], ""),
    ("email", &["/telecom/1/value"], ""),
    ("gender", &["/gender"], ""),
    ("birth-date", &["/birthDate"], ""),
    (
        "address",
        &[
            "/address/0/line/0",
            "/address/0/city",
            "/address/0/state",
            "/address/0/postalCode",
            "/address/0/country",
        ],
        ", ",
    ),
    ("marital-status", &["/maritalStatus/coding/0/display"], ""),
    ("contact-name", &["/contact/0/name/given/0", "/contact/0/name/family"], " "),
    ("contact-phone", &["/contact/0/telecom/0/value"], ""),
    (
        "contact-address",
        &[
            "/contact/0/address/line/0",
            "/contact/0/address/city",
            "/contact/0/address/state",
            "/contact/0/address/postalCode",
            "/contact/0/address/country",
        ],
        ", ",
    ),
    ("contact-organization", &["/contact/0/organization/display"], ""),
    ("preferred-language", &["/communication/0/language/coding/0/display"], ""),
    ("general-practitioner", &["/generalPractitioner/0/display"], ""),
    ("managing-organization", &["/managingOrganization/display"], ""),
    ("link", &["/link/0/other/display"], ""),
];

fn expected(record: &Value) -> BTreeMap<String, String> {
    let text = |place: &&str| match record.pointer(place) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => panic!("the record has no {place}: {record}"),
    };
    let value = |(field, places, between): &(&str, &[&str], &str)| {
        ((*field).to_owned(), places.iter().map(text).collect::<Vec<_>>().join(between))
    };
    PLACES.iter().map(value).collect()
}

struct Visitor {
    browser: Browser,
    front: String,
    store: Client,
}

impl Visitor {
    async fn of(house: &House) -> Self {
        let front = format!("http://{}/", house.viewer_address());
        Self { browser: Browser::start().await, front, store: Client::new(house.proxy.target()) }
    }

    /// Opens the front page, clicks the button, and returns the cells of the page that follows.
    async fn fetch(&mut self) -> BTreeMap<String, String> {
        self.browser.open(&self.front).await;
        assert_eq!(self.browser.heading().await, "Centralised Medical Data");
        self.browser.click("Fetch Patient Data").await;
        self.browser.fields().await
    }

    /// Fetches, and returns the endpoint that answered; the page must show the patient.
    async fn endpoint(&mut self) -> String {
        let fields = self.fetch().await;
        assert_eq!(self.browser.heading().await, "Patient Details", "{fields:?}");
        assert_eq!(fields["identifier-value"], "P123456");
        fields["api-details"].clone()
    }

    async fn record(&mut self) -> Reply {
        let record = self.store.get("/Patient/P123456").await;
        assert_eq!(record.status, 200);
        record
    }

    /// The page's 19 values are those of the record in the store.
    async fn page_equals_store(&mut self) {
        let mut fields = self.fetch().await;
        for fetch in ["api-details", "total-time-taken", "attempts"] {
            assert!(fields.remove(fetch).is_some_and(|value| !value.is_empty()), "{fetch}");
        }
        assert_eq!(fields, expected(&self.record().await.json()));
    }

    async fn keep_picture(&mut self, name: &str) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e");
        self.browser.screenshot(&directory.join(name)).await;
    }
}

#[tokio::test]
async fn the_page_shows_the_19_values_of_the_record_also_after_it_was_changed() {
    let house = House::start().await;
    let mut visitor = Visitor::of(&house).await;
    visitor.page_equals_store().await;
    visitor.keep_picture("patient.png").await;
    let held = visitor.record().await;
    let mut record = held.json();
    for (place, value) in [
        ("/name/0/family", "O'Neill-Müller"),
        ("/telecom/0/value", "+44 20 7946 0000"),
        ("/address/0/line/0", "<b>1 Inert & Safe Street</b>"),
        ("/gender", "unknown"),
        ("/link/0/other/display", "Żaneta Łęcka"),
    ] {
        *record.pointer_mut(place).expect("the record has it") = Value::from(value);
    }
    let put = Request::put("/Patient/P123456")
        .header("content-type", "application/fhir+json")
        .header("if-match", held.header("etag"));
    let changed = visitor.store.send(put.body(record.to_string().into()).unwrap()).await.unwrap();
    assert_eq!(changed.status, 200, "{}", String::from_utf8_lossy(&changed.body));
    visitor.page_equals_store().await;
    visitor.page_equals_store().await;
    visitor.keep_picture("patient-changed.png").await;
}

#[tokio::test]
async fn the_page_shows_the_endpoints_in_strict_turn_and_the_regions_agree() {
    // Checks are reads too: none falls into the count.
    let house = House::start_with(Plan::new().edit(Part::Proxy, "interval: 1s", "interval: 1h")).await;
    let mut visitor = Visitor::of(&house).await;
    let mut order = Vec::new();
    for _ in 0..10 {
        order.push(visitor.endpoint().await);
    }
    let expected: Vec<_> = [VIRGINIA, OHIO].into_iter().cycle().take(10).collect();
    assert_eq!(order, expected);
    for region in [&house.virginia, &house.ohio] {
        assert_eq!(region.counters().await["executed"]["GET"], 5);
    }
}

#[tokio::test]
async fn the_page_still_answers_while_a_region_is_disabled_or_killed_and_says_when_all_fail() {
    let house = House::start().await;
    let mut visitor = Visitor::of(&house).await;
    house.ohio.fault(r#"{"kind": "disabled"}"#).await;
    for _ in 0..6 {
        assert_eq!(visitor.endpoint().await, VIRGINIA, "Ohio is disabled");
    }
    house.ohio.heal().await;
    house.ohio.kill();
    for _ in 0..6 {
        assert_eq!(visitor.endpoint().await, VIRGINIA, "Ohio is killed");
    }
    house.virginia.freeze();
    let fields = visitor.fetch().await;
    assert_eq!(visitor.browser.heading().await, "Failed to fetch data from all endpoints", "{fields:?}");
    visitor.keep_picture("failed.png").await;
    house.virginia.thaw();
}

#[tokio::test]
async fn the_page_still_answers_while_a_region_is_frozen() {
    let house = House::start().await;
    let mut visitor = Visitor::of(&house).await;
    visitor.endpoint().await;
    house.ohio.freeze();
    for _ in 0..6 {
        assert_eq!(visitor.endpoint().await, VIRGINIA, "Ohio is frozen");
    }
    visitor.keep_picture("patient-while-frozen.png").await;
    house.ohio.thaw();
}
