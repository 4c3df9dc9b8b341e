use super::*;
use fastrand::Rng;
use std::collections::BTreeMap;

fn admission(max: u32, queue: u32) -> Admission {
    Admission::new(Concurrency { max: NonZeroU32::new(max).unwrap(), queue, ..Concurrency::default() })
}

fn queued(arrival: Arrival) -> Ticket {
    match arrival {
        Arrival::Queued { ticket, .. } => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn places_are_given_until_they_are_taken_and_then_the_queue_fills_and_then_nobody_comes_in() {
    let mut places = admission(2, 1);
    assert_eq!(places.arrive(Priority::Search), Arrival::Admitted);
    assert_eq!(places.arrive(Priority::Search), Arrival::Admitted);
    let ticket = queued(places.arrive(Priority::Search));
    assert_eq!(places.arrive(Priority::Search), Arrival::Refused);
    assert_eq!(places.leave(), Some(ticket));
    assert_eq!((places.leave(), places.leave(), places.running()), (None, None, 0));
}

#[test]
fn a_read_of_a_record_takes_the_place_of_a_bulk_export_in_the_queue_and_never_the_other_way_round() {
    let mut places = admission(1, 2);
    places.arrive(Priority::Record);
    let first = queued(places.arrive(Priority::Bulk));
    let second = queued(places.arrive(Priority::Bulk));
    let read = places.arrive(Priority::Record);
    assert!(matches!(read, Arrival::Queued { displaced: Some(ticket), .. } if ticket == second));
    let write = places.arrive(Priority::Write);
    assert!(matches!(write, Arrival::Queued { displaced: Some(ticket), .. } if ticket == first));
    for priority in [Priority::Write, Priority::Search, Priority::Bulk] {
        assert_eq!(places.arrive(priority), Arrival::Refused, "{priority:?}");
    }
    assert_eq!(places.leave(), Some(queued(read)));
    assert_eq!(places.leave(), Some(queued(write)));
}

#[test]
fn one_that_gives_up_frees_its_place_in_the_queue() {
    let mut places = admission(1, 1);
    places.arrive(Priority::Record);
    let ticket = queued(places.arrive(Priority::Record));
    assert!(places.give_up(ticket) && !places.give_up(ticket));
    let other = queued(places.arrive(Priority::Record));
    assert_eq!(places.leave(), Some(other));
    assert!(!places.give_up(other), "it is in");
}

#[test]
fn the_last_class_is_let_in_although_the_first_never_ends() {
    let mut places = admission(1, 100);
    places.arrive(Priority::Record);
    let bulk = queued(places.arrive(Priority::Bulk));
    for turn in 0..FAIR_EVERY {
        places.arrive(Priority::Record);
        if places.leave() == Some(bulk) {
            assert_eq!(turn, FAIR_EVERY - 1);
            return;
        }
    }
    panic!("it stands still");
}

/// What must hold after every step, whatever came before.
#[test]
fn bounds_hold_nobody_is_lost_and_nobody_overtakes_in_his_class_whatever_happens() {
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let (max, queue) = (rng.u32(1..6), rng.u32(0..8));
        let mut places = admission(max, queue);
        let (mut inside, mut waiting) = (0_u32, BTreeMap::<Ticket, ()>::new());
        for step in 0..400 {
            match rng.u32(0..5) {
                0..=2 => {
                    let priority = Priority::ALL[rng.usize(..4)];
                    match places.arrive(priority) {
                        Arrival::Admitted => {
                            assert!(waiting.is_empty(), "seed {seed}, step {step}: past the queue");
                            inside += 1;
                        }
                        Arrival::Queued { ticket, displaced } => {
                            if let Some(out) = displaced {
                                assert!(out.priority > priority && waiting.remove(&out).is_some());
                                assert!(waiting.keys().all(|other| *other < out), "the last of the last");
                            }
                            assert!(waiting.insert(ticket, ()).is_none());
                        }
                        Arrival::Refused => {
                            assert_eq!((inside, waiting.len()), (max, queue as usize));
                            assert!(waiting.keys().all(|other| other.priority <= priority));
                        }
                    }
                }
                3 if inside > 0 => match places.leave() {
                    Some(next) => {
                        assert!(waiting.remove(&next).is_some());
                        let before = |other: &&Ticket| other.priority == next.priority && **other < next;
                        assert_eq!(waiting.keys().find(before), None, "seed {seed}, step {step}: overtaken");
                    }
                    None => {
                        assert!(waiting.is_empty());
                        inside -= 1;
                    }
                },
                _ => {
                    if let Some(ticket) = waiting.keys().nth(rng.usize(..=waiting.len())).copied() {
                        assert!(places.give_up(ticket));
                        waiting.remove(&ticket);
                    }
                }
            }
            assert_eq!((places.running(), places.waiting()), (inside, waiting.len()));
            assert!(inside <= max && waiting.len() <= queue as usize);
        }
    }
}

#[test]
fn in_a_flood_of_every_class_the_first_is_served_first() {
    let mut places = admission(1, 64);
    places.arrive(Priority::Record);
    let mut served = [0; 4];
    for _ in 0..10_000 {
        for priority in Priority::ALL {
            places.arrive(priority);
        }
        if let Some(next) = places.leave() {
            served[next.priority as usize] += 1;
        }
    }
    assert!(served[0] > 9_000, "{served:?}");
}

#[test]
fn other_bounds_let_in_who_waits_and_turn_nobody_out() {
    let spec =
        |max, queue| Concurrency { max: NonZeroU32::new(max).unwrap(), queue, ..Concurrency::default() };
    let mut admission = Admission::new(spec(1, 4));
    for _ in 0..5 {
        admission.arrive(Priority::Record);
    }
    assert_eq!((admission.running(), admission.waiting()), (1, 4));
    assert_eq!(admission.reconfigure(spec(3, 0)).len(), 2);
    assert_eq!((admission.running(), admission.waiting()), (3, 2));
    assert_eq!(admission.reconfigure(spec(2, 0)), []);
    assert_eq!((admission.running(), admission.waiting()), (3, 2), "who is in stays");
    assert_eq!(admission.leave(), None, "there was one too many");
    assert!(admission.leave().is_some());
    assert_eq!((admission.running(), admission.waiting()), (2, 1));
}
