//! Who may be asked by a request that wishes for nothing in particular, written down.
//!
//! Nearly always the next choice is made among the same upstreams as the last one, so they are judged once and not at
//! each choice. What was found holds until a moment at which time alone changes it (a pause ends, a warming upstream
//! gains another hundredth, an ejected one may be probed), and is forgotten by whatever else does:
//! [`Crowd::forget`] is called where a judgement of `choose.rs` would come out differently. Where chance or a probe
//! plays a part in who may be asked, nothing is written down.
//!
//! It decides exactly as `choose.rs` does, to the last throw of the dice: a debug build judges again at each choice,
//! and so does the simulation; `pool/tests/crowd.rs` compares the choices.

use super::choose::Wish;
use super::{Choice, Pool, Rule, Tier};
use crate::balance::{Candidate, Circumstances, Members};
use crate::time::Timestamp;
use crate::upstream::{Health, Upstream};
use fastrand::Rng;

/// The candidates of an ordinary choice.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd {
    standing: Standing,
    /// Judged at this moment; what time it is by another thread's clock may be before it.
    from: Timestamp,
    /// From here on time has changed something.
    until: Timestamp,
    /// Everybody is in it, with all of its weight.
    is_whole: bool,
    members: Members,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// Something has changed since the last choice.
    #[default]
    Forgotten,
    /// And nothing since: it pays to write the candidates down. Where every request changes something it never does.
    Calm,
    Known,
    /// Every choice is judged anew.
    #[cfg(test)]
    Off,
}

impl Crowd {
    /// Somebody may be asked who might not, or the other way round, or weighs something else.
    pub(super) fn forget(&mut self) {
        #[cfg(test)]
        if self.standing == Standing::Off {
            return;
        }
        self.standing = Standing::Forgotten;
    }

    #[cfg(test)]
    pub(super) const fn switch_off(&mut self) {
        self.standing = Standing::Off;
    }

    #[cfg(test)]
    pub(super) fn is_known(&self) -> bool {
        self.standing == Standing::Known
    }
}

impl Pool {
    /// The choice of a request that wishes for nothing in particular, when the candidates are written down.
    pub(super) fn ordinary(&mut self, wish: &Wish<'_>, now: Timestamp, rng: &mut Rng) -> Option<Choice> {
        if !is_plain(wish) || !self.knows_the_crowd(now) || self.has_home(wish, now) {
            return None;
        }
        debug_assert!(self.crowd_is_right(now), "what changed an upstream was not heeded");
        let mut about = Circumstances { now, key: wish.key, rng };
        let upstreams = &self.upstreams;
        let look = |index: usize| candidate(index, &upstreams[index], now);
        let members = &self.crowd.members;
        let all = members.len() == upstreams.len();
        let out = || if all { self.out } else { members.sum(|index| upstreams[index].in_flight) };
        let place = self.balancer.pick_of(members, look, out, &mut about)?;
        Some(self.send_to(place, Tier::Rotation, wish, now))
    }

    /// Whoever was not taken by an ordinary choice a moment ago only did not have its turn.
    pub(super) fn sets_nobody_apart(&self, wish: &Wish<'_>, now: Timestamp) -> bool {
        let Crowd { standing, from, until, is_whole, .. } = self.crowd;
        let is_known = standing == Standing::Known && from <= now && now < until;
        is_known && is_whole && is_plain(wish) && !self.has_home(wish, now)
    }

    fn has_home(&self, wish: &Wish<'_>, now: Timestamp) -> bool {
        wish.reader.is_some_and(|client| self.affinity.home(client, now).is_some())
    }

    fn knows_the_crowd(&mut self, now: Timestamp) -> bool {
        match self.crowd.standing {
            Standing::Known if now < self.crowd.from => false,
            Standing::Known if now < self.crowd.until => true,
            Standing::Forgotten => {
                self.crowd.standing = Standing::Calm;
                false
            }
            Standing::Known | Standing::Calm => {
                let mut members = std::mem::take(&mut self.crowd.members);
                let until = self.judge_all(&mut members, now);
                let standing = if until.is_some() { Standing::Known } else { Standing::Forgotten };
                let is_whole = members.len() == self.upstreams.len()
                    && self.upstreams.iter().all(|held| held.strength(now) == 100);
                self.crowd = Crowd { standing, from: now, until: until.unwrap_or(now), is_whole, members };
                until.is_some()
            }
            #[cfg(test)]
            Standing::Off => false,
        }
    }

    /// Writes down who may be asked now, and says until when that holds; none where that is not so simple.
    fn judge_all(&self, members: &mut Members, now: Timestamp) -> Option<Timestamp> {
        members.clear();
        if self.panic || !self.spec.keeps(Rule::StandbyWaits) {
            return None;
        }
        let is_due = |held: &Upstream| match held.health {
            Health::Probing { busy, .. } => !busy,
            Health::Ejected { until, .. } => until <= now,
            _ => false,
        };
        let may = |held: &Upstream| {
            let willing = now >= held.skip_until && !held.is_being_verified(now);
            held.health.in_rotation() && willing && held.has_room()
        };
        if self.unwell > 0 && self.upstreams.iter().any(is_due) {
            return None;
        }
        let several = self.levels.len() > 1;
        let level = self.upstreams.iter().filter(|held| may(held)).map(Upstream::priority).min()?;
        let those =
            self.upstreams.iter().enumerate().filter(|(_, held)| held.priority() == level && may(held));
        // One that is not whole shares with the next level, by chance.
        if several && those.clone().all(|(_, held)| held.strength(now) < 100) {
            return None;
        }
        those.for_each(|(index, held)| members.push(index, held.effective_weight(now)));
        self.upstreams.iter().map(|held| held.changes_at(now)).min()
    }

    fn crowd_is_right(&self, now: Timestamp) -> bool {
        let mut members = Members::default();
        self.judge_all(&mut members, now).is_some()
            && members == self.crowd.members
            && self.out == self.upstreams.iter().map(|held| u64::from(held.in_flight)).sum::<u64>()
    }
}

/// It asks for nobody in particular, and keeps away from nobody.
const fn is_plain(wish: &Wish<'_>) -> bool {
    wish.tried.is_empty()
        && wish.inside.is_none()
        && wish.page.is_none()
        && wish.avoid.is_none()
        && wish.again_at.is_none()
}

pub(super) fn candidate(index: usize, held: &Upstream, now: Timestamp) -> Candidate {
    Candidate { index, weight: held.effective_weight(now), in_flight: held.in_flight, latency: held.latency }
}
