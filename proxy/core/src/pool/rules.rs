//! The rules that no configuration can switch off, and that an experiment can.
//!
//! A rule whose absence nothing notices would be none. So a test switches each of them off, one at a time, and
//! names the law that breaks without it (`tests/simulation/without.rs`).

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// An upstream is asked twice only when every other one was asked once.
    OthersFirst,
    /// An ejected upstream is probed by one request at a time.
    OneProbe,
    /// The ejections of a fleet do not end together.
    EjectionJitter,
    /// A denial condemns nobody until it is verified.
    VerifyDenials,
    /// The last healthy upstream stays.
    KeepTheLast,
    /// A gateway that throttles is left alone for a moment.
    HeedThrottles,
    /// What must not be executed twice is not sent twice.
    SpareWrites,
    /// An unsure write does not leave its record store.
    StayInDomain,
    /// A request that a gateway denied moves once.
    MoveOnce,
    /// What an attempt learnt before an upstream's health last changed says nothing after it.
    ForgetTheStale,
    /// Leaving an upstream that was put out costs no budget.
    LeaveFreely,
    /// An attempt that the request's own end cut short blames nobody.
    BlameNoHaste,
    /// Only what reads is hedged.
    HedgeReads,
    /// Hedges have a budget.
    HedgeBudget,
    /// Whoever loses a race is let run on before it is blamed.
    LosersRunOn,
    /// Nobody is sent to an upstream that is drained.
    SpareDrained,
    /// A read that waits for an upstream leaves it when it is ejected.
    LeaveAtOnce,
    /// A read does not wait for one upstream until its time is up.
    LastCall,
    /// A higher priority number is asked only in the measure that lower ones cannot carry the request.
    StandbyWaits,
    /// A client reads where it wrote.
    ReadOwnWrites,
    /// A check excuses only what it can see.
    ExcuseWhatIsSeen,
    /// An unsure write has a limit of attempts of its own.
    CapUnsure,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 22] = [
        Self::OthersFirst,
        Self::OneProbe,
        Self::EjectionJitter,
        Self::VerifyDenials,
        Self::KeepTheLast,
        Self::HeedThrottles,
        Self::SpareWrites,
        Self::StayInDomain,
        Self::MoveOnce,
        Self::ForgetTheStale,
        Self::LeaveFreely,
        Self::BlameNoHaste,
        Self::HedgeReads,
        Self::HedgeBudget,
        Self::LosersRunOn,
        Self::SpareDrained,
        Self::LeaveAtOnce,
        Self::LastCall,
        Self::StandbyWaits,
        Self::ReadOwnWrites,
        Self::ExcuseWhatIsSeen,
        Self::CapUnsure,
    ];
}
