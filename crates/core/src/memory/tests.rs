use super::*;
use crate::Transport as _;
use futures::{executor::block_on, future::poll_fn};
use std::task::Waker;

fn now() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
fn next(transport: &mut Transport) -> TransportEvent {
    block_on(poll_fn(|cx| transport.poll(cx)))
}
fn dial(transport: &mut Transport, address: &Multiaddr) -> io::Result<Raw> {
    block_on(transport.dial(address, Role::Dialer, PortUse::New))
}
fn socket(raw: Raw) -> Box<dyn Socket> {
    match raw {
        Raw::Socket(socket) => socket,
        other => panic!("{other:?}"),
    }
}
/// Listens on `/memory/n` and returns the address it was given.
fn listen(transport: &mut Transport, n: u64) -> Multiaddr {
    transport.listen(ListenerId::new_unchecked(1), &multiaddr(n)).unwrap();
    match next(transport) {
        TransportEvent::Address { address, yes: true, .. } => address,
        _ => panic!("the address comes first"),
    }
}
fn connected() -> (Box<dyn Socket>, Box<dyn Socket>) {
    let mut transport = Hub::new().transport();
    let address = listen(&mut transport, 0);
    let dialed = socket(dial(&mut transport, &address).unwrap());
    let TransportEvent::Incoming { raw, .. } = next(&mut transport) else { panic!("nobody came") };
    (dialed, socket(block_on(raw).unwrap()))
}
fn write(socket: &mut Box<dyn Socket>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    socket.poll_write(&mut now(), &[io::IoSlice::new(bytes)])
}
fn read(socket: &mut Box<dyn Socket>) -> Poll<io::Result<Vec<u8>>> {
    let mut into = BytesMut::with_capacity(1 << 20);
    socket.poll_read(&mut now(), &mut into).map_ok(|_| into.to_vec())
}

#[test]
fn a_dialer_and_a_listener_see_each_others_addresses() {
    let hub = Hub::new();
    let (mut a, mut b) = (hub.transport(), hub.transport());
    let address = listen(&mut a, 7);
    assert_eq!(address, multiaddr(7));
    let _dialed = dial(&mut b, &address).unwrap();
    let TransportEvent::Incoming { local, remote, .. } = next(&mut a) else { panic!("nobody came") };
    assert_eq!(local, address);
    assert!(number(&remote).unwrap() >= FIRST_CHOSEN);
}

#[test]
fn dialing_where_nobody_listens_is_refused() {
    let hub = Hub::new();
    let mut transport = hub.transport();
    let refused = |result: io::Result<Raw>| result.unwrap_err().kind() == io::ErrorKind::ConnectionRefused;
    assert!(refused(dial(&mut transport, &multiaddr(1))));
    let address = listen(&mut transport, 1);
    assert!(refused(dial(&mut Hub::new().transport(), &address)), "another hub");
    for _ in 0..BACKLOG.get() {
        drop(dial(&mut transport, &address).unwrap());
    }
    assert!(refused(dial(&mut transport, &address)), "at the bound");
    drop(transport);
    assert!(refused(dial(&mut hub.transport(), &address)), "the listener is gone");
}

#[test]
fn a_number_is_taken_once_and_free_again_after_unlisten() {
    let hub = Hub::new();
    let (mut a, mut b) = (hub.transport(), hub.transport());
    listen(&mut a, 5);
    let id = ListenerId::new_unchecked(9);
    assert_eq!(b.listen(id, &multiaddr(5)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    assert!(a.unlisten(ListenerId::new_unchecked(1)));
    assert!(!a.unlisten(ListenerId::new_unchecked(1)));
    assert!(matches!(next(&mut a), TransportEvent::Address { yes: false, .. }));
    assert!(matches!(next(&mut a), TransportEvent::Closed { reason: Ok(()), .. }));
    b.listen(id, &multiaddr(5)).unwrap();
}

#[test]
fn equal_calls_on_two_hubs_give_equal_numbers() {
    let run = || {
        let mut transport = Hub::new().transport();
        let address = listen(&mut transport, 0);
        drop(dial(&mut transport, &address).unwrap());
        let TransportEvent::Incoming { remote, .. } = next(&mut transport) else { panic!("nobody came") };
        (address, remote)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_full_pipe_makes_its_writer_wait_until_it_is_read() {
    let (mut a, mut b) = connected();
    let much = vec![1; PIPE.get() + 1];
    assert!(matches!(write(&mut a, &much), Poll::Ready(Ok(n)) if n == PIPE.get()));
    assert!(write(&mut a, b"more").is_pending());
    assert!(matches!(read(&mut b), Poll::Ready(Ok(bytes)) if bytes.len() == PIPE.get()));
    assert!(matches!(write(&mut a, b"more"), Poll::Ready(Ok(4))));
    assert!(matches!(read(&mut b), Poll::Ready(Ok(bytes)) if bytes == b"more"));
    assert!(read(&mut b).is_pending());
}

#[test]
fn several_slices_are_written_in_order_and_read_as_there_is_room() {
    let (mut a, mut b) = connected();
    let slices = [io::IoSlice::new(b"one "), io::IoSlice::new(b""), io::IoSlice::new(b"two")];
    assert!(matches!(a.poll_write(&mut now(), &slices), Poll::Ready(Ok(7))));
    let mut into = BytesMut::with_capacity(5);
    assert!(matches!(b.poll_read(&mut now(), &mut into), Poll::Ready(Ok(5))));
    assert_eq!(&into[..], b"one t");
    assert!(matches!(b.poll_read(&mut now(), &mut into), Poll::Ready(Ok(2))));
    assert_eq!(&into[..], b"one two");
}

#[test]
fn one_direction_is_closed_while_the_other_goes_on() {
    let (mut a, mut b) = connected();
    assert!(matches!(write(&mut a, b"last"), Poll::Ready(Ok(4))));
    assert!(matches!(a.poll_close(&mut now()), Poll::Ready(Ok(()))));
    assert!(matches!(write(&mut a, b"x"), Poll::Ready(Err(_))));
    assert!(matches!(read(&mut b), Poll::Ready(Ok(bytes)) if bytes == b"last"));
    assert!(matches!(read(&mut b), Poll::Ready(Ok(bytes)) if bytes.is_empty()));
    assert!(matches!(write(&mut b, b"answer"), Poll::Ready(Ok(6))));
    assert!(matches!(read(&mut a), Poll::Ready(Ok(bytes)) if bytes == b"answer"));
    drop(a);
    assert!(matches!(write(&mut b, b"x"), Poll::Ready(Err(_))), "nobody reads any more");
}

#[test]
fn nothing_is_accepted_while_accepting_is_off() {
    let mut transport = Hub::new().transport();
    let address = listen(&mut transport, 0);
    transport.accepting(false);
    let _dialed = dial(&mut transport, &address).unwrap();
    assert!(transport.poll(&mut now()).is_pending());
    transport.accepting(true);
    assert!(matches!(next(&mut transport), TransportEvent::Incoming { .. }));
}
