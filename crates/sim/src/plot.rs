//! Plots as SVG, written by hand: axes, series, a legend, and labels that keep out of each other's way.

use std::fmt::Write;

/// How an axis divides its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// In powers of ten; what is zero or less lies on the floor.
    Log,
}

/// One axis: what it shows and how far it goes.
#[derive(Clone, Debug)]
pub struct Axis {
    pub title: String,
    pub scale: Scale,
    pub from: f64,
    pub to: f64,
}

/// A point; `error` is drawn as a bar above and below it.
#[derive(Clone, Debug)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub error: f64,
    /// Empty where the point needs none.
    pub label: String,
}

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub points: Vec<Point>,
    pub is_joined: bool,
}

/// A whole picture.
#[derive(Clone, Debug)]
pub struct Plot {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 520.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 456.0;
/// How wide a letter of a label is, and how high a line.
const LETTER: f64 = 5.6;
const LINE: f64 = 11.0;
/// Distinct also for those who see fewer colours (Okabe and Ito 2008).
const COLOURS: [&str; 9] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a8a00",
    "#7d4e9f",
];

/// A place that is taken: left, top, right, bottom.
type Box4 = (f64, f64, f64, f64);

impl Plot {
    pub fn to_svg(&self) -> String {
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"11\">"
        );
        let _ = writeln!(svg, "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>");
        let middle = f64::midpoint(LEFT, RIGHT);
        text(&mut svg, middle, 24.0, "middle", "font-size=\"14\" font-weight=\"600\"", &self.title);
        self.draw_axes(&mut svg);
        for (number, series) in self.series.iter().enumerate() {
            self.draw_series(&mut svg, number, series);
        }
        self.draw_labels(&mut svg);
        self.draw_legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let across = LEFT + self.x.share(x) * (RIGHT - LEFT);
        (across, BOTTOM - self.y.share(y) * (BOTTOM - TOP))
    }

    fn draw_axes(&self, svg: &mut String) {
        for (value, name) in self.x.ticks() {
            let (x, _) = self.at(value, self.y.from);
            line(svg, (x, TOP), (x, BOTTOM), "#e4e4e4");
            text(svg, x, BOTTOM + 16.0, "middle", "fill=\"#333333\"", &name);
        }
        for (value, name) in self.y.ticks() {
            let (_, y) = self.at(self.x.from, value);
            line(svg, (LEFT, y), (RIGHT, y), "#e4e4e4");
            text(svg, LEFT - 8.0, y + 4.0, "end", "fill=\"#333333\"", &name);
        }
        line(svg, (LEFT, BOTTOM), (RIGHT, BOTTOM), "#333333");
        line(svg, (LEFT, TOP), (LEFT, BOTTOM), "#333333");
        let middle = f64::midpoint(LEFT, RIGHT);
        text(svg, middle, BOTTOM + 40.0, "middle", "font-size=\"12\"", &self.x.title);
        let height = f64::midpoint(TOP, BOTTOM);
        let turned = format!("font-size=\"12\" transform=\"rotate(-90 18 {height:.1})\"");
        text(svg, 18.0, height, "middle", &turned, &self.y.title);
    }

    fn draw_series(&self, svg: &mut String, number: usize, series: &Series) {
        let colour = COLOURS[number % COLOURS.len()];
        if series.is_joined {
            let places = series.points.iter().map(|point| {
                let (x, y) = self.at(point.x, point.y);
                format!("{x:.1},{y:.1}")
            });
            let places: Vec<String> = places.collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
                places.join(" ")
            );
        }
        for point in &series.points {
            let (x, y) = self.at(point.x, point.y);
            if 0.0 < point.error && 0.0 < point.y {
                let (_, low) = self.at(point.x, point.y - point.error);
                let (_, high) = self.at(point.x, point.y + point.error);
                line(svg, (x, low), (x, high), colour);
            }
            mark(svg, number, (x, y), colour, self.y.scale == Scale::Log && point.y <= 0.0);
        }
    }

    /// Puts each label where it hits neither a point nor another label, or leaves it out.
    fn draw_labels(&self, svg: &mut String) {
        let points = self.series.iter().flat_map(|series| &series.points);
        let mut taken: Vec<Box4> = points
            .map(|point| self.at(point.x, point.y))
            .map(|(x, y)| (x - 4.0, y - 4.0, x + 4.0, y + 4.0))
            .collect();
        for (number, series) in self.series.iter().enumerate() {
            for point in series.points.iter().filter(|point| !point.label.is_empty()) {
                let (x, y) = self.at(point.x, point.y);
                let width = point.label.chars().count() as f64 * LETTER;
                let places = places(x, y, width);
                let Some(place) = places.into_iter().find(|place| is_free(*place, &taken)) else {
                    continue;
                };
                taken.push(place);
                let colour =
                    format!("font-size=\"10\" fill=\"{}\"", COLOURS[number % COLOURS.len()]);
                text(svg, place.0, place.3 - 2.0, "start", &colour, &point.label);
            }
        }
    }

    fn draw_legend(&self, svg: &mut String) {
        for (number, series) in self.series.iter().enumerate() {
            let y = TOP + 10.0 + 20.0 * number as f64;
            let colour = COLOURS[number % COLOURS.len()];
            if series.is_joined {
                line(svg, (RIGHT + 16.0, y), (RIGHT + 40.0, y), colour);
            }
            mark(svg, number, (RIGHT + 28.0, y), colour, false);
            text(svg, RIGHT + 48.0, y + 4.0, "start", "", &series.name);
        }
    }
}

