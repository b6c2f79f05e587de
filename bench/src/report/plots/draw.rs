//! Makes a picture of a [`Chart`]: SVG on white, with its title for those who do not see it. This file alone knows the
//! library that draws.

use std::error::Error;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::chart::{Chart, Line, Stroke};
use crate::report::text;

/// Colours that people with any kind of colour vision tell apart (Okabe and Ito), without the yellow, which is not seen on
/// white.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT_INK: RGBColor = RGBColor(0x66, 0x66, 0x66);
const GRID: RGBColor = RGBColor(0xe2, 0xe4, 0xe8);
const SHADE: RGBColor = RGBColor(0xf4, 0xf5, 0xf8);
const FONT: &str = "sans-serif";

/// What a letter is wide, nearly, as a share of its size: without fonts nobody measures.
const LETTER_WIDTH: f64 = 0.56;

/// A chart that is narrower has smaller letters and no legend.
const SMALL_BELOW: u32 = 500;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Context<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The chart as a whole SVG document.
pub fn svg(chart: &Chart) -> String {
    let placed = chart.placed();
    if placed.points().next().is_none() {
        return nothing(&chart.title, "There is nothing to draw.");
    }
    let mut svg = String::new();
    let drawn = picture(
        &placed,
        &SVGBackend::with_string(&mut svg, chart.size).into_drawing_area(),
    );
    match drawn {
        Ok(()) => named(&svg, &chart.title),
        // It writes to memory. If it fails after all, the reader is told at the picture's place.
        Err(error) => nothing(&chart.title, &format!("It could not be drawn: {error}.")),
    }
}

/// A small drawing that says why there is none.
pub fn nothing(title: &str, why: &str) -> String {
    let svg = format!(
        "<svg width=\"860\" height=\"60\" viewBox=\"0 0 860 60\" xmlns=\"http://www.w3.org/2000/svg\">\n\
         <rect width=\"860\" height=\"60\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"22\" font-family=\"{FONT}\" font-size=\"13\" fill=\"#222222\">{}</text>\n\
         <text x=\"12\" y=\"44\" font-family=\"{FONT}\" font-size=\"12\" fill=\"#666666\">{}</text>\n\
         </svg>\n",
        text::escape(title),
        text::escape(why),
    );
    named(&svg, title)
}

/// The drawing with its title.
fn named(svg: &str, title: &str) -> String {
    let title = text::escape(title);
    let svg = svg.replacen(
        "<svg ",
        &format!("<svg role=\"img\" aria-label=\"{title}\" "),
        1,
    );
    svg.replacen(">\n", &format!(">\n<title>{title}</title>\n"), 1)
}

/// Draws a chart whose figures are placed.
fn picture(chart: &Chart, area: &Area) -> Result<()> {
    area.fill(&WHITE)?;
    let is_small = chart.size.0 < SMALL_BELOW;
    let (size, height) = if is_small { (15, 26) } else { (19, 32) };
    area.draw(&Text::new(
        chart.title.clone(),
        (12, 8),
        (FONT, size).into_font().color(&INK),
    ))?;
    let (_, mut below) = area.split_vertically(height);
    if !is_small {
        below = legend(&chart.lines, &below)?;
    }
    let mut context = axes(chart, &below, is_small)?;
    mark(chart, &mut context)?;
    for drawn in &chart.lines {
        line(drawn, &mut context)?;
    }
    part_names(chart, &context)?;
    area.present()?;
    Ok(())
}

/// A sample and a name for each line. Gives what is left below.
fn legend<'a>(lines: &[Line], area: &Area<'a>) -> Result<Area<'a>> {
    const LEFT: i32 = 14;
    const ROW: i32 = 20;
    const SIZE: i32 = 15;
    let (width, _) = area.dim_in_pixel();
    let (mut x, mut y) = (LEFT, ROW / 2);
    for line in lines.iter().filter(|line| !line.name.is_empty()) {
        let needed = 32 + text_width(&line.name, SIZE) + 18;
        if x > LEFT && x + needed > width as i32 {
            (x, y) = (LEFT, y + ROW);
        }
        let ends = [(x, y), (x + 26, y)];
        area.draw(&PathElement::new(ends, style(line)))?;
        let place = Pos::new(HPos::Left, VPos::Center);
        let font = (FONT, SIZE).into_font().color(&INK).pos(place);
        area.draw(&Text::new(line.name.clone(), (x + 32, y), font))?;
        x += needed;
    }
    let (_, below) = area.split_vertically(y + ROW / 2 + 2);
    Ok(below)
}

/// Parts shaded in turn, a grid, marks and labels.
fn axes<'a, 'b>(chart: &Chart, area: &'a Area<'b>, is_small: bool) -> Result<Context<'a, 'b>> {
    let ends = chart.parts.iter().flat_map(|part| [part.from, part.to]);
    let mark = chart.mark.iter().map(|(at, _)| *at);
    let x = chart
        .x
        .axis(chart.points().map(|point| point.x).chain(ends).chain(mark));
    let y = chart.y.axis(chart.points().map(|point| point.y));
    let (low, high) = (y.range.start, y.range.end);
    let mut context = ChartBuilder::on(area)
        .margin_right(if is_small { 16 } else { 40 })
        .margin_top(if chart.parts.iter().all(|part| part.name.is_empty()) {
            6
        } else {
            18
        })
        .margin_bottom(6)
        .x_label_area_size(if chart.x_name.is_empty() { 24 } else { 44 })
        .y_label_area_size(if is_small { 62 } else { 70 })
        .build_cartesian_2d(x, y)?;
    let shaded = chart.parts.iter().step_by(2);
    context.draw_series(
        shaded.map(|part| Rectangle::new([(part.from, low), (part.to, high)], SHADE.filled())),
    )?;
    context
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT_INK)
        .label_style(
            (FONT, if is_small { 12 } else { 14 })
                .into_font()
                .color(&INK),
        )
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .x_desc(chart.x_name.as_str())
        .draw()?;
    Ok(context)
}

