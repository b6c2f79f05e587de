//! Lines of text: tables with aligned columns, and items that flow into lines.

/// A line, and whether it stands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub text: String,
    pub is_head: bool,
}

/// On which side the cells of a column end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

const BETWEEN: &str = "  ";

impl Line {
    /// What came from elsewhere may hold anything: it cannot move the cursor.
    pub(super) fn new(text: impl Into<String>) -> Line {
        let text: String = text.into();
        let text = text.chars().filter(|c| !c.is_control());
        Line {
            text: text.collect(),
            is_head: false,
        }
    }

    pub(super) fn head(text: impl Into<String>) -> Line {
        Line {
            is_head: true,
            ..Line::new(text)
        }
    }
}

/// A head and a line for each row.
pub(super) fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> Vec<Line> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(columns[column].0.len())
    };
    let write = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(columns).enumerate();
        let cells = cells.map(|(at, (cell, (_, align)))| {
            let width = width(at);
            match align {
                Align::Left => format!("{cell:width$}"),
                Align::Right => format!("{cell:>width$}"),
            }
        });
        cells
            .collect::<Vec<_>>()
            .join(BETWEEN)
            .trim_end()
            .to_owned()
    };
    let head = Line::head(write(&mut columns.iter().map(|(name, _)| *name)));
    let rows = rows
        .iter()
        .map(|row| Line::new(write(&mut row.iter().map(|cell| &**cell))));
    [head].into_iter().chain(rows).collect()
}

/// A head, and below it the items in as few lines as `width` allows.
pub(super) fn flow(head: &str, items: &[String], width: usize) -> Vec<Line> {
    let mut lines = vec![Line::head(head)];
    let mut current = String::new();
    for item in items {
        let wanted = current.chars().count() + BETWEEN.len() + item.chars().count();
        if !current.is_empty() && wanted > width {
            lines.push(Line::new(std::mem::take(&mut current)));
        }
        if !current.is_empty() {
            current.push_str(BETWEEN);
        }
        current.push_str(item);
    }
    if !current.is_empty() {
        lines.push(Line::new(current));
    }
    lines
}

/// The same, no wider and no higher than a terminal; what is left out below is told.
pub(super) fn fit(lines: &[Line], columns: usize, rows: usize) -> Vec<Line> {
    let cut = |line: &Line| Line {
        text: line.text.chars().take(columns).collect(),
        is_head: line.is_head,
    };
    if lines.len() <= rows {
        return lines.iter().map(cut).collect();
    }
    let shown = rows.saturating_sub(1);
    let left_out = Line::head(format!(
        "{} more lines: the terminal is too low",
        lines.len() - shown
    ));
    let shown = lines.iter().take(shown);
    shown.chain([&left_out]).map(cut).take(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| &*line.text).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["data-0", "5"], ["ops", "1234"]].map(|row| row.map(str::to_owned).to_vec());
        let lines = table(&[("NAME", Align::Left), ("N", Align::Right)], &rows);
        assert_eq!(
            vec!["NAME       N", "data-0     5", "ops     1234"],
            texts(&lines)
        );
        assert!(lines[0].is_head && !lines[1].is_head);
    }

    #[test]
    fn items_flow_into_lines() {
        let items = ["aaa", "bbb", "ccccccccccccc"].map(str::to_owned);
        assert_eq!(
            vec!["HEAD", "aaa  bbb", "ccccccccccccc"],
            texts(&flow("HEAD", &items, 10))
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_told() {
        let lines = ["first", "second", "third"].map(Line::new);
        assert_eq!(vec!["fir", "sec", "thi"], texts(&fit(&lines, 3, 3)));
        assert_eq!(
            vec!["first", "2 more lines: the terminal is too low"],
            texts(&fit(&lines, 80, 2))
        );
        assert!(fit(&lines, 80, 0).is_empty());
    }

    #[test]
    fn nothing_on_a_page_can_move_the_cursor() {
        assert_eq!("[2Ja", Line::new("\x1b[2J\na").text);
    }
}