impl Axis {
    /// Where a number lies between the ends, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log if value <= self.from => 0.0,
            Scale::Log => (value / self.from).ln() / (self.to / self.from).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self.scale {
            Scale::Log => {
                let (low, high) = (self.from.log10().ceil(), self.to.log10().floor());
                let powers = low as i32..=high as i32;
                powers.map(|n| (10f64.powi(n), power_of_ten(n))).collect()
            }
            Scale::Linear => {
                let step = step((self.to - self.from) / 8.0);
                let first = (self.from / step - 1e-9).ceil() as i64;
                let last = (self.to / step + 1e-9).floor() as i64;
                (first..=last).map(|n| n as f64 * step).map(|v| (v, short(v))).collect()
            }
        }
    }
}

/// A round number not below `least`.
fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|n| n * power).find(|s| least <= *s).unwrap_or(10.0 * power)
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn power_of_ten(n: i32) -> String {
    match n {
        0 => "1".to_owned(),
        1..=4 => format!("{}", 10u32.pow(n.unsigned_abs())),
        _ => format!("1e{n}"),
    }
}

/// Places for a label around a point, the best first.
fn places(x: f64, y: f64, width: f64) -> Vec<Box4> {
    let beside = |dy: f64| {
        let (top, bottom) = (y + dy - LINE / 2.0, y + dy + LINE / 2.0);
        [(x + 6.0, top, x + 6.0 + width, bottom), (x - 6.0 - width, top, x - 6.0, bottom)]
    };
    let centred = |dy: f64| {
        let (top, bottom) = (y + dy - LINE / 2.0, y + dy + LINE / 2.0);
        (x - width / 2.0, top, x + width / 2.0, bottom)
    };
    let near = beside(0.0).into_iter().chain([centred(-11.0), centred(11.0)]);
    near.chain([-8.0, 8.0, -16.0, 16.0, -24.0, 24.0].into_iter().flat_map(beside)).collect()
}

fn is_free(place: Box4, taken: &[Box4]) -> bool {
    let inside =
        LEFT <= place.0 && TOP - 8.0 <= place.1 && place.2 <= RIGHT + 4.0 && place.3 <= BOTTOM;
    let apart = |other: &Box4| {
        place.2 <= other.0 || other.2 <= place.0 || place.3 <= other.1 || other.3 <= place.1
    };
    inside && taken.iter().all(apart)
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, more: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{words}</text>"
    );
}

/// Series differ by shape, too; a hollow mark lies on the floor of a logarithmic axis.
fn mark(svg: &mut String, number: usize, (x, y): (f64, f64), colour: &str, is_hollow: bool) {
    let fill = if is_hollow { "#ffffff" } else { colour };
    let style = format!("fill=\"{fill}\" stroke=\"{colour}\"");
    let _ = match number % 4 {
        0 => writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" {style}/>"),
        1 => writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"6.4\" height=\"6.4\" {style}/>",
            x - 3.2,
            y - 3.2
        ),
        2 => writeln!(svg, "<path d=\"M{x:.1} {:.1} l4 7 h-8 z\" {style}/>", y - 4.4),
        _ => writeln!(svg, "<path d=\"M{x:.1} {:.1} l4 4 l-4 4 l-4 -4 z\" {style}/>", y - 4.0),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let point = |x, y| Point { x, y, error: y / 4.0, label: format!("at {x}") };
        let axis = |scale, from, to| Axis { title: "<axis>".to_owned(), scale, from, to };
        Plot {
            title: "a & b".to_owned(),
            x: axis(Scale::Linear, 0.0, 10.0),
            y: axis(Scale::Log, 1e-4, 1.0),
            series: (0..5)
                .map(|n| Series {
                    name: format!("series {n}"),
                    points: (0..6).map(|x| point(f64::from(x), 0.01)).collect(),
                    is_joined: n % 2 == 0,
                })
                .collect(),
        }
    }

    #[test]
    fn labels_neither_overlap_nor_leave_the_frame() {
        let svg = plot().to_svg();
        let number = |line: &str, name: &str| -> f64 {
            let rest = line.split(&format!(" {name}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let labels: Vec<Box4> = svg
            .lines()
            .filter(|line| line.contains(">at "))
            .map(|line| (number(line, "x"), number(line, "y")))
            .map(|(x, y)| (x, y + 2.0 - LINE, x + 4.0 * LETTER, y + 2.0))
            .collect();
        assert!(10 <= labels.len(), "{} labels", labels.len());
        for (n, label) in labels.iter().enumerate() {
            let others: Vec<Box4> = labels
                .iter()
                .enumerate()
                .filter(|(m, _)| *m != n)
                .map(|(_, (x, top, right, bottom))| (x + 0.1, top + 0.1, right - 0.1, bottom - 0.1))
                .collect();
            assert!(is_free(*label, &others), "{label:?}");
        }
    }

    #[test]
    fn a_logarithmic_axis_has_a_tick_for_each_power_of_ten_and_words_are_escaped() {
        let plot = plot();
        let names: Vec<String> = plot.y.ticks().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["1e-4", "1e-3", "1e-2", "1e-1", "1"]);
        let svg = plot.to_svg();
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;axis&gt;"), "{svg}");
        assert_eq!(svg, plot.to_svg());
    }
}
