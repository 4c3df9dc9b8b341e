//! Small panels of bars, each with a scale of its own, one bar of each in the colour of what is looked at.

use super::{MARGIN, Picture, WIDTH};
use crate::figures::Spread;

/// Panels stand in so many columns.
const COLUMNS: usize = 2;
const NAME_WIDTH: f64 = 70.0;
/// Room for the figure behind a bar.
const FIGURE_WIDTH: f64 = 50.0;
const BAR_HEIGHT: f64 = 18.0;
const GAP: f64 = 26.0;

/// The whole picture.
pub(crate) struct Bars {
    pub(crate) title: &'static str,
    pub(crate) about: String,
    pub(crate) panels: Vec<Panel>,
}

/// What can be compared.
pub(crate) struct Panel {
    pub(crate) name: String,
    pub(crate) bars: Vec<Bar>,
}

/// One of it.
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) spread: Spread,
    /// It is what the picture is about.
    pub(crate) is_ours: bool,
}

impl Bars {
    /// As SVG.
    pub(crate) fn draw(&self) -> String {
        let (mut picture, mut top) = Picture::begin(self.title, &self.about);
        let width = (WIDTH - MARGIN) / COLUMNS as f64;
        for row in self.panels.chunks(COLUMNS) {
            for (column, panel) in row.iter().enumerate() {
                panel.draw(&mut picture, MARGIN + width * column as f64, top, width - MARGIN);
            }
            let most = row.iter().map(|panel| panel.bars.len()).max().unwrap_or_default();
            top += GAP + BAR_HEIGHT * most as f64;
        }
        picture.end(top + MARGIN)
    }
}

impl Panel {
    fn draw(&self, picture: &mut Picture, left: f64, top: f64, width: f64) {
        picture.text("name", left, top + 14.0, "start", &self.name);
        let most = self.bars.iter().map(|bar| bar.spread.highest).fold(f64::MIN_POSITIVE, f64::max);
        let (start, room) = (left + NAME_WIDTH, width - NAME_WIDTH - FIGURE_WIDTH);
        let at = |value: f64| start + room * value / most;
        for (number, bar) in self.bars.iter().enumerate() {
            let y = top + 20.0 + BAR_HEIGHT * number as f64;
            let middle = y + BAR_HEIGHT / 2.0 - 2.0;
            picture.text("quiet", start - 6.0, middle + 4.0, "end", bar.name);
            let class = if bar.is_ours { "load" } else { "fault" };
            picture.rect(class, start, y, at(bar.spread.median) - start, BAR_HEIGHT - 4.0);
            picture.line("frame", (at(bar.spread.lowest), middle), (at(bar.spread.highest), middle));
            let figure = format!("{:.1}", bar.spread.median);
            picture.text("quiet", at(bar.spread.highest) + 5.0, middle + 4.0, "start", &figure);
        }
    }
}
