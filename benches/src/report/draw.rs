//! Drawing: bars, dots and lines as SVG, readable on light and on dark pages.
//!
//! Owns colours and sizes. Knows not what is shown. Pure: values in, SVG out.

use anyhow::{Result, anyhow};
use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    ChartBuilder, Circle, Color, DrawingArea, EmptyElement, IntoDrawingArea, IntoFont,
    IntoLogRange, LineSeries, PathElement, RGBColor, Rectangle, SVGBackend, Text, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{ShapeStyle, TextStyle};

use super::table::{number, short};
use crate::figures::f64_of;

const WIDTH: u32 = 900;
const ROW_HEIGHT: u32 = 40;
const LABELS_WIDTH: u32 = 220;
const AXES_HEIGHT: u32 = 110;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 44, 52);
/// Told apart by those who see few colours, too (Okabe and Ito).
const COLOURS: [RGBColor; 4] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];
const REST: RGBColor = RGBColor(150, 156, 166);

/// A row of a chart: a name and its parts, each with the name of its kind.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
    /// The smallest and the largest, where there were several.
    pub(crate) range: Option<(f64, f64)>,
    /// Whether it is the one that the chart is about.
    pub(crate) is_ours: bool,
}

/// What all charts need.
pub(crate) struct Words<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    /// The kinds of values; one needs no name.
    pub(crate) kinds: &'a [&'a str],
}

/// A line: a name and its points.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A logarithm has no zero.
const LEAST: f64 = 1e-3;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Rows<'a, X> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, RangedCoordf64>>;

/// A scale of numbers, linear or not.
trait Scale: Ranged<ValueType = f64> + ValueFormatter<f64> {}

impl<X: Ranged<ValueType = f64> + ValueFormatter<f64>> Scale for X {}

/// Bars from zero, a row each, the first on top; several values are stacked.
pub(crate) fn bars(words: &Words<'_>, rows: &[Row]) -> Result<String> {
    let ends = rows.iter().map(end);
    let most = ends.fold(0.0, f64::max);
    drawn(height_of(rows), |area| {
        let mut chart = with_margins(&mut ChartBuilder::on(area), words)
            .build_cartesian_2d(0.0..most * 1.18, 0.0..f64_of(rows.len()))
            .map_err(told)?;
        name_rows(&mut chart, words, (area, rows))?;
        for (place, row) in places(rows) {
            bar(&mut chart, words, (place, row))?;
        }
        legend(area, words.kinds)
    })
}

/// Dots on a logarithmic scale, a row each, a dot for each value.
pub(crate) fn dots(words: &Words<'_>, rows: &[Row]) -> Result<String> {
    let values = || rows.iter().flat_map(|row| row.values.iter().copied());
    let least = values().fold(f64::INFINITY, f64::min).max(LEAST);
    let most = values().fold(least, f64::max);
    drawn(height_of(rows), |area| {
        let range = (least / 1.5..most * 1.5).log_scale();
        let mut chart = with_margins(&mut ChartBuilder::on(area), words)
            .build_cartesian_2d(range, 0.0..f64_of(rows.len()))
            .map_err(told)?;
        name_rows(&mut chart, words, (area, rows))?;
        for (place, row) in places(rows) {
            string_of_dots(&mut chart, (place, row))?;
        }
        legend(area, words.kinds)
    })
}

/// Lines over time in seconds.
pub(crate) fn curves(words: &Words<'_>, curves: &[Curve]) -> Result<String> {
    let points = || curves.iter().flat_map(|curve| curve.points.iter());
    let last = points().map(|(x, _)| *x).fold(1.0, f64::max);
    let most = points().map(|(_, y)| *y).fold(0.0, f64::max);
    drawn(380, |area| {
        let mut chart = with_margins(&mut ChartBuilder::on(area), words)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..last, 0.0..most * 1.2)
            .map_err(told)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("s")
            .y_desc(words.unit)
            .label_style(font(15))
            .light_line_style(WHITE);
        mesh.x_label_formatter(&|value| short(*value));
        mesh.y_label_formatter(&|value| short(*value));
        mesh.draw().map_err(told)?;
        for (kind, curve) in curves.iter().enumerate() {
            let style: ShapeStyle = COLOURS[kind % COLOURS.len()].stroke_width(3);
            let line = LineSeries::new(curve.points.iter().copied(), style);
            chart.draw_series(line).map_err(told)?;
        }
        let names: Vec<&str> = curves.iter().map(|curve| curve.name.as_str()).collect();
        legend(area, &names)
    })
}

