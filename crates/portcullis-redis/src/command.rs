//! [`Command`] and [`Commands`]: what is sent, in the bytes in which it goes out.

use portcullis_store::Record;
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

/// What is one word of a command. It is written where it goes out from, so that it need not be put together before.
pub(crate) trait Word {
    /// How many bytes it has.
    fn len(&self) -> usize;

    /// Appends these bytes.
    fn put(&self, packed: &mut Vec<u8>);
}

impl Word for [u8] {
    fn len(&self) -> usize {
        self.len()
    }

    fn put(&self, packed: &mut Vec<u8>) {
        packed.extend_from_slice(self);
    }
}

impl Word for str {
    fn len(&self) -> usize {
        self.len()
    }

    fn put(&self, packed: &mut Vec<u8>) {
        packed.extend_from_slice(self.as_bytes());
    }
}

impl Word for String {
    fn len(&self) -> usize {
        self.len()
    }

    fn put(&self, packed: &mut Vec<u8>) {
        packed.extend_from_slice(self.as_bytes());
    }
}

impl<W: Word + ?Sized> Word for &W {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn put(&self, packed: &mut Vec<u8>) {
        (**self).put(packed);
    }
}

/// A word that is a record, or any other.
#[derive(Clone, Copy)]
pub(crate) enum Argument<'a> {
    Bytes(&'a [u8]),
    Record(&'a Record),
}

impl<'a> From<&'a [u8]> for Argument<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Argument<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for Argument<'a> {
    fn from(text: &'a str) -> Self {
        Self::Bytes(text.as_bytes())
    }
}

impl<'a> From<&'a Record> for Argument<'a> {
    fn from(record: &'a Record) -> Self {
        Self::Record(record)
    }
}

impl Word for Argument<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Record(record) => record.encoded_len(),
        }
    }

    fn put(&self, packed: &mut Vec<u8>) {
        match self {
            Self::Bytes(bytes) => packed.extend_from_slice(bytes),
            Self::Record(record) => record.encode_into(packed),
        }
    }
}

/// No words.
pub(crate) const NONE: [&[u8]; 0] = [];

/// The command `name` with these arguments.
pub(crate) fn command(name: &str, arguments: impl Iterator<Item: Word> + Clone) -> Command {
    command_of(&[name], &NONE, arguments)
}

/// The command of these words and arguments, each of them of a kind of its own.
pub(crate) fn command_of<W: Word>(
    name: &[&str],
    words: &[W],
    arguments: impl Iterator<Item: Word> + Clone,
) -> Command {
    let mut packed = Vec::new();
    put_command(&mut packed, name, words, arguments);
    Command { packed }
}

/// `GET`: what is under a name.
pub(crate) fn get(name: &str) -> Command {
    words("GET", &[name])
}

/// A command of fixed words.
pub(crate) fn words(name: &str, words: &[&str]) -> Command {
    command(name, words.iter().copied())
}

fn put_command<W: Word>(
    packed: &mut Vec<u8>,
    name: &[&str],
    words: &[W],
    arguments: impl Iterator<Item: Word> + Clone,
) {
    let len = name.iter().map(word_len).chain(words.iter().map(word_len)).sum::<usize>();
    let (count, len) = arguments
        .clone()
        .fold((name.len() + words.len(), len), |(count, len), word| (count + 1, len + word_len(&word)));
    packed.reserve(FRAME_LEN + len);
    put_number(packed, b'*', count);
    name.iter().for_each(|word| put_word(packed, word));
    words.iter().for_each(|word| put_word(packed, word));
    arguments.for_each(|word| put_word(packed, &word));
}

/// What a number and the marks around it take at most.
const FRAME_LEN: usize = 23;

fn word_len(word: &impl Word) -> usize {
    FRAME_LEN + word.len() + 2
}

fn put_word(packed: &mut Vec<u8>, word: &impl Word) {
    put_number(packed, b'$', word.len());
    word.put(packed);
    packed.extend_from_slice(b"\r\n");
}

fn put_number(packed: &mut Vec<u8>, mark: u8, number: usize) {
    let digit = |of: usize| b"0123456789".get(of % 10).copied().unwrap_or(b'0');
    // Most are as short as this.
    match number {
        0..=9 => packed.extend_from_slice(&[mark, digit(number), b'\r', b'\n']),
        10..=99 => packed.extend_from_slice(&[mark, digit(number / 10), digit(number), b'\r', b'\n']),
        _ => {
            packed.push(mark);
            packed.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
            packed.extend_from_slice(b"\r\n");
        }
    }
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
    /// None, with room for so many bytes.
    pub(crate) fn with_room(len: usize) -> Self {
        Self { packed: Vec::with_capacity(len), count: 0 }
    }

    /// Adds the command `name` with these arguments.
    pub(crate) fn push(&mut self, name: &str, arguments: impl Iterator<Item: Word> + Clone) {
        put_command(&mut self.packed, &[name], &NONE, arguments);
        self.count += 1;
    }

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
