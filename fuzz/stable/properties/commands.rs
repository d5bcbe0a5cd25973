//! Commands and replies come out as they went in.

use lakeflow_redis::connection::values;
use lakeflow_redis::resp::{Commands, Decoder, Replies, Token, Tokens as _};
use proptest::collection::vec;
use proptest::prelude::*;
use redis::Value;

fn replies() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        Just(Value::Okay),
        any::<i64>().prop_map(Value::Int),
        vec(any::<u8>(), 0..20).prop_map(Value::BulkString),
        "[a-zA-Z ]{0,9}".prop_map(|text| match text.as_str() {
            "OK" => Value::Okay,
            _ => Value::SimpleString(text),
        }),
    ];
    leaf.prop_recursive(8, 40, 6, |inner| vec(inner, 0..6).prop_map(Value::Array))
}

/// As a server writes it.
fn write(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::Nil => to.extend(b"$-1\r\n"),
        Value::Okay => to.extend(b"+OK\r\n"),
        Value::Int(number) => to.extend(format!(":{number}\r\n").bytes()),
        Value::SimpleString(text) => to.extend(format!("+{text}\r\n").bytes()),
        Value::BulkString(bytes) => {
            to.extend(format!("${}\r\n", bytes.len()).bytes());
            to.extend(bytes);
            to.extend(b"\r\n");
        }
        Value::Array(values) => {
            to.extend(format!("*{}\r\n", values.len()).bytes());
            values.iter().for_each(|value| write(value, to));
        }
        other => panic!("{other:?} is not of RESP 2"),
    }
}

proptest! {
    #[test]
    fn one_off_replies_are_what_was_sent(all in vec(replies(), 1..4)) {
        let mut wire = Vec::new();
        all.iter().for_each(|value| write(value, &mut wire));
        let last = all.len() - 1;
        let read = values(&mut Decoder::new(wire.as_slice()), 0, all.len()).unwrap();
        prop_assert_eq!(&read, &all);
        let read = values(&mut Decoder::new(wire.as_slice()), last, 1).unwrap();
        prop_assert_eq!(&read[..], &all[last..]);
    }

    #[test]
    fn what_is_skipped_is_one_value(all in vec(replies(), 1..4), asking in any::<bool>()) {
        let mut wire = Vec::new();
        for value in &all {
            if asking {
                wire.extend(b"+OK\r\n");
            }
            write(value, &mut wire);
        }
        wire.extend(if asking { &b"+OK\r\n:7\r\n"[..] } else { b":7\r\n" });
        let mut decoder = Decoder::new(wire.as_slice());
        let mut replies = Replies::new(&mut decoder, all.len() + 1).after_asking(asking);
        for _ in &all {
            replies.skip().unwrap();
        }
        prop_assert_eq!(replies.integer().unwrap(), 7);
        replies.finish().unwrap();
        prop_assert_eq!(decoder.consumed(), wire.len() as u64);
    }

    #[test]
    fn commands_hold_their_arguments(commands in vec(vec(vec(any::<u8>(), 0..9), 1..5), 1..4)) {
        let mut packed = Commands::default();
        for arguments in &commands {
            let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
            packed.push(&arguments);
        }
        prop_assert_eq!(packed.count, commands.len());
        let mut decoder = Decoder::new(packed.bytes.as_slice());
        for arguments in &commands {
            prop_assert_eq!(decoder.token().unwrap(), Token::Array(arguments.len()));
            for argument in arguments {
                prop_assert_eq!(decoder.token().unwrap(), Token::Bulk(argument));
            }
        }
    }
}
