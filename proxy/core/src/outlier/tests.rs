use super::*;

const POLICY: fn() -> PassiveHealth = PassiveHealth::default;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1000)
}

#[test]
fn three_failures_in_a_row_eject_and_a_success_between_starts_anew() {
    let mut record = Outlier::default();
    assert_eq!(record.failure(&POLICY(), at(0)), None);
    assert_eq!(record.failure(&POLICY(), at(1)), None);
    record.success(&POLICY(), at(2));
    assert_eq!(record.failure(&POLICY(), at(3)), None);
    assert_eq!(record.failure(&POLICY(), at(4)), None);
    assert_eq!(record.failure(&POLICY(), at(5)), Some(EjectReason::ConsecutiveFailures));
}

#[test]
fn five_application_failures_in_a_row_eject() {
    let mut record = Outlier::default();
    for i in 0..4 {
        assert_eq!(record.app_failure(&POLICY(), at(i)), None);
    }
    assert_eq!(record.app_failure(&POLICY(), at(5)), Some(EjectReason::ConsecutiveAppFailures));
}

#[test]
fn a_goodbye_ends_many_attempts_and_counts_once_and_only_three_in_a_row_eject() {
    let mut record = Outlier::default();
    (0..64).for_each(|sent| assert_eq!(record.goodbye(&POLICY(), at(sent), at(100)), None));
    assert_eq!(record.goodbye(&POLICY(), at(100), at(101)), None, "the next connection");
    record.success(&POLICY(), at(102));
    assert_eq!(record.goodbye(&POLICY(), at(103), at(104)), None);
    assert_eq!(record.failure(&POLICY(), at(105)), None, "a goodbye is no failure");
    assert_eq!(record.goodbye(&POLICY(), at(105), at(106)), None);
    assert_eq!(record.goodbye(&POLICY(), at(106), at(107)), Some(EjectReason::ConsecutiveFailures));
}

#[test]
fn only_answers_kept_back_in_a_row_eject() {
    let mut record = Outlier::default();
    for i in 0..1000 {
        (0..4).for_each(|_| assert_eq!(record.slow(&POLICY()), None));
        record.success(&POLICY(), at(i));
    }
    (0..4).for_each(|_| assert_eq!(record.slow(&POLICY()), None));
    assert_eq!(record.slow(&POLICY()), Some(EjectReason::ConsecutiveSlow));
    let hasty = PassiveHealth { consecutive_app_failures: NonZeroU32::MIN.saturating_add(1), ..POLICY() };
    let mut record = Outlier::default();
    (0..4).for_each(|_| assert_eq!(record.slow(&hasty), None, "a lost race is no failure"));
    assert_eq!(record.slow(&hasty), Some(EjectReason::ConsecutiveSlow));
}

#[test]
fn a_low_success_rate_ejects_although_no_run_is_long() {
    let mut record = Outlier::default();
    let mut ejected = None;
    for i in 0..12 {
        if i % 3 == 0 {
            ejected = ejected.or(record.failure(&POLICY(), at(i * 10)));
        } else {
            record.success(&POLICY(), at(i * 10));
        }
    }
    assert_eq!(ejected, Some(EjectReason::SuccessRate));
}

#[test]
fn the_window_forgets() {
    let mut record = Outlier::default();
    for i in 0..9 {
        record.success(&POLICY(), at(i));
        let _ = record.failure(&POLICY(), at(i));
    }
    let later = at(20_000);
    record.success(&POLICY(), later);
    assert_eq!(record.failure(&POLICY(), later), None);
}

#[test]
fn an_ejection_doubles_up_to_its_cap() {
    let seconds = |earlier| POLICY().ejection_after(earlier).as_secs();
    assert_eq!([0, 1, 2, 3, 4, 5, 40].map(seconds), [10, 20, 40, 80, 160, 300, 300]);
}
