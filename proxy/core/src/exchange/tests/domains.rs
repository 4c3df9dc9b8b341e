//! Writes stay in one record store, and their clients read there.

use super::*;

fn desk(domains: &[&str], change: impl FnOnce(&mut PoolSpec)) -> Desk {
    let mut spec = spec(domains.len());
    for (upstream, domain) in spec.upstreams.iter_mut().zip(domains) {
        upstream.data_domain = (*domain).to_owned();
    }
    change(&mut spec);
    Desk::new(spec)
}

/// Where the attempts of a request go that all come to the same.
fn asked(desk: &mut Desk, safety: Safety, came: Came) -> Vec<usize> {
    desk.exhaust(safety, came).0.attempts.upstreams().iter().map(|key| key.number()).collect()
}

#[test]
fn an_unsure_write_is_repeated_only_inside_its_data_domain() {
    for safety in [Safety::Idempotent, Safety::Conditional] {
        for came in [BROKEN, TIMED_OUT, APP_500] {
            let mut desk = desk(&["east", "west", "west", "east"], |_| ());
            assert_eq!(asked(&mut desk, safety, came), [0, 3], "{safety:?} after {came:?}");
        }
    }
}

#[test]
fn an_unsure_write_alone_in_its_data_domain_is_repeated_where_it_was() {
    let mut desk = desk(&["east", "west"], |_| ());
    assert_eq!(asked(&mut desk, Safety::Conditional, BROKEN), [0, 0]);
}

#[test]
fn a_create_of_which_no_record_store_is_known_is_not_repeated_after_an_unsure_end() {
    let mut desk = desk(&["", "west"], |_| ());
    assert_eq!(asked(&mut desk, Safety::Conditional, BROKEN), [0]);
    assert_eq!(asked(&mut Desk::new(spec(1)), Safety::Conditional, BROKEN), [0, 0], "there is no other");
}

#[test]
fn an_idempotent_write_of_which_no_record_store_is_known_moves_on() {
    assert_eq!(asked(&mut Desk::new(spec(2)), Safety::Idempotent, BROKEN), [0, 1]);
}

#[test]
fn what_no_upstream_can_have_carried_out_crosses_data_domains() {
    for safety in [Safety::Conditional, Safety::Unsafe] {
        let mut desk = desk(&["east", "west"], |_| ());
        assert_eq!(asked(&mut desk, safety, UNSENT)[..2], [0, 1], "{safety:?}");
    }
}

#[test]
fn a_read_is_repeated_anywhere() {
    let mut desk = desk(&["east", "west"], |_| ());
    assert_eq!(asked(&mut desk, Safety::Safe, BROKEN)[..2], [0, 1]);
}

/// Where the next reads of the client go.
fn reads(desk: &mut Desk, times: usize) -> Vec<usize> {
    let first = |desk: &mut Desk| asked(desk, Safety::Safe, OK)[0];
    (0..times).map(|_| first(desk)).collect()
}

fn with_affinity() -> Desk {
    desk(&["east", "west", "east"], |spec| spec.write_affinity = Duration::from_secs(5))
}

#[test]
fn a_client_that_wrote_reads_from_that_data_domain_for_a_while() {
    let mut desk = with_affinity();
    assert_eq!(asked(&mut desk, Safety::Unsafe, OK), [0]);
    assert!(reads(&mut desk, 6).iter().all(|&upstream| upstream != 1));
    desk.now = desk.now + Duration::from_secs(5);
    assert!(reads(&mut desk, 6).contains(&1));
}

#[test]
fn without_the_key_it_reads_anywhere() {
    let mut desk = desk(&["east", "west"], |_| ());
    assert_eq!(asked(&mut desk, Safety::Unsafe, OK), [0]);
    assert_eq!(reads(&mut desk, 2), [1, 0]);
}

#[test]
fn a_stale_read_is_better_than_none() {
    let mut desk = with_affinity();
    assert_eq!(asked(&mut desk, Safety::Unsafe, OK), [0]);
    assert_eq!(asked(&mut desk, Safety::Safe, BROKEN), [2, 0, 1]);
}
