//! How an ejected upstream comes back.

use super::*;

fn probing(upstreams: usize) -> Yard {
    let mut yard = Yard::new(upstreams);
    yard.eject(0);
    yard.wait_out(0);
    let _ = yard.events();
    yard
}

#[test]
fn nobody_probes_before_the_ejection_is_over() {
    let mut yard = Yard::new(2);
    let until = yard.eject(0);
    yard.now = Timestamp::from_micros(until.as_micros() - 1);
    assert_eq!(yard.choose(READ).upstream, key(1));
    yard.now = until;
    assert!(yard.choose(READ).is_probe());
}

#[test]
fn one_request_at_a_time_probes() {
    let mut yard = probing(2);
    let probe = yard.choose(READ);
    assert_eq!((probe.upstream, probe.tier), (key(0), Tier::Probe));
    assert_eq!(yard.events(), [PoolEvent::ProbingStarted { upstream: key(0) }]);
    for _ in 0..5 {
        let other = yard.choose(READ);
        assert_eq!((other.upstream, other.tier), (key(1), Tier::Rotation));
    }
    yard.settle(probe, Class::Answered);
    assert!(yard.choose(READ).is_probe());
}

#[test]
fn two_successes_readmit() {
    let mut yard = probing(2);
    for expected in ["probing", "healthy"] {
        let probe = yard.choose(READ);
        yard.settle(probe, Class::Answered);
        assert_eq!(yard.health(0).name(), expected);
    }
    let told = [PoolEvent::ProbingStarted { upstream: key(0) }, PoolEvent::Readmitted { upstream: key(0) }];
    assert_eq!(yard.events(), told);
    assert_eq!(yard.asked(2).len(), 2);
}

#[test]
fn a_failed_probe_ejects_again_for_twice_as_long() {
    for class in [Class::Unsent, Class::Broken, Class::TimedOut, Class::AppFailed] {
        let mut yard = probing(2);
        let probe = yard.choose(READ);
        yard.settle(probe, class);
        let Health::Ejected { reason, until, .. } = yard.health(0) else { panic!("{class:?}") };
        assert_eq!(reason, EjectReason::ProbeFailed);
        let length = yard.now.until(until);
        assert!(length >= seconds(16) && length <= seconds(24), "{length:?}");
    }
}

#[test]
fn a_probe_that_says_nothing_frees_its_slot() {
    use Class as C;
    for class in [C::ClientFault, C::AppThrottled, C::RouteMissing, C::SignatureRefused] {
        let mut yard = probing(2);
        for _ in 0..10 {
            let probe = yard.choose(READ);
            assert!(probe.is_probe(), "{class:?} keeps the slot");
            yard.settle(probe, class);
            assert_eq!(yard.health(0).name(), "probing");
        }
    }
}

#[test]
fn a_throttled_probe_waits_out_the_pause() {
    let mut yard = probing(2);
    let probe = yard.choose(READ);
    yard.settle(probe, Class::Throttled);
    assert_eq!(yard.choose(READ).tier, Tier::Rotation);
    yard.now = yard.now + seconds(1);
    assert!(yard.choose(READ).is_probe());
}

#[test]
fn a_probe_that_comes_to_nothing_does_not_keep_another_upstream_waiting() {
    let mut yard = Yard::new(3);
    yard.eject(0);
    yard.eject(1);
    yard.now = yard.now + seconds(13);
    let probed: Vec<_> = (0..4)
        .map(|_| {
            let probe = yard.choose(READ);
            yard.settle(probe, Class::AppThrottled);
            yard.now = yard.now + Duration::from_millis(1);
            (probe.upstream, probe.tier)
        })
        .collect();
    assert_eq!(probed, [0, 1, 0, 1].map(|upstream| (key(upstream), Tier::Probe)));
}

#[test]
fn a_write_probes_only_when_no_read_did_for_one_more_ejection() {
    let mut yard = probing(2);
    assert_eq!(yard.choose(WRITE).upstream, key(1));
    yard.now = yard.now + seconds(10);
    assert_eq!(yard.choose(WRITE).tier, Tier::Probe);
}

#[test]
fn a_retry_never_probes() {
    let mut yard = probing(3);
    let choice = yard.choose(Wish { tried: &[key(1)], ..READ });
    assert_eq!((choice.upstream, choice.tier), (key(2), Tier::Rotation));
}

#[test]
fn a_last_resort_beside_the_probe_counts_as_well() {
    let mut yard = probing(2);
    let probe = yard.choose(READ);
    yard.see(0, Class::Broken, 1);
    assert_eq!(yard.health(0).name(), "ejected");
    yard.settle(probe, Class::Answered);
    assert_eq!(yard.health(0).name(), "ejected", "the probe began before the ejection");
}
