use super::*;

fn page(maker: usize) -> Wish<'static> {
    Wish { page: Some(key(maker)), ..READ }
}

fn yard(domains: &[&str]) -> Yard {
    Yard::with(domains.len(), |spec| {
        for (upstream, domain) in spec.upstreams.iter_mut().zip(domains) {
            upstream.data_domain = (*domain).to_owned();
        }
    })
}

/// Whom a page is asked of, without a trace.
fn asked(yard: &mut Yard, wish: Wish<'_>) -> Option<(usize, Tier)> {
    let choice = yard.pool.choose(wish, yard.now, &mut yard.rng)?;
    yard.settle(choice, Class::ClientFault);
    Some((choice.upstream.number(), choice.tier))
}

#[test]
fn a_page_is_asked_of_the_upstream_that_made_its_link_every_time() {
    let mut yard = yard(&["", "", ""]);
    for _ in 0..10 {
        assert_eq!(asked(&mut yard, page(2)), Some((2, Tier::Rotation)));
    }
    assert_eq!(
        asked(&mut yard, Wish { tried: &[key(2)], ..page(2) }),
        Some((2, Tier::Again)),
        "nobody else knows it"
    );
}

#[test]
fn a_page_of_an_upstream_that_is_out_is_gone_until_it_may_be_probed() {
    let mut yard = yard(&["", ""]);
    yard.eject(1);
    assert_eq!(asked(&mut yard, page(1)), None);
    assert_eq!(asked(&mut yard, page(0)), Some((0, Tier::Rotation)));
    yard.wait_out(1);
    assert_eq!(asked(&mut yard, page(1)), Some((1, Tier::Probe)));
}

#[test]
fn a_page_moves_inside_its_makers_data_domain_and_never_out_of_it() {
    let mut yard = yard(&["east", "west", "west", ""]);
    assert_eq!(asked(&mut yard, page(1)), Some((1, Tier::Rotation)));
    assert_eq!(asked(&mut yard, Wish { tried: &[key(1)], ..page(1) }), Some((2, Tier::Rotation)));
    yard.eject(1);
    for _ in 0..5 {
        assert_eq!(asked(&mut yard, page(1)), Some((2, Tier::Rotation)));
    }
    yard.eject(2);
    assert_eq!(asked(&mut yard, page(1)), None);
    let untried = |tried: &[usize]| {
        let tried: Vec<_> = tried.iter().copied().map(key).collect();
        yard.pool.has_untried_page(&tried, key(1))
    };
    assert!(untried(&[1]) && untried(&[0, 3]) && !untried(&[1, 2]));
}

#[test]
fn in_panic_the_maker_is_asked_all_the_same() {
    let mut yard = yard(&["", ""]);
    yard.see(0, Class::Unsent, 6);
    yard.see(1, Class::Unsent, 6);
    assert!(yard.pool.in_panic());
    assert_eq!(asked(&mut yard, page(1)), Some((1, Tier::Panic)));
}

#[test]
fn an_upstream_that_the_pool_does_not_have_knows_no_page() {
    assert_eq!(asked(&mut yard(&[""]), page(7)), None);
}
