//! Values as Python prints them.
//!
//! Owns `str` and `repr`: templates were tried out in Python, so a printed boolean is `True` and a printed list quotes its strings as
//! Python does. The rules are those of the Python language reference. It deliberately does not cover bytes or sets, which no JSON holds.

use std::fmt::Write;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// Deepest nesting that is printed; templates can build deeper values than JSON can carry.
pub(super) const MAX_DEPTH: usize = 128;

/// `str(value)`; an undefined variable prints as nothing.
pub(super) fn str(value: &Value) -> Result<String, Error> {
    match (value.kind(), value.as_str()) {
        (ValueKind::Undefined, _) => Ok(String::new()),
        (_, Some(text)) => Ok(text.to_owned()),
        _ => {
            let mut text = String::new();
            write_repr(&mut text, value, MAX_DEPTH)?;
            Ok(text)
        }
    }
}

/// `repr(number)` for a float: the shortest digits that read back the same, with an exponent outside of 1e-4 to 1e16.
pub(super) fn float(number: f64) -> String {
    if !number.is_finite() {
        let name = if number.is_nan() { "nan" } else { "inf" };
        return if number < 0.0 { format!("-{name}") } else { name.to_owned() };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format writes an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent of a float is a small integer");
    if (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

fn write_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Error::new(ErrorKind::InvalidOperation, "the value is nested too deeply to print"));
    };
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
        ValueKind::Number => out.push_str(&float(f64::try_from(value.clone())?)),
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (idx, item) in value.try_iter()?.enumerate() {
                out.push_str(if idx == 0 { "" } else { ", " });
                write_repr(out, &item, depth)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (idx, key) in value.try_iter()?.enumerate() {
                out.push_str(if idx == 0 { "" } else { ", " });
                write_repr(out, &key, depth)?;
                out.push_str(": ");
                write_repr(out, &value.get_item(&key)?, depth)?;
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for character in text.chars() {
        let code = u32::from(character);
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if character == quote => out.extend(['\\', quote]),
            _ if code < 0x20 || (0x7f..0xa1).contains(&code) || code == 0xad => {
                write!(out, "\\x{code:02x}").expect("writing to a string cannot fail");
            }
            _ => out.push(character),
        }
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: impl Into<Value>, expected: &str) {
        let value = value.into();
        assert_eq!(str(&value).expect("a printable value"), expected, "{value:?}");
    }

    #[test]
    fn scalars() {
        check(true, "True");
        check((), "None");
        check(Value::UNDEFINED, "");
        check("it's", "it's");
        check(-3, "-3");
        for (number, expected) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e15, "1000000000000000.0"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (-0.0, "-0.0"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            check(number, expected);
        }
    }

    #[test]
    fn containers_quote_like_python() {
        check(
            vec![Value::from("a'b"), Value::from("a\"'b"), Value::from("é\n\u{1}")],
            r#"["a'b", 'a"\'b', 'é\n\x01']"#,
        );
        check(Value::from_iter([("k", Value::from(false))]), "{'k': False}");
    }

    #[test]
    fn bottomless_values_are_an_error() {
        let deep = (0..1000).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
        assert!(str(&deep).is_err());
    }
}
