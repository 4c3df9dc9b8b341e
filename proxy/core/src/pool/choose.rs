//! Who is asked next.

use super::crowd::candidate;
use super::{Pool, Rule};
use crate::balance::{BalancePolicy, Circumstances};
use crate::time::Timestamp;
use crate::upstream::{DomainKey, Health, Upstream, UpstreamKey};
use fastrand::Rng;

/// What the exchange brings to the choice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Upstreams this request has asked already, in order.
    pub tried: &'a [UpstreamKey],
    /// This request can be rescued if the upstream fails it, so it may be the probe.
    pub may_probe: bool,
    /// What a hashing policy hashes it by.
    pub key: Option<u64>,
    /// It writes, and may have been carried out already in this record store: no other may be asked.
    pub inside: Option<DomainKey>,
    /// It reads for this client, which wants to find there what it wrote.
    pub reader: Option<u64>,
    /// It follows a link that this upstream made: nobody else need know the page.
    pub page: Option<UpstreamKey>,
    /// It keeps away from this upstream while another one that is willing stands in rotation.
    pub avoid: Option<UpstreamKey>,
    /// This upstream refused our signature: it is asked again, signed anew.
    pub again_at: Option<UpstreamKey>,
}

/// Why this upstream was taken, from the first wish to the last resort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Nobody is healthy: everybody is eligible.
    Panic,
    /// An ejected upstream's time has come.
    Probe,
    /// The ordinary case.
    Rotation,
    /// Everybody else was tried: one that throttles is asked all the same.
    Throttled,
    /// Everybody else was tried: an ejected one is a last resort, not a void.
    LastResort,
    /// Everybody was tried, or this one refused our signature: once more.
    Again,
}

impl Tier {
    /// A stable name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Probe => "probe",
            Self::Rotation => "rotation",
            Self::Throttled => "throttled",
            Self::LastResort => "last_resort",
            Self::Again => "again",
        }
    }
}

/// The chosen upstream, and what the pool must remember about the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which upstream.
    pub upstream: UpstreamKey,
    /// Why.
    pub tier: Tier,
    /// Where it stood as it was chosen, and most likely stands.
    pub(super) place: usize,
    /// Its record store, when that is known by name.
    pub(crate) store: Option<DomainKey>,
    pub(super) epoch: u32,
    /// When it was made; none once the upstream's latency is known.
    pub(super) since: Option<Timestamp>,
    /// Its upstream's pace may be judged by it.
    pub(super) paced: bool,
    /// It was far too slow; when it was made.
    pub(super) slow_since: Option<Timestamp>,
    /// A drill's fault is done to it: what came of it is not the upstream's own.
    pub(super) drilled: bool,
    /// What it takes tells what reads of the pool usually take.
    pub(super) is_usual: bool,
}

impl Choice {
    /// An upstream in rotation, beside a late one: that says nothing about the usual.
    fn of(held: &Upstream, place: usize, now: Timestamp) -> Self {
        Self {
            upstream: held.key,
            tier: Tier::Rotation,
            place,
            store: held.domain,
            epoch: held.epoch,
            since: Some(now),
            paced: true,
            slow_since: None,
            drilled: false,
            is_usual: false,
        }
    }

    /// This attempt is the probe of an ejected upstream.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.tier == Tier::Probe
    }
}

impl Pool {
    /// Chooses an upstream for an attempt; none only when the pool has no upstream, none with room, or none that
    /// knows the page. Every choice must be settled once by [`Pool::settle`].
    pub fn choose(&mut self, wish: Wish<'_>, now: Timestamp, rng: &mut Rng) -> Option<Choice> {
        if let Some(choice) = self.ordinary(&wish, now, rng) {
            return Some(choice);
        }
        if self.unwell > 0 {
            self.open_probes(now);
        }
        let (place, tier) = self.candidate(wish, now, rng)?;
        Some(self.send_to(place, tier, &wish, now))
    }

    pub(super) fn send_to(&mut self, place: usize, tier: Tier, wish: &Wish<'_>, now: Timestamp) -> Choice {
        self.goes_out(place);
        let held = &mut self.upstreams[place];
        if tier == Tier::Probe {
            self.crowd.forget();
            held.probed_at = now;
            if let Health::Probing { busy, .. } = &mut held.health {
                *busy = self.spec.keeps(Rule::OneProbe);
            }
        }
        Choice {
            tier,
            paced: wish.may_probe,
            is_usual: wish.reader.is_some(),
            ..Choice::of(held, place, now)
        }
    }

    fn goes_out(&mut self, place: usize) {
        let held = &mut self.upstreams[place];
        held.in_flight += 1;
        self.out += 1;
        if !held.has_room() {
            self.crowd.forget();
        }
    }

    pub(super) fn comes_back(&mut self, place: usize) {
        let held = &mut self.upstreams[place];
        if !held.has_room() {
            self.crowd.forget();
        }
        if held.in_flight > 0 {
            held.in_flight -= 1;
            self.out = self.out.saturating_sub(1);
        }
    }

