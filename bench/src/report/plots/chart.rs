//! What a chart is: lines on two axes, with a legend and names for parts of a run. `draw` makes a picture of it.

use super::axis::Scale;

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stroke {
    /// Whole.
    Solid,
    /// Whole, with a dot at each point; a ring at those that do not quite count.
    Points,
}

/// A line of a chart, or several that mean the same.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is, for the legend.
    pub name: String,
    /// Which of the colours, round and round.
    pub colour: usize,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Runs of points; between two runs there is a gap.
    pub runs: Vec<Vec<Point>>,
}

/// A point of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Where.
    pub x: f64,
    /// What.
    pub y: f64,
    /// For [`Stroke::Points`]: a ring instead of a dot.
    pub is_hollow: bool,
}

impl From<(f64, f64)> for Point {
    fn from((x, y): (f64, f64)) -> Point {
        Point {
            x,
            y,
            is_hollow: false,
        }
    }
}

/// A part of the x axis with a name, such as a phase.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// What it is.
    pub name: String,
}

/// A chart that can be drawn.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows; read aloud where nobody sees it.
    pub title: String,
    /// Pixels.
    pub size: (u32, u32),
    /// Below the x axis.
    pub x_name: String,
    /// How x is placed.
    pub x: Scale,
    /// How y is placed.
    pub y: Scale,
    /// What is drawn.
    pub lines: Vec<Line>,
    /// Parts of the x axis.
    pub parts: Vec<Part>,
    /// A place on the x axis that matters, with its name.
    pub mark: Option<(f64, String)>,
}

impl Chart {
    /// The chart with every figure at its place on the axes, without those that have none.
    pub fn placed(&self) -> Chart {
        let point = |point: &Point| {
            Some(Point {
                x: self.x.place(point.x)?,
                y: self.y.place(point.y)?,
                ..*point
            })
        };
        let run = |run: &Vec<Point>| run.iter().filter_map(point).collect();
        let line = |line: &Line| Line {
            runs: line.runs.iter().map(run).collect(),
            ..line.clone()
        };
        let part = |part: &Part| {
            let (from, to) = (self.x.place(part.from)?, self.x.place(part.to)?);
            Some(Part {
                from,
                to,
                name: part.name.clone(),
            })
        };
        Chart {
            lines: self.lines.iter().map(line).collect(),
            parts: self.parts.iter().filter_map(part).collect(),
            mark: self
                .mark
                .as_ref()
                .and_then(|(at, name)| Some((self.x.place(*at)?, name.clone()))),
            title: self.title.clone(),
            x_name: self.x_name.clone(),
            ..*self
        }
    }

    /// The points of all lines.
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines.iter().flat_map(|line| &line.runs).flatten()
    }
}
