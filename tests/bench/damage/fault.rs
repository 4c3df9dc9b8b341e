//! The ways a region fails in a damage run.

use crate::region::Region;

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing happens: what the machine does by itself.
    None,
    /// Its process is killed: connecting is refused.
    Killed,
    /// Its process is stopped: the system accepts, nobody answers.
    Frozen,
    /// What its control port is told, and the milliseconds that go with it.
    Ordered(&'static str, u64),
}

impl Fault {
    /// All of them.
    pub(super) const ALL: [Self; 18] = [
        Self::Killed,
        Self::Frozen,
        Self::Ordered("disabled", 0),
        Self::Ordered("slow", 2000),
        Self::Ordered("hang", 0),
        Self::Ordered("throttled", 0),
        Self::Ordered("internal", 0),
        Self::Ordered("bad_gateway", 0),
        Self::Ordered("unavailable", 0),
        Self::Ordered("gateway_timeout", 0),
        Self::Ordered("reset_before", 0),
        Self::Ordered("reset_inside", 0),
        Self::Ordered("late_execution", 0),
        Self::Ordered("truncate", 0),
        Self::Ordered("garbage", 0),
        Self::Ordered("envelope_500", 0),
        Self::Ordered("lambda_error", 0),
        Self::Ordered("html", 0),
    ];

    /// Those that cut an answer off.
    pub(super) const CUTS: [Self; 2] = [Self::Ordered("reset_inside", 0), Self::Ordered("truncate", 0)];

    /// Those in which a client waits, unless somebody asks elsewhere before the attempt's time is up.
    pub(super) const WAITING: [Self; 3] =
        [Self::Frozen, Self::Ordered("hang", 0), Self::Ordered("slow", 2000)];

    /// The row's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "well",
            Self::Killed => "killed, refuses connections",
            Self::Frozen => "frozen (SIGSTOP)",
            Self::Ordered("disabled", _) => "403, endpoint disabled",
            Self::Ordered("slow", _) => "2 s slow",
            Self::Ordered("hang", _) => "hangs",
            Self::Ordered("throttled", _) => "429, throttled",
            Self::Ordered("internal", _) => "500",
            Self::Ordered("bad_gateway", _) => "502",
            Self::Ordered("unavailable", _) => "503",
            Self::Ordered("gateway_timeout", _) => "504",
            Self::Ordered("reset_before", _) => "reset, before execution",
            Self::Ordered("reset_inside", _) => "reset inside the body",
            Self::Ordered("late_execution", _) => "reset, after execution",
            Self::Ordered("truncate", _) => "truncated body",
            Self::Ordered("garbage", _) => "garbage",
            Self::Ordered("envelope_500", _) => "500 wrapped in a 200",
            Self::Ordered("lambda_error", _) => "Lambda error in a 200",
            Self::Ordered("html", _) => "HTML in a 200",
            Self::Ordered(kind, _) => kind,
        }
    }

    /// Puts it in force.
    pub(super) async fn begin(self, region: &mut Region) -> anyhow::Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Killed => region.kill().await,
            Self::Frozen => {
                region.freeze();
                Ok(())
            }
            Self::Ordered(kind, millis) => region.fault(kind, millis).await,
        }
    }

    /// Ends it.
    pub(super) async fn end(self, region: &mut Region) -> anyhow::Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Killed => region.restart().await,
            Self::Frozen => {
                region.thaw();
                Ok(())
            }
            Self::Ordered(..) => region.heal().await,
        }
    }
}
