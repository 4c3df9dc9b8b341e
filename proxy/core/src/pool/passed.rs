//! Who was passed over at a choice, and why: for people who ask, never for decisions.

use super::{Choice, Pool, Tier, Wish};
use crate::time::Timestamp;
use crate::upstream::{DomainKey, Health, Upstream, UpstreamKey};
use std::fmt;

/// Upstreams that are remembered of one choice: all the others of a pool of nine.
pub const PASSED_MAX: usize = 8;
/// In a larger pool so many are looked at: a choice among hundreds must not become dearer for who may ask.
const LOOKED_AT_MAX: usize = 32;

/// Why an attempt did not go to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// It takes no new request, by order.
    Drained,
    /// It does not know the page of the search that is asked for.
    OtherPage,
    /// The request writes, and may have been carried out in another record store.
    OtherDomain,
    /// It carries all that it may.
    NoRoom,
    /// This request has asked it already.
    Tried,
    /// Another one refused the proxy's signature, and is asked once more.
    SignedAnew,
    /// It is out.
    Ejected,
    /// It is out, and another request finds out whether it is back.
    BeingProbed,
    /// It is out, and this request is not fit to find out whether it is back.
    UnfitToProbe,
    /// It throttles.
    Throttled,
    /// It is being found out whether its denial was its own fault.
    BeingVerified,
    /// A drill wants the request elsewhere.
    Drilled,
    /// An ejected one was to be probed.
    ProbeFirst,
    /// Its client wrote elsewhere a moment ago.
    WriteAffinity,
    /// One of a lower number could serve.
    Priority,
    /// It takes less than its whole share: it warms up, or was asked for less.
    Share,
    /// It was not its turn.
    Turn,
}

impl Skip {
    /// Every reason, in the order in which they are thought of.
    pub const ALL: [Self; 17] = [
        Self::Drained,
        Self::OtherPage,
        Self::OtherDomain,
        Self::NoRoom,
        Self::Tried,
        Self::SignedAnew,
        Self::Ejected,
        Self::BeingProbed,
        Self::UnfitToProbe,
        Self::Throttled,
        Self::BeingVerified,
        Self::Drilled,
        Self::ProbeFirst,
        Self::WriteAffinity,
        Self::Priority,
        Self::Share,
        Self::Turn,
    ];

    /// A stable name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::OtherPage => "other_page",
            Self::OtherDomain => "other_data_domain",
            Self::NoRoom => "no_room",
            Self::Tried => "already_tried",
            Self::SignedAnew => "signed_anew",
            Self::Ejected => "ejected",
            Self::BeingProbed => "being_probed",
            Self::UnfitToProbe => "unfit_to_probe",
            Self::Throttled => "throttled",
            Self::BeingVerified => "being_verified",
            Self::Drilled => "drilled",
            Self::ProbeFirst => "probe_first",
            Self::WriteAffinity => "write_affinity",
            Self::Priority => "priority",
            Self::Share => "share",
            Self::Turn => "turn",
        }
    }
}

/// The upstreams that an attempt did not go to, up to [`PASSED_MAX`]. Of a larger pool those are left out first that
/// only did not have their turn.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed {
    // Apart, so that they take 40 bytes: each attempt has them, and so have the requests that are remembered. The keys of
    // four thousand million upstreams that came and went are told apart.
    keys: [u32; PASSED_MAX],
    skips: [Option<Skip>; PASSED_MAX],
}

impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Passed {
    /// Each with the first reason that kept it from being asked, in configured order.
    pub fn iter(&self) -> impl Iterator<Item = (UpstreamKey, Skip)> {
        let keys = self.keys.iter().map(|&key| UpstreamKey(u64::from(key)));
        keys.zip(self.skips).filter_map(|(key, skip)| Some((key, skip?)))
    }

    /// False when there was no room.
    fn push(&mut self, key: UpstreamKey, skip: Skip) -> bool {
        let free = self.skips.iter().position(Option::is_none);
        if let Some(place) = free {
            self.keys[place] = u32::try_from(key.0).unwrap_or(u32::MAX);
            self.skips[place] = Some(skip);
        }
        free.is_some()
    }
}

