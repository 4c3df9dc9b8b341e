//! What an operator does in years, in little: `make soak` does all of it.

use crate::world::alone;
use harness::soak::{Plan, run};

#[tokio::test(flavor = "multi_thread")]
async fn under_load_no_reload_no_certificate_no_upgrade_no_restart_and_no_full_disk_loses_a_request() {
    let _alone = alone().await;
    let report = run(Plan::short(), &|_| {}).await;
    assert!(report.broken().is_empty(), "{}", report.markdown());
    assert!(report.requests > 100 && report.creates > 10, "{report:?}");
}
