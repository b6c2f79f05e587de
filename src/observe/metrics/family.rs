//! Metrics as they are exposed, whatever the format: families of samples.

use std::borrow::Cow;

use super::cells::Distribution;

/// What the values of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, but for a restart.
    Counter,
    /// A level.
    Gauge,
    /// How values are spread.
    Histogram,
}

/// Everything of one name.
#[derive(Clone, Debug)]
pub struct Family {
    /// The name, of a counter with its `_total`.
    pub name: &'static str,
    /// What it is, in a sentence without a full stop.
    pub help: &'static str,
    /// What its values mean.
    pub kind: Kind,
    /// Its values, each under other labels.
    pub samples: Vec<Sample>,
}

/// A name and a value each. Bounded: never an address, a product or a key.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// A value under its labels.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The labels, always in the same order.
    pub labels: Labels,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or gauge.
    Whole(u64),
    /// Of a counter or gauge.
    Fraction(f64),
    /// Of a histogram.
    Distribution(Distribution),
}

impl From<u64> for Value {
    fn from(value: u64) -> Value {
        Value::Whole(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Fraction(value)
    }
}

impl From<Distribution> for Value {
    fn from(value: Distribution) -> Value {
        Value::Distribution(value)
    }
}

impl Family {
    /// A family that has no sample yet.
    pub fn new(name: &'static str, kind: Kind, help: &'static str) -> Family {
        Family {
            name,
            help,
            kind,
            samples: Vec::new(),
        }
    }

    /// The same with a value without labels.
    pub fn of(mut self, value: impl Into<Value>) -> Family {
        self.push([], value);
        self
    }

    /// The same with a value for each label value of `label`.
    pub fn by<L, V>(
        mut self,
        label: &'static str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> Family
    where
        L: Into<Cow<'static, str>>,
        V: Into<Value>,
    {
        for (name, value) in values {
            self.push([(label, name.into())], value);
        }
        self
    }

    /// Adds a value under `labels`.
    pub fn push(
        &mut self,
        labels: impl IntoIterator<Item = (&'static str, Cow<'static, str>)>,
        value: impl Into<Value>,
    ) {
        self.samples.push(Sample {
            labels: labels.into_iter().collect(),
            value: value.into(),
        });
    }
}
