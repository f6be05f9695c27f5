//! The ratios as a bar chart in SVG: a bar a cell, a whisker from the lowest pair to the highest, a line at 1.
//!
//! Written by hand: a crate for it would be larger than the chart.

use std::fmt::Write;

use super::report::Cell;

const ROW: f64 = 26.0;
const TOP: f64 = 48.0;
const LABEL: f64 = 400.0;
const BARS: f64 = 420.0;
const RIGHT: f64 = 60.0;
const STYLE: &str = "text{font:13px sans-serif;fill:#222}.title{font-weight:bold}.faster{fill:#4c9f70}\
                     .slower{fill:#d08c60}.line{stroke:#222;stroke-width:1}.grid{stroke:#ddd;stroke-width:1}";

/// Draws the cells from top to bottom.
pub(super) fn svg(cells: &[Cell]) -> String {
    let highest = cells.iter().map(|cell| cell.compared.spread.1).fold(1.0, f64::max);
    let steps = (highest / 0.25).ceil().max(5.0);
    let x = |ratio: f64| LABEL + BARS * ratio / (steps * 0.25);
    let height = TOP + ROW * cells.len() as f64 + 12.0;
    let width = LABEL + BARS + RIGHT;
    let mut parts = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <style>{STYLE}</style>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text class=\"title\" x=\"8\" y=\"20\">tokens per second, ours / peer (whiskers: lowest and highest pair)</text>\n"
    );
    let grid = if steps > 12.0 { (steps / 4.0).ceil() * 0.25 } else { 0.25 };
    for i in 0..=(steps * 0.25 / grid) as usize {
        let ratio = i as f64 * grid;
        parts += &line("grid", (x(ratio), TOP - 4.0), (x(ratio), height - 8.0));
        parts += &text((x(ratio) - 10.0, TOP - 10.0), &format!("{ratio:.2}"));
    }
    for (i, cell) in cells.iter().enumerate() {
        let (top, compared) = (TOP + ROW * i as f64, cell.compared);
        let class = if compared.ratio >= 1.0 { "faster" } else { "slower" };
        let middle = top + ROW / 2.0;
        parts += &text((8.0, middle + 4.0), &format!("{}: {}", cell.file, cell.workload));
        let bar =
            format!("x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\"", x(0.0), top + 4.0, x(compared.ratio) - x(0.0));
        parts += &format!("<rect class=\"{class}\" {bar} height=\"{:.1}\"/>\n", ROW - 8.0);
        parts += &line("line", (x(compared.spread.0), middle), (x(compared.spread.1), middle));
        parts += &text((x(compared.spread.1) + 6.0, middle + 4.0), &format!("{:.2}", compared.ratio));
    }
    parts += &line("line", (x(1.0), TOP - 4.0), (x(1.0), height - 8.0));
    parts + "</svg>\n"
}

fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> String {
    let ((x1, y1), (x2, y2)) = (from, to);
    format!("<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n")
}

fn text((x, y): (f64, f64), content: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n", escaped(content))
}

/// The content of an element: names of files may hold anything.
fn escaped(content: &str) -> String {
    let mut escaped = String::new();
    for character in content.chars() {
        match character {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            control if control.is_control() => {
                write!(escaped, "\\u{{{:x}}}", u32::from(control)).expect("a String takes everything");
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::cell;
    use super::super::workload::{Measure, RUNS};
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_ratio() {
        let speeds = [[(50.0, 100.0)], [(150.0, 100.0)]];
        let cells = speeds.map(|speeds| cell(&RUNS[0], Measure::Decode, &speeds));
        let chart = svg(&cells);
        // The axis reaches to 1.5: 280 units are 1.
        assert!(chart.contains("<rect class=\"slower\" x=\"400.0\" y=\"52.0\" width=\"140.0\""), "{chart}");
        assert!(chart.contains("<rect class=\"faster\" x=\"400.0\" y=\"78.0\" width=\"420.0\""), "{chart}");
        assert!(chart.contains("<line class=\"line\" x1=\"680.0\" y1=\"44.0\" x2=\"680.0\""), "{chart}");
        assert_eq!(chart.matches("m.gguf: decode at depth 128").count(), 2);
    }

    #[test]
    fn names_do_not_become_markup() {
        assert_eq!(escaped("a<b>&\u{1}.gguf"), "a&lt;b&gt;&amp;\\u{1}.gguf");
    }

    #[test]
    fn large_ratios_stay_on_the_paper() {
        let chart = svg(&[cell(&RUNS[0], Measure::Decode, &[(90.0, 1.0)])]);
        assert!(chart.contains("width=\"420.0\""), "{chart}");
        assert!(chart.matches("class=\"grid\"").count() <= 6, "{chart}");
    }
}
