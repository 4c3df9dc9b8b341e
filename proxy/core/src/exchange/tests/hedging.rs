//! A second attempt beside a late one.

use super::*;
use crate::exchange::Came as Ended;
use crate::hedge::{HedgeAfter, HedgePolicy};
use crate::receipt::Felt;
use std::num::NonZeroU8;

const P95: Duration = Duration::from_millis(250);

/// A pool that hedges, of which nothing is known yet.
pub(super) fn hedging(upstreams: usize) -> Desk {
    let mut spec = spec(upstreams);
    spec.hedge.enabled = true;
    Desk::new(spec)
}

impl Desk {
    pub(super) fn hedge(&mut self, exchange: &mut Exchange) -> Option<Attempt> {
        exchange.hedge(&mut self.pool, self.now, &mut self.rng).ok()
    }

    /// An exchange whose first attempt is late, and whose second one has gone out.
    fn race(&mut self) -> (Exchange, Attempt, Attempt) {
        let mut exchange = self.open(Safety::Safe);
        let first = self.choose(&mut exchange);
        self.now = first.hedge_at.expect("a read is hedged");
        let second = self.hedge(&mut exchange).expect("somebody else is in rotation");
        (exchange, first, second)
    }

    pub(super) fn end(&mut self, straggler: Straggler, came: Ended<'_>) -> Late {
        straggler.end(came, &mut self.pool, self.now, &mut self.rng)
    }

    pub(super) fn states(&self) -> Vec<&'static str> {
        self.pool.upstreams().iter().map(|held| held.health().name()).collect()
    }
}

#[test]
fn the_first_answer_that_would_be_forwarded_wins() {
    for winner in [1, 2] {
        let mut desk = hedging(2);
        let (mut exchange, first, second) = desk.race();
        assert_ne!(first.upstream, second.upstream);
        assert_eq!((second.number, second.hedge_at, second.probe), (2, None, false));
        assert_eq!(desk.judge_of(&mut exchange, winner, OK), Verdict::Forward);
        let straggler = exchange.take_straggler().expect("the other one lost");
        assert!(exchange.take_straggler().is_none());
        let receipt = desk.close(exchange);
        assert_eq!(receipt.felt(), if winner == 1 { Felt::Ok } else { Felt::Rescued });
        let classes: Vec<_> = receipt.attempts.iter().map(|attempt| attempt.class).collect();
        assert_eq!((classes[winner - 1], classes[2 - winner]), (Class::Answered, Class::Overtaken));
        assert_eq!(receipt.attempts.iter().map(|attempt| attempt.hedge).collect::<Vec<_>>(), [false, true]);
        assert_eq!(receipt.attempts.deciding().unwrap().upstream, [first, second][winner - 1].upstream);
        assert!(!desk.at_rest(), "the loser is still out");
        let late = desk.end(straggler, Ended::Answer(&facts(200, BodyFacts::Json)));
        assert_eq!((late.class, late.upstream), (Class::Answered, [second, first][winner - 1].upstream));
        assert!(desk.at_rest());
    }
}

#[test]
fn an_answer_that_streams_wins_too() {
    let mut desk = hedging(2);
    let (mut exchange, ..) = desk.race();
    let ok = facts(200, BodyFacts::Unseen);
    let verdict = exchange.answered(&mut desk.pool, 2, (&ok, false), desk.now, &mut desk.rng);
    assert_eq!(verdict, Verdict::Forward);
    let straggler = exchange.take_straggler().expect("the first one lost");
    let _ = desk.end(straggler, Ended::Nothing);
    assert!(!desk.at_rest(), "the stream is still out");
    exchange.delivered(&mut desk.pool, desk.now, &mut desk.rng);
    assert!(desk.at_rest());
    assert_eq!(desk.close(exchange).felt(), Felt::Rescued);
}

