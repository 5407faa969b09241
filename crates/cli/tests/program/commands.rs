//! Everything but the chat.
use crate::kit::Home;
use std::fs;

const PEER: &str = "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh";

#[test]
fn what_is_malformed_is_one_line_with_exit_2_and_nothing_is_written() {
    let cases: &[(&[&str], &str)] = &[
        (&["chat", "kitchen", "--peer", "/ip4/1.2.3.4/tpc/1"], "at position 13; did you mean \"tcp\"?"),
        (&["chat", "kitchen", "--listen", "nowhere"], "at position 0"),
        (&["chat", "kitchen", "--nick", "\u{1b}"], "--nick"),
        (&["chat", "kitchen", "--jsno"], "--json"),
        (&["chat"], "<TOPIC>"),
        (&["chat", ""], "a room has a name"),
        (&["ping", "/ip4/1.2.3.4/tcp/70000"], "at position 17"),
        (&["ping", "/ip4/1.2.3.4/tcp/1", "-c", "many"], "invalid"),
        (&["addr", "parse", "/ip4/1.2.3.4/tcp/1/p2p/12D3"], "at position 23"),
        (&["id", "--color", "pink"], "auto, always, never"),
        (&["nonsense"], "nonsense"),
    ];
    for (args, expected) in cases {
        let home = Home::new();
        let ran = home.run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
        assert!(ran.err.contains(expected), "{args:?}: {}", ran.err);
        assert_eq!((ran.err.lines().count(), ran.out.as_str()), (1, ""), "{args:?}: {}", ran.err);
        assert!(!ran.err.contains('\u{1b}'), "{args:?}");
        assert!(!home.path().exists(), "{args:?}");
    }
}

#[test]
fn a_variable_is_as_good_as_a_flag() {
    let home = Home::new();
    let ran = home.command(&["chat", "kitchen"]).env("PEERAGE_PEER", "/ip4/1.2.3.4/tpc/1").output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("did you mean \"tcp\"?"));
    let ran = home.command(&["id"]).env("PEERAGE_JSON", "1").output().unwrap();
    let record: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert!(record["peer"].as_str().unwrap().starts_with("12D3KooW"));
}

#[test]
fn the_identity_is_made_once_and_stays() {
    let home = Home::new();
    let first = home.run(&["id"]);
    assert_eq!(first.code, Some(0));
    assert!(
        first.err.contains("created a new identity") && first.err.contains("identity.key"),
        "{}",
        first.err
    );
    let second = home.run(&["id"]);
    assert_eq!((second.out.as_str(), second.err.as_str()), (first.out.as_str(), ""));
    assert!(first.out.starts_with("12D3KooW"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(home.path().to_owned()), mode(home.path().join("identity.key"))), (0o700, 0o600));
    }
}

