//! Formats of strings as patterns, where the engine's own are not exact.

/// What a format becomes.
pub(super) enum Format {
    /// The engine's own.
    Engine,
    /// All of these patterns.
    Patterns(Vec<String>),
    Unknown,
}

pub(super) fn of(name: &str) -> Format {
    match name {
        "duration" | "hostname" | "ipv4" | "uuid" | "uri" => Format::Engine,
        "date" => Format::Patterns(vec![format!("^{}$", date())]),
        "time" => Format::Patterns(times("")),
        "date-time" => Format::Patterns(times(&format!("{}[Tt]", date()))),
        "ipv6" => Format::Patterns(vec![format!("^(?:{})$", ipv6())]),
        "email" => Format::Patterns(vec![format!("^{}$", email())]),
        _ => Format::Unknown,
    }
}

/// A day of the Gregorian calendar (RFC 3339, full-date).
fn date() -> String {
    let leap_year = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)";
    let month_and_day = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8])";
    format!("(?:[0-9]{{4}}-(?:{month_and_day})|{leap_year}-02-29)")
}

/// Two patterns for a time with an offset (RFC 3339, full-time) after `before`. Second 60 is there only in the last minute of a day in UTC. A
/// positive offset moves that to the hour of the offset and the minute before its minute, a negative one to what is left of the day; hours and
/// minutes are one pattern each.
fn times(before: &str) -> Vec<String> {
    let (fraction, minutes) = (r"(?:\.[0-9]+)?", "[0-5][0-9]");
    let offset = "(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
    let common = format!("(?:[01][0-9]|2[0-3]):{minutes}:[0-5][0-9]{fraction}{offset}");
    let (mut hours, mut minute) = (vec![common.clone()], vec![common]);
    hours.push(format!("23:{minutes}:60{fraction}[Zz]"));
    minute.push(format!("[0-9]{{2}}:59:60{fraction}[Zz]"));
    for offset in 0..24 {
        let (same, before, opposite) = (offset, (offset + 23) % 24, 23 - offset);
        hours.push(format!(r"{same:02}:{minutes}:60{fraction}\+{offset:02}:(?:0[1-9]|[1-5][0-9])"));
        hours.push(format!(r"{before:02}:{minutes}:60{fraction}\+{offset:02}:00"));
        hours.push(format!("{opposite:02}:{minutes}:60{fraction}-{offset:02}:{minutes}"));
    }
    for offset in 0..60 {
        let (before, opposite) = ((offset + 59) % 60, 59 - offset);
        minute.push(format!(r"[0-9]{{2}}:{before:02}:60{fraction}\+[0-9]{{2}}:{offset:02}"));
        minute.push(format!("[0-9]{{2}}:{opposite:02}:60{fraction}-[0-9]{{2}}:{offset:02}"));
    }
    [hours, minute].map(|parts| format!("^{before}(?:{})$", parts.join("|"))).into()
}

fn ipv4() -> String {
    let byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    format!(r"(?:{byte}\.){{3}}{byte}")
}

/// RFC 4291: eight groups, of which `::` can stand for any number, and the last two can be written as IPv4.
fn ipv6() -> String {
    let group = "[0-9A-Fa-f]{1,4}";
    let last = format!("(?:{group}:{group}|{})", ipv4());
    let mut forms = vec![format!("(?:{group}:){{6}}{last}")];
    // So many groups before `::`, and up to so many after it that one is left out.
    for num_before in 0..=7usize {
        let before = match num_before {
            0 => String::new(),
            _ => format!("{group}(?::{group}){{{}}}", num_before - 1),
        };
        let most_after = 7 - num_before;
        forms.push(format!("{before}::"));
        if most_after >= 1 {
            forms.push(format!("{before}::{group}"));
        }
        if most_after >= 2 {
            forms.push(format!("{before}::(?:{group}:){{0,{}}}{last}", most_after - 2));
        }
    }
    forms.join("|")
}

/// RFC 5321, Mailbox.
fn email() -> String {
    let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
    let quoted = r#""(?:[ !#-\[\]-~]|\\[ -~])*""#;
    let label = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
    let literal = format!(r"\[(?:{}|IPv6:(?:{}))\]", ipv4(), ipv6());
    format!(r"(?:{atom}(?:\.{atom})*|{quoted})@(?:{label}(?:\.{label})*|{literal})")
}
