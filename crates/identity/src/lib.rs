//! Who a peer is: keys, signatures and peer ids
