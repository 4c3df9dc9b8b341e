//! What was measured as tables and as a picture.

use super::{CONTENDERS, Case, Turn, goals};
use crate::figures::{Spread, median, table};
use crate::peers::{Contender, Field};
use crate::picture::bars::{Bar, Bars, Panel};

pub(super) const DIRECT: &str = "the upstream itself";

/// A row for each kind of request: microseconds of each proxy, Aorta beside NGINX and Envoy.
pub(super) fn overview(cases: &[Case], field: &Field) -> String {
    let contenders = columns(field);
    let mut head = vec!["µs of processor time for a request".to_owned()];
    head.extend(contenders.iter().map(|contender| contender.name().to_owned()));
    head.extend(["Aorta to NGINX", "lowest to highest", "goal", "to Envoy"].map(ToOwned::to_owned));
    let mut rows = vec![head];
    for case in cases {
        let mut row = vec![case.name.clone()];
        row.extend(contenders.iter().map(|contender| case.micros(*contender)).map(micros));
        let beside = goals::beside_nginx(case);
        row.push(beside.map_or_else(String::new, |(ratio, _)| format!("{:.2}", ratio.median)));
        row.push(beside.map_or_else(String::new, |(ratio, _)| ratio.range(2)));
        row.push(beside.map_or("", |(_, word)| word).to_owned());
        let envoy = case.ratio(Contender::Aorta, Contender::Envoy);
        row.push(envoy.map_or_else(String::new, |ratio| format!("{:.2}", ratio.median)));
        rows.push(row);
    }
    table(&rows)
}

fn columns(field: &Field) -> Vec<Contender> {
    field.of_those(&CONTENDERS[..5])
}

fn micros(spread: Option<Spread>) -> String {
    spread.map_or_else(String::new, |spread| format!("{:.1}", spread.median))
}

/// Everything about one kind of request.
pub(super) fn of_one(case: &Case, field: &Field) -> String {
    let heads =
        [&case.name, "µs", "lowest", "highest", "to NGINX", "requests/s", "p50 ms", "p99 ms", "errors"];
    let mut rows = vec![heads.map(ToOwned::to_owned).to_vec()];
    let nginx = case.micros(Contender::Nginx).map(|spread| spread.median);
    for name in field.of_those(&CONTENDERS).into_iter().map(Contender::name).chain([DIRECT]) {
        let all = case.turns(name);
        let Some(spent) = Spread::of(all.iter().map(|turn| turn.micros_per_request)) else { continue };
        let of = |figure: fn(&Turn) -> f64| median(&all.iter().map(figure).collect::<Vec<_>>());
        rows.push(vec![
            name.to_owned(),
            format!("{:.1}", spent.median),
            format!("{:.1}", spent.lowest),
            format!("{:.1}", spent.highest),
            nginx.map_or_else(String::new, |nginx| format!("{:.2}", spent.median / nginx)),
            format!("{:.0}", of(|turn| turn.requests_per_second)),
            format!("{:.1}", of(|turn| turn.p50_us as f64 / 1000.0)),
            format!("{:.1}", of(|turn| turn.p99_us as f64 / 1000.0)),
            all.iter().map(|turn| turn.errors).sum::<u64>().to_string(),
        ]);
    }
    table(&rows)
}

/// A panel for each kind of request, a bar for each proxy.
pub(super) fn plot(cases: &[Case], field: &Field) -> String {
    let bar = |case: &Case, contender: Contender| {
        let is_ours = contender == Contender::Aorta;
        Some(Bar { name: contender.name(), spread: case.micros(contender)?, is_ours })
    };
    let panel = |case: &Case| Panel {
        name: case.name.clone(),
        bars: columns(field).into_iter().filter_map(|contender| bar(case, contender)).collect(),
    };
    let about =
        "Microseconds of processor time of the proxy for each request: medians, and the span of all rounds.";
    Bars { title: "What a request costs", about: about.to_owned(), panels: cases.iter().map(panel).collect() }
        .draw()
}
