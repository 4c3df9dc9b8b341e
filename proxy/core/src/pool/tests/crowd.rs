//! An ordinary choice among upstreams that are written down is the choice that judging each of them anew makes.

use super::*;
use crate::balance::BalancePolicy;
use crate::check::ActiveHealth;
use crate::order::{Note, Order, Ordered};
use crate::slow_start::SlowStart;
use fastrand::Rng;
use proptest::prelude::{ProptestConfig, any, prop, proptest};

/// Everything that can happen to a pool, drawn by dice.
struct Life {
    yard: Yard,
    out: Vec<Choice>,
    dice: Rng,
    /// Choices that were made without judging.
    easy: usize,
}

impl Life {
    fn new(balance: BalancePolicy, upstreams: usize, seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed);
        let yard = Yard::with(upstreams, |spec| {
            spec.balance = balance;
            spec.slow_start = SlowStart { span: seconds(dice.u64(0..5)) };
            spec.passive_health.ejection = seconds(1);
            spec.write_affinity = seconds(dice.u64(0..2));
            spec.active_health = dice.bool().then(ActiveHealth::default);
            let (levels, uneven, narrow) = (dice.u32(1..3), dice.bool(), dice.bool());
            for upstream in &mut spec.upstreams {
                upstream.priority = dice.u32(0..levels);
                upstream.weight = n(if uneven { dice.u32(1..5) } else { 2 });
                upstream.concurrency_max = (narrow && dice.bool()).then(|| n(dice.u32(1..4)));
                upstream.data_domain = ["", "east"][dice.usize(0..2)].to_owned();
            }
        });
        Self { yard, out: Vec::new(), dice, easy: 0 }
    }

    fn step(&mut self) {
        let yard = &mut self.yard;
        yard.now = yard.now + Duration::from_micros(self.dice.u64(0..20_000));
        let upstream = key(self.dice.usize(0..yard.pool.upstreams.len()));
        match self.dice.u8(0..100) {
            0..50 => self.choose(),
            50..96 if !self.out.is_empty() => {
                let choice = self.out.swap_remove(self.dice.usize(0..self.out.len()));
                let usual = self.dice.u8(0..100) < 90;
                let class =
                    if usual { Class::Answered } else { Class::ALL[self.dice.usize(0..Class::ALL.len())] };
                let (client, wrote) = (self.dice.u64(0..3), self.dice.bool());
                let outcome = Outcome { class, retry_after: None, client, wrote, heard: None };
                yard.pool.settle(choice, outcome, yard.now, &mut yard.rng);
            }
            96 => {
                let results = [CheckResult::Passed, CheckResult::Refused, CheckResult::Failed];
                yard.pool.verified(upstream, results[self.dice.usize(0..3)], yard.now, &mut yard.rng);
            }
            97 => {
                let order = [Order::Drain, Order::Undrain, Order::Readmit][self.dice.usize(0..3)];
                let note = Note::try_new("on-call", "it is patched", yard.now).unwrap();
                let ordered = Ordered { order, forced: self.dice.bool(), note };
                let _ = yard.pool.order(upstream, ordered, yard.now, &mut yard.rng);
            }
            98 => {
                let mut spec = yard.pool.spec().clone();
                let last = spec.upstreams.len() - 1;
                spec.upstreams.swap(0, last);
                spec.upstreams[0].weight = n(self.dice.u32(1..4));
                yard.pool.reconfigure(Arc::new(spec), yard.now, &mut yard.rng);
            }
            _ => yard.now = yard.now + Duration::from_millis(self.dice.u64(0..3_000)),
        }
    }

    fn choose(&mut self) {
        let yard = &mut self.yard;
        let reader = self.dice.bool().then(|| self.dice.u64(0..3));
        let wish = Wish { key: self.dice.bool().then(|| self.dice.u64(..)), reader, ..READ };
        let (mut judged, mut rng) = (yard.pool.clone(), yard.rng.clone());
        judged.crowd.switch_off();
        let expected = judged.choose(wish, yard.now, &mut rng);
        let chosen = yard.pool.choose(wish, yard.now, &mut yard.rng);
        assert_eq!(chosen, expected);
        let passed = |pool: &Pool| pool.passed(&wish, chosen.as_ref(), yard.now);
        assert_eq!(passed(&yard.pool), passed(&judged));
        assert_eq!(yard.rng.get_seed(), rng.get_seed(), "the dice were thrown otherwise");
        self.easy += usize::from(yard.pool.crowd.is_known());
        self.out.extend(chosen);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whoever_is_chosen_without_judging_is_chosen_by_judging(
        balance in prop::sample::select(&BalancePolicy::ALL[..]),
        upstreams in 1_usize..14,
        seed in any::<u64>(),
    ) {
        let mut life = Life::new(balance, upstreams, seed);
        (0..2_000).for_each(|_| life.step());
    }
}

#[test]
fn most_choices_of_a_pool_that_serves_are_made_without_judging() {
    for balance in BalancePolicy::ALL {
        let mut life = Life::new(balance, 4, 1);
        for _ in 0..1_000 {
            life.choose();
            let choice = life.out.pop().unwrap();
            life.yard.settle(choice, Class::Answered);
        }
        assert!(life.easy > 990, "{balance:?}: {}", life.easy);
    }
}
