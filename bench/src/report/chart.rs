//! One kind of picture: lines over a common axis, as SVG.

use plotters::prelude::*;

/// Of every picture, in pixels.
const SIZE: (u32, u32) = (900, 300);
/// Told apart also by who does not see all colours (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// How values stand on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// In proportion.
    Linear,
    /// By their logarithm; what is not above 0 is left out.
    Logarithmic,
    /// Quantiles from 0 to 1, stretched towards 1.
    Quantile,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x_label: &'static str,
    /// On its left.
    pub y_label: &'static str,
    /// Of the x axis.
    pub x_scale: Scale,
    /// Of the y axis.
    pub y_scale: Scale,
    /// The lines, by name.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Scale {
    fn place(self, value: f64) -> Option<f64> {
        let placed = match self {
            Scale::Linear => value,
            Scale::Logarithmic => value.log10(),
            // The last is at 1, which is infinitely far.
            Scale::Quantile => -(1.0 - value.min(0.999_999)).log10(),
        };
        placed.is_finite().then_some(placed)
    }

    fn label(self, placed: f64) -> String {
        match self {
            Scale::Linear => number(placed),
            Scale::Logarithmic => number(10_f64.powf(placed)),
            Scale::Quantile => format!("{}", round(100.0 * (1.0 - 10_f64.powf(-placed)), 5)) + " %",
        }
    }
}

/// As short as it can be read.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e9 => format!("{}G", round(value / 1e9, 2)),
        size if size >= 1e6 => format!("{}M", round(value / 1e6, 2)),
        size if size >= 1e4 => format!("{}k", round(value / 1e3, 1)),
        size if size >= 1.0 || size == 0.0 => format!("{}", round(value, 1)),
        _ => format!("{}", round(value, 3)),
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

impl Chart {
    /// The picture, or nothing where there is no point to draw.
    pub fn svg(&self) -> Option<String> {
        let lines: Vec<(String, Vec<(f64, f64)>)> =
            self.lines.iter().map(|line| self.placed(line)).collect();
        let points = || lines.iter().flat_map(|(_, points)| points.iter().copied());
        points().next()?;
        let x = range(points().map(|(x, _)| x), false);
        let y = range(points().map(|(_, y)| y), self.y_scale == Scale::Linear);
        let mut out = String::new();
        self.draw(&lines, x, y, &mut out).ok()?;
        Some(out)
    }

    fn placed(&self, (name, points): &(String, Vec<(f64, f64)>)) -> (String, Vec<(f64, f64)>) {
        let place = |(x, y): &(f64, f64)| Some((self.x_scale.place(*x)?, self.y_scale.place(*y)?));
        (name.clone(), points.iter().filter_map(place).collect())
    }

    fn draw(
        &self,
        lines: &[(String, Vec<(f64, f64)>)],
        x: (f64, f64),
        y: (f64, f64),
        out: &mut String,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let area = SVGBackend::with_string(out, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 16))
            .margin(8)
            .x_label_area_size(38)
            .y_label_area_size(64)
            .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .x_desc(self.x_label)
            .y_desc(self.y_label)
            .x_label_formatter(&|value| self.x_scale.label(*value))
            .y_label_formatter(&|value| self.y_scale.label(*value))
            .y_labels(6)
            .draw()?;
        for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            let drawn = chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
            drawn
                .label(name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], style));
        }
        chart
            .configure_series_labels()
            .position(match self.x_scale {
                // Latency only rises with the quantile: there is room below.
                Scale::Quantile => SeriesLabelPosition::LowerRight,
                _ => SeriesLabelPosition::UpperLeft,
            })
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.2))
            .label_font(("sans-serif", 12))
            .draw()?;
        area.present()?;
        Ok(())
    }
}

/// From the least to the most, with some room; never empty.
fn range(values: impl Iterator<Item = f64>, from_zero: bool) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let low = if from_zero { low.min(0.0) } else { low };
    match high > low {
        true => (low, high + 0.05 * (high - low)),
        false => (low, low + 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "A <title>".to_owned(),
            x_label: "s",
            y_label: "us",
            x_scale: Scale::Linear,
            y_scale: Scale::Logarithmic,
            lines: vec![("p50".to_owned(), points)],
        }
    }

    #[test]
    fn a_picture_has_its_lines_and_odd_points_do_no_harm() {
        let svg = chart(vec![
            (0.0, 10.0),
            (1.0, 1000.0),
            (2.0, 0.0),
            (3.0, f64::NAN),
        ])
        .svg()
        .unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<polyline") && svg.contains("p50"));
        assert!(svg.contains("A &lt;title&gt;"), "text is escaped");
        assert!(chart(vec![(0.0, 5.0)]).svg().is_some());
        assert!(chart(vec![(0.0, 0.0)]).svg().is_none());
        assert!(chart(Vec::new()).svg().is_none());
    }

    #[test]
    fn axes_are_labelled_in_what_was_measured() {
        assert_eq!("90 %", Scale::Quantile.label(1.0));
        assert_eq!("99.9 %", Scale::Quantile.label(3.0));
        assert_eq!("10k", Scale::Logarithmic.label(4.0));
        assert_eq!("1.5M", Scale::Linear.label(1_500_000.0));
        assert_eq!("0.25", Scale::Linear.label(0.25));
    }
}
