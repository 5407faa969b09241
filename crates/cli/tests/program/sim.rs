//! `peerage sim`: the same every time, and what is refused.
use crate::kit::{Home, Ran};
use serde_json::Value;
use std::fs;

const SMALL: &str = "sim floodsub --peers 24 --degree 4 --messages 5";

fn run(home: &Home, line: &str) -> Ran {
    let args: Vec<&str> = line.split_whitespace().collect();
    home.run(&args)
}
fn record(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    serde_json::from_str(ran.out.lines().last().unwrap()).unwrap()
}

#[test]
fn a_flood_is_told_in_one_line_with_these_keys() {
    let home = Home::new();
    let ran = run(&home, &format!("{SMALL} --json --seed 7"));
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (1, ""));
    let record = record(&ran);
    let keys = ["\"v\":1,\"scenario\":\"floodsub\",\"peers\":24,\"seed\":7,\"virtual_seconds\":"];
    assert!(ran.out.starts_with(&format!("{{{}", keys[0])), "{}", ran.out);
    let mut keys: Vec<&str> = record.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = "bytes_sent deliveries duplicates events events_hash expected_deliveries latency_ms \
                    peak_rss_bytes peers published scenario seed v virtual_seconds wall_seconds";
    assert_eq!(keys.join(" "), expected);
    assert_eq!(record["published"], 5);
    assert_eq!((&record["expected_deliveries"], &record["deliveries"]), (&115.into(), &115.into()));
    // 24 send over 4 links, but not back to whom they have it from.
    let (copies, most) = (record["duplicates"].as_u64().unwrap(), 5 * (24 * 4 - 23 - 23));
    assert!(copies <= most && copies > most * 9 / 10, "{copies} of {most}");
    let hash = record["events_hash"].as_str().unwrap();
    assert!(hash.len() == 32 && hash.chars().all(|c| c.is_ascii_hexdigit()), "{hash}");
    let ms = |name: &str| record["latency_ms"][name].as_f64().unwrap();
    assert!(5.0 < ms("p50") && ms("p50") < ms("p99") && ms("p99") < 400.0, "{record}");
    assert!(record["virtual_seconds"].as_f64().unwrap() < 3.0);
    if cfg!(target_os = "linux") {
        assert!(record["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
    }
    assert!(!home.path().exists(), "it needs no data directory");
}

#[test]
fn a_seed_gives_one_run_in_every_process_and_another_gives_another() {
    let home = Home::new();
    let hash = |more: &str| {
        let ran = run(&home, &format!("{SMALL} --json {more}"));
        (record(&ran)["events_hash"].clone(), record(&ran)["events"].clone())
    };
    let first = hash("--seed 7");
    assert_eq!(first, hash("--seed 7"));
    assert_ne!(first.0, hash("--seed 8").0);
    let lossy = "--seed 7 --loss-of-link 5%/s";
    assert_eq!(hash(lossy), hash(lossy));
    assert_ne!(first.0, hash(lossy).0);
    let page = home.path().with_extension("html");
    let with_page = hash(&format!("--seed 7 --html {}", page.display()));
    fs::remove_file(page).unwrap();
    assert_eq!(first, with_page, "who looks changes nothing");
}

#[test]
fn what_is_impossible_is_refused_with_the_reason_before_anything_runs() {
    let home = Home::new();
    let cases = [
        ("--peers 0", "a network of no peers: there must be at least one"),
        ("--peers 20000000", "20000000 peers are too many"),
        ("--peers 5 --degree 5", "a degree of 5 among 5 peers: a peer has at most 4 others"),
        ("--peers 5 --degree 400", "a peer has at most 4 others"),
        ("--peers 5 --degree 3", "a link has two ends, so their product must be even"),
        ("--peers 5 --degree 1", "a degree of 1 does not connect 5 peers"),
        ("--peers 5 --degree 0", "a degree of 0 does not connect 5 peers"),
        ("--peers -3", "-3"),
        ("--latency -5ms..80ms", "-5ms is negative: time only passes forwards"),
        ("--latency 5ms..-80ms", "negative"),
        ("--latency 80ms..5ms", "latencies from 80ms to 5ms: the shorter comes first"),
        ("--latency 5..80", "a number and a unit, such as 80ms"),
        ("--latency 1h", "a dial is given up after 10 s"),
        ("--loss-of-link 101%/s", "at most 100%/s"),
        ("--loss-of-link -1%/s", "negative"),
        ("--loss-of-link 0.1", "such as 0.1%/s"),
        ("--size 2MiB", "floodsub carries at most 1048576 at once"),
        ("--size 1048576", "and at most 1046012 fit"),
        ("--size -1", "no number of bytes"),
        ("--size 99999999999999999999999", "no number of bytes"),
        ("--for 0s", "in no time nothing happens"),
        ("--for -1s", "negative"),
        ("--for eternity", "\"eternity\" is no time"),
        ("--html /nowhere/at/all.html", "cannot write /nowhere/at/all.html"),
        ("--html /", "cannot write /"),
    ];
    for (more, reason) in cases {
        let ran = run(&home, &format!("sim floodsub {more}"));
        assert_eq!(ran.code, Some(2), "{more}: {ran:?}");
        assert!(ran.err.contains(reason), "{more}: {}", ran.err);
        assert_eq!((ran.err.lines().count(), ran.out.as_str()), (1, ""), "{more}: {}", ran.err);
    }
}

#[test]
fn a_run_over_its_memory_stops_and_says_what_grew() {
    let home = Home::new();
    let page = home.path().with_extension("html");
    let ran = run(&home, &format!("sim floodsub --peers 4000 --memory 12MiB --html {}", page.display()));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("over the memory limit of 12582912 bytes: "), "{}", ran.err);
    assert!(ran.err.contains("most of them by ") && ran.err.contains("[sim.memory]"), "{}", ran.err);
    assert!(!page.exists(), "nothing is left of a page that has nothing to show");
}

