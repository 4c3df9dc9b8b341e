//! Routes: what they match, and the pool behind them.

use super::audit::audited;
use super::names::{Taken, exact_headers, is_host, unique_name};
use super::quota::rate_limit;
use super::url::check_path;
use crate::config::block::Block;
use crate::config::nearest::nearest;
use crate::config::problem::quoted;
use crate::config::{PoolConfig, RouteSettings};
use aorta_core::route::{HostMatch, PathPrefix, Route, RouteMatch, RouteTable};
use http::Method;
use std::collections::HashMap;

/// The table, and the settings in its order.
pub(super) fn routes(root: &Block<'_>, pools: &[PoolConfig]) -> (RouteTable, Vec<RouteSettings>) {
    let mut taken = Taken::new();
    let mut routes = Vec::new();
    let mut blocks = Vec::new();
    let mut settings = HashMap::new();
    for block in root.blocks("routes") {
        let name = unique_name(&block, "name", &mut taken);
        let matches = route_match(&block.block("match"));
        let prefix = matches.as_ref().map(|matches| matches.path_prefix.as_str().to_owned());
        let strip_prefix = strip_prefix(&block, prefix.as_deref());
        let rate_limit = rate_limit(&block, root.has("quota_store"));
        let audit = audited(&block, root.has("audit"));
        let pool = pool(&block, pools);
        let (Some(name), Some(matches), Some(pool)) = (name, matches, pool) else { continue };
        settings.insert(name.to_owned(), RouteSettings { strip_prefix, rate_limit, audit });
        routes.push(Route { name: name.to_owned(), matches, pool });
        blocks.push(block);
    }
    let names: Vec<String> = routes.iter().map(|route| route.name.clone()).collect();
    let table = RouteTable::build(routes).unwrap_or_else(|conflicts| {
        for conflict in conflicts {
            let (first, second) = (&names[conflict.first], &blocks[conflict.second]);
            let line = blocks[conflict.first].at.line;
            let wrong =
                format!("`{}` takes requests that `{first}` (line {line}) takes too", names[conflict.second]);
            second.problem(
                "match",
                wrong,
                "make one more specific: by host, path_prefix, methods or headers",
            );
        }
        RouteTable::default()
    });
    let settings = table.routes().iter().filter_map(|route| settings.remove(&route.name)).collect();
    (table, settings)
}

/// The pool's index.
fn pool(block: &Block<'_>, pools: &[PoolConfig]) -> Option<usize> {
    let name = block.text("pool")?;
    let found = pools.iter().position(|pool| pool.spec.name == name.text);
    if found.is_none() {
        let wrong = format!("there is no pool {}", quoted(name.text));
        let names = || pools.iter().map(|pool| pool.spec.name.as_str());
        let right = match nearest(name.text, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if pools.is_empty() => "add it below `pools`".to_owned(),
            None => format!("name one of {}", names().collect::<Vec<_>>().join(", ")),
        };
        block.problem("pool", wrong, right);
    }
    found
}

fn route_match(block: &Block<'_>) -> Option<RouteMatch> {
    let host = host(block);
    let path_prefix = path_prefix(block);
    let methods =
        block.words("methods").into_iter().filter_map(|word| Method::from_bytes(word.as_bytes()).ok());
    let methods = methods.collect();
    let headers = exact_headers(block, "headers");
    Some(RouteMatch { host: host?, path_prefix: path_prefix?, methods, headers })
}

fn host(block: &Block<'_>) -> Option<HostMatch> {
    let text = block.text("host")?;
    let parsed = HostMatch::parse(text.text).and_then(|host| {
        let name = text.text.strip_prefix("*.").unwrap_or(text.text);
        let plain = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let good = host == HostMatch::Any || is_host(plain);
        if good { Ok(host) } else { Err("write a host name without scheme, port or path") }
    });
    parsed.map_err(|right| block.problem("host", format!("{} is no host", quoted(text.text)), right)).ok()
}

fn path_prefix(block: &Block<'_>) -> Option<PathPrefix> {
    let text = block.text("path_prefix")?;
    let checked = check_path(text.text).and_then(|()| PathPrefix::parse(text.text));
    checked.map_err(|wrong| block.problem("path_prefix", wrong, "write a path such as `/` or `/fhir`")).ok()
}

/// Empty or without a closing slash. It must be a start of the match's prefix, or some requests would lack it.
fn strip_prefix(block: &Block<'_>, match_prefix: Option<&str>) -> String {
    let Some(text) = block.text("strip_prefix").map(|text| text.text) else { return String::new() };
    let prefix = text.trim_end_matches('/');
    if let Err(wrong) = check_path(text) {
        block.problem("strip_prefix", wrong, "write a path such as `/fhir`, or nothing");
    } else if let Some(match_prefix) = match_prefix {
        let covered = PathPrefix::parse(prefix).is_ok_and(|prefix| prefix.strip(match_prefix).is_some());
        if !prefix.is_empty() && !covered {
            let wrong = format!("{} is not how every path of this route starts", quoted(text));
            block.problem("strip_prefix", wrong, format!("set `match.path_prefix: {prefix}` too"));
        }
    }
    prefix.to_owned()
}
