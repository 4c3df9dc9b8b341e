//! What the file means: walks the tree by the table of keys and builds a [`Config`], or reports every mistake.

mod admin;
mod audit;
mod balance;
mod check;
mod hedge;
mod listener;
mod names;
mod pool;
mod quota;
mod route;
pub(super) mod scenario;
mod upstream;
mod url;

pub(super) use names::header_names;

use super::block::Block;
use super::keys::table;
use super::outside::Outside;
use super::problem::{Problem, Report};
use super::raw::Node;
use super::settings::Settings;
use super::{Config, PoolConfig};

/// Builds the configuration.
///
/// # Errors
/// Every mistake in the file.
pub(super) fn resolve(node: &Node, outside: &Outside<'_>) -> Result<Config, Vec<Problem>> {
    let report = Report::default();
    let root = Block::root(node, &table::ROOT, &report);
    let (admin, access) = admin::admin(&root.block("admin"), outside);
    let listeners = listener::listeners(&root, admin, outside);
    let log = listener::log(&root.block("log"));
    let traces = root.optional_block("traces").map(|block| listener::traces(&block));
    let watch = root.block("reload").duration("watch");
    let shutdown = listener::shutdown(&root.block("shutdown"));
    let state_dir = root.text("state_dir").map(|text| outside.path(text.text));
    let pools = pool::pools(&root, outside);
    let audit = audit::audit(&root, outside);
    let quota_store = quota::quota_store(&root, outside);
    let (routes, route_settings) = route::routes(&root, &pools);
    let buffers_total = buffers(&root, &pools);
    match (admin, report.into_problems()) {
        (Some(admin), problems) if problems.is_empty() => Ok(Config {
            listeners,
            admin,
            access,
            shutdown,
            state_dir: state_dir.unwrap_or_default(),
            buffers_total,
            log,
            traces,
            audit,
            quota_store,
            routes,
            route_settings,
            pools,
            watch,
            settings: Settings::default(),
            hash: 0,
        }),
        (_, problems) => Err(problems),
    }
}

/// The buffers must hold what one request of any pool may take, or it could never be retried.
fn buffers(root: &Block<'_>, pools: &[PoolConfig]) -> usize {
    let block = root.block("buffers");
    let total = block.size("total");
    for pool in pools {
        let one = pool.replay_body_max.saturating_add(pool.hold_max);
        if total < one {
            let wrong = format!("is less than one request of pool `{}` may take", pool.spec.name);
            let one = super::units::show_size(one as u64);
            block.problem("total", wrong, format!("write {one} (its replay_body_max and hold_max) or more"));
        }
    }
    total
}
