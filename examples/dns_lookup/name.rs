//! Domain names: labels, and in a message perhaps the address of where it goes on.
//!
//! ```text
//!   3 w w w 7 e x a m p l e 0        a name in full
//!   4 m a i l (11 address)           "mail", and then what is at that address
//! ```
//!
//! An address must be in front of where it stands, so there is an end to following them; and no
//! name needs many.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use super::message::{Malformed, Result};

/// The longest label and the longest name, with all lengths, in bytes.
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 255;

/// How many addresses a name may lead through: more than it can have labels.
const MOST_ADDRESSES: usize = 128;

/// The two highest bits of an address; and where the highest one can be.
const POINTER: u8 = 0xc0;
const LAST_POINTED_TO: usize = 0x3fff;

/// A name. Upper and lower case are the same, and are kept.
#[derive(Clone, Debug, Default)]
pub struct Name(Vec<Box<[u8]>>);

impl Name {
    /// # Errors
    ///
    /// What is too long, and empty labels.
    pub fn parse(text: &str) -> Result<Name> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Ok(Name::default());
        }
        Name::new(text.split('.').map(|label| label.as_bytes().into()).collect())
    }

    /// # Errors
    ///
    /// The same.
    pub fn new(labels: Vec<Box<[u8]>>) -> Result<Name> {
        if labels.iter().any(|label| label.is_empty() || label.len() > LONGEST_LABEL) {
            return Err(Malformed("a label is empty or too long"));
        }
        if labels.iter().map(|label| label.len() + 1).sum::<usize>() + 1 > LONGEST_NAME {
            return Err(Malformed("a name is too long"));
        }
        Ok(Name(labels))
    }

    /// Whether it is that name or below it.
    pub fn is_in(&self, zone: &Name) -> bool {
        let above = self.0.len().checked_sub(zone.0.len());
        above.is_some_and(|above| Name(self.0[above..].to_vec()) == *zone)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(one, other)| one.eq_ignore_ascii_case(other))
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|label| label.to_ascii_lowercase().hash(state));
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for label in &self.0 {
            for &byte in label {
                match byte {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                    b'!'..=b'~' => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

/// Reads the name at a place of a message: the name, and where what comes behind it begins.
pub fn read(message: &[u8], start: usize) -> Result<(Name, usize)> {
    let (mut at, mut behind) = (start, None);
    // An address has to be in front of the piece that it ends.
    let (mut piece, mut addresses) = (start, 0);
    let mut labels: Vec<Box<[u8]>> = Vec::new();
    let mut length = 1;
    let early = Malformed("a name ends too early");
    loop {
        let first = *message.get(at).ok_or(early)?;
        at += 1;
        match first {
            0 => return Ok((Name(labels), behind.unwrap_or(at))),
            1..=63 => {
                let size = usize::from(first);
                let label = message.get(at..at + size).ok_or(early)?;
                length += size + 1;
                if length > LONGEST_NAME {
                    return Err(Malformed("a name is too long"));
                }
                labels.push(label.into());
                at += size;
            }
            _ if first & POINTER == POINTER => {
                let low = *message.get(at).ok_or(early)?;
                let target = usize::from(u16::from_be_bytes([first & !POINTER, low]));
                behind.get_or_insert(at + 1);
                if target >= piece {
                    return Err(Malformed("the address of a name does not point backwards"));
                }
                addresses += 1;
                if addresses > MOST_ADDRESSES {
                    return Err(Malformed("a name has too many addresses"));
                }
                (piece, at) = (target, target);
            }
            _ => return Err(Malformed("a label of an unknown sort")),
        }
    }
}

/// Where in a message the ends of names are that have been written.
#[derive(Default)]
pub struct Names(HashMap<Name, u16>);

impl Names {
    /// Writes a name, with the address of its longest end that is there already.
    pub fn write(&mut self, name: &Name, message: &mut Vec<u8>) {
        for (at, label) in name.0.iter().enumerate() {
            let end = Name(name.0[at..].to_vec());
            if let Some(address) = self.0.get(&end) {
                let pointer = u16::from(POINTER) << 8 | address;
                return message.extend_from_slice(&pointer.to_be_bytes());
            }
            if message.len() <= LAST_POINTED_TO {
                self.0.insert(end, message.len() as u16);
            }
            message.push(label.len() as u8);
            message.extend_from_slice(label);
        }
        message.push(0);
    }
}
