//! Who carries what lower priorities cannot.

use super::*;

fn yard(priorities: &'static [u32]) -> Yard {
    Yard::with(priorities.len(), |spec| {
        for (upstream, &priority) in spec.upstreams.iter_mut().zip(priorities) {
            upstream.priority = priority;
        }
    })
}

#[test]
fn a_standby_gets_nothing_while_a_lower_number_serves() {
    assert_eq!(yard(&[1, 0, 0]).asked(6), [1, 2, 1, 2, 1, 2]);
}

#[test]
fn one_lost_region_of_two_does_not_spill() {
    let mut yard = yard(&[0, 0, 1]);
    yard.eject(0);
    assert_eq!(yard.asked(4), [1, 1, 1, 1]);
}

#[test]
fn a_standby_takes_over_when_all_lower_numbers_are_out_and_steps_back_when_one_returns() {
    let mut yard = yard(&[0, 1, 2]);
    yard.eject(0);
    assert_eq!(yard.asked(4), [1, 1, 1, 1]);
    yard.eject(1);
    assert_eq!(yard.asked(4), [2, 2, 2, 2]);
    yard.readmit(1);
    yard.now = yard.now + seconds(31);
    assert_eq!(yard.asked(4), [1, 1, 1, 1]);
}

#[test]
fn a_throttle_spills_for_its_pause_only() {
    let mut yard = yard(&[0, 1]);
    yard.see(0, Class::Throttled, 1);
    assert_eq!(yard.asked(3), [1, 1, 1]);
    yard.now = yard.now + seconds(1);
    assert_eq!(yard.asked(3), [0, 0, 0]);
}

#[test]
fn what_a_lower_number_has_no_room_for_goes_to_the_standby_and_comes_back_with_the_first_place() {
    let mut yard = Yard::with(3, |spec| {
        spec.upstreams[2].priority = 1;
        for upstream in &mut spec.upstreams[..2] {
            upstream.concurrency_max = NonZeroU32::new(2);
        }
    });
    let held: Vec<_> = (0..4).map(|_| yard.choose(WRITE)).collect();
    let numbers: Vec<_> = held.iter().map(|choice| choice.upstream.number()).collect();
    assert_eq!(numbers, [0, 1, 0, 1], "the standby gets nothing while there is room");
    for wish in [WRITE, READ, Wish { tried: &[key(0)], ..WRITE }] {
        let over = yard.choose(wish);
        assert_eq!((over.upstream, over.tier), (key(2), Tier::Rotation), "{wish:?}");
    }
    assert!(!yard.pool.in_panic(), "full is not sick");
    yard.settle(held[1], Class::Answered);
    assert_eq!(yard.choose(WRITE).upstream, key(1));
    assert_eq!(yard.choose(WRITE).upstream, key(2));
}

#[test]
fn what_a_warming_region_does_not_take_stays_with_the_standby() {
    let mut yard = yard(&[0, 1]);
    yard.eject(0);
    yard.readmit(0);
    let first = yard.asked(1_000).iter().filter(|&&asked| asked == 0).count();
    assert!((60..150).contains(&first), "{first} of 1000, a tenth is what it takes");
    yard.now = yard.now + seconds(30);
    assert_eq!(yard.asked(3), [0, 0, 0]);
}

#[test]
fn a_retry_asks_the_same_priority_before_the_next() {
    let mut yard = yard(&[0, 0, 1]);
    assert_eq!(yard.choose(Wish { tried: &[key(0)], ..WRITE }).upstream, key(1));
    assert_eq!(yard.choose(Wish { tried: &[key(0), key(1)], ..WRITE }).upstream, key(2));
}

#[test]
fn in_panic_everybody_is_asked_whatever_the_priority() {
    let mut yard = yard(&[0, 1]);
    yard.eject(0);
    yard.see(1, Class::Unsent, 3);
    assert!(yard.pool.in_panic());
    let asked = yard.asked(4);
    assert!(asked.contains(&0) && asked.contains(&1), "{asked:?}");
}
