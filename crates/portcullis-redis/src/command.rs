//! [`Command`] and [`Commands`]: what is sent, in the bytes in which it goes out.

use redis::{Cmd, Pipeline};

/// A command, as an array of bulk strings (RESP, "Sending commands to a Redis server").
#[derive(Clone)]
pub(crate) struct Command {
    packed: Vec<u8>,
}

/// Several commands, which go out one after the other.
#[derive(Default)]
pub(crate) struct Commands {
    packed: Vec<u8>,
    count: usize,
}

/// The command `name` with these arguments.
pub(crate) fn command<'a>(name: &str, arguments: impl Iterator<Item = &'a [u8]> + Clone) -> Command {
    let (count, len) = arguments
        .clone()
        .fold((1, word_len(name.as_bytes())), |(count, len), word| (count + 1, len + word_len(word)));
    let mut packed = Vec::with_capacity(FRAME_LEN + len);
    put_number(&mut packed, b'*', count);
    put_word(&mut packed, name.as_bytes());
    for word in arguments {
        put_word(&mut packed, word);
    }
    Command { packed }
}

/// A command of fixed words.
pub(crate) fn words(name: &str, words: &[&str]) -> Command {
    command(name, words.iter().map(|word| word.as_bytes()))
}

/// What a number and the marks around it take at most.
const FRAME_LEN: usize = 23;

fn word_len(word: &[u8]) -> usize {
    FRAME_LEN + word.len() + 2
}

fn put_word(packed: &mut Vec<u8>, word: &[u8]) {
    put_number(packed, b'$', word.len());
    packed.extend_from_slice(word);
    packed.extend_from_slice(b"\r\n");
}

fn put_number(packed: &mut Vec<u8>, mark: u8, number: usize) {
    packed.push(mark);
    put_decimal(packed, number);
    packed.extend_from_slice(b"\r\n");
}

fn put_decimal(packed: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        put_decimal(packed, number / 10);
    }
    packed.push(b"0123456789".get(number % 10).copied().unwrap_or(b'0'));
}

impl Command {
    /// As it goes out.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The same for connections of the application's own.
    pub(crate) fn cmd(&self) -> Cmd {
        of_words(&mut self.words())
    }

    /// Its name and its arguments.
    pub(crate) fn words(&self) -> Words<'_> {
        let mut words = Words(&self.packed);
        words.number(b'*');
        words
    }
}

impl Commands {
    pub(crate) fn add(&mut self, command: &Command) {
        self.packed.extend_from_slice(&command.packed);
        self.count += 1;
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// As they go out.
    pub(crate) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The same for connections of the application's own.
    pub(crate) fn pipeline(&self) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(self.count);
        let mut words = Words(&self.packed);
        while words.number(b'*').is_some() {
            pipeline.add_command(of_words(&mut words));
        }
        pipeline
    }

    /// The words of the first one.
    pub(crate) fn first(&self) -> Words<'_> {
        let mut words = Words(&self.packed);
        words.number(b'*');
        words
    }
}

impl FromIterator<Command> for Commands {
    fn from_iter<I: IntoIterator<Item = Command>>(commands: I) -> Self {
        let mut all = Self::default();
        commands.into_iter().for_each(|command| all.add(&command));
        all
    }
}

/// The words of a command. Those of the next one begin with another mark.
#[derive(Clone)]
pub(crate) struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn number(&mut self, mark: u8) -> Option<usize> {
        let rest = self.0.strip_prefix(&[mark])?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = rest.split_at_checked(digits)?;
        self.0 = rest.strip_prefix(b"\r\n")?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let len = self.number(b'$')?;
        let (word, rest) = self.0.split_at_checked(len)?;
        self.0 = rest.strip_prefix(b"\r\n")?;
        Some(word)
    }
}

fn of_words(words: &mut Words<'_>) -> Cmd {
    let mut cmd = Cmd::new();
    words.for_each(|word| _ = cmd.arg(word));
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_out_as_they_are() {
        let arguments: [&[u8]; 3] = [b"a", b"", b"\0\r\n"];
        let set = command("SET", arguments.into_iter());
        assert_eq!(set.packed(), b"*4\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n$3\r\n\0\r\n\r\n");
        assert!(set.packed.len() <= set.packed.capacity());
    }

    #[test]
    fn lengths_of_every_size_are_written_and_read() {
        for len in [0, 1, 9, 10, 11, 99, 100, 12_345] {
            let word = vec![b'$'; len];
            let echo = command("ECHO", std::iter::once(&*word));
            let words: Vec<_> = echo.words().collect();
            assert_eq!(words, [&b"ECHO"[..], &word], "{len}");
            assert_eq!(echo.cmd().get_packed_command(), echo.packed(), "{len}");
        }
    }

    #[test]
    fn several_commands_are_told_apart() {
        let all: Commands = [words("GET", &["*1"]), words("PING", &[])].into_iter().collect();
        assert_eq!((all.len(), all.first().count()), (2, 2));
        let pipeline = all.pipeline();
        assert_eq!(pipeline.get_packed_pipeline(), all.packed());
        assert_eq!(pipeline.cmd_iter().count(), 2);
    }
}