/// What a choice went by.
struct Ground<'a> {
    wish: &'a Wish<'a>,
    /// Where it went, and from what wish to what last resort; nothing when nobody could be asked.
    taken: Option<(&'a Upstream, Tier)>,
    home: Option<DomainKey>,
    /// The record store of who made the page that is asked for.
    page_domain: Option<DomainKey>,
    now: Timestamp,
}

impl Pool {
    /// Whom the choice that was just made passed over; `taken` is none when nobody could be asked.
    pub(crate) fn passed(&self, wish: &Wish<'_>, taken: Option<&Choice>, now: Timestamp) -> Passed {
        let is_small = self.upstreams.len() <= PASSED_MAX + 1;
        if !is_small && taken.is_some() && self.sets_nobody_apart(wish, now) {
            return Passed::default();
        }
        let taken = taken.and_then(|choice| Some((self.upstreams.get(choice.place)?, choice.tier)));
        let ground = Ground {
            wish,
            taken,
            home: wish.reader.and_then(|client| self.affinity.home(client, now)),
            page_domain: wish.page.and_then(|maker| self.domain(maker)),
            now,
        };
        let mut passed = Passed::default();
        for held in self.upstreams.iter().take(LOOKED_AT_MAX) {
            if taken.is_some_and(|(taken, _)| taken.key == held.key) {
                continue;
            }
            let skip = ground.skip(held);
            if (is_small || !matches!(skip, Skip::Turn | Skip::Priority)) && !passed.push(held.key, skip) {
                break;
            }
        }
        passed
    }
}

impl Ground<'_> {
    /// What the request could not do anything about comes first, then what has befallen the upstream, and then whom the
    /// pool prefers.
    fn skip(&self, held: &Upstream) -> Skip {
        self.unfit(held).or_else(|| self.unwell(held)).unwrap_or_else(|| self.not_preferred(held))
    }

    fn unfit(&self, held: &Upstream) -> Option<Skip> {
        let Wish { page, inside, tried, again_at, .. } = *self.wish;
        let knows = |maker| held.key == maker || self.page_domain.is_some() && held.is_in(self.page_domain);
        let is_again = |(taken, tier): (&Upstream, Tier)| tier == Tier::Again && again_at == Some(taken.key);
        match () {
            () if held.health.is_draining() => Some(Skip::Drained),
            () if page.is_some_and(|maker| !knows(maker)) => Some(Skip::OtherPage),
            () if !held.is_in(inside) => Some(Skip::OtherDomain),
            () if !held.has_room() => Some(Skip::NoRoom),
            () if tried.contains(&held.key) => Some(Skip::Tried),
            () if self.taken.is_some_and(is_again) => Some(Skip::SignedAnew),
            () => None,
        }
    }

    fn unwell(&self, held: &Upstream) -> Option<Skip> {
        // There everybody is eligible.
        let panic = self.tier() == Some(Tier::Panic);
        match held.health {
            Health::Ejected { .. } if !panic => Some(Skip::Ejected),
            _ if self.now < held.skip_until => Some(Skip::Throttled),
            _ if held.is_being_verified(self.now) => Some(Skip::BeingVerified),
            Health::Probing { busy: true, .. } if !panic => Some(Skip::BeingProbed),
            Health::Probing { .. } if !panic && self.tier() != Some(Tier::Probe) => Some(Skip::UnfitToProbe),
            _ => None,
        }
    }

    fn not_preferred(&self, held: &Upstream) -> Skip {
        let Some((taken, tier)) = self.taken else { return Skip::Turn };
        let away_from_home = self.home.is_some() && taken.is_in(self.home) && !held.is_in(self.home);
        match () {
            () if self.wish.avoid == Some(held.key) => Skip::Drilled,
            () if tier == Tier::Probe && held.health.in_rotation() => Skip::ProbeFirst,
            () if away_from_home => Skip::WriteAffinity,
            () if held.spec.priority > taken.spec.priority => Skip::Priority,
            () if held.strength(self.now) < 100 => Skip::Share,
            () => Skip::Turn,
        }
    }

    fn tier(&self) -> Option<Tier> {
        self.taken.map(|(_, tier)| tier)
    }
}
