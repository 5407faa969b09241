//! /floodsub/1.0.0: every subscriber hears every message
