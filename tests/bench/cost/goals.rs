//! What Aorta may cost beside NGINX and Envoy.

use super::Case;
use crate::figures::Spread;
use crate::peers::Contender;
use crate::report::Promise;

/// The goals, for readers of the tables.
pub(super) const ABOUT: &str = "Aims: with TLS upstreams no more than NGINX (1.0), plain 1.2 of it; below 0.6 of Envoy. Limits that hold in any \
     case: 1.3 of NGINX with TLS upstreams, 1.6 plain.\n";
const ENVOY: f64 = 0.6;

/// Times NGINX: what is aimed at, and what holds in any case.
const fn of_nginx(tls: bool) -> (f64, f64) {
    if tls { (1.0, 1.3) } else { (1.2, 1.6) }
}

/// A ratio to NGINX beside its goal.
pub(super) fn beside_nginx(case: &Case) -> Option<(Spread, &'static str)> {
    let ratio = case.ratio(Contender::Aorta, Contender::Nginx)?;
    let (aim, limit) = of_nginx(case.tls);
    let word = match ratio.median {
        median if median <= aim => "aim met",
        median if median <= limit => "within the limit",
        _ => "over the limit",
    };
    Some((ratio, word))
}

/// Of all cases; those that could not be compared are no promise.
pub(super) fn promises(cases: &[Case]) -> Vec<Promise> {
    let mut promises = Vec::new();
    for tls in [true, false] {
        let (_, limit) = of_nginx(tls);
        let says = format!(
            "with {} upstreams a request costs at most {limit} of NGINX's",
            if tls { "TLS" } else { "plain" }
        );
        let ratios = of(cases, |case| case.tls == tls, Contender::Nginx);
        promises.extend(promise(says, &ratios, |ratio| ratio <= limit));
    }
    let says = format!("a request costs less than {ENVOY} of Envoy's");
    promises.extend(promise(says, &of(cases, |_| true, Contender::Envoy), |ratio| ratio < ENVOY));
    promises
}

fn of(cases: &[Case], wanted: impl Fn(&Case) -> bool, to: Contender) -> Vec<(&str, f64)> {
    let cases = cases.iter().filter(|case| wanted(case));
    let ratio = |case: &Case| Some(case.ratio(Contender::Aorta, to)?.median);
    cases.filter_map(|case| Some((case.name.as_str(), ratio(case)?))).collect()
}

fn promise(says: String, ratios: &[(&str, f64)], is_kept: impl Fn(f64) -> bool) -> Option<Promise> {
    let seen: Vec<String> = ratios.iter().map(|(name, ratio)| format!("{ratio:.2} ({name})")).collect();
    let kept = ratios.iter().all(|(_, ratio)| is_kept(*ratio));
    (!seen.is_empty()).then(|| Promise { says, seen: seen.join(", "), kept })
}
