//! The chat by streams: a task for each guest, which asks for lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use stackio::{Result, Server, StreamReader, StreamWriter, start_server};

/// Who is here, by name.
#[derive(Default)]
struct Room(RefCell<BTreeMap<String, StreamWriter>>);

impl Room {
    fn tell_all_but(&self, name: &str, text: &str) {
        for (_, guest) in self.0.borrow().iter().filter(|(other, _)| *other != name) {
            guest.write(text.as_bytes());
        }
    }

    fn names(&self) -> String {
        self.0.borrow().keys().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// The next line without its end; `None` when there are no more.
fn line(reader: &StreamReader) -> Result<Option<String>> {
    let line = reader.readline()?;
    let text = String::from_utf8_lossy(&line);
    Ok(text.strip_suffix('\n').map(str::to_owned))
}

fn guest(room: &Room, reader: &StreamReader, writer: &StreamWriter) -> Result {
    let name = loop {
        let Some(name) = line(reader)? else { return Ok(()) };
        if !room.0.borrow().contains_key(&name) {
            break name;
        }
        writer.write(b"* that name is taken\n");
    };
    room.tell_all_but(&name, &format!("* {name} is here\n"));
    room.0.borrow_mut().insert(name.clone(), writer.clone());
    writer.write(format!("* with you: {}\n", room.names()).as_bytes());

    let ended = talk(room, &name, reader, writer);

    room.0.borrow_mut().remove(&name);
    room.tell_all_but(&name, &format!("* {name} has left\n"));
    ended
}

fn talk(room: &Room, name: &str, reader: &StreamReader, writer: &StreamWriter) -> Result {
    while let Some(text) = line(reader)? {
        match &text[..] {
            "/quit" => break,
            "/who" => writer.write(format!("* with you: {}\n", room.names()).as_bytes()),
            text => room.tell_all_but(name, &format!("{name}: {text}\n")),
        }
        writer.drain()?;
    }
    Ok(())
}

pub fn serve(address: &str) -> Result<Server> {
    let room = Rc::new(Room::default());
    start_server(move |reader, writer| guest(&room, &reader, &writer), address)
}
