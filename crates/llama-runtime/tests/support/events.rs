//! Listening to `tracing` events.
#![allow(dead_code, reason = "each test uses a part")]

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// An event and the fields that have a value.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) metadata: &'static Metadata<'static>,
    pub(crate) values: BTreeMap<&'static str, Value>,
}

/// A field's value, by the type that it was given as.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    F64(f64),
    U64(u64),
    I64(i64),
    Bool(bool),
    Str(String),
    Text(String),
}

impl Recorded {
    /// The value of a float.
    pub(crate) fn f64(&self, field: &str) -> Option<f64> {
        match self.values.get(field) {
            Some(Value::F64(value)) => Some(*value),
            _ => None,
        }
    }

    /// The value of a count.
    pub(crate) fn u64(&self, field: &str) -> Option<u64> {
        match self.values.get(field) {
            Some(Value::U64(value)) => Some(*value),
            _ => None,
        }
    }
}

impl Visit for Recorded {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.values.insert(field.name(), Value::F64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.values.insert(field.name(), Value::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.values.insert(field.name(), Value::U64(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.values.insert(field.name(), Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.values.insert(field.name(), Value::Str(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.values.insert(field.name(), Value::Text(format!("{value:?}")));
    }
}

/// Hands each event on.
pub(crate) struct Listener<F>(pub(crate) F);

impl<F: Fn(Recorded) + 'static> Subscriber for Listener<F> {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        let mut recorded = Recorded { metadata: event.metadata(), values: BTreeMap::new() };
        event.record(&mut recorded);
        (self.0)(recorded);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Keeps every event.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Recorded>>>);

impl Recorder {
    /// Listens to the whole process from now on.
    pub(crate) fn install() -> Self {
        let recorder = Self::default();
        tracing::subscriber::set_global_default(recorder.listener()).expect("no other subscriber is set");
        recorder
    }

    /// What listens for this recorder.
    pub(crate) fn listener(&self) -> Listener<impl Fn(Recorded) + Send + Sync + 'static> {
        let events = self.0.clone();
        Listener(move |event| events.lock().expect("recording does not panic").push(event))
    }

    /// Listens to this thread while it does something.
    pub(crate) fn during(&self, act: impl FnOnce()) {
        tracing::subscriber::with_default(self.listener(), act);
    }

    /// All events so far.
    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.0.lock().expect("recording does not panic").clone()
    }

    /// Those of a name.
    pub(crate) fn named(&self, name: &str) -> Vec<Recorded> {
        self.all().into_iter().filter(|event| event.metadata.name() == name).collect()
    }
}
