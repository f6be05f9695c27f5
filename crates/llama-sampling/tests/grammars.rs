//! The grammars of `examples/grammars`: what they have, and what they have not.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::{fs, path::PathBuf};

use support::{check, gbnf};

fn check_file(name: &str, whole: &[&str], other: &[&str]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/grammars").join(name);
    let constraint =
        gbnf(&fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
    check(&constraint, whole, other);
}

#[test]
fn json() {
    let nested = r#"{"a": [1, -2.5e10, {"b": null}], "c": "x\n\u00e9\"", "d": true}"#;
    let whole = ["{}", r#"{"":""}"#, nested, "{\n  \"a\":0 }\n"];
    check_file(
        "json.gbnf",
        &whole,
        &["", "[]", "{", r#"{"a"}"#, r#"{"a":01}"#, r#"{"a":1,}"#, "{\"a\":\"\n\"}"],
    );
    check_file(
        "json-array.gbnf",
        &["[\n\n]", "[\n1,\n{\"a\": [2, 3]}\n]"],
        &["[]", "[\n1\n,2\n]", "[\n1\n]\n"],
    );
}

#[test]
fn arithmetic() {
    let whole = ["x=1\n", "a + b1*(3 - c)= 2\ny=z\n", "a=b\n\n\nc=d\n", "1=1 \n \n"];
    check_file(
        "arithmetic.gbnf",
        &whole,
        &["x=1", "x=\n", "=1\n", "a+=1\n", "(a=1\n", "X=1\n", "a=b\n\n\nc"],
    );
}

#[test]
fn c() {
    let program = "int main(){int x = 1;while(x<10){x = x + f(x, 2);/* ** */}if(x==y){}else{return -x;}}float g(char c){}";
    check_file(
        "c.gbnf",
        &["", program, "int f(){intx = 1;}"],
        &["int f()", "int f(){x}", "f(){}", "int f(){return;}"],
    );
}

#[test]
fn chess() {
    let game = "1. e4 e5\n2. Nf3 Nc6\n10. Bxf7+ Kxf7\n11. exd8=Q# O-O-O\n";
    check_file(
        "chess.gbnf",
        &[game],
        &["1. e4 e5\n", "1. e4 e9\n2. a1 a2\n", "1. e4 e5\n2. O-O-O-O Nc6\n", "2. e4 e5\n"],
    );
}

#[test]
fn words() {
    check_file("list.gbnf", &["- a\n", "- x y\n- é\n"], &["", "- \n", "a\n", "- a\u{85}\n", "- a"]);
    check_file("english.gbnf", &["To be, or not [to] be?", "a\nb"], &["", "a  b", "é", " a"]);
    check_file("japanese.gbnf", &["こんにちは、 世界", "カ"], &["a", "カ  カ", ""]);
}
