//! The fields of a line in the order in which they were written down. slog hands them over last first; this puts them
//! right on the log's thread, so that whoever logs pays nothing for it.

use std::fmt;

use slog::{BorrowedKV, Drain, KV, Key, OwnedKVList, Record, RecordStatic, Serializer, Value};

/// A drain whose `0` sees the fields of each record in order.
pub struct InOrder<D>(pub D);

impl<D: Drain> Drain for InOrder<D> {
    type Ok = D::Ok;
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<D::Ok, D::Err> {
        let mut fields = Fields::default();
        // Nothing in here fails.
        let _ = record.kv().serialize(record, &mut fields);
        fields.0.reverse();
        let location = *record.location();
        let of_record = RecordStatic {
            location: &location,
            tag: record.tag(),
            level: record.level(),
        };
        self.0.log(
            &Record::new(&of_record, record.msg(), BorrowedKV(&fields)),
            values,
        )
    }
}

/// Fields that were collected.
#[derive(Debug, Default)]
pub struct Fields(pub Vec<(Key, Field)>);

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// Anything that is written as text.
    Text(String),
    /// A number that is not negative.
    Unsigned(u64),
    /// A number that may be.
    Signed(i64),
    /// A number with a fraction.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Nothing.
    None,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Text(text) => text.fmt(f),
            Field::Unsigned(number) => number.fmt(f),
            Field::Signed(number) => number.fmt(f),
            Field::Float(number) => number.fmt(f),
            Field::Bool(value) => value.fmt(f),
            Field::None => f.write_str("-"),
        }
    }
}

impl KV for Fields {
    fn serialize(&self, record: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        for (key, field) in &self.0 {
            let value: &dyn Value = match field {
                Field::Text(text) => text,
                Field::Unsigned(number) => number,
                Field::Signed(number) => number,
                Field::Float(number) => number,
                Field::Bool(value) => value,
                Field::None => &(),
            };
            value.serialize(record, key, serializer)?;
        }
        Ok(())
    }
}

impl Fields {
    fn push(&mut self, key: Key, field: Field) -> slog::Result {
        self.0.push((key, field));
        Ok(())
    }
}

impl Serializer for Fields {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.push(key, Field::Text(value.to_string()))
    }

    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        self.push(key, Field::Text(value.to_owned()))
    }

    fn emit_usize(&mut self, key: Key, value: usize) -> slog::Result {
        self.push(key, Field::Unsigned(value as u64))
    }

    fn emit_isize(&mut self, key: Key, value: isize) -> slog::Result {
        self.push(key, Field::Signed(value as i64))
    }

    fn emit_u8(&mut self, key: Key, value: u8) -> slog::Result {
        self.push(key, Field::Unsigned(value.into()))
    }

    fn emit_i8(&mut self, key: Key, value: i8) -> slog::Result {
        self.push(key, Field::Signed(value.into()))
    }

    fn emit_u16(&mut self, key: Key, value: u16) -> slog::Result {
        self.push(key, Field::Unsigned(value.into()))
    }

    fn emit_i16(&mut self, key: Key, value: i16) -> slog::Result {
        self.push(key, Field::Signed(value.into()))
    }

    fn emit_u32(&mut self, key: Key, value: u32) -> slog::Result {
        self.push(key, Field::Unsigned(value.into()))
    }

    fn emit_i32(&mut self, key: Key, value: i32) -> slog::Result {
        self.push(key, Field::Signed(value.into()))
    }

    fn emit_u64(&mut self, key: Key, value: u64) -> slog::Result {
        self.push(key, Field::Unsigned(value))
    }

    fn emit_i64(&mut self, key: Key, value: i64) -> slog::Result {
        self.push(key, Field::Signed(value))
    }

    fn emit_f32(&mut self, key: Key, value: f32) -> slog::Result {
        self.push(key, Field::Float(value.into()))
    }

    fn emit_f64(&mut self, key: Key, value: f64) -> slog::Result {
        self.push(key, Field::Float(value))
    }

    fn emit_bool(&mut self, key: Key, value: bool) -> slog::Result {
        self.push(key, Field::Bool(value))
    }

    fn emit_unit(&mut self, key: Key) -> slog::Result {
        self.push(key, Field::None)
    }

    fn emit_none(&mut self, key: Key) -> slog::Result {
        self.push(key, Field::None)
    }
}
