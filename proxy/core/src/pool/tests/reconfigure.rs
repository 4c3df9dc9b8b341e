use super::*;
use crate::balance::BalancePolicy;
use crate::upstream::DomainKey;

impl Yard {
    /// Another configuration: these upstreams, and whatever else.
    fn reconfigure(&mut self, names: &[&str], change: impl FnOnce(&mut PoolSpec)) {
        let mut spec = self.pool.spec().clone();
        let like = spec.upstreams[0].clone();
        let named = |name: &&str| {
            let known = spec.upstreams.iter().find(|upstream| upstream.name == *name);
            known.cloned().unwrap_or_else(|| UpstreamSpec { name: (*name).to_owned(), ..like.clone() })
        };
        spec.upstreams = names.iter().map(named).collect();
        change(&mut spec);
        let keys = self.pool.keys(&spec);
        self.pool.reconfigure(Arc::new(spec), self.now, &mut self.rng);
        assert_eq!(self.keys(), keys, "the keys are those that were foretold");
    }

    fn keys(&self) -> Vec<UpstreamKey> {
        self.pool.upstreams().iter().map(Upstream::key).collect()
    }
}

#[test]
fn an_upstream_that_stays_keeps_its_ejection_whatever_else_changes() {
    let mut yard = Yard::new(3);
    let until = yard.eject(1);
    yard.reconfigure(&["new", "region-1", "region-0"], |spec| {
        spec.balance = BalancePolicy::LeastRequest;
        spec.passive_health.window = seconds(60);
        spec.passive_health.ejection = seconds(1);
    });
    assert_eq!(yard.names(), ["healthy", "ejected", "healthy"]);
    assert!(matches!(yard.health(1), Health::Ejected { until: still, .. } if still == until));
    assert_eq!(yard.pool.upstreams()[1].ejections(), 1);
    assert!(yard.asked(20).iter().all(|&key| key != 1), "it is out");
}

#[test]
fn a_key_goes_with_its_name_and_never_to_another() {
    let mut yard = Yard::new(2);
    yard.reconfigure(&["region-1", "a"], |_| ());
    assert_eq!(yard.keys(), [1, 2].map(key));
    yard.reconfigure(&["a", "region-0", "region-1"], |_| ());
    assert_eq!(yard.keys(), [2, 3, 1].map(key), "who comes again is new");
    yard.reconfigure(&["b"], |_| ());
    assert_eq!(yard.keys(), [key(4)]);
}

#[test]
fn what_is_out_settles_where_it_belongs() {
    let mut yard = Yard::new(2);
    let (one, other) = (yard.direct(0), yard.direct(1));
    yard.reconfigure(&["new", "region-1"], |_| ());
    let in_flight = |yard: &Yard| yard.pool.upstreams().iter().map(Upstream::in_flight).collect::<Vec<_>>();
    assert_eq!((in_flight(&yard), yard.pool.in_flight_at_retired()), (vec![0, 1], 1));
    yard.settle(one, Class::Unsent);
    assert_eq!((in_flight(&yard), yard.pool.in_flight_at_retired()), (vec![0, 1], 0));
    assert!(yard.pool.retired.is_empty());
    for _ in 0..2 {
        let failing = yard.choose(Wish { tried: &[key(2)], ..WRITE });
        yard.settle(failing, Class::Unsent);
    }
    yard.settle(other, Class::Unsent);
    assert_eq!((in_flight(&yard), yard.names()), (vec![0, 0], vec!["healthy", "ejected"]), "it counts");
}

#[test]
fn who_comes_is_at_its_whole_weight_at_once() {
    let mut yard = Yard::new(1);
    yard.reconfigure(&["region-0", "new"], |_| ());
    assert_eq!(yard.pool.upstreams()[1].state(yard.now), "healthy");
    assert_eq!(yard.asked(4), [0, 1, 0, 1]);
}

#[test]
fn whoever_was_kept_for_want_of_others_goes_out_when_one_comes() {
    let mut yard = Yard::new(1);
    yard.see(0, Class::Unsent, 3);
    assert_eq!(yard.names(), ["degraded"]);
    yard.reconfigure(&["region-0", "new"], |_| ());
    assert_eq!(yard.names(), ["ejected", "healthy"]);
    assert!(!yard.pool.in_panic());
}

#[test]
fn when_only_ejected_ones_stay_all_are_asked() {
    let mut yard = Yard::new(2);
    yard.eject(0);
    yard.reconfigure(&["region-0"], |_| ());
    assert!(yard.pool.in_panic());
    assert_eq!(yard.choose(WRITE).tier, Tier::Panic);
}

#[test]
fn a_reload_fills_no_budget() {
    let mut yard = Yard::new(2);
    while yard.pool.budget().withdraw(yard.now) {}
    yard.reconfigure(&["region-0", "region-1"], |spec| spec.retry.budget.burst = 500);
    assert!(yard.pool.budget_balance() < 1.0);
    let hedges = yard.pool.hedge_budget_balance();
    yard.reconfigure(&["region-0"], |spec| spec.retry.budget.burst = 0);
    assert!(yard.pool.budget_balance() < 1e-9 && yard.pool.hedge_budget_balance() <= hedges);
}

#[test]
fn what_a_window_holds_counts_in_the_next_one() {
    let mut yard = Yard::with(2, |spec| {
        spec.passive_health.consecutive_failures = n(100);
        spec.passive_health.consecutive_app_failures = n(100);
    });
    yard.see(0, Class::Unsent, 9);
    yard.reconfigure(&["region-0", "region-1"], |spec| spec.passive_health.window = seconds(3600));
    let counts = |yard: &Yard| yard.pool.upstreams()[0].counts(&yard.pool.spec().passive_health, yard.now);
    assert_eq!(counts(&yard).failures, 9);
    yard.see(0, Class::Unsent, 1);
    assert_eq!(yard.names(), ["ejected", "healthy"]);
}

#[test]
fn a_record_store_keeps_its_key_for_as_long_as_somebody_names_it() {
    let mut yard = Yard::with(3, |spec| {
        for (upstream, domain) in spec.upstreams.iter_mut().zip(["east", "west", "east"]) {
            upstream.data_domain = domain.to_owned();
        }
    });
    let stores = |yard: &Yard| yard.pool.upstreams().iter().map(|held| held.domain).collect::<Vec<_>>();
    let [Some(east), Some(west), _] = stores(&yard)[..] else { panic!("no stores") };
    yard.reconfigure(&["region-1", "region-2", "region-0"], |spec| {
        spec.upstreams[2].data_domain = "north".to_owned();
    });
    let now: Vec<Option<DomainKey>> = stores(&yard);
    assert_eq!(now[..2], [Some(west), Some(east)]);
    assert!(now[2].is_some_and(|north| north != east && north != west));
}

#[test]
fn turns_go_on_where_they_were() {
    let mut yard = Yard::new(3);
    let mut asked = yard.asked(1);
    for _ in 0..5 {
        yard.reconfigure(&["region-0", "region-1", "region-2"], |_| ());
        asked.extend(yard.asked(1));
    }
    assert_eq!(asked, [0, 1, 2, 0, 1, 2], "reloading does not favour the first");
}
