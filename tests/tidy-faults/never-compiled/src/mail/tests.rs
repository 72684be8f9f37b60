//! Tests that nobody runs.
