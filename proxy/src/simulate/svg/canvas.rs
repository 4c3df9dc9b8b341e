//! The marks a picture is made of, and its style.

use std::fmt::Write as _;
use std::time::Duration;

const WIDTH: f64 = 960.0;
/// The plots lie between these.
const LEFT: f64 = 130.0;
const RIGHT: f64 = 940.0;
/// Marks on the axis: what has room.
const TICKS: f64 = 8.0;

/// The benchmark's pictures wear it too.
const STYLE: &str = include_str!("style.css");

pub(super) struct Canvas {
    span: Duration,
    marks: String,
}

impl Canvas {
    pub(super) const fn new(span: Duration) -> Self {
        Self { span, marks: String::new() }
    }

    fn x(&self, at: Duration) -> f64 {
        let part = at.as_secs_f64() / self.span.as_secs_f64().max(f64::MIN_POSITIVE);
        LEFT + (RIGHT - LEFT) * part.min(1.0)
    }

    fn add(&mut self, mark: std::fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        let _ = self.marks.write_fmt(mark);
        self.marks.push('\n');
    }

    pub(super) fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        self.add(format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text)));
    }

    /// What stands left of a plot.
    pub(super) fn label(&mut self, y: f64, text: &str, class: &str) {
        let x = LEFT - 8.0;
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>",
            escape(text)
        ));
    }

    pub(super) fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.2}\"/>"
        ));
    }

    /// A time of a fault, with its name.
    pub(super) fn band(&mut self, word: &str, from: Duration, until: Duration, y: f64, height: f64) {
        let (left, right) = (self.x(from), self.x(until));
        self.rect("fault", left, y, right - left, height);
        self.text("quiet", left + 3.0, y + 11.0, word);
    }

    /// Some steps of time, one after the other.
    pub(super) fn steps(
        &mut self,
        class: &str,
        step: Duration,
        first: usize,
        count: usize,
        y: f64,
        height: f64,
    ) {
        let (left, right) = (self.x(times(step, first)), self.x(times(step, first + count)));
        self.rect(class, left, y, right - left, height);
    }

    /// Parts of the height, step by step, filled down to the ground.
    pub(super) fn area(
        &mut self,
        class: &str,
        step: Duration,
        parts: impl Iterator<Item = f64>,
        top: f64,
        height: f64,
    ) {
        let ground = top + height;
        let mut path = format!("M{LEFT:.1} {ground:.1}");
        for (index, part) in parts.enumerate() {
            let (left, right) = (self.x(times(step, index)), self.x(times(step, index + 1)));
            let y = ground - height * part;
            let _ = write!(path, "L{left:.1} {y:.1}L{right:.1} {y:.1}");
        }
        self.add(format_args!("<path class=\"{class}\" d=\"{path}L{RIGHT:.1} {ground:.1}Z\"/>"));
    }

    /// Parts of the height in the middle of each step; a gap where nothing is known.
    pub(super) fn line(&mut self, class: &str, step: Duration, parts: &[Option<f64>], top: f64, height: f64) {
        let mut path = String::new();
        let mut pen = 'M';
        for (index, part) in parts.iter().enumerate() {
            let Some(part) = part else {
                pen = 'M';
                continue;
            };
            let x = self.x(times(step, index) + step / 2);
            let _ = write!(path, "{pen}{x:.1} {:.1}", top + height * (1.0 - part));
            pen = 'L';
        }
        self.add(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    pub(super) fn frame(&mut self, y: f64, height: f64) {
        self.rect("frame", LEFT, y, RIGHT - LEFT, height);
    }

    pub(super) fn grid(&mut self, y: f64) {
        self.add(format_args!("<path class=\"grid\" d=\"M{LEFT:.1} {y:.1}L{RIGHT:.1} {y:.1}\"/>"));
    }

    /// Time below the plots; returns where the picture ends.
    pub(super) fn axis(&mut self, top: f64) -> f64 {
        let each = tick(self.span.as_secs_f64());
        let mut seconds = 0.0;
        while seconds <= self.span.as_secs_f64() {
            let x = self.x(Duration::from_secs_f64(seconds));
            let bottom = top + 5.0;
            self.add(format_args!("<path class=\"frame\" d=\"M{x:.1} {top:.1}L{x:.1} {bottom:.1}\"/>"));
            self.add(format_args!(
                "<text class=\"quiet\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{seconds} s</text>",
                top + 18.0
            ));
            seconds += each;
        }
        top + 30.0
    }

    pub(super) fn finish(self, height: f64, title: &str, description: &str) -> String {
        let (title, description) = (escape(title), escape(description));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">{title}</title>\n\
             <desc id=\"d\">{description}</desc>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height:.0}\"/>\n{}</svg>\n",
            self.marks
        )
    }
}

fn times(step: Duration, count: usize) -> Duration {
    step.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

/// One, two or five times a power of ten, so that there are no more marks than have room.
fn tick(span: f64) -> f64 {
    let mut scale = 1.0;
    loop {
        for step in [1.0, 2.0, 5.0] {
            if span / (step * scale) <= TICKS {
                return step * scale;
            }
        }
        scale *= 10.0;
    }
}

/// Text that cannot become a mark.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // What XML 1.0 cannot hold.
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_a_mark() {
        assert_eq!(escape("<script>&\"\u{0}"), "&lt;script&gt;&amp;&quot; ");
    }

    #[test]
    fn marks_on_the_axis_are_few_and_round() {
        assert_eq!([1.0, 10.0, 60.0, 120.0, 3_600.0].map(tick), [1.0, 2.0, 10.0, 20.0, 500.0]);
    }
}
