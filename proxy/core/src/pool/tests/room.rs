use super::*;

fn yard(limits: &[u32]) -> Yard {
    Yard::with(limits.len(), |spec| {
        for (upstream, limit) in spec.upstreams.iter_mut().zip(limits) {
            upstream.concurrency_max = NonZeroU32::new(*limit);
        }
    })
}

#[test]
fn an_upstream_never_carries_more_than_its_limit_and_the_others_take_the_rest() {
    let mut yard = yard(&[1, 2, 0]);
    let mut carried = [0; 3];
    for _ in 0..30 {
        carried[yard.choose(WRITE).upstream.number()] += 1;
    }
    assert_eq!(carried, [1, 2, 27]);
}

#[test]
fn when_all_are_at_their_limit_nobody_is_asked_not_even_as_a_last_resort() {
    let mut yard = yard(&[1, 1]);
    yard.eject(1);
    let first = yard.choose(WRITE);
    let second = yard.choose(WRITE);
    assert_eq!((first.tier, second.tier), (Tier::Rotation, Tier::LastResort));
    for wish in [READ, Wish { tried: &[key(0), key(1)], ..WRITE }, Wish { page: Some(key(0)), ..READ }] {
        assert_eq!(yard.pool.choose(wish, yard.now, &mut yard.rng), None, "{wish:?}");
    }
    assert!(yard.pool.lacks_room());
    yard.settle(first, Class::Answered);
    assert!(yard.pool.choose(READ, yard.now, &mut yard.rng).is_some());
}
