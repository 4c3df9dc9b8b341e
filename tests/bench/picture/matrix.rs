//! A table of cells that tell by their colour how bad it was, and by a word how bad exactly.

use super::{MARGIN, Picture, WIDTH};

const NAME_WIDTH: f64 = 210.0;
const ROW_HEIGHT: f64 = 22.0;
const GAP: f64 = 2.0;

/// The whole picture.
pub(crate) struct Matrix {
    pub(crate) title: &'static str,
    pub(crate) about: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<(String, Vec<Cell>)>,
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) grade: Grade,
    pub(crate) text: String,
}

/// How bad it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    /// Nobody noticed.
    Unnoticed,
    /// Somebody waited.
    Late,
    /// Somebody got no right answer.
    Lost,
}

impl Grade {
    const fn class(self) -> &'static str {
        match self {
            Self::Unnoticed => "healthy",
            Self::Late => "rescued",
            Self::Lost => "lost",
        }
    }
}

impl Matrix {
    /// As SVG.
    pub(crate) fn draw(&self) -> String {
        let (mut picture, mut top) = Picture::begin(self.title, &self.about);
        let width = (WIDTH - NAME_WIDTH - MARGIN * 2.0) / self.columns.len().max(1) as f64;
        let left = |column: usize| MARGIN + NAME_WIDTH + width * column as f64;
        for (column, name) in self.columns.iter().enumerate() {
            picture.text("name", left(column) + width / 2.0, top + 12.0, "middle", name);
        }
        top += ROW_HEIGHT;
        for (name, cells) in &self.rows {
            picture.text("quiet", MARGIN, top + ROW_HEIGHT / 2.0 + 4.0, "start", name);
            for (column, cell) in cells.iter().enumerate() {
                picture.rect(cell.grade.class(), left(column), top, width - GAP, ROW_HEIGHT - GAP);
                let (x, y) = (left(column) + width / 2.0, top + ROW_HEIGHT / 2.0 + 3.0);
                picture.text("on", x, y, "middle", &cell.text);
            }
            top += ROW_HEIGHT;
        }
        picture.end(top + MARGIN)
    }
}