/// The parts of a row one after the other, its range, and its sum beside it.
fn bar<X: Scale>(
    chart: &mut Rows<'_, X>,
    words: &Words<'_>,
    (place, row): (usize, &Row),
) -> Result<()> {
    let area = chart.plotting_area();
    let mut from = 0.0;
    for (kind, value) in row.values.iter().enumerate() {
        let corners = [(from, f64_of(place)), (from + value, f64_of(place + 1))];
        let mut part = Rectangle::new(corners, colour(words, row, kind).filled());
        part.set_margin(7, 7, 0, 0);
        area.draw(&part).map_err(told)?;
        from += value;
    }
    let at = middle(place);
    if let Some((min, max)) = row.range {
        let ends = [(min, at), (max, at)];
        let range = PathElement::new(ends, INK.stroke_width(2));
        area.draw(&range).map_err(told)?;
    }
    let label = EmptyElement::at((end(row), at)) + Text::new(number(from), (6, 0), beside());
    area.draw(&label).map_err(told)
}

/// A dot for each value, on one string.
fn string_of_dots<X: Scale>(chart: &mut Rows<'_, X>, (place, row): (usize, &Row)) -> Result<()> {
    let area = chart.plotting_area();
    let at = |value: f64| (value.max(LEAST), middle(place));
    let ends: Vec<(f64, f64)> = row.values.iter().copied().map(at).collect();
    area.draw(&PathElement::new(ends, REST.stroke_width(2)))
        .map_err(told)?;
    for (kind, value) in row.values.iter().enumerate() {
        let size = if row.is_ours { 7 } else { 5 };
        let style: ShapeStyle = COLOURS[kind % COLOURS.len()].filled();
        area.draw(&Circle::new(at(*value), size, style))
            .map_err(told)?;
    }
    Ok(())
}

/// Draws the axes: the names of the rows, and what is measured.
fn name_rows<X: Scale>(
    chart: &mut Rows<'_, X>,
    words: &Words<'_>,
    (area, rows): (&Area<'_>, &[Row]),
) -> Result<()> {
    let tick = |value: &f64| short(*value);
    let mut mesh = chart.configure_mesh();
    mesh.disable_y_mesh()
        .disable_y_axis()
        .light_line_style(WHITE);
    mesh.label_style(font(15)).x_desc(words.unit);
    mesh.x_label_formatter(&tick).draw().map_err(told)?;
    let left = i32::try_from(LABELS_WIDTH)?;
    let style = font(15).pos(Pos::new(HPos::Right, VPos::Center));
    for (place, row) in places(rows) {
        let (_, y) = chart.backend_coord(&(row.values[0], middle(place)));
        let name = Text::new(row.name.clone(), (left, y), style.clone());
        area.draw(&name).map_err(told)?;
    }
    Ok(())
}

fn drawn(height: u32, draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE).map_err(told)?;
        draw(&area)?;
        area.present().map_err(told)?;
    }
    Ok(svg)
}

fn with_margins<'a, 'b, 'c>(
    chart: &'a mut ChartBuilder<'b, 'c, SVGBackend<'c>>,
    words: &Words<'_>,
) -> &'a mut ChartBuilder<'b, 'c, SVGBackend<'c>> {
    chart
        .caption(words.title, (FONT, 20).into_font().color(&INK))
        .margin(12)
        .margin_bottom(36)
        .x_label_area_size(44)
        .y_label_area_size(LABELS_WIDTH)
}