#[test]
fn people_read_a_table_and_how_to_run_it_again() {
    let home = Home::new();
    let ran = run(&home, &format!("{SMALL} --seed 7"));
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    for words in
        ["floodsub: 24 peers, 4 links each, seed 7", "115 of 115", "5 messages of 256 B, to 23 peers each"]
    {
        assert!(ran.out.contains(words), "{}", ran.out);
    }
    let again = ran.out.lines().last().unwrap().strip_prefix("again: peerage ").unwrap();
    let repeated = run(&home, &format!("{again} --json"));
    let hash = record(&repeated)["events_hash"].as_str().unwrap().to_owned();
    assert!(ran.out.contains(&hash), "{}", ran.out);
}

#[test]
fn the_log_has_every_event() {
    let home = Home::new();
    let ran = run(&home, "sim floodsub --peers 3 --degree 2 --messages 1 --json --log");
    let events = record(&ran)["events"].as_u64().unwrap();
    assert_eq!(ran.err.lines().count() as u64, events);
    assert!(ran.err.lines().next().unwrap().starts_with("0.000000000 node 0 born"), "{}", ran.err);
}

#[test]
fn a_page_replaces_what_was_there_and_carries_the_run() {
    let home = Home::new();
    fs::create_dir(home.path()).unwrap();
    let page = home.path().join("flood.html");
    fs::write(&page, "x".repeat(5_000_000)).unwrap();
    let ran = run(&home, &format!("{SMALL} --html {}", page.display()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>\n") && text.len() < 200_000);
    let json = text.split("<script id=\"data\" type=\"application/json\">").nth(1).unwrap();
    let data: Value = serde_json::from_str(json.split("</script>").next().unwrap()).unwrap();
    assert_eq!(data["links"].as_array().unwrap().len(), 48 * 3);
    assert_eq!(data["messages"].as_array().unwrap().len(), 5);
    let arrivals = data["messages"][0]["arrivals"].as_array().unwrap();
    assert_eq!(arrivals.iter().filter(|at| at.as_i64() == Some(0)).count(), 1, "the publisher");
    assert!(data["command"].as_str().unwrap().starts_with("peerage sim floodsub --peers 24 "));
}

#[test]
fn a_sweep_counts_its_seeds_and_is_the_same_twice() {
    let home = Home::new();
    let sweep = || record(&run(&home, "sim sweep --seeds 2 --from 5 --for 5s --json"));
    let first = sweep();
    assert_eq!(
        (&first["seeds"], &first["from"], &first["failed"]),
        (&2.into(), &5.into(), &Value::Array(vec![]))
    );
    assert_eq!(first["events_hash"], sweep()["events_hash"]);
    let none = run(&home, "sim sweep --seeds 0");
    assert_eq!((none.code, none.err.lines().count()), (Some(2), 1), "{none:?}");
    assert_eq!(run(&home, "sim sweep --seeds 2 --from 18446744073709551615").code, Some(2));
}

#[test]
fn a_figure_that_does_not_exist_is_refused_with_those_that_do() {
    let home = Home::new();
    let ran = run(&home, "sim figures --only speed");
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.err.contains("there is no figure \"speed\": flood-1000, "), "{}", ran.err);
}
