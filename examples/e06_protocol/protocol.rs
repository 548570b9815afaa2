//! The chat by protocols: an object for each guest, which the loop calls.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use stackio::framing::{Framing, Lines};
use stackio::{Error, Protocol, Result, Server, Transport, get_running_loop};

/// Who is here, by name.
#[derive(Default)]
struct Room(RefCell<BTreeMap<String, Transport>>);

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

/// Where a guest stands in the conversation.
enum Stage {
    Nameless,
    Here(String),
}

struct Guest {
    room: Rc<Room>,
    transport: Option<Transport>,
    /// The line that has not come to its end.
    lines: Lines,
    stage: Stage,
}

impl Guest {
    fn line_received(&mut self, line: &str) {
        let Some(transport) = &self.transport else { return };
        match (&self.stage, line) {
            (Stage::Nameless, name) if self.room.0.borrow().contains_key(name) => {
                transport.write(b"* that name is taken\n");
            }
            (Stage::Nameless, name) => {
                self.room.tell_all_but(name, &format!("* {name} is here\n"));
                self.room.0.borrow_mut().insert(name.to_owned(), transport.clone());
                transport.write(format!("* with you: {}\n", self.room.names()).as_bytes());
                self.stage = Stage::Here(name.to_owned());
            }
            (Stage::Here(_), "/quit") => transport.close(),
            (Stage::Here(_), "/who") => {
                transport.write(format!("* with you: {}\n", self.room.names()).as_bytes());
            }
            (Stage::Here(name), text) => {
                self.room.tell_all_but(name, &format!("{name}: {text}\n"));
            }
        }
    }
}

impl Protocol<Result> for Guest {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.transport = Some(transport.clone());
        Ok(())
    }

    /// What comes is any piece of any number of lines.
    fn data_received(&mut self, mut data: &[u8]) -> Result {
        while let Some(line) = self.lines.decode(&mut data)? {
            let line = String::from_utf8_lossy(line).into_owned();
            self.line_received(&line);
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: Option<Error>) -> Result {
        self.transport = None;
        if let Stage::Here(name) = &self.stage {
            self.room.0.borrow_mut().remove(name);
            self.room.tell_all_but(name, &format!("* {name} has left\n"));
        }
        Ok(())
    }
}

pub fn serve(address: &str) -> Result<Server> {
    let room = Rc::new(Room::default());
    let guest = move || Guest {
        room: room.clone(),
        transport: None,
        lines: Lines::new(),
        stage: Stage::Nameless,
    };
    get_running_loop()?.create_server(guest, address)
}
