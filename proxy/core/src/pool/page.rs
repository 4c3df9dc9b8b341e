//! Who continues a search: a page belongs to the upstream that made the link to it.
//!
//! A server may keep the state of a search to itself, so another one would answer with an error or, worse, with
//! a page of another search. Those over the same record store are taken to share that state.

use super::Pool;
use super::choose::{Tier, Wish};
use crate::balance::Circumstances;
use crate::upstream::{Health, Upstream, UpstreamKey};

impl Pool {
    /// The maker of the link, else one over the same record store; none when all of them are out. Nobody else
    /// is a last resort here: it would not know the page.
    pub(super) fn page_candidate(
        &mut self,
        maker: UpstreamKey,
        wish: Wish<'_>,
        about: &mut Circumstances<'_>,
    ) -> Option<(usize, Tier)> {
        let (now, panic, domain) = (about.now, self.panic, self.domain(maker));
        let tier = if panic { Tier::Panic } else { Tier::Rotation };
        let knows =
            |held: &Upstream| held.is_open() && (held.key == maker || domain.is_some() && held.is_in(domain));
        let may_be_asked = |_: usize, held: &Upstream| {
            knows(held) && (panic || held.health.in_rotation()) && !wish.tried.contains(&held.key)
        };
        let willing = |held: &Upstream| now >= held.skip_until;
        let own = self.place(maker)?;
        let held = &self.upstreams[own];
        if may_be_asked(own, held) && willing(held) {
            return Some((own, tier));
        }
        if wish.may_probe
            && wish.tried.is_empty()
            && knows(held)
            && willing(held)
            && matches!(held.health, Health::Probing { busy: false, .. })
        {
            return Some((own, Tier::Probe));
        }
        if let Some(index) = self.pick(about, |index, held| may_be_asked(index, held) && willing(held)) {
            return Some((index, tier));
        }
        if let Some(index) = self.pick(about, may_be_asked) {
            return Some((index, Tier::Throttled));
        }
        let last_asked = |held: &Upstream| wish.tried.iter().rposition(|&asked| asked == held.key);
        let members = self.upstreams.iter().enumerate();
        let members = members.filter(|(_, held)| knows(held) && (panic || held.health.in_rotation()));
        members.min_by_key(|(_, held)| last_asked(held)).map(|(index, _)| (index, Tier::Again))
    }

    /// It would know this page, if the request is for one.
    pub(super) fn knows_page(&self, page: Option<UpstreamKey>) -> impl Fn(&Upstream) -> bool + Copy + use<> {
        let domain = page.and_then(|maker| self.domain(maker));
        move |held| page.is_none_or(|maker| held.key == maker || domain.is_some() && held.is_in(domain))
    }

    /// Somebody who was not tried yet knows the page too.
    pub(crate) fn has_untried_page(&self, tried: &[UpstreamKey], maker: UpstreamKey) -> bool {
        let knows = self.knows_page(Some(maker));
        let standing = |held: &Upstream| !held.health.is_draining();
        self.upstreams.iter().any(|held| !tried.contains(&held.key) && knows(held) && standing(held))
    }
}
