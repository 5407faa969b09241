//! /ipfs/id/1.0.0: who is at the other end, where it listens, what it speaks
