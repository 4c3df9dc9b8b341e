//! Who continues a search: a page belongs to the upstream that made the link to it.
//!
//! A server may keep the state of a search to itself, so another one would answer with an error or, worse, with
//! a page of another search. Those over the same record store are taken to share that state.

use super::Pool;
use super::choose::{Tier, Wish};
use crate::balance::Circumstances;
use crate::upstream::{Health, Upstream};

impl Pool {
    /// The maker of the link, else one over the same record store; none when all of them are out. Nobody else
    /// is a last resort here: it would not know the page.
    pub(super) fn page_candidate(
        &mut self,
        maker: usize,
        wish: Wish<'_>,
        about: &mut Circumstances<'_>,
    ) -> Option<(usize, Tier)> {
        let (now, panic, domain) = (about.now, self.panic, self.domain(Some(maker)));
        let tier = if panic { Tier::Panic } else { Tier::Rotation };
        let knows = |index: usize, held: &Upstream| {
            held.has_room() && (index == maker || domain.is_some() && held.is_in(domain))
        };
        let may_be_asked = |index: usize, held: &Upstream| {
            knows(index, held) && (panic || held.health.in_rotation()) && !wish.tried.contains(&index)
        };
        let willing = |held: &Upstream| now >= held.skip_until;
        let held = self.upstreams.get(maker)?;
        if may_be_asked(maker, held) && willing(held) {
            return Some((maker, tier));
        }
        if wish.may_probe
            && wish.tried.is_empty()
            && knows(maker, held)
            && willing(held)
            && matches!(held.health, Health::Probing { busy: false, .. })
        {
            return Some((maker, Tier::Probe));
        }
        if let Some(index) = self.pick(about, |index, held| may_be_asked(index, held) && willing(held)) {
            return Some((index, tier));
        }
        if let Some(index) = self.pick(about, may_be_asked) {
            return Some((index, Tier::Throttled));
        }
        let last_asked = |index: usize| wish.tried.iter().rposition(|&asked| asked == index);
        let members = self.upstreams.iter().enumerate();
        let members =
            members.filter(|(index, held)| knows(*index, held) && (panic || held.health.in_rotation()));
        members.min_by_key(|(index, _)| last_asked(*index)).map(|(index, _)| (index, Tier::Again))
    }

    /// It would know this page, if the request is for one.
    pub(super) fn knows_page(&self, page: Option<usize>) -> impl Fn(usize, &Upstream) -> bool + Copy + use<> {
        let domain = self.domain(page);
        move |index, held| page.is_none_or(|maker| index == maker || domain.is_some() && held.is_in(domain))
    }

    /// Somebody who was not tried yet knows the page too.
    pub(crate) fn has_untried_page(&self, tried: &[usize], maker: usize) -> bool {
        let domain = self.domain(Some(maker));
        let open = |(index, held): (usize, &Upstream)| {
            !tried.contains(&index) && (index == maker || domain.is_some() && held.is_in(domain))
        };
        self.upstreams.iter().enumerate().any(open)
    }
}
