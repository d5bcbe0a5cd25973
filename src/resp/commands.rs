//! Commands packed for the wire.

/// Commands packed for the wire, and how many they are.
#[derive(Default)]
pub struct Commands {
    pub bytes: Vec<u8>,
    pub count: usize,
    asking: bool,
}

impl Commands {
    /// With an ASKING before each, or without.
    pub fn new(asking: bool) -> Self {
        Commands {
            asking,
            ..Commands::default()
        }
    }

    pub fn push(&mut self, arguments: &[&[u8]]) {
        self.count += 1;
        if self.asking {
            self.bytes.extend_from_slice(b"*1\r\n$6\r\nASKING\r\n");
        }
        self.header(b'*', arguments.len());
        for argument in arguments {
            self.header(b'$', argument.len());
            self.bytes.extend_from_slice(argument);
            self.bytes.extend_from_slice(b"\r\n");
        }
    }

    fn header(&mut self, kind: u8, number: usize) {
        self.bytes.push(kind);
        self.bytes
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_packed_as_arrays_of_bulk_strings() {
        let mut commands = Commands::default();
        commands.push(&[b"GET", b"a\r\n\0"]);
        assert_eq!(commands.bytes, b"*2\r\n$3\r\nGET\r\n$4\r\na\r\n\0\r\n");
        assert_eq!(commands.count, 1);
    }
}
