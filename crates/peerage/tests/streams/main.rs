//! Raw streams between programs: every rule over every way to connect, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod kit;
mod suite;

/// Each rule of the suite over each way to connect.
macro_rules! over {
    ($($net:ident: $make:expr),* $(,)?) => { $(
        mod $net {
            over!(@rules $make;
                what_is_written_is_read_and_closing_waits_until_it_has_arrived
                each_half_closes_by_itself_whoever_is_first
                a_reset_arrives_with_its_code
                a_reader_that_reads_nothing_holds_a_writer_back
                a_thousand_streams_carry_their_own
                many_streams_read_to_their_ends_cost_what_their_bytes_cost
                both_kinds_of_traits_and_bytes_carry_the_same
                a_protocol_that_is_not_spoken_is_said_to_be
                a_peer_that_is_gone_is_noticed_on_both_halves
                what_was_closed_arrives_although_the_program_ends
                perf_measures_both_ways
            );
        }
    )* };
    (@rules $make:expr; $($rule:ident)*) => { $(
        #[tokio::test]
        async fn $rule() {
            crate::suite::$rule($make).await;
        }
    )* };
}
over! {
    tcp_noise: crate::kit::Net::TcpNoise,
    tcp_tls: crate::kit::Net::TcpTls,
    quic: crate::kit::Net::Quic,
}
