//! Figures as pictures: plain SVG in the style of `aorta-proxy simulate --svg`, for light and dark, without a script.

pub(crate) mod bars;
pub(crate) mod matrix;

use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 16.0;
/// One look for all pictures of this project.
const STYLE: &str = include_str!("../../proxy/src/simulate/svg/style.css");

/// One being drawn, from the top down.
struct Picture {
    title: &'static str,
    about: String,
    marks: String,
}

impl Picture {
    /// Begins with a title and a sentence; returns where the rest begins.
    fn begin(title: &'static str, about: &str) -> (Self, f64) {
        let mut picture = Self { title, about: about.to_owned(), marks: String::new() };
        picture.text("title", MARGIN, 28.0, "start", title);
        picture.text("quiet", MARGIN, 48.0, "start", about);
        (picture, 66.0)
    }

    fn add(&mut self, mark: std::fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        let _ = self.marks.write_fmt(mark);
        self.marks.push('\n');
    }

    fn text(&mut self, class: &str, x: f64, y: f64, anchor: &str, text: &str) {
        let text = escaped(text);
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn rect(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.add(format_args!(
            "<path class=\"{class}\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    fn end(self, height: f64) -> String {
        let (title, about) = (escaped(self.title), escaped(&self.about));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">{title}</title>\n\
             <desc id=\"d\">{about}</desc>\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height:.0}\"/>\n{}</svg>\n",
            self.marks
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
