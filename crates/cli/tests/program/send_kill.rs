//! Either side is killed at any moment, again and again, and the file arrives.
use crate::kit::{Chat, Home, noise};
use std::{
    collections::hash_map::RandomState, fs, hash::BuildHasher, path::Path, thread::sleep, time::Duration,
};

const BYTES: usize = 64 << 20;

/// Three kills, or as many as `PEERAGE_KILLS` says.
#[test]
fn whoever_is_killed_goes_on_where_it_was_and_nothing_half_has_a_name() {
    let kills = std::env::var("PEERAGE_KILLS").map_or(3, |kills| kills.parse().unwrap());
    let seed = u64::from(RandomState::new().hash_one(0) as u32);
    let mut dice = noise(seed).map(|bytes| u64::from_le_bytes(bytes) >> 11);

    let home = Home::new();
    let (from, to) = (home.path().join("file"), home.path().join("to"));
    let bytes: Vec<u8> = noise(9).take(BYTES / 8).flatten().collect();
    fs::create_dir_all(home.path()).unwrap();
    fs::write(&from, &bytes).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("/ip4/127.0.0.1/tcp/{port}");
    let send = || home.begin(&["send", from.to_str().unwrap(), "--no-mdns", "--listen", &listen]);
    let ticket_of = |sender: &mut Chat| sender.wait("offer")["ticket"].as_str().unwrap().to_owned();
    let mut sender = send();
    let ticket = ticket_of(&mut sender);
    let receive = || {
        let mut receiver = home.begin(&["recv", &ticket, "--no-mdns", "-o", to.to_str().unwrap()]);
        receiver.wait("progress"); // It knows what is to come, and has begun.
        receiver
    };
    let mut receiver = receive();

    let (mut killed, mut half_way, mut whole) = ([0, 0], 0, 0);
    while killed[0] + killed[1] < kills {
        sleep(Duration::from_millis(dice.next().unwrap() % 250));
        if receiver.has_ended() {
            // It was quicker than we: again, from nothing.
            assert_eq!(receiver.ended(), Some(0), "seed {seed}: {:?}", receiver.rest());
            assert!(fs::read(to.join("file")).unwrap() == bytes, "seed {seed}");
            fs::remove_dir_all(&to).unwrap();
            whole += 1;
            receiver = receive();
            continue;
        }
        half_way += u64::from(!to.join("file").exists());
        let side = dice.next().unwrap() % 2;
        if side == 0 {
            sender.kill();
            sender = send();
            assert_eq!(ticket_of(&mut sender), ticket, "seed {seed}");
        } else {
            receiver.kill();
            is_whole_or_not_there(&to.join("file"), &bytes);
            receiver = receive();
        }
        killed[side as usize] += 1;
    }
    assert_eq!(receiver.ended(), Some(0), "seed {seed}: {:?}", receiver.rest());
    assert!(fs::read(to.join("file")).unwrap() == bytes, "seed {seed}");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1, "seed {seed}: nothing else is left there");
    println!(
        "{killed:?} kills of sender and receiver, {half_way} of them half-way, {} times whole",
        whole + 1
    );
}

fn is_whole_or_not_there(path: &Path, bytes: &[u8]) {
    if let Ok(read) = fs::read(path) {
        assert!(read == bytes, "{} of {} bytes under the final name", read.len(), bytes.len());
    }
}