/// Names of kinds below the chart.
fn legend(area: &Area<'_>, kinds: &[&str]) -> Result<()> {
    let (_, height) = area.dim_in_pixel();
    let below = i32::try_from(height)? - 20;
    for (kind, name) in kinds.iter().enumerate().filter(|_| kinds.len() > 1) {
        let from = i32::try_from(LABELS_WIDTH)? + i32::try_from(kind)? * 160;
        let patch = Rectangle::new(
            [(from, below - 6), (from + 12, below + 6)],
            COLOURS[kind % COLOURS.len()].filled(),
        );
        area.draw(&patch).map_err(told)?;
        area.draw(&Text::new((*name).to_owned(), (from + 18, below), beside()))
            .map_err(told)?;
    }
    Ok(())
}

/// Where the middle of a row is.
fn middle(place: usize) -> f64 {
    f64_of(place) + 0.5
}

/// Where nothing of a row's bar is any more.
fn end(row: &Row) -> f64 {
    let sum: f64 = row.values.iter().sum();
    row.range.map_or(sum, |(_, max)| max.max(sum))
}

fn height_of(rows: &[Row]) -> u32 {
    AXES_HEIGHT + ROW_HEIGHT * u32::try_from(rows.len()).unwrap_or(u32::MAX / ROW_HEIGHT / 2)
}

/// Rows with their places: the axis grows upwards, and the first row stands on top.
fn places(rows: &[Row]) -> impl Iterator<Item = (usize, &Row)> {
    rows.iter().rev().enumerate()
}

/// Where kinds are told apart, each has its colour; else the chart's own row has.
fn colour(words: &Words<'_>, row: &Row, kind: usize) -> RGBColor {
    if words.kinds.len() > 1 || row.is_ours {
        COLOURS[kind % COLOURS.len()]
    } else {
        REST
    }
}

fn font(size: i32) -> TextStyle<'static> {
    (FONT, f64_of(size)).into_font().color(&INK)
}

fn beside() -> TextStyle<'static> {
    font(14).pos(Pos::new(HPos::Left, VPos::Center))
}

fn told(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words<'_> = Words {
        title: "Rate",
        unit: "rows/s",
        kinds: &[],
    };

    fn row(name: &str, values: &[f64]) -> Row {
        Row {
            name: name.to_owned(),
            values: values.to_vec(),
            range: None,
            is_ours: false,
        }
    }

    fn place_of(svg: &str, text: &str) -> f64 {
        let before = &svg[..svg.find(text).unwrap()];
        let y = before.rsplit(" y=\"").next().unwrap();
        y.split('"').next().unwrap().parse().unwrap()
    }

    #[test]
    fn bars_name_each_row_once_with_its_value_and_the_first_on_top() {
        let svg = bars(
            &WORDS,
            &[row("upper", &[20_000.0]), row("lower", &[1_234.0])],
        )
        .unwrap();
        for word in ["upper", "lower", "1,234", "rows/s", "Rate"] {
            assert_eq!(
                svg.matches(&format!("\n{word}\n")).count(),
                1,
                "{word} in {svg}"
            );
        }
        assert!(place_of(&svg, "\nupper\n") < place_of(&svg, "\nlower\n"));
    }

    #[test]
    fn kinds_are_told_apart_below_the_chart() {
        let words = Words {
            kinds: &["p50", "p99"],
            ..WORDS
        };
        let rows = [row("ours", &[2.0, 8.0])];
        for svg in [dots(&words, &rows).unwrap(), bars(&words, &rows).unwrap()] {
            assert!(svg.contains("\np50\n") && svg.contains("\np99\n"), "{svg}");
        }
    }

    #[test]
    fn curves_are_drawn_over_seconds() {
        let curve = Curve {
            name: "reader".to_owned(),
            points: vec![(10.0, 1.0), (80.0, 1.2)],
        };
        let svg = curves(&WORDS, &[curve]).unwrap();
        assert!(svg.contains("<polyline"), "{svg}");
    }
}