/// The upright line at the place that matters.
fn mark(chart: &Chart, context: &mut Context) -> Result<()> {
    let Some((at, name)) = &chart.mark else {
        return Ok(());
    };
    let (x, y) = (context.x_range(), context.y_range());
    let ends = [(*at, y.start), (*at, y.end)];
    context.draw_series(DashedLineSeries::new(ends, 6, 4, FAINT_INK.stroke_width(1)))?;
    let (side, away) = if *at > x.start.midpoint(x.end) {
        (HPos::Right, -6)
    } else {
        (HPos::Left, 6)
    };
    let font = (FONT, 14)
        .into_font()
        .color(&INK)
        .pos(Pos::new(side, VPos::Top));
    context
        .draw_series([EmptyElement::at((*at, y.end)) + Text::new(name.clone(), (away, 4), font)])?;
    Ok(())
}

fn line(line: &Line, context: &mut Context) -> Result<()> {
    for run in &line.runs {
        let points = run.iter().map(|point| (point.x, point.y));
        context.draw_series(LineSeries::new(points, style(line)))?;
        // A run of one point has no length; a dot shows that it is there.
        if line.stroke == Stroke::Points || run.len() == 1 {
            let dot = |at, style: ShapeStyle| Circle::new(at, 4, style);
            context.draw_series(
                run.iter()
                    .map(|point| dot((point.x, point.y), WHITE.filled())),
            )?;
            context.draw_series(run.iter().map(|point| {
                let style = style(line);
                dot(
                    (point.x, point.y),
                    if point.is_hollow {
                        style
                    } else {
                        style.filled()
                    },
                )
            }))?;
        }
    }
    Ok(())
}

/// The names of the parts above them, as far as there is room.
fn part_names(chart: &Chart, context: &Context) -> Result<()> {
    const SIZE: i32 = 13;
    let area = context.plotting_area();
    let top = context.y_range().end;
    for part in &chart.parts {
        let (left, _) = area.map_coordinate(&(part.from, top));
        let (right, _) = area.map_coordinate(&(part.to, top));
        let name = shortened(&part.name, right - left - 6, SIZE);
        let font = (FONT, SIZE)
            .into_font()
            .color(&FAINT_INK)
            .pos(Pos::new(HPos::Center, VPos::Bottom));
        let middle = part.from.midpoint(part.to);
        area.draw(&(EmptyElement::at((middle, top)) + Text::new(name, (0, -3), font)))?;
    }
    Ok(())
}

fn style(line: &Line) -> ShapeStyle {
    COLOURS[line.colour % COLOURS.len()].stroke_width(2)
}

fn text_width(text: &str, size: i32) -> i32 {
    (text.chars().count() as f64 * f64::from(size) * LETTER_WIDTH).ceil() as i32
}

/// `name` within `width` pixels; nothing where not even a hint has room.
fn shortened(name: &str, width: i32, size: i32) -> String {
    let room = (f64::from(width) / (f64::from(size) * LETTER_WIDTH)).max(0.0) as usize;
    match name.chars().count() {
        count if count <= room => name.to_owned(),
        _ if room < 5 => String::new(),
        _ => name.chars().take(room - 1).chain(['…']).collect(),
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (place - self.range.start) / (self.range.end - self.range.start);
        from + (f64::from(to - from) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.marks.clone()
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(place: &f64) -> String {
        place.to_string()
    }

    fn format_ext(&self, place: &f64) -> String {
        self.scale.label(*place)
    }
}

#[cfg(test)]
mod tests {
    use super::super::axis::Scale;
    use super::*;

    fn chart(points: &[(f64, f64)]) -> Chart {
        Chart {
            title: "Latency <of> \"all\"".into(),
            size: (860, 300),
            x_name: "seconds".into(),
            x: Scale::Seconds,
            y: Scale::Latency,
            lines: vec![Line {
                name: "p99".into(),
                colour: 7,
                stroke: Stroke::Points,
                runs: vec![points.iter().map(|point| (*point).into()).collect()],
            }],
            parts: Vec::new(),
            mark: None,
        }
    }

    #[test]
    fn a_drawing_has_its_title_for_those_who_do_not_see_it() {
        let svg = svg(&chart(&[(0.0, 100.0), (1.0, 200.0)]));
        let title = "Latency &lt;of&gt; &quot;all&quot;";
        assert!(
            svg.starts_with(&format!("<svg role=\"img\" aria-label=\"{title}\" width=")),
            "{svg}"
        );
        assert!(svg.contains(&format!("<title>{title}</title>")), "{svg}");
        assert!(svg.contains("#0072B2") || svg.contains("#D55E00"), "{svg}");
    }

    #[test]
    fn without_points_it_says_so() {
        for points in [&[][..], &[(f64::NAN, 1.0)], &[(1.0, f64::INFINITY)]] {
            assert!(svg(&chart(points)).contains("There is nothing to draw."));
        }
    }

    #[test]
    fn names_are_cut_where_there_is_no_room() {
        assert_eq!(
            shortened("half of saturation", 400, 13),
            "half of saturation"
        );
        assert_eq!(shortened("half of saturation", 80, 13), "half of s…");
        assert_eq!(shortened("half of saturation", 20, 13), "");
        assert_eq!(shortened("half of saturation", -20, 13), "");
    }
}
