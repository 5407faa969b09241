//! /ipfs/ping/1.0.0: is the peer alive, and how far away is it?