    /// Chooses an upstream for a second attempt beside one that is out: only one in rotation that was not tried
    /// yet. None where nobody is healthy: more requests would not help. It must be settled like any other.
    pub fn choose_beside(&mut self, wish: Wish<'_>, now: Timestamp, rng: &mut Rng) -> Option<Choice> {
        if self.panic {
            return None;
        }
        let mut about = Circumstances { now, key: wish.key, rng };
        let home = wish.reader.and_then(|client| self.affinity.home(client, now));
        let knows = self.knows_page(wish.page);
        let fit = |home| {
            move |_: usize, held: &Upstream| {
                let willing = now >= held.skip_until && !held.is_being_verified(now) && held.is_in(home);
                let room = held.health.in_rotation() && held.has_room();
                let may = Some(held.key) != wish.avoid && !wish.tried.contains(&held.key);
                willing && room && knows(held) && may
            }
        };
        let place = self.pick(&mut about, fit(home)).or_else(|| self.pick(&mut about, fit(None)))?;
        self.goes_out(place);
        Some(Choice::of(&self.upstreams[place], place, now))
    }

    /// A request that waits for this choice had better go elsewhere: the upstream was put out of rotation since,
    /// and somebody in rotation could serve it.
    pub(crate) fn is_better_left(&self, choice: Choice, page: Option<UpstreamKey>) -> bool {
        let knows = self.knows_page(page);
        let serves = |held: &Upstream| {
            held.health.in_rotation() && held.has_room() && held.key != choice.upstream && knows(held)
        };
        // Who is at a drained one is served there to the end.
        let put_out = |held: &Upstream| {
            held.epoch != choice.epoch && !held.health.in_rotation() && !held.health.is_draining()
        };
        let was_put_out = self.upstream(choice.upstream).is_some_and(put_out);
        !self.panic && was_put_out && self.upstreams.iter().any(serves)
    }

    /// Where the chosen upstream stands; none when it is not configured any more.
    pub(super) fn place_of(&self, choice: Choice) -> Option<usize> {
        let stands = self.upstreams.get(choice.place).is_some_and(|held| held.key == choice.upstream);
        if stands { Some(choice.place) } else { self.place(choice.upstream) }
    }

    /// The attempt has its answer's head: what follows may stream for hours, so the next probe need not wait,
    /// and how long it takes says nothing about the upstream's speed.
    pub(crate) fn streams(&mut self, choice: Choice, now: Timestamp) -> Choice {
        self.time(choice, now);
        let slow_since = choice.since.filter(|_| self.book_pace(choice, now));
        if let Some(place) = self.place_of(choice)
            && let held = &mut self.upstreams[place]
            && choice.is_probe()
            && held.epoch == choice.epoch
            && let Health::Probing { busy, .. } = &mut held.health
        {
            *busy = false;
            self.crowd.forget();
        }
        Choice { tier: Tier::LastResort, since: None, slow_since, ..choice }
    }

    /// Books how long an answer took.
    pub(super) fn time(&mut self, choice: Choice, now: Timestamp) {
        let Some(since) = choice.since else { return };
        if choice.is_usual {
            self.tail.answered(now.since(since));
        }
        if self.spec.balance == BalancePolicy::PeakEwma
            && let Some(place) = self.place_of(choice)
        {
            self.upstreams[place].latency.answered(now.since(since), now);
        }
    }

    /// Somebody carries all that it may.
    pub(crate) fn lacks_room(&self) -> bool {
        self.upstreams.iter().any(|held| !held.health.is_draining() && !held.has_room())
    }

    /// Somebody who was not tried yet could be asked.
    pub(crate) fn has_untried(&self, tried: &[UpstreamKey], inside: Option<DomainKey>) -> bool {
        let standing = |held: &Upstream| !held.health.is_draining();
        self.upstreams.iter().any(|held| !tried.contains(&held.key) && held.is_in(inside) && standing(held))
    }

    /// Somebody could be asked, if only once more.
    pub(crate) fn has_anybody(&self, inside: Option<DomainKey>, page: Option<UpstreamKey>) -> bool {
        let knows = self.knows_page(page);
        let could = |held: &Upstream| !held.health.is_draining() && held.is_in(inside) && knows(held);
        self.upstreams.iter().any(could)
    }

    /// A conditional create that this upstream may have carried out can be repeated although its record store has
    /// no name: there is no other upstream.
    pub(crate) fn is_only(&self, upstream: UpstreamKey) -> bool {
        matches!(&self.upstreams[..], [only] if only.key == upstream)
    }

    /// The record store of an upstream, when it is known by name.
    pub(crate) fn domain(&self, upstream: UpstreamKey) -> Option<DomainKey> {
        self.upstream(upstream).and_then(|held| held.domain)
    }