#[test]
fn what_would_not_be_forwarded_waits_for_the_other_and_is_blamed() {
    for fails in [1, 2] {
        let mut desk = hedging(2);
        let (mut exchange, ..) = desk.race();
        let verdict = desk.judge_of(&mut exchange, fails, BROKEN);
        assert_eq!(verdict, Verdict::Wait { hedge_at: Some(desk.now + P95) });
        assert_eq!(
            desk.judge_of(&mut exchange, fails, OK),
            Verdict::Refuse(Refusal::BadAnswer),
            "it is over"
        );
        assert_eq!(desk.judge_of(&mut exchange, 3 - fails, OK), Verdict::Forward);
        assert!(exchange.take_straggler().is_none() && desk.at_rest());
        let receipt = desk.close(exchange);
        assert_eq!((receipt.denial, receipt.attempts.len()), (None, 2));
    }
}

#[test]
fn when_both_fail_the_usual_rules_decide() {
    let mut desk = hedging(3);
    let (mut exchange, ..) = desk.race();
    assert!(matches!(desk.judge_of(&mut exchange, 1, BROKEN), Verdict::Wait { .. }));
    let Verdict::Retry { not_before } = desk.judge_of(&mut exchange, 2, BROKEN) else { panic!("no retry") };
    desk.now = not_before;
    let third = desk.choose(&mut exchange);
    assert_eq!((third.number, third.hedge_at), (3, None), "attempts_max");
    assert_eq!(desk.judge_of(&mut exchange, 3, BROKEN), Verdict::Refuse(Refusal::BadAnswer));
    assert_eq!(desk.close(exchange).denial, Some(Denial::Attempts));
}

#[test]
fn a_client_denied_by_two_that_raced_does_not_tour_a_third() {
    let mut desk = hedging(3);
    let (mut exchange, ..) = desk.race();
    assert!(matches!(desk.judge_of(&mut exchange, 2, DENIED), Verdict::Wait { .. }));
    assert_eq!(desk.judge_of(&mut exchange, 1, DENIED), Verdict::Forward);
    assert_eq!(desk.close(exchange).denial, Some(Denial::Attempts));
}

#[test]
fn only_a_read_that_can_be_sent_again_is_hedged_and_only_when_hedging_is_on() {
    for (safety, replayable, enabled, hedged) in [
        (Safety::Safe, true, true, true),
        (Safety::Safe, true, false, false),
        (Safety::Safe, false, true, false),
        (Safety::Idempotent, true, true, false),
        (Safety::Conditional, true, true, false),
        (Safety::Unsafe, true, true, false),
    ] {
        let mut spec = spec(2);
        spec.hedge.enabled = enabled;
        let mut desk = Desk::new(spec);
        let mut exchange = desk.open_with(safety, |terms| terms.replayable = replayable);
        let first = desk.choose(&mut exchange);
        desk.now = desk.now + Duration::from_secs(1);
        let asked = (first.hedge_at.is_some(), desk.hedge(&mut exchange).is_some());
        assert_eq!(asked, (hedged, hedged), "{safety:?}, kept: {replayable}, on: {enabled}");
        let _ = desk.close(exchange);
        assert!(desk.at_rest());
    }
}

#[test]
fn hedges_go_to_others_in_rotation_within_attempts_deadline_and_their_own_budget() {
    let mut desk = hedging(2);
    desk.eject(1);
    let mut exchange = desk.open(Safety::Safe);
    desk.choose(&mut exchange);
    assert_eq!(desk.hedge(&mut exchange), None, "the other one is out");
    let mut one = spec(2);
    (one.hedge.enabled, one.retry.attempts_max) = (true, NonZeroU8::MIN);
    let mut desk = Desk::new(one);
    let mut exchange = desk.open(Safety::Safe);
    assert_eq!((desk.choose(&mut exchange).hedge_at, desk.hedge(&mut exchange)), (None, None));
    let mut desk = hedging(2);
    let soon = desk.now + P95;
    let mut exchange = desk.open_with(Safety::Safe, |terms| terms.deadline = Some(soon));
    assert_eq!(desk.choose(&mut exchange).hedge_at, None, "the request ends before");
    let mut desk = hedging(2);
    desk.spend_the_budget();
    let hedged = (0..1000).filter(|_| {
        let mut exchange = desk.open(Safety::Safe);
        desk.choose(&mut exchange);
        let hedged = desk.hedge(&mut exchange).is_some();
        let _ = desk.close(exchange);
        hedged
    });
    let hedged = hedged.count();
    assert!((68..=70).contains(&hedged), "{hedged}: 5 % of a thousand, and 20 that were saved up");
}

