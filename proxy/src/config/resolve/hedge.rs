//! When a second attempt goes out beside a late one.

use crate::config::block::{Block, Text};
use crate::config::problem::quoted;
use crate::config::units::{duration, show_duration};
use aorta_core::bounds::Ratio;
use aorta_core::hedge::{HedgeAfter, HedgePolicy};
use aorta_core::timeout::Timeouts;
use std::time::Duration;

/// The policy; `retry` and `timeouts` say whether there can be a second attempt at all.
pub(super) fn hedge(block: &Block<'_>, retry: &Block<'_>, timeouts: &Timeouts) -> HedgePolicy {
    let enabled = block.flag("enabled");
    if enabled && retry.count("attempts_max") < 2 {
        let wrong = "needs a second attempt, and retry.attempts_max is 1";
        block.problem("enabled", wrong, "raise retry.attempts_max, or write `false`");
    }
    HedgePolicy {
        enabled,
        after: block.text("after").and_then(|text| after(block, &text, timeouts)).unwrap_or(HedgeAfter::P95),
        after_min: block.duration("after_min"),
        budget: Ratio::percent(u8::try_from(block.count("budget_percent")).unwrap_or(100)),
    }
}

fn after(block: &Block<'_>, text: &Text<'_>, timeouts: &Timeouts) -> Option<HedgeAfter> {
    if text.text == "p95" {
        return Some(HedgeAfter::P95);
    }
    let fixed = duration(text.text).filter(|fixed| *fixed >= Duration::from_millis(1));
    match fixed {
        None => {
            let wrong = format!("{} is neither `p95` nor a time", quoted(text.text));
            block.problem("after", wrong, "write `p95`, or a time such as `200ms`");
        }
        Some(fixed) if fixed >= timeouts.attempt => {
            let limit = show_duration(timeouts.attempt);
            let wrong = format!("{} is not before an attempt ends ({limit})", show_duration(fixed));
            block.problem("after", wrong, "write less than timeouts.attempt");
        }
        Some(_) => {}
    }
    fixed.map(HedgeAfter::Fixed)
}
