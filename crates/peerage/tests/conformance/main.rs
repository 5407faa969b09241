//! What every transport and security must do alike, over whole swarms on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod kit;
mod moved;
mod suite;

/// Each rule of the suite over each way to connect.
macro_rules! conformance {
    ($($net:ident: $make:expr),* $(,)?) => { $(
        mod $net {
            conformance!(@rules $make;
                a_stream_is_opened_and_echoes
                each_half_of_a_stream_closes_by_itself_whoever_is_first
                a_reset_carries_its_code
                a_thousand_streams_live_side_by_side
                a_writer_waits_for_a_reader
                a_stream_that_nobody_reads_holds_up_no_other
                a_large_transfer_arrives_whole_both_ways
                what_was_sent_arrives_before_the_end_of_the_connection
                a_frame_cut_at_every_byte_is_read_as_one
                what_is_confirmed_has_arrived
                the_code_of_the_end_arrives
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
conformance! {
    tcp_noise: crate::kit::Net::TcpNoise,
    tcp_tls: crate::kit::Net::TcpTls,
    quic: crate::kit::Net::Quic,
}
