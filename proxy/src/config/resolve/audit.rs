//! The audit trail: where it is, and which routes leave entries.

use crate::config::block::Block;
use crate::config::outside::Outside;
use crate::config::secrets::secret;
use crate::config::{Audit, Audited};

/// Where entries go.
pub(super) fn audit(root: &Block<'_>, outside: &Outside<'_>) -> Option<Audit> {
    let block = root.optional_block("audit")?;
    let (file, key) = (block.text("file"), secret(&block, "key", outside));
    Some(Audit { file: outside.path(file?.text), key })
}

/// Whether this route's requests leave entries; `file` says that there is one to write to.
pub(super) fn audited(route: &Block<'_>, file: bool) -> Audited {
    let audited = match route.choice("audit") {
        "open" => Audited::Open,
        "closed" => Audited::Closed,
        _ => Audited::Off,
    };
    if audited != Audited::Off && !file {
        route.problem("audit", "needs a file to write to", "add `audit: {file: PATH}` at the top");
    }
    audited
}