    fn candidate(&mut self, wish: Wish<'_>, now: Timestamp, rng: &mut Rng) -> Option<(usize, Tier)> {
        let mut about = Circumstances { now, key: wish.key, rng };
        // If others took its room since, anybody may be asked: nothing was executed.
        let again = wish.again_at.and_then(|key| self.place(key));
        if let Some(index) = again.filter(|&index| self.upstreams[index].has_room()) {
            return Some((index, Tier::Again));
        }
        if let Some(maker) = wish.page {
            return self.page_candidate(maker, wish, &mut about);
        }
        let inside = wish.inside;
        let spares = self.spec.keeps(Rule::SpareDrained);
        let spared = move |held: &Upstream| if spares { held.is_open() } else { held.has_room() };
        let home = wish.reader.and_then(|client| self.affinity.home(client, now));
        let tried = if self.spec.keeps(Rule::OthersFirst) { wish.tried } else { &[] };
        let open =
            |_: usize, held: &Upstream| !tried.contains(&held.key) && held.is_in(inside) && spared(held);
        let willing = |held: &Upstream| now >= held.skip_until && !held.is_being_verified(now);
        let rotation = |held: &Upstream| held.health.in_rotation();
        // First where the client wrote; but a stale answer is better than none.
        for home in [home, None].into_iter().skip(usize::from(home.is_none())) {
            let first = |index: usize, held: &Upstream| {
                Some(held.key) != wish.avoid && open(index, held) && willing(held) && held.is_in(home)
            };
            if self.panic
                // Whom to prefer is a question among the healthy: here everybody is eligible.
                && let Some(index) = self.pick_any(&mut about, first)
            {
                return Some((index, Tier::Panic));
            }
            if self.unwell > 0
                && wish.tried.is_empty()
                && let Some(index) = self.due_probe(wish, home, now)
            {
                return Some((index, Tier::Probe));
            }
            if let Some(index) = self.pick(&mut about, |index, held| rotation(held) && first(index, held)) {
                return Some((index, Tier::Rotation));
            }
        }
        let avoided = wish.avoid.and_then(|key| self.place(key));
        if let Some(index) = avoided
            && let held = &self.upstreams[index]
            && rotation(held)
            && willing(held)
            && open(index, held)
        {
            return Some((index, Tier::Rotation));
        }
        if let Some(index) = self.pick(&mut about, |index, held| rotation(held) && open(index, held)) {
            return Some((index, Tier::Throttled));
        }
        if let Some(index) = self.pick(&mut about, open) {
            return Some((index, Tier::LastResort));
        }
        let again = self.again(wish.tried, inside);
        again.map(|index| (index, Tier::Again))
    }

    /// One of the eligible, of the lowest priority that carries the request.
    pub(super) fn pick(
        &mut self,
        about: &mut Circumstances<'_>,
        eligible: impl Fn(usize, &Upstream) -> bool + Copy,
    ) -> Option<usize> {
        if self.levels.len() < 2 || !self.spec.keeps(Rule::StandbyWaits) {
            return self.pick_any(about, eligible);
        }
        let level = self.level(about, eligible)?;
        self.pick_any(about, |index, held| held.spec.priority == level && eligible(index, held))
    }

    /// The lowest priority that carries this request.
    ///
    /// A group carries everything while one of its eligible members is at full strength, and otherwise as much
    /// as its strongest: what a warming region, or one whose application asks for less, does not take spills
    /// over. One lost region of two does not make the rest spill: with two to four regions a share computed
    /// from weights would send half of all requests across the continent although the remaining region may
    /// well carry them, and behind API Gateway it scales. Whether it does it says itself: by a throttle,
    /// which takes it out of the eligible for a moment, and only then and so long the next group serves.
    fn level(
        &self,
        about: &mut Circumstances<'_>,
        eligible: impl Fn(usize, &Upstream) -> bool,
    ) -> Option<u32> {
        let mut weaker = None;
        for &level in &self.levels {
            let members = self.upstreams.iter().enumerate();
            let members =
                members.filter(|(index, held)| held.spec.priority == level && eligible(*index, held));
            match members.map(|(_, held)| held.strength(about.now)).max() {
                None => {}
                Some(strength) if strength >= 100 || about.rng.u32(0..100) < strength => return Some(level),
                Some(_) => weaker = weaker.or(Some(level)),
            }
        }
        weaker
    }

    fn pick_any(
        &mut self,
        about: &mut Circumstances<'_>,
        eligible: impl Fn(usize, &Upstream) -> bool + Copy,
    ) -> Option<usize> {
        let now = about.now;
        let eligible = self.upstreams.iter().enumerate().filter(move |(index, held)| eligible(*index, held));
        let candidates = eligible.map(move |(index, held)| candidate(index, held, now));
        self.balancer.pick(candidates, about)
    }

    /// One that stands in rotation if there is any, and among those the one asked longest ago.
    fn again(&self, tried: &[UpstreamKey], inside: Option<DomainKey>) -> Option<usize> {
        let last_asked = |held: &Upstream| tried.iter().rposition(|&asked| asked == held.key).unwrap_or(0);
        let open = self.upstreams.iter().enumerate().filter(|(_, held)| held.is_in(inside) && held.is_open());
        let first = open.min_by_key(|(_, held)| (!held.health.in_rotation(), last_asked(held)));
        first.map(|(index, _)| index)
    }
}
