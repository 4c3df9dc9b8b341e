//! The live page: how the pools stand, for a person with a browser; and the commands that give orders.

use crate::world::World;
use bytes::Bytes;
use harness::browser::Browser;
use harness::client::{Client, Reply, Target};
use harness::eventually::BOUND;
use harness::upstream::Speech;
use harness::upstream::script::{Behaviour, Order};
use http::{Request, header};
use std::process::Output;
use std::time::Instant;

/// What a browser takes.
const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const HOSTILE: &str = "<script>alert('\"&amp;')</script><img src=x>";

impl World {
    async fn long_out() -> Self {
        Self::with(Speech::Plain, |setup, _| {
            let setup = setup.pool("passive_health", "{ejection: 10m, ejection_max: 20m}");
            setup.top("reload", "{watch: 0s}")
        })
        .await
    }

    async fn look(&self, path: &str, accept: &str) -> Reply {
        let admin = self.proxy.admin();
        let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
        let request = Request::get(path).header(header::ACCEPT, accept);
        client.send(request.body(Bytes::new()).unwrap()).await.unwrap()
    }

    async fn page(&self) -> String {
        let reply = self.look("/", HTML).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "text/html; charset=utf-8"));
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    /// Gives an order by its command.
    fn order(&self, verb: &str, upstream: &str, reason: &str, more: &[&str]) -> Output {
        self.proxy.command(verb, &[&["records", upstream, "--reason", reason], more].concat())
    }

    fn ordered(&self, verb: &str, upstream: &str, reason: &str, more: &[&str]) -> String {
        let output = self.order(verb, upstream, reason, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The rows of a page, each as the texts of its cells.
fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |row: &str| {
        let cells = row.split("<td").skip(1).filter_map(|cell| cell.split("</td>").next());
        cells.map(bare).collect::<Vec<_>>()
    };
    page.split("<tr").skip(1).filter_map(|row| row.split("</tr>").next()).map(cells).collect()
}

/// What stands between the marks, from within one.
fn bare(html: &str) -> String {
    html.split('>').skip(1).filter_map(|piece| piece.split('<').next()).collect::<String>().trim().to_owned()
}

/// The row of an upstream, by the head of it.
fn row(page: &str, upstream: &str) -> Vec<String> {
    let (_, after) = page.split_once(&format!(r#"<th scope="row">{upstream}</th>"#)).expect("it has a row");
    rows(&format!("<tr{after}")).remove(0)
}

#[tokio::test]
async fn a_browser_sees_each_upstream_with_its_state_and_no_cell_is_empty() {
    let world = World::long_out().await;
    let quiet = world.page().await;
    let mut client = world.client();
    for _ in 0..8 {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    world.proxy.at_rest().await;
    let page = world.page().await;
    assert!(page.contains("2 of 2 healthy") && page.contains(">records</h2>"), "{page}");
    for upstream in ["virginia", "ohio"] {
        assert_eq!(row(&quiet, upstream)[2..6], ["–", "–", "–", "–"].map(str::to_owned), "nothing to tell");
        let row = row(&page, upstream);
        assert_eq!((row[0].as_str(), row[3].as_str()), ("healthy", "0 of 4"), "{row:?}");
        assert!(row[1].ends_with("50 %") && row[4].ends_with("ms") && row[5].ends_with("ms"), "{row:?}");
        assert_eq!((row[6].as_str(), row[7].as_str()), ("0", "pass"), "{row:?}");
    }
    for row in rows(&quiet).iter().chain(&rows(&page)) {
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
    let plain = world.look("/", "*/*").await;
    assert_eq!(plain.json()["pools"][0]["name"], "records", "who is no browser gets JSON");
}

#[tokio::test]
async fn who_is_out_stands_there_with_the_reason_and_who_ordered_it() {
    let world = World::long_out().await;
    world.virginia.obey(Order::before(Behaviour::ResetBefore));
    let mut client = world.client();
    while world.proxy.state_of("virginia") != "ejected" {
        assert_eq!(client.get("/Patient/1").await.status, 200);
    }
    assert_eq!(row(&world.page().await, "virginia")[1], "0 % 0 %", "nobody asks it while others serve");
    world.ordered("drain", "ohio", "patch of Ohio", &["--force"]);
    let page = world.page().await;
    assert!(page.contains("0 of 2 healthy") && page.contains("<title>(2 out) Aorta</title>"), "{page}");
    assert_eq!([&row(&page, "virginia")[0], &row(&page, "ohio")[0]], ["ejected", "draining"]);
    assert_eq!(row(&page, "ohio")[1], "0 % 0 %", "it gets nothing, whatever it had");
    assert!(page.contains("virginia is out (consecutive_failures): it may be probed in"), "{page}");
    assert!(page.contains("ohio is drained by loopback (patch of Ohio)"), "{page}");
    let told: Vec<_> =
        rows(&page).into_iter().filter(|row| row.len() == 6).map(|row| row[2..].to_vec()).collect();
    assert!(
        told.contains(&["ohio", "drained", "patch of Ohio", "loopback"].map(str::to_owned).to_vec()),
        "{told:?}"
    );
    let ejected = ["virginia", "ejected", "consecutive failures", "aorta"].map(str::to_owned).to_vec();
    assert!(told.contains(&ejected), "{told:?}");
    assert!(rows(&page).iter().flatten().all(|cell| !cell.is_empty()), "{page}");
}

#[tokio::test]
async fn a_drill_that_is_under_way_stands_at_its_pool_until_it_is_over() {
    let world = World::long_out().await;
    assert!(!world.page().await.contains("Drill:"));
    let admin = world.proxy.admin();
    let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    let order = format!(
        r#"{{"pool": "records", "upstream": "ohio", "fault": "status:503", "share": "50%", "for": "1h", "reason": {}}}"#,
        serde_json::Value::from(HOSTILE)
    );
    let begun = client.post("/api/drills", order).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    let page = world.page().await;
    let (_, said) = page.split_once("<strong>Drill:</strong>").expect("the drill is shown");
    assert!(said.starts_with(" ohio suffers status 503 in 50 % of its requests, for "), "{said}");
    assert!(said.contains("more (ordered by loopback: &#60;script&#62;"), "{said}");
    let began =
        rows(&page).into_iter().find(|row| row.contains(&"a drill began".to_owned())).expect("it happened");
    assert!(began[4].contains("script") && began[5] == "loopback", "why, and by whom: {began:?}");
    let id = begun.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(client.post(&format!("/api/drills/{id}/stop"), "").await.status, 200);
    assert!(!world.page().await.contains("Drill:"));
}

#[tokio::test]
async fn whatever_a_reason_or_a_file_says_is_text_and_nothing_may_run() {
    let world = World::long_out().await;
    world.ordered("drain", "ohio", HOSTILE, &[]);
    let file = world.proxy.file();
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, text.replacen("attempt: 1s", "attempt: <script>never</script>", 1)).unwrap();
    let admin = world.proxy.admin();
    let mut client = Client::new(Target { host: admin.to_string(), ..Target::plain(admin) });
    assert_eq!(client.post("/api/reload", "").await.status, 422);
    let page = world.page().await;
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert_eq!(page.matches("&#60;script&#62;alert(&#39;&#34;&#38;amp;").count(), 2, "{page}");
    assert!(page.contains("The file was not taken") && page.contains("&#60;script&#62;never"), "{page}");
    for path in ["/", "/style.css"] {
        let reply = world.look(path, HTML).await;
        let policy = reply.header("content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("script"), "{path}: {policy}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn the_page_renews_itself_in_a_real_browser() {
    let world = World::long_out().await;
    let mut browser = Browser::start().await;
    browser.open(&format!("http://{}/", world.proxy.admin())).await;
    let before = browser.text().await;
    assert!(before.contains("2 of 2 healthy") && !before.contains("draining"), "{before}");
    world.ordered("drain", "ohio", HOSTILE, &[]);
    let (start, mut now) = (Instant::now(), before);
    while !now.contains("draining") {
        assert!(start.elapsed() < BOUND, "{now}");
        now = browser.text().await;
    }
    assert!(now.contains(HOSTILE), "as it was typed: {now}");
}

#[tokio::test]
async fn who_may_not_read_is_shown_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("token");
    std::fs::write(&secret, "look-0123456789abcdef\n").unwrap();
    let tokens = format!("[{{name: grafana, secret: {{file: {}}}}}]", secret.display());
    let admin = format!("{{address: 127.0.0.1:0, tokens: {tokens}}}");
    let world = World::with(Speech::Plain, |setup, _| setup.top("admin", &admin)).await;
    for path in ["/", "/style.css"] {
        let refused = world.look(path, HTML).await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(!String::from_utf8_lossy(&refused.body).contains("records"), "{refused:?}");
    }
    let output = world.order("drain", "ohio", "with the right to read", &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(world.proxy.state_of("ohio"), "healthy");
}

#[tokio::test]
async fn each_order_has_a_command_that_says_what_came_of_it() {
    let world = World::long_out().await;
    let stands = |upstream: &str| world.proxy.state_of(upstream);
    let said = world.ordered("drain", "ohio", "patch", &[]);
    assert!(said.starts_with("ohio is drained by loopback (patch)"), "{said}");
    assert_eq!(stands("ohio"), "draining");
    assert_eq!(world.ordered("undrain", "ohio", "patched", &[]), "ohio is in rotation\n");
    let said = world.ordered("eject", "ohio", "slow", &["--for", "5m"]);
    assert!(said.starts_with("ohio is out by order of loopback (slow): it may be probed in"), "{said}");
    assert_eq!(stands("ohio"), "ejected");
    world.ordered("readmit", "ohio", "fast again", &[]);
    assert_eq!(stands("ohio"), "healthy");
}

#[tokio::test]
async fn a_command_that_is_refused_ends_with_1_and_the_remedy() {
    let world = World::long_out().await;
    let refused = |verb: &str, upstream: &str, reason: &str, remedy: &str| {
        let output = world.order(verb, upstream, reason, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{verb} {upstream}: {said}");
        assert!(said.contains(remedy) && output.stdout.is_empty(), "{verb} {upstream}: {said}");
    };
    refused("drain", "oregon", "?", "there are virginia, ohio");
    refused("drain", "../ohio", "?", "letters, digits");
    refused("drain", "ohio", "", "1 to 200 characters");
    refused("undrain", "ohio", "?", "not drained");
    world.ordered("drain", "ohio", "one", &[]);
    refused("drain", "virginia", "the other", "--force");
    refused("eject", "virginia", "the other", "--force");
    assert_eq!(world.proxy.state_of("virginia"), "healthy");
    world.ordered("drain", "virginia", "the other", &["--force"]);
}
