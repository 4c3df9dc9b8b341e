//! Whether a drill may begin, and how it ends.

use super::*;
use crate::bounds::Ratio;
use crate::drill::{DrillEnd, DrillPlan, DrillRefusal, Fault};

const PLAN: fn() -> DrillPlan =
    || DrillPlan { upstream: key(0), fault: Fault::Refuse, share: Ratio::percent(100), length: seconds(60) };

impl Yard {
    fn begin(&mut self, plan: DrillPlan) -> Result<(), DrillRefusal> {
        self.pool.begin_drill(plan, self.now)
    }

    fn review(&mut self) {
        self.pool.review_drill(self.now, &mut self.rng);
    }

    /// Attempts that meet the fault put the upstream out.
    fn condemn(&mut self) {
        for _ in 0..3 {
            let mut choice = self.direct(0);
            choice.drilled = true;
            self.settle(choice, Class::Unsent);
        }
        assert_eq!(self.health(0).name(), "ejected");
    }

    fn is_drilled(&self) -> bool {
        self.pool.drill(self.now).is_some()
    }
}

#[test]
fn a_drill_that_the_pool_could_not_bear_is_refused() {
    let few = DrillRefusal::TooFewHealthy { left: 0, needed: 1 };
    assert_eq!(Yard::new(1).begin(PLAN()), Err(few));
    assert_eq!(
        Yard::new(2).begin(DrillPlan { upstream: key(2), ..PLAN() }),
        Err(DrillRefusal::NoSuchUpstream)
    );
    let mut yard = Yard::with(3, |spec| spec.passive_health.min_healthy = n(2));
    yard.eject(0);
    assert_eq!(yard.begin(PLAN()), Err(DrillRefusal::NotHealthy));
    let two = DrillRefusal::TooFewHealthy { left: 1, needed: 2 };
    assert_eq!(yard.begin(DrillPlan { upstream: key(1), ..PLAN() }), Err(two));
    let mut yard = Yard::new(3);
    yard.eject(0);
    yard.eject(1);
    yard.see(2, Class::Unsent, 3);
    assert_eq!(yard.begin(PLAN()), Err(DrillRefusal::Panic));
    let mut yard = Yard::with(3, |spec| spec.passive_health.min_healthy = n(3));
    yard.see(0, Class::Unsent, 3);
    assert_eq!(yard.begin(PLAN()), Err(DrillRefusal::Degraded));
    let mut once = Yard::with(2, |spec| spec.retry.attempts_max = std::num::NonZeroU8::MIN);
    assert_eq!(once.begin(PLAN()), Err(DrillRefusal::NoRetry));
    assert_eq!(once.begin(DrillPlan { fault: Fault::Eject, ..PLAN() }), Ok(()), "nobody is tried again");
    assert_eq!(once.begin(DrillPlan { upstream: key(1), ..PLAN() }), Err(DrillRefusal::Another));
}

#[test]
fn what_only_the_drill_has_put_out_is_back_when_it_ends_and_warms_up() {
    let mut yard = Yard::new(3);
    yard.begin(PLAN()).unwrap();
    yard.condemn();
    yard.now = yard.now + seconds(60);
    yard.review();
    assert!(!yard.is_drilled());
    assert_eq!(yard.health(0), Health::Healthy);
    assert_eq!(yard.pool.upstreams()[0].state(yard.now), "warming");
    assert_eq!(yard.pool.upstreams()[0].ejections(), 0, "nothing of it is held against it");
    let drilled = yard.pool.take_drilled(yard.now).expect("it is over");
    assert_eq!((drilled.end, drilled.record.score.ejections), (DrillEnd::TimeUp, 1));
    assert_eq!(drilled.record.ran, seconds(60));
    let ended = PoolEvent::DrillEnded { upstream: key(0), end: DrillEnd::TimeUp };
    assert!(yard.events().contains(&ended));
    assert_eq!(yard.begin(PLAN()), Ok(()), "another one may begin");
}

#[test]
fn what_failed_by_itself_too_stays_out() {
    let mut yard = Yard::new(3);
    yard.begin(PLAN()).unwrap();
    yard.see(0, Class::Broken, 1);
    yard.condemn_with_two();
    yard.pool.end_drill(DrillEnd::Stopped, yard.now, &mut yard.rng);
    assert_eq!(yard.health(0).name(), "ejected");
    assert_eq!(yard.pool.take_drilled(yard.now).map(|drilled| drilled.end), Some(DrillEnd::Stopped));
}

impl Yard {
    fn condemn_with_two(&mut self) {
        for _ in 0..2 {
            let mut choice = self.direct(0);
            choice.drilled = true;
            self.settle(choice, Class::Unsent);
        }
        assert_eq!(self.health(0).name(), "ejected");
    }
}

#[test]
fn it_ends_when_too_few_of_the_others_are_healthy() {
    let mut yard = Yard::new(2);
    yard.begin(PLAN()).unwrap();
    yard.condemn();
    yard.see(1, Class::Unsent, 3);
    assert!(!yard.is_drilled());
    assert_eq!(yard.names(), ["healthy", "ejected"], "the drilled one is back, so the other one may go");
    let drilled = yard.pool.take_drilled(yard.now).expect("it is over");
    assert_eq!(drilled.end, DrillEnd::TooFewHealthy);
}

#[test]
fn a_drill_goes_on_in_the_next_process_to_its_end() {
    let mut yard = Yard::new(3);
    yard.begin(PLAN()).unwrap();
    yard.condemn();
    yard.now = yard.now + seconds(20);
    let (record, memory) = (yard.pool.drill(yard.now).unwrap(), yard.pool.memory(yard.now));
    let mut next = Yard::new(3);
    next.pool.remember(&memory, next.now);
    next.pool.resume_drill(&record, next.now, &mut next.rng);
    assert_eq!(next.pool.drill(next.now), Some(record));
    next.now = next.now + seconds(39);
    next.review();
    assert!(next.is_drilled());
    next.now = next.now + seconds(1);
    next.review();
    assert_eq!((next.is_drilled(), next.health(0)), (false, Health::Healthy));
    let over = crate::drill::DrillRecord { ran: seconds(61), ..record };
    let mut late = Yard::new(3);
    late.pool.remember(&memory, late.now);
    late.pool.resume_drill(&over, late.now, &mut late.rng);
    assert_eq!((late.is_drilled(), late.health(0)), (false, Health::Healthy), "over before it was taken up");
}

#[test]
fn a_check_meets_the_fault_where_a_request_would() {
    let mut yard = Yard::with(2, |spec| spec.active_health = Some(crate::check::ActiveHealth::default()));
    yard.begin(PLAN()).unwrap();
    let drilled: Vec<_> = (0..2)
        .map(|upstream| {
            let out = yard.pool.begin_check(key(upstream)).unwrap();
            yard.pool.drills_check(out, &mut yard.rng)
        })
        .collect();
    assert_eq!(drilled, [Some(Fault::Refuse), None]);
}
