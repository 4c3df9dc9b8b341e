//! The three experiments of the dissertation, and a fourth that tells a simulation from a constant.

use crate::measured::{Loss, Measured};
use crate::page::{Place, Shown, fetch};
use anyhow::Context as _;
use harness::client::Client;
use harness::house::House;
use std::time::Duration;

/// As a disabled default endpoint: the gateway answers 403, and the function is never reached.
const DISABLED: &str = r#"{"kind": "disabled"}"#;

/// Carries all out, each in a house of its own, so that none inherits what another taught the proxy.
pub(crate) async fn run(latency: Duration) -> anyhow::Result<Measured> {
    let (up, counted) = both_up(latency, 20).await?;
    let ohio_lost = one_lost(latency, Place::Ohio).await?;
    let virginia_lost = one_lost(latency, Place::Virginia).await?;
    let (doubled, _) = both_up(latency * 2, 10).await?;
    Ok(Measured { latency, up, counted, ohio_lost, virginia_lost, doubled })
}

async fn both_up(latency: Duration, count: usize) -> anyhow::Result<(Vec<Shown>, [u64; 2])> {
    let (house, mut viewer) = warm_house(latency).await?;
    let before = counted(&house).await?;
    let pages = pages(&mut viewer, count).await?;
    let after = counted(&house).await?;
    Ok((pages, [after[0] - before[0], after[1] - before[1]]))
}

/// The fault begins right before the first page, as in the dissertation; the baseline is what went before it in the
/// same house, so that a machine that gets busier between two experiments does not look like a failover.
async fn one_lost(latency: Duration, lost: Place) -> anyhow::Result<Loss> {
    let (house, mut viewer) = warm_house(latency).await?;
    let before = pages(&mut viewer, 20).await?;
    match lost {
        Place::Virginia => house.virginia.fault(DISABLED).await,
        Place::Ohio => house.ohio.fault(DISABLED).await,
    }
    Ok(Loss { before, after: pages(&mut viewer, 10).await? })
}

/// Both regions have answered, so that no page pays for a first connection.
async fn warm_house(latency: Duration) -> anyhow::Result<(House, Client)> {
    let house = House::start().await;
    let millis = u64::try_from(latency.as_millis())?;
    house.virginia.latency_ms(millis).await;
    house.ohio.latency_ms(millis).await;
    let mut viewer = Client::new(house.viewer_target());
    pages(&mut viewer, 6).await?;
    Ok((house, viewer))
}

async fn pages(viewer: &mut Client, count: usize) -> anyhow::Result<Vec<Shown>> {
    let mut pages = Vec::with_capacity(count);
    for _ in 0..count {
        pages.push(fetch(viewer).await?);
    }
    Ok(pages)
}

async fn counted(house: &House) -> anyhow::Result<[u64; 2]> {
    let executed = |counters: serde_json::Value| counters["executed"]["GET"].as_u64();
    let virginia = executed(house.virginia.counters().await).context("Virginia counts")?;
    Ok([virginia, executed(house.ohio.counters().await).context("Ohio counts")?])
}