#[test]
fn the_wait_is_what_nearly_all_reads_take_but_not_less_than_the_least_nor_other_than_what_is_fixed() {
    for (takes, after, expected) in [
        (None, HedgeAfter::P95, 250..=250),
        (Some(2), HedgeAfter::P95, 20..=20),
        (Some(100), HedgeAfter::P95, 100..=125),
        (Some(100), HedgeAfter::Fixed(Duration::from_millis(7)), 7..=7),
    ] {
        let mut spec = spec(2);
        spec.hedge = HedgePolicy { enabled: true, after, ..HedgePolicy::default() };
        let mut desk = Desk::new(spec);
        let mut exchanges = (0..30).map(|_| desk.open(Safety::Safe)).collect::<Vec<_>>();
        for exchange in takes.map(|_| &mut exchanges).into_iter().flatten() {
            desk.choose(exchange);
            let began = desk.now;
            desk.now = began + Duration::from_millis(takes.unwrap_or_default());
            let _ = desk.judge(exchange, OK);
        }
        let mut exchange = desk.open(Safety::Safe);
        let hedge_at = desk.choose(&mut exchange).hedge_at.unwrap();
        assert!(expected.contains(&hedge_at.since(desk.now).as_millis()), "{takes:?}, {after:?}");
    }
}

/// Races that the second attempt wins, and what comes of each first one this much later.
fn losers(desk: &mut Desk, races: usize, later: Duration, came: Ended<'_>) {
    for _ in 0..races {
        let (mut exchange, ..) = desk.race();
        assert_eq!(desk.judge_of(&mut exchange, 2, OK), Verdict::Forward);
        let straggler = exchange.take_straggler().expect("the first one lost");
        let _ = desk.close(exchange);
        desk.now = desk.now + later;
        let _ = desk.end(straggler, came);
        // Time for the next hedge to be saved up.
        (0..20).for_each(|_| desk.pool.deposit(desk.now));
    }
}

#[test]
fn ten_thousand_losers_condemn_no_upstream_that_answers_or_whose_loser_was_given_up() {
    let answer = facts(200, BodyFacts::Json);
    for came in [Ended::Answer(&answer), Ended::Nothing] {
        let mut spec = spec(2);
        let after = HedgeAfter::Fixed(Duration::from_millis(20));
        spec.hedge = HedgePolicy { enabled: true, after, ..HedgePolicy::default() };
        let mut desk = Desk::new(spec);
        losers(&mut desk, 10_000, Duration::from_micros(10), came);
        assert_eq!(desk.states(), ["healthy", "healthy"]);
        assert!(desk.at_rest());
    }
}

#[test]
fn only_losers_in_a_row_that_keep_silent_condemn_their_upstream() {
    let mut desk = hedging(2);
    desk.rng = Rng::with_seed(3);
    let silent = Duration::from_secs(1);
    for _ in 0..100 {
        losers(&mut desk, 1, silent, Ended::Nothing);
        losers(&mut desk, 1, Duration::ZERO, Ended::Answer(&facts(200, BodyFacts::Json)));
    }
    assert_eq!(desk.states(), ["healthy", "healthy"], "the winner of each race answered");
    let mut desk = hedging(2);
    let mut slow = Vec::new();
    while desk.pool.healthy() == 2 {
        let mut exchange = desk.open(Safety::Safe);
        let first = desk.choose(&mut exchange);
        if first.upstream == key(1) {
            let _ = desk.judge(&mut exchange, OK);
            continue;
        }
        desk.now = first.hedge_at.unwrap();
        desk.hedge(&mut exchange).unwrap();
        let _ = desk.judge_of(&mut exchange, 2, OK);
        let straggler = exchange.take_straggler().unwrap();
        desk.now = straggler.until();
        slow.push(desk.end(straggler, Ended::Nothing).class);
    }
    assert_eq!((slow, desk.states()), (vec![Class::Slow; 5], vec!["ejected", "healthy"]));
}

