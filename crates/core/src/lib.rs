//! What a connection is: addresses, negotiation, records, and the seams between the layers