#[test]
fn an_identity_that_is_none_is_explained_and_left_alone() {
    let cases: &[&[u8]] = &[b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\n", &[8, 1, 18, 64, 1, 2, 3]];
    for bytes in cases {
        let home = Home::new();
        fs::create_dir(home.path()).unwrap();
        let path = home.path().join("identity.key");
        fs::write(&path, bytes).unwrap();
        for args in [&["id"][..], &["chat", "kitchen", "--no-mdns"], &["key", "show"]] {
            let ran = home.run(args);
            assert_eq!(ran.code, Some(1), "{args:?}: {ran:?}");
            assert!(ran.err.contains(&path.display().to_string()), "{}", ran.err);
            assert!(ran.err.contains("hint: ") && ran.err.contains("[identity.invalid]"), "{}", ran.err);
            assert_eq!(fs::read(&path).unwrap(), *bytes);
        }
    }
}

#[test]
fn a_data_directory_that_cannot_be_used_is_explained() {
    let home = Home::new();
    fs::write(home.path(), "a file").unwrap();
    let ran = home.run(&["chat", "kitchen"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("cannot use the directory") && ran.err.contains("--ephemeral"), "{}", ran.err);
    fs::remove_file(home.path()).unwrap();
}

#[test]
fn keys_travel_between_formats() {
    let home = Home::new();
    let file = |name: &str| home.path().join(name).display().to_string();
    fs::create_dir(home.path()).unwrap();
    for key_type in ["ed25519", "secp256k1", "ecdsa"] {
        let (protobuf, pem, back) =
            (file(key_type), file(&format!("{key_type}.pem")), file(&format!("{key_type}.2")));
        let made = home.run(&["key", "new", "--type", key_type, "--out", &protobuf]);
        assert_eq!(made.code, Some(0), "{made:?}");
        assert_eq!(home.run(&["key", "export", &protobuf, "--out", &pem]).code, Some(0));
        assert!(fs::read_to_string(&pem).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        let imported = home.run(&["key", "import", &pem, "--out", &back]);
        assert_eq!(imported.out, made.out);
        assert_eq!(fs::read(&protobuf).unwrap(), fs::read(&back).unwrap());
        let shown = home.run(&["key", "show", &pem, "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
        assert_eq!((shown["peer"].as_str(), shown["type"].as_str()), (Some(made.out.trim()), Some(key_type)));
        assert_eq!(home.run(&["id", "--identity", &pem]).out, made.out);
        assert_eq!(
            home.run(&["key", "export", &pem, "--format", "protobuf"]).stdout,
            fs::read(&protobuf).unwrap()
        );
    }
    let again = home.run(&["key", "new", "--out", &file("ecdsa")]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("is not overwritten"), "{}", again.err);
}

#[test]
fn an_imported_key_becomes_the_identity_if_there_is_none() {
    let home = Home::new();
    let other = Home::new();
    let id = other.run(&["id"]).out;
    let pem = other.run(&["key", "export"]).out;
    let imported = home.run_with(&["key", "import", "-"], pem.as_bytes());
    assert_eq!((imported.code, imported.out), (Some(0), id.clone()));
    assert_eq!(home.run(&["id"]).out, id);
    assert_eq!(home.run_with(&["key", "import", "-"], pem.as_bytes()).code, Some(1), "there is one now");
    let bad = home.run_with(&["key", "import", "-", "--out", "nothing.key"], b"nonsense");
    assert_eq!((bad.code, bad.err.lines().count()), (Some(2), 1), "{bad:?}");
}

#[test]
fn an_address_is_taken_apart() {
    let home = Home::new();
    let address = format!("/ip6/fd00::7/tcp/4001/p2p/{PEER}");
    let ran = home.run(&["addr", "parse", &address]);
    assert!(
        ran.out.starts_with(&format!(
            "{address}\n  ip6    fd00::7\n  tcp    4001\n  p2p    {PEER}\n  bytes  29fd"
        )),
        "{}",
        ran.out
    );
    let ran = home.run(&["addr", "parse", "--json", &address]);
    let record: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((record["v"].as_u64(), record["peer"].as_str()), (Some(1), Some(PEER)));
    assert!(!home.path().exists());
}

#[test]
fn the_shell_and_the_manual_are_served() {
    let home = Home::new();
    assert!(home.run(&["--version"]).out.starts_with("peerage 0."));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(home.run(&["completions", shell]).out.contains("no-mdns"), "{shell}");
    }
    let man = home.run(&["man"]).out;
    assert!(man.contains(".TH peerage 1") && man.contains("peerage\\-chat"), "{man}");
    let help = home.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("Exit codes:"));
}

#[test]
fn ping_measures_counts_and_says_why_not() {
    let home = Home::new();
    let mut chat = home.chat("ana", &["--ephemeral"]);
    let (peer, address) = (chat.peer(), chat.address());
    let ran = home.run(&["ping", &format!("{address}/p2p/{peer}"), "-c", "2"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(
        lines[0].starts_with(&format!("pong from …{} via 127.0.0.1 · tcp in ", &peer[peer.len() - 6..])),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("2 sent, 2 received, min/avg/max "), "{lines:?}");

    let ran = home.run(&["ping", &format!("{address}/p2p/{PEER}"), "-c", "1"]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(
        ran.err.contains(PEER) && ran.err.contains(&peer) && ran.err.contains("[dial.wrong-peer]"),
        "{}",
        ran.err
    );

    drop(chat);
    let ran = home.run(&["ping", &address, "-c", "1"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.err.starts_with("error: could not reach 127.0.0.1 (1 address, "), "{}", ran.err);
    assert!(ran.err.contains(&format!("✗ {address}   ")) && ran.err.contains("refused"), "{}", ran.err);
    assert!(!home.path().exists(), "ping and an ephemeral chat write nothing");
}
