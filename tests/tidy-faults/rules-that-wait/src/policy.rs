//! Policy.

pub async fn decide() {}
