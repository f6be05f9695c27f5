//! The `tojson` filter of transformers: Python's `json.dumps(value, ensure_ascii=False)`.
//!
//! Owns the writer, because models saw tool definitions in exactly this spelling: a space after each comma and colon, no HTML escapes, keys
//! in the order given. It deliberately does not use Jinja's own filter, which escapes HTML and sorts keys.

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use super::python;

/// `value | tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
pub(super) fn tojson(value: &Value, arguments: Kwargs) -> Result<String, Error> {
    let indent = match arguments.get::<Option<Value>>("indent")? {
        Some(indent) if !indent.is_none() => Some(indentation(&indent)?),
        _ => None,
    };
    let (mut comma, mut colon) = (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
    if let Some(separators) = arguments.get::<Option<Vec<String>>>("separators")? {
        [comma, colon] = <[String; 2]>::try_from(separators)
            .map_err(|_| Error::new(ErrorKind::InvalidOperation, "separators must be two strings"))?;
    }
    let sort_keys = arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let ascii = arguments.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    arguments.assert_all_used()?;
    let mut writer = Writer { out: String::new(), indent, comma, colon, sort_keys, ascii, depth: 0 };
    writer.value(value)?;
    Ok(writer.out)
}

/// Python takes a number of spaces or the indentation itself.
fn indentation(indent: &Value) -> Result<String, Error> {
    match indent.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let num_spaces = usize::try_from(indent.clone())?;
            Ok(" ".repeat(num_spaces.min(64)))
        }
    }
}

struct Writer {
    out: String,
    indent: Option<String>,
    comma: String,
    colon: String,
    sort_keys: bool,
    ascii: bool,
    depth: usize,
}

impl Writer {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&number(value)?),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => self.list(value)?,
            ValueKind::Map => self.map(value)?,
            kind => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("{kind} cannot be written as JSON"),
                ));
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &Value) -> Result<(), Error> {
        self.open('[')?;
        let mut is_empty = true;
        for item in list.try_iter()? {
            self.separate(is_empty);
            is_empty = false;
            self.value(&item)?;
        }
        self.close(']', is_empty);
        Ok(())
    }

    fn map(&mut self, map: &Value) -> Result<(), Error> {
        let mut keys: Vec<Value> = map.try_iter()?.collect();
        if self.sort_keys {
            keys.sort();
        }
        self.open('{')?;
        for (idx, key) in keys.iter().enumerate() {
            self.separate(idx == 0);
            self.string(&key_text(key)?);
            self.out.push_str(&self.colon);
            self.value(&map.get_item(key)?)?;
        }
        self.close('}', keys.is_empty());
        Ok(())
    }

    fn open(&mut self, bracket: char) -> Result<(), Error> {
        if self.depth == python::MAX_DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, "the value is nested too deeply for JSON"));
        }
        self.depth += 1;
        self.out.push(bracket);
        Ok(())
    }

    fn separate(&mut self, is_first: bool) {
        if !is_first {
            self.out.push_str(&self.comma);
        }
        self.new_line();
    }

    fn close(&mut self, bracket: char, is_empty: bool) {
        self.depth -= 1;
        if !is_empty {
            self.new_line();
        }
        self.out.push(bracket);
    }

    fn new_line(&mut self) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            for _ in 0..self.depth {
                self.out.push_str(indent);
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                _ if character < ' ' || (self.ascii && character > '~') => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        write!(self.out, "\\u{unit:04x}").expect("writing to a string cannot fail");
                    }
                }
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
    }
}

fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    Ok(match f64::try_from(value.clone())? {
        number if number.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        number => python::float(number),
    })
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number => number(key),
        kind => Err(Error::new(ErrorKind::InvalidOperation, format!("{kind} cannot be a key of JSON"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, arguments: &[(&'static str, Value)], expected: &str) {
        let value: serde_json::Value = serde_json::from_str(json).expect("valid JSON");
        let arguments: Kwargs = arguments.iter().cloned().collect();
        assert_eq!(tojson(&Value::from_serialize(&value), arguments).expect("writable"), expected);
    }

    #[test]
    fn as_python_writes_it() {
        let value = r#"{"b":[1,2.50,true,null],"a":"<é>&'\u0001","e":[],"m":{}}"#;
        check(value, &[], r#"{"b": [1, 2.5, true, null], "a": "<é>&'\u0001", "e": [], "m": {}}"#);
        check(
            value,
            &[("sort_keys", true.into())],
            r#"{"a": "<é>&'\u0001", "b": [1, 2.5, true, null], "e": [], "m": {}}"#,
        );
        check(r#"{"a":[1,{}]}"#, &[("indent", 2.into())], "{\n  \"a\": [\n    1,\n    {}\n  ]\n}");
        check(r#"{"a":[1,2]}"#, &[("separators", vec![",", ":"].into())], r#"{"a":[1,2]}"#);
        check(r#""é😀""#, &[("ensure_ascii", true.into())], r#""\u00e9\ud83d\ude00""#);
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        assert!(tojson(&Value::UNDEFINED, Kwargs::from_iter([] as [(&str, Value); 0])).is_err());
        let deep = (0..1000).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
        assert!(tojson(&deep, Kwargs::from_iter([] as [(&str, Value); 0])).is_err());
    }
}
