//! The view itself, as a widget: three courses with their figures, the rest as lines, and what went wrong.

use ratatui::{
    buffer,
    prelude::*,
    widgets::{RenderDirection, Sparkline},
};

use super::{Recent, text};

const COLOURS: [Color; 3] = [Color::Cyan, Color::Green, Color::Yellow];

impl Widget for &Recent {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let (course, figures) = (Constraint::Min(1), self.figures());
        let heights =
            [Constraint::Length(2), course, course, course, Constraint::Length(4), Constraint::Length(1)];
        let [_, courses @ .., rest, _] = Layout::vertical(heights).areas::<6>(area);
        let trouble = self.trouble.as_ref().map(|trouble| format!("no answer, trying again: {trouble}"));
        let mut head = Text::from(text::head(self, figures.as_ref()).bold());
        head.extend(trouble.map(Stylize::red));
        head.render(area, buffer);
        if let Some(figures) = &figures {
            for (i, title) in text::titles(figures).into_iter().enumerate() {
                let [line, chart] =
                    Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(courses[i]);
                Line::from(title).render(line, buffer);
                self.sparkline(i).render(chart, buffer);
            }
            Text::from_iter(text::lines(figures)).render(rest, buffer);
        }
    }
}

impl Recent {
    fn sparkline(&self, i: usize) -> Sparkline<'_> {
        // Whole numbers are drawn: thousandths.
        let points = self.courses[i].iter().map(|point| point.map(|value| (value * 1e3) as u64));
        let sparkline = Sparkline::default().data(points).style(COLOURS[i]);
        // From now, which is on the right, back.
        sparkline.direction(RenderDirection::RightToLeft)
    }

    /// The view as plain text.
    pub(crate) fn to_text(&self, width: u16, height: u16) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
        self.render(buffer.area, &mut buffer);
        let rows = buffer.content.chunks(usize::from(width).max(1));
        let line = |row: &[buffer::Cell]| row.iter().map(|cell| cell.symbol()).collect::<String>();
        rows.map(|row| line(row).trim_end().to_owned() + "\n").collect()
    }
}
