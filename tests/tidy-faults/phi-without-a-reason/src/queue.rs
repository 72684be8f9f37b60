//! The queue.

fn show(address: &Address) -> &str {
    let address = address;
    let shown = address;
    shown.expose()
}