#[test]
fn a_loser_has_three_times_what_nearly_all_take_and_five_times_what_is_usual_at_its_own_upstream() {
    for (takes, often, patience) in [
        ([20, 20], 0, 500..=500),
        ([10, 10], 30, 250..=250),
        ([200, 200], 30, 750..=1_100),
        ([100, 10], 30, 350..=600),
        ([10, 100], 30, 300..=375),
        ([9_000, 9_000], 30, 10_000..=10_000),
    ] {
        let mut desk = hedging(2);
        for _ in 0..2 * often {
            let mut exchange = desk.open(Safety::Safe);
            let first = desk.choose(&mut exchange);
            desk.now = desk.now + Duration::from_millis(takes[first.upstream.number()]);
            let _ = desk.judge(&mut exchange, OK);
        }
        let mut exchange = desk.open(Safety::Safe);
        assert_eq!(desk.choose(&mut exchange).upstream, key(0));
        let began = desk.now;
        desk.now = began + Duration::from_millis(takes[0].min(500));
        assert!(desk.hedge(&mut exchange).is_some());
        let _ = desk.judge_of(&mut exchange, 2, OK);
        let until = exchange.take_straggler().unwrap().until().since(began).as_millis();
        assert!(patience.contains(&until), "{takes:?}: {until}");
    }
}

/// A read that probes region 0, with its hedge out.
fn probe(desk: &mut Desk) -> Exchange {
    desk.eject(0);
    desk.now = desk.now + Duration::from_secs(13);
    let mut exchange = desk.open(Safety::Safe);
    let first = desk.choose(&mut exchange);
    assert!(first.probe);
    desk.now = first.hedge_at.expect("a probe is hedged in any case");
    assert_eq!(desk.hedge(&mut exchange).map(|second| second.upstream), Some(key(1)));
    exchange
}

#[test]
fn a_probe_is_hedged_although_hedging_is_off_and_nobody_pays_for_it() {
    let mut desk = Desk::new(spec(2));
    while desk.pool.hedge_budget().withdraw(desk.now) {}
    let mut exchange = probe(&mut desk);
    assert_eq!(desk.judge_of(&mut exchange, 2, OK), Verdict::Forward, "its client has its answer");
    let straggler = exchange.take_straggler().expect("the probe is still out");
    let _ = desk.close(exchange);
    let mut other = desk.open(Safety::Safe);
    assert!(!desk.choose(&mut other).probe, "one probe at a time, also while it runs on");
    let _ = desk.close(other);
    assert!(straggler.until().since(desk.now) > Duration::from_secs(9), "it may be cold");
    let _ = desk.end(straggler, Ended::Answer(&facts(200, BodyFacts::Json)));
    let mut next = desk.open(Safety::Safe);
    assert!(desk.choose(&mut next).probe, "one success is not yet enough");
    let _ = desk.judge(&mut next, OK);
    assert_eq!(desk.states(), ["healthy", "healthy"]);
}

#[test]
fn a_probe_that_is_never_answered_fails_although_its_client_was_served() {
    let mut desk = Desk::new(spec(2));
    let mut exchange = probe(&mut desk);
    let _ = desk.judge_of(&mut exchange, 2, OK);
    let straggler = exchange.take_straggler().unwrap();
    desk.now = straggler.until();
    assert_eq!(desk.end(straggler, Ended::Nothing).class, Class::TimedOut);
    assert_eq!(desk.states(), ["ejected", "healthy"]);
    let _ = desk.close(exchange);
    assert!(desk.at_rest());
}

#[test]
fn a_client_that_leaves_a_race_or_is_refused_in_one_leaves_nothing_behind() {
    for refused in [false, true] {
        let mut desk = hedging(2);
        let (mut exchange, ..) = desk.race();
        if refused {
            exchange.refuse(Refusal::BadPath);
        }
        let receipt = desk.close(exchange);
        assert_eq!(receipt.felt(), if refused { Felt::Rejected } else { Felt::Abandoned });
        assert!(receipt.attempts.iter().all(|attempt| attempt.class == Class::ClientFault));
        assert!(desk.at_rest());
    }
    let mut desk = hedging(2);
    let (mut exchange, ..) = desk.race();
    let _ = desk.judge_of(&mut exchange, 1, OK);
    let _ = desk.close(exchange);
    assert!(desk.at_rest(), "a straggler that nobody took is ended with its exchange");
}
