//! Where the admin port is, and who may ask it for what.

use super::listener;
use super::names::{Taken, unique_name};
use crate::config::access::{Access, LOOPBACK, Right, Token};
use crate::config::block::Block;
use crate::config::outside::Outside;
use crate::config::secrets;
use std::net::SocketAddr;

/// Its address, none after a mistake, and who may ask.
pub(super) fn admin(block: &Block<'_>, outside: &Outside<'_>) -> (Option<SocketAddr>, Access) {
    let address = listener::socket(block, "address");
    let probes_only = block.choice("remote") == "probes";
    let mut taken = Taken::new();
    let tokens: Vec<_> =
        block.blocks("tokens").iter().filter_map(|block| token(block, outside, &mut taken)).collect();
    if let Some(open) = address.filter(|address| !address.ip().is_loopback())
        && !probes_only
        && !block.has("tokens")
    {
        block.problem(
            "address",
            format!("{open} is open to other machines, and nobody needs a token"),
            "list `tokens`, write `remote: probes` if others only probe and scrape it, or `address: 127.0.0.1:9901`",
        );
    }
    (address, Access { tokens, probes_only })
}

fn token<'a>(block: &Block<'a>, outside: &Outside<'_>, taken: &mut Taken<'a>) -> Option<Token> {
    let name = unique_name(block, "name", taken);
    if name == Some(LOOPBACK) {
        block.problem("name", "`loopback` is what the proxy calls who needs no token", "write another name");
    }
    let secret = secrets::token(block, "secret", outside);
    let right = if block.choice("right") == "write" { Right::Write } else { Right::Read };
    Some(Token { name: name?.to_owned(), right, secret: secret? })
}
