//! The last readings of a server, and what they say together.

use std::{collections::VecDeque, time::Instant};

use llama_server::metrics::{Scrape, Window};
use reqwest::Url;

use super::{Figures, Poll};

/// So many intervals are looked back.
pub(crate) const NUM_POLLS: usize = 10;
/// More values than columns of any terminal.
const MOST_DRAWN: usize = 1024;

/// What was seen lately.
pub(crate) struct Recent {
    pub(crate) url: String,
    /// What went wrong with the last look.
    pub(crate) trouble: Option<String>,
    /// Time to the first token, tokens per second and watts, from now back; none where none was known.
    pub(crate) courses: [VecDeque<Option<f64>>; 3],
    scrapes: VecDeque<(Instant, Scrape)>,
}

impl Recent {
    pub(crate) fn new(url: &Url) -> Self {
        let url = url.as_str().trim_end_matches('/').to_owned();
        Self { url, trouble: None, courses: Default::default(), scrapes: VecDeque::new() }
    }

    /// Takes one more look into account.
    pub(crate) fn push(&mut self, Poll { time, outcome }: Poll) {
        self.trouble = outcome.as_ref().err().map(|error| error.root_cause().to_string());
        if let Ok(scrape) = outcome {
            if self.scrapes.back().is_some_and(|(_, last)| scrape.restarted_since(last)) {
                self.scrapes.clear();
            }
            self.scrapes.push_back((time, scrape));
            if self.scrapes.len() > NUM_POLLS + 1 {
                self.scrapes.pop_front();
            }
        }
        let figures = self.figures();
        let points = figures.map_or([None; 3], |now| [now.first_token_s[0], now.tokens_per_s, now.watts]);
        for (course, point) in self.courses.iter_mut().zip(points) {
            course.push_front(point.filter(|point| point.is_finite()));
            course.truncate(MOST_DRAWN);
        }
    }

    /// What the last looks say; nothing while the server does not answer.
    pub(crate) fn figures(&self) -> Option<Figures> {
        let ((start, earlier), (end, later)) = (self.scrapes.front()?, self.scrapes.back()?);
        let window = Window { earlier, later, elapsed: *end - *start };
        self.trouble.is_none().then(|| Figures::of(&window))
    }
}
