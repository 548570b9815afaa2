//! The guests, and what they do, in turns: each waits until all have heard what the last one did.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use stackio::{Result, StreamReader, StreamWriter, open_connection};

/// Who does what; a line that is sent, or what is in brackets.
const SCRIPT: &[(&str, &str)] = &[
    ("ann", "ann"),
    ("bob", "ann"),
    ("bob", "bob"),
    ("ann", "hello"),
    ("cleo", "cleo"),
    ("cleo", "(byte by byte) is this on?"),
    ("bob", "/who"),
    ("bob", "(two lines at once) one\ntwo"),
    ("ann", "/quit"),
    ("cleo", "(is cut off)"),
    ("bob", "/who"),
];

type Guests = BTreeMap<&'static str, (StreamReader, StreamWriter)>;

/// Plays the script; every line that somebody hears.
pub fn play(address: SocketAddr) -> Result<Vec<String>> {
    let mut guests = Guests::new();
    let mut names = Vec::new();
    let mut heard = Vec::new();
    for &(guest, action) in SCRIPT {
        heard.push(format!("{guest} > {}", action.replace('\n', "\\n")));
        if !guests.contains_key(guest) {
            guests.insert(guest, open_connection(address)?);
        }
        act(&mut guests, guest, action)?;
        for (listener, lines) in listeners(&names, guest, action) {
            let Some((reader, _)) = guests.get(listener) else { continue };
            for _ in 0..lines {
                let line = String::from_utf8_lossy(&reader.readline()?).trim_end().to_owned();
                heard.push(format!("    {listener} < {line}"));
            }
        }
        match action {
            "/quit" | "(is cut off)" => names.retain(|name| *name != guest),
            name if name == guest => names.push(guest),
            _ => {}
        }
    }
    Ok(heard)
}

fn act(guests: &mut Guests, guest: &str, action: &str) -> Result {
    let Some((_, writer)) = guests.get(guest) else { return Ok(()) };
    if action == "(is cut off)" {
        writer.transport().abort();
        guests.remove(guest);
    } else if let Some(text) = action.strip_prefix("(byte by byte) ") {
        for byte in format!("{text}\n").bytes() {
            writer.write(&[byte]);
            writer.drain()?;
        }
    } else {
        let text = action.strip_prefix("(two lines at once) ").unwrap_or(action);
        writer.write(format!("{text}\n").as_bytes());
        writer.drain()?;
    }
    Ok(())
}

/// Who hears how many lines of it. Before a guest has a name, and for a command, it is the
/// guest alone; for what is said, all others; and for a new name both.
fn listeners(
    names: &[&'static str],
    guest: &'static str,
    action: &str,
) -> Vec<(&'static str, usize)> {
    let others = names.iter().copied().filter(|name| *name != guest);
    let lines = 1 + action.matches('\n').count();
    match action {
        _ if action == guest => others.chain([guest]).map(|name| (name, 1)).collect(),
        "/who" => vec![(guest, 1)],
        _ if !names.contains(&guest) => vec![(guest, 1)],
        _ => others.map(|name| (name, lines)).collect(),
    }
}
