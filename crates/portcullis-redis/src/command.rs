//! [`command`]: a command to be sent, in buffers of the size that it needs.

use redis::Cmd;

/// The command `name` with these arguments.
pub(crate) fn command<'a>(name: &str, arguments: impl Iterator<Item = &'a [u8]> + Clone) -> Cmd {
    let (count, len) =
        arguments.clone().fold((1, name.len()), |(count, len), argument| (count + 1, len + argument.len()));
    let mut command = Cmd::with_capacity(count, len);
    command.arg(name);
    for argument in arguments {
        command.arg(argument);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_out_as_they_are() {
        let arguments: [&[u8]; 3] = [b"a", b"", b"\0\r\n"];
        let packed = command("SET", arguments.into_iter()).get_packed_command();
        assert_eq!(packed, b"*4\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n$3\r\n\0\r\n\r\n");
    }
}
