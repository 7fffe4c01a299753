//! Frames between the host and the agent in a guest. These tests are not beside the code because every change
//! of that file changes the images.

use lab::protocol::{Answer, Message, read_frame, write_frame};

#[test]
fn frames_follow_each_other() {
    let mut stream = Vec::new();
    for id in 1..=2 {
        let message = Message {
            id,
            body: Answer::Spawned { handle: 7 },
        };
        write_frame(&mut stream, &message, &[0; 3]).unwrap();
    }
    let mut input = stream.as_slice();
    for expected in 1..=2 {
        let (message, payload) = read_frame::<Answer>(&mut input).unwrap();
        assert_eq!((message.id, payload.len()), (expected, 3));
    }
    assert!(input.is_empty());
}

#[test]
fn a_stream_of_nonsense_is_refused() {
    assert!(read_frame::<Answer>(&mut [0xff; 64].as_slice()).is_err());
    assert!(read_frame::<Answer>(&mut [0; 64].as_slice()).is_err());
}
